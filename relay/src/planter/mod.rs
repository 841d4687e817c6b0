//! Plants: carries out what `anatomic_mesh::Planter` asks for, over HTTP.
//!
//! Decides nothing of the protocol; says how far it is.

use crate::node::client::{self, ask, post, post_for};
pub mod health;

use crate::node::clock;
use anatomic_core::InfoHash;
use anatomic_mesh::api::{
    Handover, Indexed, Offer, PlantRequest, Planted, Problem, WellKnown, WithdrawRequest, paths,
};
pub use anatomic_mesh::planter::{Failure, Outcome};
use anatomic_mesh::planter::{Output, Progress, Wish};
use anatomic_mesh::{Identity, Key, Planter, Reach, Signed, Withdrawal};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that came back.
enum Answer {
    Offer(String, Result<Offer, String>),
    Planted(Key, Result<Planted, Problem>),
    Indexed(String, Result<Indexed, String>),
}

/// Plants; `progress` hears of every step.
///
/// # Errors
/// What each supernode and node said, if none took the torrent.
pub async fn plant(
    wish: Wish,
    identity: Identity,
    mut progress: impl FnMut(Progress),
) -> Result<Outcome, Failure> {
    let client =
        client::new(PATIENCE).map_err(|reason| Failure { reasons: vec![("this machine".into(), reason)] })?;
    let mut planter = Planter::new(wish, identity, clock::now());
    let mut requests = JoinSet::new();
    loop {
        while let Some(output) = planter.poll_output() {
            let client = client.clone();
            match output {
                Output::AskNodes { supernode, count } => drop(requests.spawn(async move {
                    let url = format!("{supernode}{}?count={count}", paths::NODES);
                    let offer = ask(client.get(url)).await;
                    Answer::Offer(supernode, offer)
                })),
                Output::Plant { node, request } => drop(requests.spawn(async move {
                    let url = format!("{}{}", node.url, paths::PLANT);
                    let planted = post_for::<PlantRequest, _>(&client, &url, &request).await;
                    Answer::Planted(node.key, planted)
                })),
                Output::HandOver { supernode, handover } => drop(requests.spawn(async move {
                    let url = format!("{supernode}{}", paths::RECEIPTS);
                    let indexed = post::<Handover, _>(&client, &url, &handover).await;
                    Answer::Indexed(supernode, indexed)
                })),
                Output::Progress(step) => progress(step),
                Output::Done(outcome) => return Ok(*outcome),
                Output::Failed(failure) => return Err(failure),
            }
        }
        match requests.join_next().await {
            Some(Ok(Answer::Offer(supernode, offer))) => planter.handle_offer(&supernode, offer),
            Some(Ok(Answer::Planted(node, planted))) => planter.handle_planted(node, planted),
            Some(Ok(Answer::Indexed(supernode, indexed))) => planter.handle_indexed(&supernode, indexed),
            // A request that panicked or none under way: nothing more will come.
            Some(Err(_)) | None => {
                return Err(Failure {
                    reasons: vec![("this program".into(), "planting came to a halt".into())],
                });
            }
        }
    }
}

/// Who was told that a torrent is planted no longer, and what came of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Scheme and host.
    pub url: String,
    /// Why it did not forget the torrent.
    pub result: Result<(), String>,
}

/// Takes a planter's word back at every node that is known to track the torrent and at these supernodes.
pub async fn unplant(info_hash: &InfoHash, supernodes: &[String], identity: &Identity) -> Vec<Told> {
    let client = match client::new(PATIENCE) {
        Ok(client) => client,
        Err(reason) => return vec![Told { url: "this machine".into(), result: Err(reason) }],
    };
    let (known, _) = health::ask_supernodes(&client, info_hash, supernodes).await;
    let mut hosts: Vec<String> = health::nodes(&known).into_iter().map(|node| node.url).collect();
    for supernode in supernodes {
        if !hosts.contains(supernode) {
            hosts.push(supernode.clone());
        }
    }
    let told = hosts.into_iter().map(|url| {
        let client = client.clone();
        async move {
            let result = withdraw(&client, &url, info_hash, identity).await;
            Told { url, result }
        }
    });
    futures_util::future::join_all(told).await
}

/// Asks a host for its key, and tells it.
async fn withdraw(
    client: &reqwest::Client,
    url: &str,
    info_hash: &InfoHash,
    identity: &Identity,
) -> Result<(), String> {
    let host: WellKnown = ask(client.get(format!("{url}{}", paths::WELL_KNOWN))).await?;
    let mut withdrawal = Withdrawal {
        info_hash: *info_hash,
        node: host.key,
        planter: identity.key(),
        reach: Reach::Everywhere,
        issued: clock::now(),
        at: None,
    };
    let url = format!("{url}{}", paths::WITHDRAW);
    loop {
        let signed = Signed::new(withdrawal.clone(), identity).map_err(|error| error.to_string())?;
        let told = post_for::<_, ()>(client, &url, &WithdrawRequest { withdrawal: signed }).await;
        match told.as_ref().map_err(Problem::clock) {
            // Its clock is another: once more, by that.
            Err(Some(clock)) if withdrawal.at.is_none() => withdrawal.at = Some(clock),
            _ => return told.map_err(|problem| problem.to_string()),
        }
    }
}
