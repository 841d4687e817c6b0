//! The DHT for a client's session: peers where trackers bring few, and our own address once we have something to give.
//!
//! It is entered only when it is needed, so that a download whose nodes answer asks nobody else.

use super::{Dht, Settings};
use crate::driver::Handle;
use anatomic_core::InfoHash;
use anatomic_engine::{Source, State, TorrentKey};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// How often it is looked which torrents need it.
const LOOK: Duration = Duration::from_secs(2);
/// How long trackers have to bring peers.
const GRACE: Duration = Duration::from_secs(10);
/// With so many peers a downloading torrent needs no more.
const ENOUGH: usize = 8;
/// How often a torrent without any peer is looked for.
const ALONE: Duration = Duration::from_secs(30);
/// How often another one is looked for and announced; what is announced lasts for half an hour.
const EVERY: Duration = Duration::from_secs(15 * 60);

/// A torrent that may be spoken of in the DHT.
struct Need {
    key: TorrentKey,
    info_hash: InfoHash,
    peers: usize,
    has_trackers: bool,
    /// Its metadata are known and allow it to be announced, and it has something to give.
    gives: bool,
    seeds: bool,
}

/// When a torrent came, and when it was last looked for.
struct Known {
    since: Instant,
    last: Option<Instant>,
}

impl Known {
    fn is_due(&self, need: &Need) -> bool {
        match self.last {
            // A seed is there to be found.
            None if need.seeds || !need.has_trackers => true,
            None => need.peers < ENOUGH && self.since.elapsed() >= GRACE,
            Some(last) => last.elapsed() >= if need.peers == 0 && !need.seeds { ALONE } else { EVERY },
        }
    }
}

/// Runs until the session is over.
pub async fn follow(handle: Handle, settings: Settings) {
    let mut dht: Option<Dht> = None;
    let mut known: HashMap<InfoHash, Known> = HashMap::new();
    let mut timer = tokio::time::interval(LOOK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let Some(needs) = needs(&handle).await else { return };
        for need in needs {
            let known = known.entry(need.info_hash).or_insert(Known { since: Instant::now(), last: None });
            if !known.is_due(&need) {
                continue;
            }
            let entered = match &dht {
                Some(entered) => entered.clone(),
                None => match Dht::enter(settings.clone()).await {
                    Ok(entered) => dht.insert(entered).clone(),
                    Err(error) => return warn!(%error, "no DHT"),
                },
            };
            look_up(&handle, &entered, &need).await;
            known.last = Some(Instant::now());
            entered.keep().await;
        }
    }
}

/// The session's torrents that are not private; `None` when it is over.
async fn needs(handle: &Handle) -> Option<Vec<Need>> {
    let look = |session: &mut crate::driver::Session| {
        let keys: Vec<_> = session.engine.torrents().collect();
        let views = keys.into_iter().filter_map(|key| Some((key, session.engine.view(key)?)));
        let needs = views.filter_map(|(key, view)| {
            let private = view.metainfo.as_ref().is_some_and(|metainfo| metainfo.is_private());
            let runs = matches!(view.state, State::Metadata | State::Downloading | State::Seeding);
            (runs && !private).then(|| Need {
                key,
                info_hash: view.info_hash,
                peers: view.peers.len(),
                has_trackers: !view.trackers.is_empty(),
                gives: view.metainfo.is_some() && view.have.as_ref().is_some_and(|have| !have.is_empty()),
                seeds: view.state == State::Seeding,
            })
        });
        needs.collect::<Vec<_>>()
    };
    handle.with(look).await
}

async fn look_up(handle: &Handle, dht: &Dht, need: &Need) {
    let Need { key, info_hash, .. } = *need;
    let mut count = 0;
    let mut search = dht.search(info_hash);
    while let Some(peers) = search.next().await {
        count += peers.len();
        handle
            .with(move |session| {
                let now = session.now();
                session.engine.add_candidates(now, key, Source::Dht, &peers);
            })
            .await;
    }
    debug!(torrent = %info_hash, peers = count, "looked for peers in the DHT");
    let port = handle.local_addr().map(|local| local.port());
    if let (true, Some(port)) = (need.gives, port)
        && let Err(reason) = dht.announce(info_hash, port).await
    {
        debug!(torrent = %info_hash, %reason, "not announced in the DHT");
    }
}
