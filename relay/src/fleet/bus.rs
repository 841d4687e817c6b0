//! The connection to NATS: two subjects, one for all processes and one for us.
//!
//! Carries bytes; what they say is not known here. The client reconnects by itself, and says when it has.

use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Longest pause between attempts to connect.
const PAUSE: Duration = Duration::from_secs(2);
/// Messages that wait for us; the client drops more, and numbers show that they are missing.
const QUEUE: usize = 16 * 1024;
/// How long the client may take to accept a message; it waits while there is no connection.
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
    client: Client,
    subject: String,
    all: Subscriber,
    own: Subscriber,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Bus {
    /// Begins to connect; [`Input::Connected`] tells when that is done.
    pub(super) async fn connect(servers: &[String], key: &Key, id: ProcessId) -> Result<Self, String> {
        crate::tls::install();
        let servers = servers.iter().map(|url| url.parse::<ServerAddr>());
        let servers = servers.collect::<Result<Vec<_>, _>>().map_err(|error| {
            format!("--fleet names no NATS server: {error}; write it as nats://host:4222")
        })?;
        let (sender, events) = mpsc::unbounded_channel();
        let options = ConnectOptions::new()
            .name(format!("anatomic {id}"))
            .no_echo()
            .retry_on_initial_connect()
            .ping_interval(Duration::from_secs(5))
            .subscription_capacity(QUEUE)
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
        Ok(Self { client, subject, all, own, events })
    }

    /// The next thing from the bus; `None`: there will be none.
    pub(super) async fn next(&mut self) -> Option<Input> {
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event? {
                    Event::Connected => return Some(Input::Connected),
                    Event::Disconnected => return Some(Input::Disconnected),
                    Event::Closed => return None,
                    Event::SlowConsumer(_) => return Some(Input::Missed),
                    other => warn!(event = %other, "the fleet's bus"),
                },
                message = self.all.next() => return Some(Input::Message(message?.payload)),
                message = self.own.next() => return Some(Input::Message(message?.payload)),
            }
        }
    }

    /// Sends to all, or to one.
    pub(super) async fn send(&self, to: Option<ProcessId>, bytes: Vec<u8>) {
        let to = to.map_or_else(|| "all".to_owned(), |to| to.to_string());
        let sent = self.client.publish(format!("{}.{to}", self.subject), bytes.into());
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a message to the fleet was not sent"),
            Err(_) => debug!("a message to the fleet was not sent: the bus takes none"),
        }
    }

    /// Waits until what was sent has gone.
    pub(super) async fn flush(&self) {
        let _ = tokio::time::timeout(PATIENCE, self.client.flush()).await;
    }
}
