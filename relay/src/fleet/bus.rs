//! The connection to NATS: two subjects, one for all processes and one for us.
//!
//! Carries bytes; what they say is not known here. The client reconnects by itself, and says when it has.

use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Longest pause between attempts to connect.
const PAUSE: Duration = Duration::from_secs(2);
/// Messages that wait in the client until our reader takes them, which waits for nobody.
const QUEUE: usize = 1_024;
/// Bytes that wait for the task of the fleet; what comes beyond is dropped, and [`Input::Missed`] says so.
const INBOX: usize = 64 << 20;
/// Messages that wait in the client to be sent.
const OUTBOX: usize = 64;
/// How long the client may take to accept a message; after that none waits until one is accepted.
const PATIENCE: Duration = Duration::from_secs(1);

/// What comes from the bus.
pub(super) enum Input {
    /// It is there.
    Connected,
    /// It is away.
    Disconnected,
    /// Messages were dropped.
    Missed,
    /// A message.
    Message(bytes::Bytes),
}

/// The bus.
pub(super) struct Bus {
    /// Where it is, for people: without passwords.
    pub(super) place: String,
    client: Client,
    subject: String,
    inputs: mpsc::UnboundedReceiver<Input>,
    held: Arc<AtomicUsize>,
    /// The last message was not accepted in time.
    stuck: bool,
}

/// Takes what comes at once, so that the client never waits for us, and holds so much of it and no more.
struct Reader {
    all: Subscriber,
    own: Subscriber,
    events: mpsc::UnboundedReceiver<Event>,
    inputs: mpsc::UnboundedSender<Input>,
    held: Arc<AtomicUsize>,
    missed: bool,
}

impl Bus {
    /// Begins to connect; [`Input::Connected`] tells when that is done.
    pub(super) async fn connect(servers: &[String], key: &Key, id: ProcessId) -> Result<Self, String> {
        crate::tls::install();
        let servers = servers.iter().map(|url| url.parse::<ServerAddr>());
        let servers = servers.collect::<Result<Vec<_>, _>>().map_err(|error| {
            format!("--fleet names no NATS server: {error}; write it as nats://host:4222")
        })?;
        let place: Vec<String> = servers
            .iter()
            .map(|server| format!("{}://{}:{}", server.scheme(), server.host(), server.port()))
            .collect();
        let place = place.join(", ");
        let (sender, events) = mpsc::unbounded_channel();
        let options = ConnectOptions::new()
            .name(format!("anatomic {id}"))
            .no_echo()
            .retry_on_initial_connect()
            .ping_interval(Duration::from_secs(5))
            .subscription_capacity(QUEUE)
            .client_capacity(OUTBOX)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Duration::from_millis(100).saturating_mul(attempts).min(PAUSE)
            })
            .event_callback(move |event| {
                let _ = sender.send(event);
                std::future::ready(())
            });
        // The client does not look there for them.
        let named = servers.iter().find(|server| server.has_user_pass());
        let options = match named.map(|server| (server.username(), server.password())) {
            Some((Some(token), None)) => options.token(token.to_owned()),
            Some((Some(user), Some(password))) => {
                options.user_and_password(user.to_owned(), password.to_owned())
            }
            _ => options,
        };
        let failed = |error: &dyn std::fmt::Display| format!("the fleet's bus cannot be used: {error}");
        let client = options.connect(servers).await.map_err(|error| failed(&error))?;
        let subject = format!("anatomic.fleet.{key}");
        let all = client.subscribe(format!("{subject}.all")).await.map_err(|error| failed(&error))?;
        let own = client.subscribe(format!("{subject}.{id}")).await.map_err(|error| failed(&error))?;
        let (inputs, received) = mpsc::unbounded_channel();
        let held = Arc::new(AtomicUsize::new(0));
        let reader = Reader { all, own, events, inputs, held: held.clone(), missed: false };
        tokio::spawn(reader.run());
        Ok(Self { place, client, subject, inputs: received, held, stuck: false })
    }

    /// The next thing from the bus; `None`: there will be none.
    pub(super) async fn next(&mut self) -> Option<Input> {
        let input = self.inputs.recv().await?;
        if let Input::Message(bytes) = &input {
            self.held.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        Some(input)
    }

    /// Sends to all, or to one. Returns whether the client took it; what it does not take is dropped, and its number missed.
    pub(super) async fn send(&mut self, to: Option<ProcessId>, bytes: Vec<u8>) -> bool {
        let to = to.map_or_else(|| "all".to_owned(), |to| to.to_string());
        let sent = self.client.publish(format!("{}.{to}", self.subject), bytes.into());
        let patience = if self.stuck { Duration::ZERO } else { PATIENCE };
        let result = tokio::time::timeout(patience, sent).await;
        self.stuck = result.is_err();
        match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => debug!(%error, "a message to the fleet was not sent"),
            Err(_) => debug!("a message to the fleet was not sent: the bus takes none"),
        }
        false
    }

    /// Waits until what was sent has gone.
    pub(super) async fn flush(&self) {
        let _ = tokio::time::timeout(PATIENCE, self.client.flush()).await;
    }
}

impl Reader {
    async fn run(mut self) {
        loop {
            let input = tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(Event::Connected) => Input::Connected,
                    Some(Event::Disconnected) => Input::Disconnected,
                    Some(Event::SlowConsumer(_)) => Input::Missed,
                    Some(Event::Closed) | None => return,
                    Some(other) => {
                        warn!(event = %other, "the fleet's bus");
                        continue;
                    }
                },
                Some(message) = self.all.next() => Input::Message(message.payload),
                Some(message) = self.own.next() => Input::Message(message.payload),
                else => return,
            };
            if let Input::Message(bytes) = &input {
                if self.held.load(Ordering::Relaxed) + bytes.len() > INBOX {
                    self.missed = true;
                    continue;
                }
                self.held.fetch_add(bytes.len(), Ordering::Relaxed);
                if std::mem::take(&mut self.missed) && self.inputs.send(Input::Missed).is_err() {
                    return;
                }
            }
            if self.inputs.send(input).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
