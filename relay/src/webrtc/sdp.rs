//! Reads and writes the session descriptions of a data-channel-only WebRTC connection.
//!
//! Not a general SDP library: one `m=application` section, no media. Strangers' text is reduced here to a small
//! [`Description`]; the protocol core only ever sees text that [`Description::canonical`] wrote.
//! Rules: [RFC 8866] (SDP), [RFC 8839] (ICE in SDP), [RFC 8841] (data channels in SDP).
//!
//! [RFC 8866]: https://www.rfc-editor.org/rfc/rfc8866
//! [RFC 8839]: https://www.rfc-editor.org/rfc/rfc8839
//! [RFC 8841]: https://www.rfc-editor.org/rfc/rfc8841

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Longest session description that is read, in bytes. A browser's data-only offer has 500 to 2,500.
pub(super) const MAX_SDP_BYTES: usize = 16 * 1024;

/// Candidates beyond this many are ignored: each one costs connectivity checks to an address that a stranger chose.
pub(super) const MAX_CANDIDATES: usize = 20;

/// What a remote accepts when it does not say, in bytes (RFC 8841, section 6.1).
pub(super) const DEFAULT_MAX_MESSAGE_SIZE: usize = 65_536;

/// What we accept in one message, in bytes: a block of 128 KiB with its header must fit, as WebTorrent sends it whole.
pub(super) const OUR_MAX_MESSAGE_SIZE: usize = 262_144;

/// Longest DTLS datagram that libwebrtc (Chromium, Safari) takes, in bytes: its `kMaxDtlsPacketLen`.
const LIBWEBRTC_LONGEST_DATAGRAM: usize = 2048;

/// Why a session description was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text is longer than [`MAX_SDP_BYTES`].
    #[error("the session description has {0} bytes; more than {MAX_SDP_BYTES} are not read")]
    TooLong(usize),
    /// No `m=application … webrtc-datachannel` section, or other sections beside it.
    #[error("the session description must offer exactly one data channel section and no audio or video")]
    NotDataOnly,
    /// A line that is needed is missing or cannot be used.
    #[error("the session description has no usable {0}")]
    Missing(&'static str),
}

/// Which end opens the DTLS handshake (RFC 5763, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Either; only in offers.
    ActPass,
    /// The writer is the DTLS client.
    Active,
    /// The writer is the DTLS server.
    Passive,
}

impl Setup {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "actpass" => Some(Self::ActPass),
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

/// Who probably wrote a session description. A guess from its wording, used only to choose how much may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// A browser, or something that looks like nothing we know: its UDP socket holds about 65 packets.
    Browser,
    /// A native stack (libdatachannel, Pion, webrtc-rs) with larger socket buffers.
    Native,
    /// Another Anatomic node (`a=tool:anatomic`).
    Anatomic,
}

/// Everything that we use of a session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Name of the data section, echoed in the answer.
    pub mid: String,
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// The writer answers connectivity checks but sends none of its own (RFC 8445, section 2.5).
    pub lite: bool,
    /// Hash algorithm of the certificate's fingerprint, lower case.
    pub fingerprint_hash: String,
    /// Fingerprint of the DTLS certificate: hexadecimal bytes with colons.
    pub fingerprint: String,
    /// Who opens the DTLS handshake.
    pub setup: Setup,
    /// SCTP port, 5000 in practice.
    pub sctp_port: u16,
    /// Largest message that the writer accepts, in bytes; 0 means any.
    pub max_message_size: usize,
    /// Addresses to try; UDP with literal addresses only, so `.local` names never reach a resolver.
    pub candidates: Vec<SocketAddr>,
    /// Who probably wrote it.
    pub kind: PeerKind,
    /// Longest DTLS datagram that the writer is known to take, in bytes; `None` is what every path carries.
    pub longest_datagram: Option<usize>,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// When it is too long, offers anything but one data channel section, or lacks credentials or a fingerprint.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_BYTES {
            return Err(SdpError::TooLong(text.len()));
        }
        let mut fields = Fields::default();
        for line in text.lines() {
            fields.line(line.trim_end())?;
        }
        fields.finish()
    }

    /// Writes this remote description anew for the protocol core, with only the addresses given.
    ///
    /// The message size limit written is always ours: the core uses the smaller of both sides' limits for what it
    /// *receives* too; the driver keeps to the remote's limit by itself.
    pub fn canonical(&self, candidates: &[SocketAddr]) -> String {
        write(&Written {
            session: 1,
            mid: "0",
            ufrag: &self.ufrag,
            pwd: &self.pwd,
            lite: self.lite,
            fingerprint_hash: &self.fingerprint_hash,
            fingerprint: &self.fingerprint,
            setup: self.setup,
            sctp_port: self.sctp_port,
            candidates,
            complete: true,
        })
    }
}

