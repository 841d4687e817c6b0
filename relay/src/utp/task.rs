//! The task of a port: sends what the machine wants sent, wakes it in time, and reads where nobody else does.
//!
//! Knows no packet. The machine is locked for a batch, never while a datagram is on its way into the kernel.

use super::Shared;
use crate::udp::{Received, Train};
use anatomic_core::Time;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Datagrams taken from the machine at once.
const BATCH: usize = 64;
/// Calls to the kernel for received datagrams in one round.
const RECEIVE_CALLS: usize = 4;
/// How long the last bytes of an endpoint that ends may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs until the endpoint ends.
pub(super) async fn run(shared: std::sync::Arc<Shared>) {
    let mut received = if shared.beside { None } else { Some(Received::new()) };
    let mut waiting: VecDeque<Train> = VecDeque::new();
    let mut ends: Option<Instant> = None;
    loop {
        if let Some(received) = &mut received {
            receive(&shared, received);
        }
        let (more, deadline) =
            if waiting.is_empty() { collect(&shared, &mut waiting) } else { (false, Time::NEVER) };
        let blocked = send(&shared, &mut waiting);
        if shared.ending.load(Ordering::Acquire) {
            let ends = *ends.get_or_insert_with(|| Instant::now() + FAREWELL);
            if Instant::now() >= ends || shared.lock().endpoint.connections() == 0 {
                return;
            }
        }
        if more && !blocked {
            tokio::task::yield_now().await;
            continue;
        }
        let deadline = (deadline != Time::NEVER).then(|| shared.start + deadline.since(Time::ZERO));
        let deadline = [deadline, ends].into_iter().flatten().min();
        tokio::select! {
            () = shared.wake.notified(), if !blocked => {}
            () = shared.port.readable(), if received.is_some() => {}
            () = shared.port.writable(), if blocked => {}
            () = sleep_until(deadline) => {}
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn receive(shared: &Shared, received: &mut Received) {
    for _ in 0..RECEIVE_CALLS {
        match shared.port.receive(received) {
            Ok(true) => shared.receive(received.datagrams().map(|(from, _, datagram)| (from, datagram))),
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "the uTP socket cannot be read");
                return;
            }
        }
    }
}

/// Takes what is to be sent; says whether there is more, and when the machine wants to be woken.
fn collect(shared: &Shared, into: &mut VecDeque<Train>) -> (bool, Time) {
    let longest = shared.port.longest_train();
    let now = shared.now();
    let mut datagram = Vec::with_capacity(1_500);
    let mut state = shared.lock();
    if state.endpoint.poll_timeout() <= now {
        state.endpoint.handle_timeout(now);
    }
    let mut count = 0;
    while count < BATCH {
        let Some(to) = state.endpoint.poll_transmit(now, &mut datagram) else { break };
        count += 1;
        if !into.back_mut().is_some_and(|train| train.push(to, &datagram, longest)) {
            into.push_back(Train::new(to, None, &datagram));
        }
        datagram.clear();
    }
    state.tell(&shared.arrived);
    (count == BATCH, state.endpoint.poll_timeout())
}

/// Gives trains to the kernel; says whether its buffer is full.
fn send(shared: &Shared, waiting: &mut VecDeque<Train>) -> bool {
    while let Some(train) = waiting.front() {
        match shared.port.send(train) {
            Ok(()) => shared.sent.add(train.bytes.len()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            // Too long for the interface, unreachable and so on: lost, as on any line.
            Err(error) => tracing::trace!(%error, "a uTP datagram could not be sent"),
        }
        waiting.pop_front();
    }
    false
}
