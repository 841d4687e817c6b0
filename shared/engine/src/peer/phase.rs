//! How far a connection has come: each phase is a type named for what it awaits, and advancing consumes it.
//!
//! Holds what is known in that phase, and nothing else.

use super::Misbehaviour;
use anatomic_core::InfoHash;
use anatomic_wire::extended::ExtendedHandshake;
use anatomic_wire::handshake::Handshake;

/// The phase of a connection.
#[derive(Debug)]
pub(super) enum Phase {
    AwaitHandshake(AwaitHandshake),
    AwaitExtensions(AwaitExtensions),
    Active(Active),
    Closing(Closing),
}

/// Their handshake has not come yet.
#[derive(Debug)]
pub(super) struct AwaitHandshake {
    /// The torrent it must name, where ours has been sent already.
    expected: Option<InfoHash>,
}

/// Their extended handshake has not come yet. Messages may be exchanged already: some clients send theirs late.
#[derive(Debug)]
pub(super) struct AwaitExtensions {
    handshake: Handshake,
    sent: bool,
    opened: bool,
}

/// Everything is known, or will never be because the peer has no extension protocol.
#[derive(Debug)]
pub(super) struct Active {
    handshake: Handshake,
    extensions: ExtendedHandshake,
    sent: bool,
    opened: bool,
}

/// A rule was broken: nothing is read any more.
#[derive(Debug)]
pub(super) struct Closing;

impl AwaitHandshake {
    fn advance(self, handshake: Handshake) -> Result<Phase, Misbehaviour> {
        if self.expected.is_some_and(|expected| expected != handshake.info_hash) {
            return Err(Misbehaviour::WrongInfoHash);
        }
        let sent = self.expected.is_some();
        Ok(if handshake.reserved.extended() {
            Phase::AwaitExtensions(AwaitExtensions { handshake, sent, opened: false })
        } else {
            let extensions = ExtendedHandshake::default();
            Phase::Active(Active { handshake, extensions, sent, opened: false })
        })
    }
}

impl AwaitExtensions {
    const fn advance(self, extensions: ExtendedHandshake) -> Active {
        Active { handshake: self.handshake, extensions, sent: self.sent, opened: self.opened }
    }
}

impl Active {
    /// BEP 10: the handshake may be sent again; what it mentions is new, the rest stays.
    fn advance(mut self, later: ExtendedHandshake) -> Self {
        self.extensions.ids.update(&later.ids);
        let ids = self.extensions.ids;
        let earlier = std::mem::take(&mut self.extensions);
        self.extensions = ExtendedHandshake {
            ids,
            version: later.version.or(earlier.version),
            port: later.port.or(earlier.port),
            request_queue: later.request_queue.or(earlier.request_queue),
            metadata_size: later.metadata_size.or(earlier.metadata_size),
            your_ip: later.your_ip.or(earlier.your_ip),
            upload_only: later.upload_only.or(earlier.upload_only),
            node: earlier.node || later.node,
        };
        self
    }
}

impl Phase {
    pub(super) const fn new(expected: Option<InfoHash>) -> Self {
        Self::AwaitHandshake(AwaitHandshake { expected })
    }

    pub(super) const fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::AwaitExtensions(phase) => Some(&phase.handshake),
            Self::Active(phase) => Some(&phase.handshake),
            Self::AwaitHandshake(_) | Self::Closing(_) => None,
        }
    }

    pub(super) const fn extensions(&self) -> Option<&ExtendedHandshake> {
        match self {
            Self::Active(phase) => Some(&phase.extensions),
            _ => None,
        }
    }

    /// Whether our handshake was sent before theirs came.
    pub(super) const fn handshake_sent(&self) -> bool {
        match self {
            Self::AwaitExtensions(phase) => phase.sent,
            Self::Active(phase) => phase.sent,
            Self::AwaitHandshake(_) | Self::Closing(_) => true,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        match self {
            Self::AwaitExtensions(phase) => phase.opened,
            Self::Active(phase) => phase.opened,
            Self::AwaitHandshake(_) | Self::Closing(_) => false,
        }
    }

    /// Whether the peer spoke of extensions that are still to come or may come again.
    pub(super) fn speaks_extensions(&self) -> bool {
        self.handshake().is_some_and(|handshake| handshake.reserved.extended())
    }

    /// Marks the connection as opened; the handshake, unless it was opened before or there is none.
    pub(super) fn open(&mut self) -> Option<Handshake> {
        let opened = match self {
            Self::AwaitExtensions(phase) => &mut phase.opened,
            Self::Active(phase) => &mut phase.opened,
            Self::AwaitHandshake(_) | Self::Closing(_) => return None,
        };
        if std::mem::replace(opened, true) { None } else { self.handshake().copied() }
    }

    pub(super) fn handshaked(&mut self, handshake: Handshake) -> Result<(), Misbehaviour> {
        match std::mem::replace(self, Self::Closing(Closing)) {
            Self::AwaitHandshake(phase) => *self = phase.advance(handshake)?,
            other => *self = other,
        }
        Ok(())
    }

    pub(super) fn extended(&mut self, extensions: ExtendedHandshake) {
        *self = match std::mem::replace(self, Self::Closing(Closing)) {
            Self::AwaitExtensions(phase) => Self::Active(phase.advance(extensions)),
            Self::Active(phase) => Self::Active(phase.advance(extensions)),
            other => other,
        };
    }

    pub(super) fn close(&mut self) {
        *self = Self::Closing(Closing);
    }
}
