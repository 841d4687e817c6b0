//! Keeps this node listed at its supernodes: says "here I am" at start and every minute.
//!
//! A supernode believes nothing of it: it comes and looks.

use anatomic_mesh::api::{Problem, Registration, paths};
use std::time::Duration;
use tracing::{debug, warn};

/// How often a node says that it lives.
const EVERY: Duration = Duration::from_secs(60);

/// Registers `url` at one supernode.
///
/// # Errors
/// Why it was not taken, in one line.
pub async fn register(client: &reqwest::Client, supernode: &str, url: &str) -> Result<(), String> {
    let address = format!("{}{}", supernode.trim_end_matches('/'), paths::NODES);
    let answer = client
        .post(&address)
        .json(&Registration { url: url.to_owned() })
        .send()
        .await
        .map_err(|error| format!("{supernode} cannot be reached: {}", innermost(&error)))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let problem =
        answer.json::<Problem>().await.map_or_else(|_| status.to_string(), |problem| problem.to_string());
    Err(format!("{supernode} refused: {problem}"))
}

/// Registers for ever at all `supernodes`.
pub async fn keep_registered(client: reqwest::Client, supernodes: Vec<String>, url: String) {
    let mut timer = tokio::time::interval(EVERY);
    timer.tick().await;
    loop {
        timer.tick().await;
        for supernode in &supernodes {
            match register(&client, supernode, &url).await {
                Ok(()) => debug!(%supernode, "registered"),
                Err(reason) => warn!(%reason, "could not register; trying again in a minute"),
            }
        }
    }
}

/// What really went wrong: the source at the end of the chain ("connection refused"), not the wrapping.
#[must_use]
pub fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}