/// What [`write()`] puts into a description.
pub(super) struct Written<'a> {
    /// Session id of the `o=` line, random for what leaves us.
    pub(super) session: u64,
    /// Name of the data section.
    pub(super) mid: &'a str,
    /// ICE user name fragment.
    pub(super) ufrag: &'a str,
    /// ICE password.
    pub(super) pwd: &'a str,
    /// Announce ICE-lite.
    pub(super) lite: bool,
    /// Hash algorithm of the fingerprint.
    pub(super) fingerprint_hash: &'a str,
    /// Fingerprint of the certificate.
    pub(super) fingerprint: &'a str,
    /// Who opens the DTLS handshake.
    pub(super) setup: Setup,
    /// SCTP port.
    pub(super) sctp_port: u16,
    /// Host candidates, best first.
    pub(super) candidates: &'a [SocketAddr],
    /// Say that no further candidates follow.
    pub(super) complete: bool,
}

/// Writes a description of one data channel section.
pub(super) fn write(w: &Written<'_>) -> String {
    let mut out = String::with_capacity(900);
    let _ = write!(out, "v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=tool:anatomic\r\n", w.session);
    let _ = write!(out, "a=group:BUNDLE {}\r\n", w.mid);
    if w.lite {
        out.push_str("a=ice-lite\r\n");
    }
    let port = w.candidates.first().map_or(9, SocketAddr::port);
    let _ = write!(out, "m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\n");
    match w.candidates.first().map(SocketAddr::ip) {
        Some(IpAddr::V6(ip)) => drop(write!(out, "c=IN IP6 {ip}\r\n")),
        Some(IpAddr::V4(ip)) => drop(write!(out, "c=IN IP4 {ip}\r\n")),
        None => out.push_str("c=IN IP4 0.0.0.0\r\n"),
    }
    for (index, address) in w.candidates.iter().enumerate() {
        let _ = write!(
            out,
            "a=candidate:{} 1 udp {} {} {} typ host\r\n",
            index + 1,
            host_priority(index),
            address.ip(),
            address.port()
        );
    }
    if w.complete {
        out.push_str("a=end-of-candidates\r\n");
    }
    let _ = write!(
        out,
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{} {}\r\na=setup:{}\r\na=mid:{}\r\na=sctp-port:{}\r\na=max-message-size:{}\r\n",
        w.ufrag,
        w.pwd,
        w.fingerprint_hash,
        // RFC 8122, section 5, knows upper case only, and Firefox refuses anything else.
        w.fingerprint.to_ascii_uppercase(),
        w.setup.as_str(),
        w.mid,
        w.sctp_port,
        OUR_MAX_MESSAGE_SIZE
    );
    out
}

/// Priority of the n-th host candidate of component 1 (RFC 8445, section 5.1.2.1).
pub(super) fn host_priority(index: usize) -> u32 {
    let local = 65_535_u32.saturating_sub(u32::try_from(index).unwrap_or(u32::MAX));
    (126 << 24) | (local << 8) | 255
}

