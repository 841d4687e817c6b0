//! The endpoint: binds the port, starts its task, and negotiates connections.
//!
//! Not involved once a connection is open; handles talk to the driver by themselves.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::udp::{self, UdpPort};
use crate::utp;

use super::addresses;
use super::certificate::{Certificate, CertificateError};
use super::config::EndpointConfig;
use super::connection::{CloseReason, Pending, Shared, Waker};
use super::core::{Core, CoreConfig, CoreError};
use super::counters::{Counters, Live, kernel_drops};
use super::driver::Driver;
use super::rtc_core::RtcCore;
use super::sdp::{self, Description, SdpError, Setup, Written};
use super::session::Session;

/// Why a negotiation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NegotiationError {
    /// The remote's session description cannot be used.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// A limit of this endpoint is reached.
    #[error("too many WebRTC connections: {0}")]
    Full(&'static str),
    /// The protocol stack refused.
    #[error("the WebRTC stack refused: {0}")]
    Core(String),
    /// The connection was given up meanwhile.
    #[error("the connection is over: {0}")]
    Over(CloseReason),
}

impl From<CoreError> for NegotiationError {
    fn from(error: CoreError) -> Self {
        Self::Core(error.0)
    }
}

type Reply<T> = oneshot::Sender<Result<T, NegotiationError>>;

/// Requests to the driver.
pub(super) enum Command {
    Answer { offer: Box<Description>, reply: Reply<(String, Pending)> },
    Offer { label: String, reply: Reply<(String, Pending)> },
    AcceptAnswer { shared: Arc<Shared>, answer: Box<Description>, reply: Reply<()> },
    Close { done: oneshot::Sender<()> },
}

/// A WebRTC endpoint on one UDP port. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Endpoint {
    commands: mpsc::Sender<Command>,
    port: Arc<UdpPort>,
    beside: Arc<OnceLock<Arc<utp::Shared>>>,
    live: Arc<Live>,
    bound: SocketAddr,
    candidates: Vec<SocketAddr>,
    certificate: Certificate,
}

impl Endpoint {
    /// Binds the port and starts the endpoint's own thread.
    ///
    /// # Errors
    /// When the address cannot be bound, the certificate cannot be made, or no thread can be started.
    pub fn bind(config: EndpointConfig) -> io::Result<Self> {
        let certificate = match &config.certificate {
            Some(certificate) => certificate.clone(),
            None => Certificate::generate().map_err(|error: CertificateError| io::Error::other(error))?,
        };
        let socket = udp::open(config.listen, config.limits.socket_buffer)?;
        let bound = socket.local_addr()?;
        let candidates = addresses::candidates(bound, &config.announced);
        let names = addresses::own_names(bound);
        let (commands, receiver) = mpsc::channel(64);
        let live = Arc::new(Live::default());
        let waker = Arc::new(Waker::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let port = {
            let _inside = runtime.enter();
            Arc::new(UdpPort::new(socket)?)
        };
        let beside = Arc::default();
        let endpoint = Self {
            commands,
            port: Arc::clone(&port),
            beside: Arc::clone(&beside),
            live: live.clone(),
            bound,
            candidates: candidates.clone(),
            certificate: certificate.clone(),
        };
        std::thread::Builder::new().name("webrtc".to_owned()).spawn(move || {
            let driver =
                Driver::new(port, beside, config, certificate, candidates, names, receiver, waker, live);
            runtime.block_on(driver.run());
        })?;
        Ok(endpoint)
    }

    /// The socket's address, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// The socket, for a protocol that shares the port.
    pub(crate) fn port(&self) -> Arc<UdpPort> {
        Arc::clone(&self.port)
    }

    /// Who takes the datagrams that are its own; the first one keeps the place.
    pub(crate) fn set_beside(&self, neighbour: Arc<utp::Shared>) {
        // Two sessions on one endpoint do not occur; the second would only hear nothing.
        let _ = self.beside.set(neighbour);
    }

    /// The addresses that session descriptions offer.
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// The certificate in use; store its PEM text to keep the fingerprint.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Bytes of datagrams sent so far, without UDP and IP headers.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.live.bytes_sent.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What the endpoint has done so far.
    pub fn counters(&self) -> Counters {
        Counters { receive_drops: kernel_drops(self.bound.port()), ..self.live.snapshot() }
    }

    /// Answers an offer: returns the complete answer (no trickling) and the connection to wait for.
    ///
    /// # Errors
    /// When the offer cannot be used or a limit is reached.
    pub async fn answer(&self, offer: &str) -> Result<(String, Pending), NegotiationError> {
        let offer = Box::new(Description::parse(offer)?);
        self.ask(|reply| Command::Answer { offer, reply }).await
    }

    /// Makes a complete offer with one ordered, reliable data channel.
    ///
    /// # Errors
    /// When a limit is reached.
    pub async fn offer(&self) -> Result<(String, PendingOffer), NegotiationError> {
        let label = random_label();
        let (sdp, pending) = self.ask(|reply| Command::Offer { label, reply }).await?;
        Ok((sdp, PendingOffer { endpoint: self.clone(), pending }))
    }

    /// Closes all connections, telling their remotes, and frees the port.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            let _ = wait.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NegotiationError> {
        let closed = || NegotiationError::Over(CloseReason::EndpointClosed);
        let (reply, wait) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| closed())?;
        wait.await.map_err(|_| closed())?
    }
}

