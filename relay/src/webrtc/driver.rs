//! The task that owns the socket and all connections of an endpoint.
//!
//! Each round: receive, attend to handles, fire timers, then give every connection with work one turn. Connections
//! take turns in order, so one busy peer cannot starve the others. No protocol and no policy is decided here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::udp::{Received, UdpPort};
use crate::utp;

use super::certificate::Certificate;
use super::config::EndpointConfig;
use super::connection::{CloseReason, ConnectionId, Waker};
use super::counters::{Live, add};
use super::endpoint::Command;
use super::outbound::{Checks, Outbound};
use super::session::{Next, Session};
use super::stun::{self, RateLimit, Stun};

/// Calls to the kernel for received datagrams in one round.
const RECEIVE_CALLS: usize = 8;
/// Timers are not set closer than this, whatever a core asks for.
const TICK: Duration = Duration::from_millis(1);
/// An address leads to its connection until no check came through it for so long and another connection claims it.
/// Remotes send checks every 2 to 5 s.
const ADDRESS_LEASE: Duration = Duration::from_secs(6);

/// State of the task.
pub(super) struct Driver {
    pub(super) port: Arc<UdpPort>,
    /// Whose datagrams come to the same port.
    beside: Arc<OnceLock<Arc<utp::Shared>>>,
    pub(super) config: EndpointConfig,
    pub(super) certificate: Certificate,
    /// What session descriptions offer.
    pub(super) candidates: Vec<SocketAddr>,
    /// The cores' names for our side.
    pub(super) names: Vec<SocketAddr>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) waker: Arc<Waker>,
    pub(super) live: Arc<Live>,
    pub(super) sessions: HashMap<ConnectionId, Session>,
    pub(super) by_ufrag: HashMap<String, ConnectionId>,
    by_address: HashMap<SocketAddr, ConnectionId>,
    open_by_network: HashMap<IpAddr, usize>,
    checks: Checks,
    questions: RateLimit,
    outbound: Outbound,
    ready: VecDeque<ConnectionId>,
    timers: BinaryHeap<Reverse<(Instant, ConnectionId)>>,
    pub(super) next_id: ConnectionId,
}

impl Driver {
    #[allow(clippy::too_many_arguments, reason = "called once, by the endpoint")]
    pub(super) fn new(
        port: Arc<UdpPort>,
        beside: Arc<OnceLock<Arc<utp::Shared>>>,
        config: EndpointConfig,
        certificate: Certificate,
        candidates: Vec<SocketAddr>,
        names: Vec<SocketAddr>,
        commands: mpsc::Receiver<Command>,
        waker: Arc<Waker>,
        live: Arc<Live>,
    ) -> Self {
        let questions = RateLimit::new(config.limits.stun_answers_per_second);
        Self {
            port,
            beside,
            config,
            certificate,
            candidates,
            names,
            commands,
            waker,
            live,
            sessions: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            open_by_network: HashMap::new(),
            checks: Checks::default(),
            questions,
            outbound: Outbound::default(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            next_id: 1,
        }
    }

    /// Runs until every handle of the endpoint is gone or one asked for the end.
    pub(super) async fn run(mut self) {
        let mut woken = Vec::new();
        let mut received = Received::new();
        let mut finished = None;
        while finished.is_none() {
            let (first, ended) = self.wait().await;
            let now = Instant::now();
            if ended {
                finished = Some(None);
            }
            if let Some(command) = first {
                finished = self.command(now, command).map(Some).or(finished);
            }
            while let Ok(command) = self.commands.try_recv() {
                finished = self.command(now, command).map(Some).or(finished);
            }
            self.receive(now, &mut received);
            self.waker.take(&mut woken);
            for id in woken.drain(..) {
                if let Some(session) = self.sessions.get(&id) {
                    session.shared.attended();
                    self.enqueue(id);
                }
            }
            self.fire_timers(now);
            self.turns(now);
        }
        self.shut_down();
        if let Some(Some(done)) = finished {
            let _ = done.send(());
        }
    }

    /// Sleeps until there is something to do; yields at least, so that readiness is noticed.
    async fn wait(&mut self) -> (Option<Command>, bool) {
        if !self.ready.is_empty() && !self.outbound.blocked() {
            tokio::task::yield_now().await;
            return (None, false);
        }
        let due = self.timers.peek().map(|Reverse((at, _))| *at);
        let sleep = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = self.commands.recv() => {
                let ended = command.is_none();
                (command, ended)
            }
            () = self.waker.notify.notified() => (None, false),
            () = self.port.readable() => (None, false),
            () = self.port.writable(), if self.outbound.blocked() => (None, false),
            () = sleep => (None, false),
        }
    }