/// Lines collected so far. Session-level values hold for the section unless it has its own.
#[derive(Default)]
struct Fields {
    sections: usize,
    data: bool,
    origin: String,
    tool: String,
    libwebrtc: bool,
    mid: Option<String>,
    ufrag: Option<String>,
    pwd: Option<String>,
    lite: bool,
    fingerprint: Option<(String, String)>,
    setup: Option<Setup>,
    sctp_port: Option<u16>,
    max_message_size: Option<usize>,
    candidate_lines: usize,
    candidates: Vec<SocketAddr>,
}

impl Fields {
    fn line(&mut self, line: &str) -> Result<(), SdpError> {
        if let Some(origin) = line.strip_prefix("o=") {
            self.origin = origin.to_owned();
        } else if let Some(media) = line.strip_prefix("m=") {
            self.sections += 1;
            self.data = media.starts_with("application ")
                && media.contains("DTLS/SCTP")
                && media.split(' ').any(|word| word == "webrtc-datachannel");
            if self.sections > 1 || !self.data {
                return Err(SdpError::NotDataOnly);
            }
        } else if let Some(attribute) = line.strip_prefix("a=") {
            let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            self.attribute(name, value.trim());
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "tool" => value.clone_into(&mut self.tool),
            // Written by libwebrtc even where there are no streams to name.
            "msid-semantic" => self.libwebrtc = value == "WMS",
            "mid" if token(value, 1, 32) => self.mid = Some(value.to_owned()),
            "ice-ufrag" if ice_chars(value, 4, 256) => self.ufrag = Some(value.to_owned()),
            "ice-pwd" if ice_chars(value, 22, 256) => self.pwd = Some(value.to_owned()),
            "ice-lite" => self.lite = true,
            "fingerprint" => self.fingerprint = fingerprint(value).or(self.fingerprint.take()),
            "setup" => self.setup = Setup::parse(value),
            "sctp-port" => self.sctp_port = value.parse().ok().filter(|port| *port != 0),
            "max-message-size" => self.max_message_size = value.parse().ok(),
            "candidate" => {
                self.candidate_lines += 1;
                if self.candidate_lines <= MAX_CANDIDATES
                    && let Some(address) = candidate(value)
                    && !self.candidates.contains(&address)
                {
                    self.candidates.push(address);
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> Result<Description, SdpError> {
        if !self.data {
            return Err(SdpError::NotDataOnly);
        }
        let kind = self.kind();
        let (fingerprint_hash, fingerprint) = self.fingerprint.ok_or(SdpError::Missing("fingerprint"))?;
        Ok(Description {
            mid: self.mid.unwrap_or_else(|| "0".to_owned()),
            ufrag: self.ufrag.ok_or(SdpError::Missing("ice-ufrag"))?,
            pwd: self.pwd.ok_or(SdpError::Missing("ice-pwd"))?,
            lite: self.lite,
            fingerprint_hash,
            fingerprint,
            setup: self.setup.ok_or(SdpError::Missing("setup"))?,
            sctp_port: self.sctp_port.unwrap_or(5000),
            max_message_size: self.max_message_size.unwrap_or(DEFAULT_MAX_MESSAGE_SIZE),
            candidates: self.candidates,
            kind,
            longest_datagram: self.libwebrtc.then_some(LIBWEBRTC_LONGEST_DATAGRAM),
        })
    }

    /// libdatachannel writes `o=rtc …`, Firefox `o=mozilla…`, Chromium and Safari `o=- … 127.0.0.1`, Pion and
    /// webrtc-rs `o=- … 0.0.0.0`.
    fn kind(&self) -> PeerKind {
        if self.tool == "anatomic" {
            PeerKind::Anatomic
        } else if self.origin.starts_with("rtc ")
            || (self.origin.starts_with("- ") && self.origin.ends_with(" 0.0.0.0"))
        {
            PeerKind::Native
        } else {
            PeerKind::Browser
        }
    }
}

fn token(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&b))
}

fn ice_chars(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b))
}