/// An offer of ours that awaits its answer. Dropping it gives it up.
#[derive(Debug)]
pub struct PendingOffer {
    endpoint: Endpoint,
    pending: Pending,
}

impl PendingOffer {
    /// Takes the remote's answer.
    ///
    /// # Errors
    /// When the answer cannot be used, or the offer has timed out.
    pub async fn accept_answer(self, answer: &str) -> Result<Pending, NegotiationError> {
        let answer = Box::new(Description::parse(answer)?);
        if answer.setup == Setup::ActPass {
            return Err(SdpError::Missing("setup (an answer must choose active or passive)").into());
        }
        let Some(shared) = self.pending.shared().cloned() else {
            return Err(NegotiationError::Over(CloseReason::Local));
        };
        self.endpoint.ask(|reply| Command::AcceptAnswer { shared, answer, reply }).await?;
        Ok(self.pending)
    }
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Neither a label nor a session id is a secret: zeros would do no harm.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// 40 hexadecimal digits, as WebTorrent names its channels.
fn random_label() -> String {
    random_bytes::<20>().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Driver {
    /// Carries out a command; returns whom to tell when the driver has ended.
    pub(super) fn command(&mut self, now: Instant, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Answer { offer, reply } => {
                let _ = reply.send(self.answer(now, &offer));
            }
            Command::Offer { label, reply } => {
                let _ = reply.send(self.offer(now, &label));
            }
            Command::AcceptAnswer { shared, answer, reply } => {
                let _ = reply.send(self.accept_answer(now, &shared, &answer));
            }
            Command::Close { done } => return Some(done),
        }
        None
    }

    fn answer(&mut self, now: Instant, offer: &Description) -> Result<(String, Pending), NegotiationError> {
        self.admit()?;
        // Two lite agents would wait for each other's checks forever.
        let ice_lite = self.config.ice_lite && !offer.lite;
        let core = RtcCore::answer(now, self.core_config(ice_lite), offer, self.allowed(offer))?;
        let sdp = self.describe(&core, &offer.mid, ice_lite);
        let give_up_after = self.config.limits.connect_timeout;
        let shared = self.insert(now, Box::new(core), give_up_after, Some(offer));
        Ok((sdp, Pending::new(shared)))
    }

    fn offer(&mut self, now: Instant, label: &str) -> Result<(String, Pending), NegotiationError> {
        self.admit()?;
        let core = RtcCore::offer(now, self.core_config(self.config.ice_lite), label)?;
        let sdp = self.describe(&core, "0", self.config.ice_lite);
        let give_up_after = self.config.limits.answer_timeout;
        let shared = self.insert(now, Box::new(core), give_up_after, None);
        Ok((sdp, Pending::new(shared)))
    }

    fn accept_answer(
        &mut self,
        now: Instant,
        shared: &Shared,
        answer: &Description,
    ) -> Result<(), NegotiationError> {
        let candidates = self.allowed(answer);
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(&shared.id) else {
            return Err(NegotiationError::Over(CloseReason::TimedOut(limits.answer_timeout)));
        };
        session.core.accept_answer(now, answer, &candidates)?;
        session.remote_described(now, answer, limits);
        session.deadline = Some((now + limits.connect_timeout, limits.connect_timeout));
        self.enqueue(shared.id);
        Ok(())
    }

    fn admit(&self) -> Result<(), NegotiationError> {
        let limits = &self.config.limits;
        if self.sessions.len() >= limits.connections {
            return Err(NegotiationError::Full("all places are taken"));
        }
        if self.sessions.values().filter(|session| !session.open).count() >= limits.negotiations {
            return Err(NegotiationError::Full("too many are still opening"));
        }
        Ok(())
    }

    /// The candidates that policy lets us send checks to.
    fn allowed(&self, remote: &Description) -> Vec<SocketAddr> {
        remote.candidates.iter().copied().filter(|address| (self.config.policy)(address.ip())).collect()
    }

    fn core_config(&self, ice_lite: bool) -> CoreConfig {
        CoreConfig {
            certificate: self.certificate.clone(),
            ice_lite,
            local: self.names.clone(),
            receive_window: self.config.limits.receive_window,
        }
    }

    fn describe(&self, core: &RtcCore, mid: &str, lite: bool) -> String {
        let local = core.local();
        sdp::write(&Written {
            session: u64::from_be_bytes(random_bytes()) >> 2,
            mid,
            ufrag: &local.ufrag,
            pwd: &local.pwd,
            lite,
            fingerprint_hash: &local.fingerprint_hash,
            fingerprint: &local.fingerprint,
            setup: local.setup,
            sctp_port: 5000,
            candidates: &self.candidates,
            complete: true,
        })
    }

    fn insert(
        &mut self,
        now: Instant,
        core: Box<dyn Core>,
        give_up_after: std::time::Duration,
        remote: Option<&Description>,
    ) -> Arc<Shared> {
        let limits = &self.config.limits;
        let id = self.next_id;
        self.next_id += 1;
        let shared = Shared::new(id, self.waker.clone(), limits.browser_window, limits.receive_queue / 2);
        self.by_ufrag.insert(core.local().ufrag.clone(), id);
        let mut session = Session::new(now, id, core, shared.clone(), limits, give_up_after);
        if let Some(remote) = remote {
            session.remote_described(now, remote, limits);
        }
        self.sessions.insert(id, session);
        self.gauges();
        self.enqueue(id);
        shared
    }
}
