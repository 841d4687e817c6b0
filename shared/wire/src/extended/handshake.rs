//! The handshake of the extension protocol: extended message 0 ([BEP 10]).
//!
//! Tells what the peer said; what follows from it (request window, whether to dial) is the engine's business.
//!
//! [BEP 10]: https://www.bittorrent.org/beps/bep_0010.html

use super::Malformed;
use crate::bencode::{Dict, bytes, dict, integer};
use crate::compact;
use anatomic_core::bencode::Item;
use std::net::IpAddr;

/// Longest client name kept, in characters.
const MAX_VERSION: usize = 64;

/// Which message id a peer gave to each extension that we know. `None`: not mentioned; `Some(0)`: switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtensionIds {
    /// Metadata exchange (BEP 9).
    pub ut_metadata: Option<u8>,
    /// Peer exchange (BEP 11).
    pub ut_pex: Option<u8>,
    /// Pieces taken back (BEP 54).
    pub lt_donthave: Option<u8>,
    /// Changes of the upload-only state after the handshake (BEP 21).
    pub upload_only: Option<u8>,
    /// Reports of a node about the swarm behind it (ours).
    pub an_bridge: Option<u8>,
    /// Nodes and supernodes that a peer knows (ours).
    pub an_hosts: Option<u8>,
    /// Offers and answers passed between peers (ours).
    pub an_intro: Option<u8>,
}

impl ExtensionIds {
    /// Takes over what a later handshake mentions (BEP 10: it may be sent again, and 0 switches off).
    pub fn update(&mut self, later: &Self) {
        let newer = |ours: &mut Option<u8>, theirs: Option<u8>| {
            if theirs.is_some() {
                *ours = theirs;
            }
        };
        newer(&mut self.ut_metadata, later.ut_metadata);
        newer(&mut self.ut_pex, later.ut_pex);
        newer(&mut self.lt_donthave, later.lt_donthave);
        newer(&mut self.upload_only, later.upload_only);
        newer(&mut self.an_bridge, later.an_bridge);
        newer(&mut self.an_hosts, later.an_hosts);
        newer(&mut self.an_intro, later.an_intro);
    }

    fn to_item(self) -> Item {
        dict([
            ("ut_metadata", integer(self.ut_metadata)),
            ("ut_pex", integer(self.ut_pex)),
            ("lt_donthave", integer(self.lt_donthave)),
            ("upload_only", integer(self.upload_only)),
            ("an_bridge", integer(self.an_bridge)),
            ("an_hosts", integer(self.an_hosts)),
            ("an_intro", integer(self.an_intro)),
        ])
    }
}

/// What a peer says about itself and its extensions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtendedHandshake {
    /// The ids of its extensions (`m`).
    pub ids: ExtensionIds,
    /// Its name and version (`v`), shortened to 64 characters.
    pub version: Option<String>,
    /// The TCP port on which it listens (`p`); zero counts as absent.
    pub port: Option<u16>,
    /// How many requests it queues (`reqq`).
    pub request_queue: Option<u32>,
    /// Bytes of the info dictionary (`metadata_size`); to be bounded before anything is allocated.
    pub metadata_size: Option<u32>,
    /// Our address as the peer sees it (`yourip`).
    pub your_ip: Option<IpAddr>,
    /// It will download nothing (`upload_only`, BEP 21); `None` if it does not say.
    pub upload_only: Option<bool>,
    /// It is a node, a bridge (`an_node`, ours).
    pub node: bool,
}

