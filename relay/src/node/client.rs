//! Asks other hosts' API: JSON out, bounded JSON in, problem documents as words.
//!
//! Knows no endpoint. Whether an address may be called at all is judged before ([`crate::supernode::visit`]).

use super::register::innermost;
use anatomic_mesh::api::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client that follows no redirect and gives up after `patience`.
///
/// # Errors
/// When the system has no certificates or the like.
pub fn new(patience: Duration) -> Result<reqwest::Client, String> {
    crate::tls::http()
        .timeout(patience)
        .connect_timeout(patience.min(Duration::from_secs(5)))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| innermost(&error))
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The other side answered with a problem.
    Problem(Problem),
    /// It did not answer, or with something else.
    Silent(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problem(problem) => problem.fmt(f),
            Self::Silent(reason) => f.write_str(reason),
        }
    }
}

/// Sends a request and reads a JSON answer of bounded length.
///
/// # Errors
/// For people, in one line: a problem document becomes its words.
pub async fn ask<R: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<R, String> {
    ask_up_to(request, MAX_ANSWER).await.map_err(|failed| failed.to_string())
}

/// Posts JSON and reads a JSON answer.
///
/// # Errors
/// As [`ask`].
pub async fn post<T: Serialize, R: DeserializeOwned>(
    client: &reqwest::Client,
    url: &str,
    body: &T,
) -> Result<R, String> {
    ask(client.post(url).json(body)).await
}

/// As [`post`], with what went wrong as a document: a caller may know what to do about it.
///
/// # Errors
/// The other side's problem, or [`Problem::without_document`].
pub async fn post_for<T: Serialize, R: DeserializeOwned>(
    client: &reqwest::Client,
    url: &str,
    body: &T,
) -> Result<R, Problem> {
    ask_up_to(client.post(url).json(body), MAX_ANSWER).await.map_err(|failed| match failed {
        Failed::Problem(problem) => problem,
        Failed::Silent(reason) => Problem::without_document(reason),
    })
}

/// As [`ask`], with a bound of the caller's, and problems apart from silence. An empty answer counts as `null`.
///
/// # Errors
/// Why there is no answer.
pub async fn ask_up_to<R: DeserializeOwned>(
    request: reqwest::RequestBuilder,
    most: usize,
) -> Result<R, Failed> {
    let silent = |reason: String| Failed::Silent(reason);
    let mut answer =
        request.send().await.map_err(|error| silent(format!("cannot be reached: {}", innermost(&error))))?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| silent(innermost(&error)))? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(silent("answers with too much".into()));
        }
    }
    if !status.is_success() {
        return Err(serde_json::from_slice::<Problem>(&body)
            .map_or_else(|_| silent(status.to_string()), Failed::Problem));
    }
    let body = if body.is_empty() { b"null" } else { body.as_slice() };
    serde_json::from_slice(body)
        .map_err(|_| silent("answers with something else: is it of the Anatomic network?".into()))
}
