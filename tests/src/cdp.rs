//! A client of the Chrome DevTools Protocol: calls, answers, events.
//!
//! Not for what a tab is or does ([`crate::chromium`]). Our own because the part that tests need is
//! one socket and one map, where the crates bring generated types for all of DevTools (minutes of
//! build time) and hide the browser contexts and worker sessions that these tests are about.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};

/// Time that a call gets: a busy page may take seconds to answer.
const CALL: Duration = Duration::from_secs(60);

/// What the browser told unasked.
#[derive(Debug, Clone)]
pub struct Event {
    /// The session (page, worker) it is about; empty for the browser itself.
    pub session: String,
    /// Such as `Network.requestWillBeSent`.
    pub method: String,
    /// Its fields.
    pub params: Value,
}

type Pending = Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>;
type Listeners = Mutex<Vec<mpsc::UnboundedSender<Arc<Event>>>>;

/// A connection to a browser.
pub struct Cdp {
    calls: mpsc::UnboundedSender<Message>,
    pending: Arc<Pending>,
    listeners: Arc<Listeners>,
    next: AtomicU64,
}

impl Cdp {
    /// Connects to the browser's DevTools at `url` (`ws://127.0.0.1:PORT/devtools/browser/…`).
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn connect(url: &str) -> Result<Self, String> {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = tokio_tungstenite::connect_async_with_config(url, Some(config), true)
            .await
            .map_err(|error| format!("DevTools at {url}: {error}"))?;
        let (mut write, mut read) = socket.split();
        let (calls, mut outgoing) = mpsc::unbounded_channel::<Message>();
        let pending = Arc::new(Pending::default());
        let listeners = Arc::new(Listeners::default());
        tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                if write.send(message).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn({
            let pending = Arc::clone(&pending);
            let listeners = Arc::clone(&listeners);
            async move {
                while let Some(Ok(message)) = read.next().await {
                    if let Message::Text(text) = message
                        && let Ok(message) = serde_json::from_str::<Value>(&text)
                    {
                        deliver(message, &pending, &listeners);
                    }
                }
                pending.lock().expect("no panic here").clear();
                listeners.lock().expect("no panic here").clear();
            }
        });
        Ok(Self { calls, pending, listeners, next: AtomicU64::new(1) })
    }

    /// Calls `method` of a session (empty: of the browser) and waits for its result.
    ///
    /// # Errors
    /// The browser's own words, or that it has gone or does not answer.
    pub async fn call(&self, session: &str, method: &str, params: Value) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.pending.lock().expect("no panic here").insert(id, sender);
        self.send(id, session, method, params)?;
        match tokio::time::timeout(CALL, answer).await {
            Ok(Ok(result)) => result.map_err(|error| format!("{method}: {error}")),
            Ok(Err(_)) => Err(format!("{method}: the browser has gone")),
            Err(_) => Err(format!("{method}: the browser does not answer")),
        }
    }

    /// Calls `method` without waiting for its result.
    ///
    /// # Errors
    /// When the browser has gone.
    pub fn tell(&self, session: &str, method: &str, params: Value) -> Result<(), String> {
        self.send(self.next.fetch_add(1, Ordering::Relaxed), session, method, params)
    }

    /// Everything that the browser tells from now on.
    pub fn events(&self) -> mpsc::UnboundedReceiver<Arc<Event>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().expect("no panic here").push(sender);
        receiver
    }

    fn send(&self, id: u64, session: &str, method: &str, params: Value) -> Result<(), String> {
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            call["sessionId"] = session.into();
        }
        self.calls
            .send(Message::text(call.to_string()))
            .map_err(|_| format!("{method}: the browser has gone"))
    }
}

fn deliver(mut message: Value, pending: &Pending, listeners: &Listeners) {
    if let Some(id) = message["id"].as_u64() {
        let Some(answer) = pending.lock().expect("no panic here").remove(&id) else { return };
        let result = match message["error"]["message"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(message["result"].take()),
        };
        let _ = answer.send(result);
    } else if let Some(method) = message["method"].as_str() {
        let event = Arc::new(Event {
            session: message["sessionId"].as_str().unwrap_or_default().to_owned(),
            method: method.to_owned(),
            params: message["params"].take(),
        });
        listeners.lock().expect("no panic here").retain(|listener| listener.send(Arc::clone(&event)).is_ok());
    }
}