fn fingerprint(value: &str) -> Option<(String, String)> {
    let (hash, hex) = value.split_once(' ')?;
    let hash = hash.to_ascii_lowercase();
    let bytes = match hash.as_str() {
        "sha-256" => 32,
        "sha-384" => 48,
        "sha-512" => 64,
        _ => return None,
    };
    let hex = hex.trim();
    let pairs = hex.split(':');
    let valid = pairs.clone().count() == bytes
        && pairs.clone().all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()));
    valid.then(|| (hash, hex.to_ascii_lowercase()))
}

/// `foundation component transport priority address port typ type …`: only UDP, component 1, literal addresses.
fn candidate(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace();
    let _foundation = words.next()?;
    let component = words.next()?;
    let transport = words.next()?;
    let _priority = words.next()?;
    let address: IpAddr = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    (component == "1" && transport.eq_ignore_ascii_case("udp") && port != 0)
        .then(|| SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2113937151 0b0a.local 51000 typ host generation 0\r\na=candidate:2 1 udp 2113937151 192.0.2.7 51000 typ host\r\na=candidate:3 1 tcp 2113937151 192.0.2.8 9 typ host tcptype active\r\na=ice-ufrag:Ab+/\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    #[test]
    fn a_chromium_offer_is_read_without_its_local_names() {
        let description = Description::parse(CHROMIUM).unwrap();
        assert_eq!(description.candidates, vec!["192.0.2.7:51000".parse::<SocketAddr>().unwrap()]);
        assert_eq!(description.max_message_size, 262_144);
        assert_eq!(description.kind, PeerKind::Browser);
        assert_eq!(description.longest_datagram, Some(2048));
        assert_eq!(description.setup, Setup::ActPass);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let description = Description::parse(CHROMIUM).unwrap();
        let again = Description::parse(&description.canonical(&description.candidates)).unwrap();
        assert_eq!(again.ufrag, description.ufrag);
        assert_eq!(again.fingerprint, description.fingerprint);
        assert_eq!(again.candidates, description.candidates);
        assert_eq!((again.kind, again.longest_datagram), (PeerKind::Anatomic, None));
    }

    #[test]
    fn a_fingerprint_is_written_in_upper_case() {
        let description = Description::parse(CHROMIUM).unwrap();
        let text = description.canonical(&description.candidates);
        assert!(text.contains("sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB"), "{text}");
    }

    #[test]
    fn audio_beside_the_data_channel_is_refused() {
        let text = format!("{CHROMIUM}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
        assert_eq!(Description::parse(&text), Err(SdpError::NotDataOnly));
        assert_eq!(Description::parse(""), Err(SdpError::NotDataOnly));
    }

    #[test]
    fn a_huge_description_is_refused_unread() {
        let text = format!("{CHROMIUM}{}", "a=x\r\n".repeat(4000));
        assert!(matches!(Description::parse(&text), Err(SdpError::TooLong(_))));
    }

    #[test]
    fn candidates_beyond_the_limit_are_ignored() {
        let mut text = CHROMIUM.to_owned();
        for n in 0..100 {
            let _ = write!(text, "a=candidate:9 1 udp 1 198.51.100.{n} 4000 typ host\r\n");
        }
        assert!(Description::parse(&text).unwrap().candidates.len() <= MAX_CANDIDATES);
    }

    #[test]
    fn an_absent_message_size_means_64_kib() {
        let text = CHROMIUM.replace("a=max-message-size:262144\r\n", "");
        assert_eq!(Description::parse(&text).unwrap().max_message_size, DEFAULT_MAX_MESSAGE_SIZE);
    }

    #[test]
    fn native_stacks_are_recognised_by_their_origin() {
        let libdatachannel = CHROMIUM.replace("o=- 4611731400430051336 2", "o=rtc 1 0");
        assert_eq!(Description::parse(&libdatachannel).unwrap().kind, PeerKind::Native);
    }
}