    fn receive(&mut self, now: Instant, received: &mut Received) {
        for _ in 0..RECEIVE_CALLS {
            match self.port.receive(received) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "the WebRTC socket cannot be read");
                    return;
                }
            }
            let (mut count, mut bytes) = (0, 0);
            let mut beside = Vec::new();
            for (from, to, datagram) in received.datagrams() {
                if self.is_for_neighbour(datagram) {
                    beside.push((from, datagram));
                    continue;
                }
                count += 1;
                bytes += datagram.len() as u64;
                self.datagram(now, from, to, datagram);
            }
            if let Some(neighbour) = self.beside.get().filter(|_| !beside.is_empty()) {
                neighbour.receive(beside.into_iter());
            }
            add(&self.live.datagrams_received, count);
            add(&self.live.bytes_received, bytes);
        }
    }

    /// Whether a datagram is of the protocol that shares the port. STUN, which may look like it, has a cookie.
    fn is_for_neighbour(&self, datagram: &[u8]) -> bool {
        let Some(neighbour) = self.beside.get() else { return false };
        neighbour.is_ours(datagram) && stun::parse(datagram).is_none()
    }

    /// Finds the connection of a datagram: checks by their user name, answers by their transaction, the rest by the
    /// address it comes from.
    fn datagram(&mut self, now: Instant, from: SocketAddr, to: Option<IpAddr>, datagram: &[u8]) {
        let (mut nominates, mut answer) = (false, false);
        let id = match stun::parse(datagram) {
            Some(Stun::Check { ufrag, nominates: chosen }) => {
                nominates = chosen;
                self.by_ufrag.get(ufrag).copied().inspect(|id| self.claim(now, from, *id))
            }
            Some(Stun::Service(transaction)) => {
                self.answer_question(now, from, to, &transaction);
                return;
            }
            Some(Stun::Response(transaction)) => {
                answer = true;
                self.checks.answered(now, &transaction).map(|(id, rtt)| {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.on_rtt(now, rtt);
                    }
                    self.claim(now, from, id);
                    id
                })
            }
            Some(Stun::OtherRequest(_) | Stun::Ignored) => None,
            None => self.by_address.get(&from).copied(),
        };
        let Some(session) = id.and_then(|id| self.sessions.get_mut(&id)) else {
            add(&self.live.strays, 1);
            return;
        };
        let id = session.id;
        let taken = catch_unwind(AssertUnwindSafe(|| {
            if nominates {
                session.on_nomination(from, datagram);
            }
            let taken = session.on_datagram(now, from, to, datagram);
            if answer {
                session.on_check_answered(now, from);
            }
            taken
        }));
        match taken {
            Ok(true) => self.enqueue(id),
            Ok(false) => add(&self.live.refused, 1),
            Err(_) => self.remove(id, CloseReason::Failed("the protocol stack stopped".to_owned())),
        }
    }

    /// Lets an address lead to a connection, unless another one is alive there.
    fn claim(&mut self, now: Instant, from: SocketAddr, id: ConnectionId) {
        if let Some(owner) = self.by_address.get(&from)
            && *owner != id
            && let Some(owner) = self.sessions.get(owner)
            && now.saturating_duration_since(owner.checked_at) < ADDRESS_LEASE
        {
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.checked_at = now;
        if session.learn(from) {
            self.by_address.insert(from, id);
        }
    }

    fn answer_question(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: Option<IpAddr>,
        transaction: &stun::Transaction,
    ) {
        if self.config.limits.stun_answers_per_second == 0 || !self.questions.allow(now, from.ip()) {
            add(&self.live.stun_limited, 1);
            return;
        }
        add(&self.live.stun_answered, 1);
        let answer = stun::binding_success(transaction, from);
        self.outbound.push(&self.port, &self.live, from, to, &answer);
        self.outbound.flush(&self.port, &self.live);
    }

    pub(super) fn enqueue(&mut self, id: ConnectionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !std::mem::replace(&mut session.ready, true)
        {
            self.ready.push_back(id);
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.timer != Some(at) {
                continue;
            }
            session.timer = None;
            if catch_unwind(AssertUnwindSafe(|| session.on_timer(now))).is_err() {
                self.remove(id, CloseReason::Failed("the protocol stack stopped".to_owned()));
                continue;
            }
            self.enqueue(id);
        }
    }

    /// One turn for each connection that has work now.
    fn turns(&mut self, now: Instant) {
        self.outbound.flush(&self.port, &self.live);
        for _ in 0..self.ready.len() {
            if self.outbound.blocked() {
                return;
            }
            let Some(id) = self.ready.pop_front() else { return };
            self.turn(now, id);
        }
    }

    fn turn(&mut self, now: Instant, id: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.ready = false;
        let (outbound, port, live, checks) = (&mut self.outbound, &self.port, &self.live, &mut self.checks);
        let turn = catch_unwind(AssertUnwindSafe(|| {
            let next = session.turn(now, |datagram, from| {
                if let Some(transaction) = stun::outgoing_request(&datagram.bytes) {
                    checks.sent(now, transaction, id);
                }
                outbound.push(port, live, datagram.to, from, &datagram.bytes);
            });
            (next, session.next_timeout())
        }));
        outbound.flush(port, live);
        let Ok((next, timeout)) = turn else {
            self.remove(id, CloseReason::Failed("the protocol stack stopped".to_owned()));
            return;
        };
        add(&live.stalls, session.new_stalls());
        if std::mem::take(&mut session.just_opened) && session.over.is_none() {
            let network = session.remote.map(|remote| network(remote.ip()));
            self.opened(id, network);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(reason) = session.over.take() {
            self.remove(id, reason);
            return;
        }
        let breath = if let Next::At(at) = next { Some(at) } else { None };
        if let Some(at) = timeout.map(|at| at.max(now + TICK)).into_iter().chain(breath).min()
            && session.timer.is_none_or(|set| at < set || set <= now)
        {
            session.timer = Some(at);
            self.timers.push(Reverse((at, id)));
        }
        if next == Next::Turn {
            self.enqueue(id);
        }
    }

    fn opened(&mut self, id: ConnectionId, network: Option<IpAddr>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        add(&self.live.opened, 1);
        if let Some(network) = network {
            let count = self.open_by_network.entry(network).or_default();
            *count += 1;
            if *count > self.config.limits.connections_per_address {
                session.over = Some(CloseReason::Limit("too many connections with this address"));
            }
        }
        session.announce_open();
        self.gauges();
    }

    /// Forgets a connection and everything that led to it.
    pub(super) fn remove(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        // Unless it is over already (then this says nothing new), the remote is told.
        let (outbound, port, live) = (&mut self.outbound, &self.port, &self.live);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            session.over = Some(reason.clone());
            session.turn(Instant::now(), |datagram, from| {
                outbound.push(port, live, datagram.to, from, &datagram.bytes);
            });
        }));
        outbound.flush(port, live);
        self.by_ufrag.remove(&session.core.local().ufrag);
        for address in &session.addresses {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
            }
        }
        if session.open {
            if let Some(network) = session.remote.map(|remote| network(remote.ip()))
                && let Some(count) = self.open_by_network.get_mut(&network)
            {
                *count -= 1;
                if *count == 0 {
                    self.open_by_network.remove(&network);
                }
            }
        } else {
            add(&self.live.failed, 1);
        }
        tracing::debug!(connection = id, %reason, "WebRTC connection closed");
        session.shared.set_closed(reason);
        self.gauges();
    }

    pub(super) fn gauges(&self) {
        let open = self.sessions.values().filter(|session| session.open).count();
        let opening = self.sessions.len() - open;
        self.live.open.store(open as u64, std::sync::atomic::Ordering::Relaxed);
        self.live.negotiating.store(opening as u64, std::sync::atomic::Ordering::Relaxed);
    }

    fn shut_down(&mut self) {
        let all: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for id in all {
            self.remove(id, CloseReason::EndpointClosed);
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 household has.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}