impl ExtendedHandshake {
    /// Reads the payload of extended message 0. Fields of a wrong type count as absent.
    ///
    /// # Errors
    /// [`Malformed`] if it is no bencoded dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut dict = Dict::parse(payload)
            .ok_or(Malformed { message: "extended handshake", source_document: "BEP 10" })?;
        let ids = dict.take_dict("m").map_or_else(ExtensionIds::default, |m| ExtensionIds {
            ut_metadata: m.integer("ut_metadata"),
            ut_pex: m.integer("ut_pex"),
            lt_donthave: m.integer("lt_donthave"),
            upload_only: m.integer("upload_only"),
            an_bridge: m.integer("an_bridge"),
            an_hosts: m.integer("an_hosts"),
            an_intro: m.integer("an_intro"),
        });
        Ok(Self {
            ids,
            version: dict
                .text("v")
                .map(|name| name.chars().filter(|c| !c.is_control()).take(MAX_VERSION).collect()),
            port: dict.integer("p").filter(|port| *port != 0),
            request_queue: dict.integer("reqq"),
            metadata_size: dict.integer("metadata_size").filter(|size| *size != 0),
            your_ip: dict.bytes("yourip").and_then(compact::read_ip),
            upload_only: dict.integer::<i64>("upload_only").map(|flag| flag != 0),
            node: dict.integer::<i64>("an_node").is_some_and(|flag| flag != 0),
        })
    }

    /// The payload of extended message 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        dict([
            ("an_node", integer(self.node.then_some(1))),
            ("m", Some(self.ids.to_item())),
            ("metadata_size", integer(self.metadata_size)),
            ("p", integer(self.port)),
            ("reqq", integer(self.request_queue)),
            ("upload_only", integer(self.upload_only)),
            ("v", bytes(self.version.as_deref())),
            ("yourip", bytes(self.your_ip.map(compact::write_ip))),
        ])
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webtorrents_handshake_is_read() {
        let handshake =
            ExtendedHandshake::decode(b"d1:md11:lt_donthavei2e11:ut_metadatai1ee13:metadata_sizei390ee")
                .unwrap();
        assert_eq!(
            (handshake.ids.ut_metadata, handshake.ids.lt_donthave, handshake.ids.ut_pex),
            (Some(1), Some(2), None)
        );
        assert_eq!(
            (handshake.metadata_size, handshake.node, handshake.request_queue),
            (Some(390), false, None)
        );
    }

    #[test]
    fn ours_comes_back_as_written() {
        let handshake = ExtendedHandshake {
            ids: ExtensionIds { ut_metadata: Some(1), an_bridge: Some(9), ..ExtensionIds::default() },
            version: Some("Anatomic 0.1.0".into()),
            port: Some(6881),
            request_queue: Some(500),
            metadata_size: Some(34_256),
            your_ip: Some("127.0.0.1".parse().unwrap()),
            upload_only: Some(true),
            node: true,
        };
        assert_eq!(ExtendedHandshake::decode(&handshake.encode()).unwrap(), handshake);
        assert_eq!(ExtendedHandshake::default().encode(), b"d1:mdee");
    }

    #[test]
    fn odd_fields_count_as_absent_and_the_rest_is_kept() {
        let handshake = ExtendedHandshake::decode(
            b"d1:md6:ut_pexi-1e11:ut_metadatai3e5:\xff\xfe\xfd\xfc\xfbi1ee13:metadata_size3:big1:pi99999e4:reqqi-1e1:v2:\xc3\x286:yourip3:abce",
        )
        .unwrap();
        assert_eq!(handshake.ids, ExtensionIds { ut_metadata: Some(3), ..ExtensionIds::default() });
        assert_eq!(
            (handshake.metadata_size, handshake.port, handshake.request_queue, handshake.your_ip),
            (None, None, None, None)
        );
        assert_eq!(handshake.version.as_deref(), Some("\u{fffd}("));
    }

    #[test]
    fn a_later_handshake_changes_only_what_it_mentions() {
        let mut ids = ExtensionIds { ut_metadata: Some(1), ut_pex: Some(2), ..ExtensionIds::default() };
        ids.update(&ExtensionIds { ut_pex: Some(0), lt_donthave: Some(4), ..ExtensionIds::default() });
        assert_eq!((ids.ut_metadata, ids.ut_pex, ids.lt_donthave), (Some(1), Some(0), Some(4)));
    }
}
