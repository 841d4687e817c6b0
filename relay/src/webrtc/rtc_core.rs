//! The protocol core over `rtc`, the sans-I/O half of webrtc-rs.
//!
//! Not where decisions live: which addresses may be tried, how much may be in flight and when to give up is the
//! driver's business. See the crate's own documentation for the order of calls.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol as _;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::addresses::is_own;
use super::core::{Core, CoreConfig, CoreError, CoreEvent, LocalParameters, Outgoing};
use super::sdp::{Description, OUR_MAX_MESSAGE_SIZE, host_priority};

/// Pause between connectivity checks of a pair. The crate's 200 ms are most of the time a connection takes to open.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Checks sent to one candidate before it counts as dead: 1.5 s. Checks that arrive are always answered and returned.
const CHECKS_PER_CANDIDATE: u16 = 30;
/// Silence until a path counts as interrupted, and from then until it counts as lost: 30 s together (RFC 7675).
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);
const FAILED_AFTER: Duration = Duration::from_secs(25);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What DTLS adds to a packet at most, in bytes: header, initialization vector, padding and code of the longest suites.
const DTLS_OVERHEAD: u32 = 68;

/// SCTP packets where the path allows more than every path does (1,191), in bytes. On two cores and loopback Chromium
/// receives a bare channel at 43, 48 and 55 MB/s with 1,191, this, and 1,980; a tab, which also checks and stores what it
/// gets, at 40, 45 and 49.
const LONG_PACKET: u32 = 1500;

/// Data channels beside the one we use that are closed again before the connection is.
const MAX_SURPLUS: usize = 8;

/// One connection of the `rtc` crate.
pub(super) struct RtcCore {
    peer: Box<RTCPeerConnection>,
    channel: Option<RTCDataChannelId>,
    open: bool,
    /// Channels beside ours that the remote opened.
    surplus: usize,
    local: LocalParameters,
    addresses: Vec<SocketAddr>,
    /// What to do if the remote turns out to be on this machine.
    nearby: Option<Box<Nearby>>,
    /// The one address that is heard: packets as long as ours reach no other.
    only: Option<IpAddr>,
}

/// How to answer an offer once more, with packets as long as the remote takes.
///
/// A browser spends most of its time on packets, whatever they hold, and a path inside one machine carries long ones.
/// Where the remote is shows with its first datagram, before which nothing of a connection has begun; the crate fixes
/// the length when it is built, so then it is built again, under the same credentials.
struct Nearby {
    config: CoreConfig,
    offer: Description,
    candidates: Vec<SocketAddr>,
    packet: u32,
}

/// What an answer must keep when its core is built again, and what is new.
struct Rebuilt<'a> {
    local: &'a LocalParameters,
    packet: u32,
}

impl RtcCore {
    /// Takes an offer and makes our answer's parameters.
    pub(super) fn answer(
        now: Instant,
        config: CoreConfig,
        offer: &Description,
        candidates: Vec<SocketAddr>,
    ) -> Result<Self, CoreError> {
        let mut core = Self::build_answer(now, &config, offer, &candidates, None)?;
        let packet = offer.longest_datagram.and_then(|longest| u32::try_from(longest).ok());
        core.nearby = packet.map(|longest| {
            let packet = longest.saturating_sub(DTLS_OVERHEAD).min(LONG_PACKET);
            Box::new(Nearby { config, offer: offer.clone(), candidates, packet })
        });
        Ok(core)
    }

    fn build_answer(
        now: Instant,
        config: &CoreConfig,
        offer: &Description,
        candidates: &[SocketAddr],
        rebuilt: Option<&Rebuilt<'_>>,
    ) -> Result<Self, CoreError> {
        let mut peer = build(now, config, rebuilt)?;
        let offer = RTCSessionDescription::offer(offer.canonical(candidates)).map_err(fail)?;
        peer.set_remote_description(now, offer).map_err(fail)?;
        let answer = peer.create_answer(None).map_err(fail)?;
        peer.set_local_description(now, answer).map_err(fail)?;
        Self::finish(peer, config, None)
    }

    /// Makes an offer with one ordered, reliable data channel.
    pub(super) fn offer(now: Instant, config: CoreConfig, label: &str) -> Result<Self, CoreError> {
        let mut peer = build(now, &config, None)?;
        let channel = peer.create_data_channel(label, None).map_err(fail)?.id();
        let offer = peer.create_offer(None).map_err(fail)?;
        peer.set_local_description(now, offer).map_err(fail)?;
        Self::finish(peer, &config, Some(channel))
    }

    /// The first datagram of the remote came: from now on its packets are as long as the way to it allows.
    fn located(&mut self, now: Instant, remote: IpAddr, nearby: &Nearby) {
        if !is_own(remote) {
            return;
        }
        let Nearby { config, offer, candidates, packet } = nearby;
        let rebuilt = Rebuilt { local: &self.local, packet: *packet };
        match Self::build_answer(now, config, offer, candidates, Some(&rebuilt)) {
            Ok(core) => *self = Self { only: Some(remote), ..core },
            Err(error) => tracing::debug!(%error, "packets stay as short as every path needs them"),
        }
    }

