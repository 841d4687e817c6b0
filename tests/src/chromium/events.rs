//! What a browser tells of its pages and workers by itself: what they contact, log, throw and save.
//!
//! Asks nothing of them; that is [`super::Tab`]'s.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Inner, Save};
use crate::cdp::Event;

/// What a browser's pages and workers exchanged by other ways than WebRTC.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Each address asked for by HTTP or WebSocket.
    pub urls: BTreeSet<String>,
    /// Bytes of HTTP bodies received.
    pub http_bytes: u64,
    /// Bytes of WebSocket messages received.
    pub websocket_bytes: u64,
}

impl Network {
    /// `host:port` of every address; what stays inside the browser (`blob:`, `data:`) is left out.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<String> {
        self.urls
            .iter()
            .filter_map(|url| {
                let (scheme, rest) = url.split_once("://")?;
                matches!(scheme, "http" | "https" | "ws" | "wss")
                    .then(|| rest.split(['/', '?', '#']).next().unwrap_or(rest).to_owned())
            })
            .collect()
    }
}

/// Attaches to every page and worker before its first line runs, and writes down what they do.
pub(super) async fn attend(inner: Weak<Inner>, mut events: mpsc::UnboundedReceiver<Arc<Event>>) {
    while let Some(event) = events.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        let params = &event.params;
        match event.method.as_str() {
            "Target.attachedToTarget" => {
                let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
                let info = &params["targetInfo"];
                inner.log.line(&format!("[{}] {}", info["type"], info["url"]));
                let attach = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
                for (method, params) in [
                    ("Target.setAutoAttach", attach),
                    ("Network.enable", json!({})),
                    ("Runtime.enable", json!({})),
                    ("Log.enable", json!({})),
                    ("Runtime.runIfWaitingForDebugger", json!({})),
                ] {
                    let _ = inner.cdp.tell(&session, method, params);
                }
                if let Some(target) = info["targetId"].as_str() {
                    inner.sessions.send_modify(|sessions| {
                        sessions.insert(target.to_owned(), session.clone());
                    });
                }
            }
            "Network.requestWillBeSent" => inner.contact(params["request"]["url"].as_str()),
            "Network.webSocketCreated" | "Network.webTransportCreated" => {
                inner.contact(params["url"].as_str());
            }
            "Network.dataReceived" => {
                inner.network.lock().expect("no panic here").http_bytes +=
                    params["dataLength"].as_u64().unwrap_or(0);
            }
            "Network.webSocketFrameReceived" => {
                let length = params["response"]["payloadData"].as_str().map_or(0, str::len);
                inner.network.lock().expect("no panic here").websocket_bytes += length as u64;
            }
            "Runtime.consoleAPICalled" => {
                let words: Vec<String> = params["args"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|arg| match (&arg["value"], arg["description"].as_str()) {
                        (Value::Null, Some(text)) => text.to_owned(),
                        (Value::String(text), _) => text.clone(),
                        (value, _) => value.to_string(),
                    })
                    .collect();
                inner.log.line(&format!("console {}: {}", params["type"], words.join(" ")));
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                inner
                    .log
                    .line(&format!("exception: {} {}", details["text"], details["exception"]["description"]));
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                inner.log.line(&format!("{}: {} {}", entry["level"], entry["text"], entry["url"]));
            }
            "Browser.downloadWillBegin" => inner.saves.send_modify(|saves| {
                let id = params["guid"].as_str().unwrap_or_default().to_owned();
                let name = params["suggestedFilename"].as_str().unwrap_or_default().to_owned();
                saves.insert(id, Save { name, state: "inProgress".into() });
            }),
            "Browser.downloadProgress" => inner.saves.send_modify(|saves| {
                let state = params["state"].as_str().unwrap_or_default();
                if let Some(save) = saves.get_mut(params["guid"].as_str().unwrap_or_default()) {
                    state.clone_into(&mut save.state);
                }
            }),
            _ => {}
        }
    }
}

impl Inner {
    fn contact(&self, url: Option<&str>) {
        if let Some(url) = url
            && (url.starts_with("http") || url.starts_with("ws"))
            && self.network.lock().expect("no panic here").urls.insert(url.to_owned())
        {
            self.log.line(&format!("contacts {url}"));
        }
    }
}
