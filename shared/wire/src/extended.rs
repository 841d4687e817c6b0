//! What is inside the messages of the extension protocol ([BEP 10]): its handshake, metadata ([BEP 9]), peer exchange
//! ([BEP 11]), pieces taken back ([BEP 54]), and what our own add: the swarm behind a node, hosts, and
//! introductions.
//!
//! Only the payloads: the envelope with the id is [`crate::Message::Extended`], and which id means what was agreed in
//! the handshakes.
//!
//! [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html
//! [BEP 10]: https://www.bittorrent.org/beps/bep_0010.html
//! [BEP 11]: https://www.bittorrent.org/beps/bep_0011.html
//! [BEP 54]: https://www.bittorrent.org/beps/bep_0054.html

mod bridge;
mod handshake;
mod hosts;
mod introduction;
mod metadata;
mod pex;

pub use bridge::BridgeReport;
pub use handshake::{ExtendedHandshake, ExtensionIds};
pub use hosts::Hosts;
pub use introduction::{Introduction, MAX_KNOWN, ShortId};
pub use metadata::{METADATA_PIECE_LEN, MetadataMessage};
pub use pex::{Pex, PexFlags, PexPeer};

use thiserror::Error;

/// The payload cannot be understood. Only this message is lost; the stream goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("malformed {message} message ({source_document})")]
pub struct Malformed {
    /// The extension's name.
    pub message: &'static str,
    /// Which document it offends.
    pub source_document: &'static str,
}

/// `lt_donthave`: the sender no longer has a piece (BEP 54).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DontHave {
    /// Number of the piece, unchecked.
    pub piece: u32,
}

impl DontHave {
    /// Reads the four bytes.
    ///
    /// # Errors
    /// [`Malformed`] if there are more or fewer.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let bytes = payload
            .try_into()
            .map_err(|_| Malformed { message: "lt_donthave", source_document: "BEP 54" })?;
        Ok(Self { piece: u32::from_be_bytes(bytes) })
    }

    /// The four bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        self.piece.to_be_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn dont_have_is_four_bytes() {
        assert_eq!(DontHave::decode(&DontHave { piece: 258 }.encode()), Ok(DontHave { piece: 258 }));
        assert!(DontHave::decode(&[0; 3]).is_err() && DontHave::decode(&[0; 5]).is_err());
    }

    #[test]
    fn random_payloads_never_panic() {
        let seeds: [&[u8]; 6] = [
            b"d4:from20:-AN0100-abcdefghijkl2:id20:DDDDDDDDDDDDDDDDDDDD5:known8:efghijkl3:sdp5:v=0\r\n1:t5:offere",
            b"d1:nl17:https://a.example21:http://[2600::1]:4080e1:sl8:http://bee",
            b"d1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei390e1:pi6881e4:reqqi250e1:v9:AN 0.1.0e",
            b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx",
            b"d5:added12:abcdefghijkl7:added.f2:\x01\x026:added60:8:added6.f0:7:dropped6:abcdefe",
            b"d5:seedsi3e3:tcpi4e3:utpi0ee",
        ];
        for seed in 0..4_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut bytes = rng.choice(seeds).unwrap().to_vec();
            for _ in 0..rng.usize(0..8) {
                let at = rng.usize(..bytes.len());
                match rng.u8(0..3) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, rng.u8(..)),
                }
            }
            let _ = ExtendedHandshake::decode(&bytes);
            let _ = MetadataMessage::decode(&Bytes::from(bytes.clone()));
            let _ = Pex::decode(&bytes);
            let _ = BridgeReport::decode(&bytes);
            let _ = Hosts::decode(&bytes);
            let _ = Introduction::decode(&bytes);
            let _ = DontHave::decode(&bytes);
        }
    }
}