    fn finish(
        mut peer: Box<RTCPeerConnection>,
        config: &CoreConfig,
        channel: Option<RTCDataChannelId>,
    ) -> Result<Self, CoreError> {
        for (index, address) in config.local.iter().enumerate() {
            let candidate = format!(
                "candidate:{} 1 udp {} {} {} typ host",
                index + 1,
                host_priority(index),
                address.ip(),
                address.port()
            );
            peer.add_local_candidate(RTCIceCandidateInit { candidate, ..Default::default() })
                .map_err(fail)?;
        }
        peer.add_local_candidate(RTCIceCandidateInit::default()).map_err(fail)?;
        let written = peer.local_description().ok_or_else(|| CoreError("no local description".to_owned()))?;
        let ours = Description::parse(&written.sdp).map_err(|error| CoreError(error.to_string()))?;
        let local = LocalParameters {
            ufrag: ours.ufrag,
            pwd: ours.pwd,
            fingerprint_hash: ours.fingerprint_hash,
            fingerprint: ours.fingerprint,
            setup: ours.setup,
        };
        let addresses = config.local.clone();
        Ok(Self { peer, channel, open: false, surplus: 0, local, addresses, nearby: None, only: None })
    }

    /// The first ordered, reliable channel is ours; any other is closed again.
    fn opened(&mut self, id: RTCDataChannelId) -> Option<CoreEvent> {
        let mut channel = self.peer.data_channel(id)?;
        let stream = channel.ordered()
            && channel.max_retransmits().is_none()
            && channel.max_packet_life_time().is_none();
        let wanted = !self.open && self.channel.is_none_or(|own| own == id);
        if !wanted {
            let _ = channel.close();
            self.surplus += 1;
            return (self.surplus > MAX_SURPLUS)
                .then(|| CoreEvent::Closed("the remote opened too many data channels".to_owned()));
        }
        if !stream {
            return Some(CoreEvent::Closed(
                "the remote's data channel is not ordered and reliable".to_owned(),
            ));
        }
        self.channel = Some(id);
        self.open = true;
        Some(CoreEvent::Opened)
    }
}

fn build(
    now: Instant,
    config: &CoreConfig,
    rebuilt: Option<&Rebuilt<'_>>,
) -> Result<Box<RTCPeerConnection>, CoreError> {
    let mut settings = SettingEngineBuilder::new();
    if let Some(Rebuilt { local, packet }) = rebuilt {
        settings =
            settings.with_ice_credentials(local.ufrag.clone(), local.pwd.clone()).with_sctp_mtu(*packet);
    }
    let settings = settings
        .with_lite(config.ice_lite)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEP_ALIVE))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS_PER_CANDIDATE))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_relay_acceptance_min_wait(Some(Duration::from_millis(500)))
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(
            u32::try_from(OUR_MAX_MESSAGE_SIZE).unwrap_or(u32::MAX),
        ))
        .with_sctp_max_receive_buffer_size(config.receive_window)
        .build();
    let configuration =
        RTCConfigurationBuilder::new().with_certificates(vec![config.certificate.for_rtc()]).build();
    RTCPeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_setting_engine(settings)
        .build(now)
        .map(Box::new)
        .map_err(fail)
}

fn fail(error: impl std::fmt::Display) -> CoreError {
    CoreError(error.to_string())
}

impl Core for RtcCore {
    fn local(&self) -> &LocalParameters {
        &self.local
    }

    fn accept_answer(
        &mut self,
        now: Instant,
        answer: &Description,
        candidates: &[SocketAddr],
    ) -> Result<(), CoreError> {
        let answer = RTCSessionDescription::answer(answer.canonical(candidates)).map_err(fail)?;
        self.peer.set_remote_description(now, answer).map_err(fail)
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut) {
        if let Some(nearby) = self.nearby.take() {
            self.located(now, from.ip(), &nearby);
        }
        if self.only.is_some_and(|only| only != from.ip()) {
            return;
        }
        let Some(local_addr) = self.addresses.iter().find(|a| a.is_ipv4() == from.is_ipv4()) else { return };
        let transport = TransportContext {
            local_addr: *local_addr,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let _ = self.peer.handle_read(TaggedBytesMut { now, transport, message: datagram });
    }

    fn handle_timeout(&mut self, now: Instant) {
        let _ = self.peer.handle_timeout(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    fn poll_transmit(&mut self) -> Option<Outgoing> {
        let out = self.peer.poll_write()?;
        Some(Outgoing { to: out.transport.peer_addr, bytes: out.message })
    }

    fn poll_event(&mut self) -> Option<CoreEvent> {
        while let Some(event) = self.peer.poll_event() {
            let event = match event {
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => self.opened(id),
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id)) => (self.channel
                    == Some(id))
                .then(|| CoreEvent::Closed("the remote closed the data channel".to_owned())),
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Failed) => {
                    Some(CoreEvent::Closed("nothing was heard on the path for 30 s".to_owned()))
                }
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Closed) => {
                    Some(CoreEvent::Closed("the remote closed the connection".to_owned()))
                }
                _ => None,
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn poll_message(&mut self) -> Option<Bytes> {
        while let Some(message) = self.peer.poll_read() {
            if let RTCMessage::DataChannelMessage(id, message) = message.message
                && self.channel == Some(id)
                && !message.data.is_empty()
            {
                return Some(message.data.freeze());
            }
        }
        None
    }

    fn outstanding(&mut self) -> usize {
        self.channel
            .and_then(|id| self.peer.data_channel(id))
            .map_or(0, |channel| channel.outstanding_bytes())
    }

    fn send(&mut self, now: Instant, message: BytesMut) -> Result<(), CoreError> {
        let channel = self.channel.and_then(|id| self.peer.data_channel(id));
        channel
            .ok_or_else(|| CoreError("the data channel is gone".to_owned()))?
            .send(now, message)
            .map_err(fail)
    }

    fn close(&mut self) {
        let _ = self.peer.close();
    }
}
