//! What a node tells a tab about the swarm behind it: our extension `an_bridge`, described in PROTOCOL.md.
//!
//! Figures for people only: nothing is decided by them, since a node may say what it likes.

use super::Malformed;
use crate::bencode::{Dict, dict, integer};

/// How many peers a node has for this torrent on the other side of the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BridgeReport {
    /// Peers connected over TCP.
    pub tcp: u32,
    /// Peers connected over uTP.
    pub utp: u32,
    /// Peers connected over WebRTC, the receiver among them.
    pub webrtc: u32,
    /// Seeds among the TCP and uTP peers.
    pub seeds: u32,
    /// Leeches among the TCP and uTP peers.
    pub leeches: u32,
}

impl BridgeReport {
    /// Reads the payload of an `an_bridge` message; a missing figure is zero.
    ///
    /// # Errors
    /// [`Malformed`] if it is no bencoded dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let dict =
            Dict::parse(payload).ok_or(Malformed { message: "an_bridge", source_document: "PROTOCOL.md" })?;
        let figure = |key| dict.integer(key).unwrap_or(0);
        Ok(Self {
            tcp: figure("tcp"),
            utp: figure("utp"),
            webrtc: figure("webrtc"),
            seeds: figure("seeds"),
            leeches: figure("leeches"),
        })
    }

    /// The payload of an `an_bridge` message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        dict([
            ("leeches", integer(Some(self.leeches))),
            ("seeds", integer(Some(self.seeds))),
            ("tcp", integer(Some(self.tcp))),
            ("utp", integer(Some(self.utp))),
            ("webrtc", integer(Some(self.webrtc))),
        ])
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_back_as_written_and_missing_ones_are_zero() {
        let report = BridgeReport { tcp: 214, utp: 3, webrtc: 2, seeds: 200, leeches: 17 };
        assert_eq!(report.encode(), b"d7:leechesi17e5:seedsi200e3:tcpi214e3:utpi3e6:webrtci2ee");
        assert_eq!(BridgeReport::decode(&report.encode()), Ok(report));
        assert_eq!(BridgeReport::decode(b"de"), Ok(BridgeReport::default()));
    }
}
