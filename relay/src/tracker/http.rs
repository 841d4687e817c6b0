//! The tracker's HTTP door: announce and scrape of classic clients.
//!
//! Every answer is a bencoded dictionary with status 200, refusals too: that is what clients show to people.

use super::Tracker;
use super::peers::Scope;
use super::swarms::{Drawn, Wish};
use anatomic_wire::tracker::NOT_PLANTED;
use anatomic_wire::tracker::announce::{AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::scrape::{self, ScrapeReply, SwarmCounts};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Marks an announce that another node handed on.
const HANDED: &str = "handed=1";

/// What a client is told, beside the addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// Seconds until its next announce.
    pub interval: u32,
    /// Seconds that it should wait even where it is in a hurry.
    pub min_interval: u32,
    /// The swarm's figures.
    pub counts: SwarmCounts,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client's own address.
    pub client: IpAddr,
    /// Which of our addresses it reached.
    pub local: SocketAddr,
}

/// Which families of addresses a door can pass on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    /// Both (HTTP, BEP 7).
    Both,
    /// The client's own (UDP, BEP 15).
    Own,
}

impl Tracker {
    /// Answers an announce; the addresses are put into `drawn`, the node's own first.
    ///
    /// # Errors
    /// The reason for the client's person.
    pub fn announce(
        &self,
        request: &AnnounceRequest,
        origin: Origin,
        families: Families,
        drawn: &mut Drawn,
    ) -> Result<Announced, String> {
        let Origin { client, local } = origin;
        if !self.admission.admits(&request.info_hash) {
            drawn.clear();
            return Err(NOT_PLANTED.into());
        }
        let want = request.want.map_or(self.config.reply_peers, |want| {
            usize::try_from(want).unwrap_or(usize::MAX).min(self.config.reply_peers)
        });
        let scope = if anatomic_core::address::is_public(client) { Scope::Public } else { Scope::All };
        let wish = match (families, client.to_canonical()) {
            (Families::Both, _) => Wish::both(want, scope),
            (Families::Own, IpAddr::V4(_)) => Wish { v4: want, v6: 0, scope },
            (Families::Own, IpAddr::V6(_)) => Wish { v4: 0, v6: want, scope },
        };
        let counts = self
            .swarms
            .announce_classic(Instant::now(), client, request, wish, drawn)
            .map_err(|full| full.to_string())?;
        let leaving = request.event == Some(anatomic_wire::tracker::Event::Stopped);
        if let Some(node) =
            self.node_address(&request.info_hash, local, client).filter(|_| want > 0 && !leaving)
        {
            drawn.put_first(node, wish);
        }
        let small = counts.complete.saturating_add(counts.incomplete) < 10;
        Ok(Announced {
            interval: if small { self.config.small_interval } else { self.config.classic_interval },
            min_interval: self.config.min_interval,
            counts,
        })
    }

    /// Where a newcomer is sent whom we hand on to a sister: the same announce there, marked so that she does not hand him
    /// on again.
    #[must_use]
    pub fn handed_on(&self, request: &AnnounceRequest, client: IpAddr, query: &str) -> Option<String> {
        let sister = self.hands_on(&request.info_hash)?;
        let address = SocketAddr::new(client, request.port);
        let stays = request.event == Some(anatomic_wire::tracker::Event::Stopped)
            || query.split('&').any(|pair| pair == HANDED)
            || self.swarms.knows_classic(&request.info_hash, address);
        (!stays).then(|| format!("{sister}/announce?{query}&{HANDED}"))
    }

    /// What a newcomer over UDP is told whom a sister is to take: the first time, so that it asks its other trackers.
    #[must_use]
    pub fn referred(&self, request: &AnnounceRequest, client: IpAddr) -> Option<String> {
        if !self.admission.admits(&request.info_hash) {
            return None;
        }
        let sister = self.hands_on(&request.info_hash)?;
        let address = SocketAddr::new(client, request.port);
        let stays = request.event == Some(anatomic_wire::tracker::Event::Stopped)
            || self.swarms.knows_classic(&request.info_hash, address)
            || self.referred.again(&request.info_hash, address);
        (!stays).then(|| format!("busy: {sister} takes newcomers"))
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

impl Announced {
    /// The bencoded reply to `client` (BEP 3, 7, 23, 24), written at once: this is what a busy tracker does most.
    #[must_use]
    pub fn encode(&self, drawn: &Drawn, client: IpAddr) -> Vec<u8> {
        let mut body = Vec::with_capacity(160 + drawn.v4.len() + drawn.v6.len());
        let integer = |body: &mut Vec<u8>, key: &str, value: u32| {
            // Writing to a vector cannot fail.
            let _ = write!(body, "{}:{key}i{value}e", key.len());
        };
        let bytes = |body: &mut Vec<u8>, key: &str, value: &[u8]| {
            let _ = write!(body, "{}:{key}{}:", key.len(), value.len());
            body.extend_from_slice(value);
        };
        body.push(b'd');
        integer(&mut body, "complete", self.counts.complete);
        match client.to_canonical() {
            IpAddr::V4(ip) => bytes(&mut body, "external ip", &ip.octets()),
            IpAddr::V6(ip) => bytes(&mut body, "external ip", &ip.octets()),
        }
        integer(&mut body, "incomplete", self.counts.incomplete);
        integer(&mut body, "interval", self.interval);
        integer(&mut body, "min interval", self.min_interval);
        bytes(&mut body, "peers", &drawn.v4);
        if !drawn.v6.is_empty() {
            bytes(&mut body, "peers6", &drawn.v6);
        }
        body.push(b'e');
        body
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_is_what_clients_read() {
        let mut drawn = Drawn::default();
        let both = Wish::both(50, Scope::All);
        for address in ["1.2.3.4:5", "[2001:db8::1]:6"] {
            drawn.put_first(address.parse().unwrap(), both);
        }
        let counts = SwarmCounts { complete: 1, downloaded: 9, incomplete: 2 };
        let announced = Announced { interval: 900, min_interval: 10, counts };
        let client = "9.8.7.6".parse().unwrap();
        let reply = AnnounceReply {
            interval: 900,
            min_interval: Some(10),
            complete: Some(1),
            incomplete: Some(2),
            peers: vec!["1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:6".parse().unwrap()],
            external_ip: Some(client),
            ..AnnounceReply::default()
        };
        let body = announced.encode(&drawn, client);
        assert_eq!(AnnounceReply::decode(&body).unwrap(), reply);
        assert_eq!(body, reply.encode());
    }

    #[test]
    fn the_nodes_own_address_comes_first_once_and_in_place_of_another() {
        let mut drawn = Drawn { v4: vec![1, 1, 1, 1, 0, 1, 2, 2, 2, 2, 0, 2], v6: vec![] };
        drawn.put_first("2.2.2.2:2".parse().unwrap(), Wish::both(2, Scope::All));
        assert_eq!(drawn.v4, [2, 2, 2, 2, 0, 2, 1, 1, 1, 1, 0, 1]);
        drawn.put_first("3.3.3.3:3".parse().unwrap(), Wish::both(2, Scope::All));
        assert_eq!(drawn.v4, [3, 3, 3, 3, 0, 3, 2, 2, 2, 2, 0, 2]);
        drawn.put_first("[::1]:3".parse().unwrap(), Wish { v4: 2, v6: 0, scope: Scope::All });
        assert!(drawn.v6.is_empty());
    }
}
