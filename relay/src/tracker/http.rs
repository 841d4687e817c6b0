//! The tracker's HTTP door: announce and scrape of classic clients.
//!
//! Every answer is a bencoded dictionary with status 200, refusals too: that is what clients show to people.

use super::Tracker;
use anatomic_wire::tracker::NOT_PLANTED;
use anatomic_wire::tracker::announce::{AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::scrape::{self, ScrapeReply};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

impl Tracker {
    /// Answers an announce that came from `client` to our address `local`.
    ///
    /// # Errors
    /// The reason for the client's person.
    pub fn announce(
        &self,
        request: &AnnounceRequest,
        client: IpAddr,
        local: SocketAddr,
    ) -> Result<AnnounceReply, String> {
        if !self.admission.admits(&request.info_hash) {
            return Err(NOT_PLANTED.into());
        }
        let want = request.want.map_or(self.config.reply_peers, |want| {
            usize::try_from(want).unwrap_or(usize::MAX).min(self.config.reply_peers)
        });
        let (counts, mut peers) = self
            .swarms
            .announce_classic(Instant::now(), client, request, want)
            .map_err(|full| full.to_string())?;
        if anatomic_core::address::is_public(client) {
            // Addresses of our own network are of no use out there, and nobody's business.
            peers.retain(|peer| anatomic_core::address::is_public(peer.ip()));
        }
        let leaving = request.event == Some(anatomic_wire::tracker::Event::Stopped);
        if let Some(node) =
            self.node_address(&request.info_hash, local, client).filter(|_| want > 0 && !leaving)
        {
            peers.retain(|peer| *peer != node);
            peers.insert(0, node);
            peers.truncate(want);
        }
        let small = counts.complete.saturating_add(counts.incomplete) < 10;
        Ok(AnnounceReply {
            interval: if small { self.config.small_interval } else { self.config.classic_interval },
            min_interval: Some(self.config.min_interval),
            complete: Some(counts.complete),
            incomplete: Some(counts.incomplete),
            peers,
            tracker_id: None,
            warning: None,
            external_ip: Some(client),
        })
    }

    /// Answers a scrape; torrents that are not served are left out.
    #[must_use]
    pub fn scrape(&self, hashes: &[anatomic_core::InfoHash]) -> ScrapeReply {
        let files = hashes
            .iter()
            .take(scrape::MAX_HASHES)
            .filter(|hash| self.admission.admits(hash))
            .map(|hash| (*hash, self.swarms.counts(hash)))
            .collect();
        ScrapeReply { files }
    }
}

/// A bencoded body.
#[must_use]
pub fn bencoded(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], body).into_response()
}

/// A refusal with its reason.
#[must_use]
pub fn refusal(reason: &str) -> Response {
    bencoded(AnnounceReply::refusal(reason))
}
