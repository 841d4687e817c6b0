//! Errors of the API: problem documents (RFC 9457) that people and programs can read.
//!
//! The tracker's errors are `failure reason`s and not these.

use crate::{SignedError, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What [`Problem::code`] may say. Programs compare these; people read title and detail.
pub mod codes {
    /// The request is malformed.
    pub const MALFORMED: &str = "malformed";
    /// A signature or key in the request is wrong.
    pub const SIGNATURE: &str = "signature";
    /// The time in the request is not now; [`super::Problem::time`] says what the host's clock shows.
    pub const CLOCK: &str = "clock";
    /// The host does not take torrents, or not from this planter.
    pub const PLANTING_OFF: &str = "planting-off";
    /// The host has no room left.
    pub const FULL: &str = "full";
    /// The torrent is on a block list of the host.
    pub const BLOCKED: &str = "blocked";
    /// The torrent itself cannot be used (malformed, too large, v2 only).
    pub const TORRENT: &str = "torrent";
    /// Nothing is known under that name.
    pub const NOT_FOUND: &str = "not-found";
    /// Too many requests; `Retry-After` says when to come back.
    pub const BUSY: &str = "busy";
    /// The host failed; its log says more.
    pub const INTERNAL: &str = "internal";
}

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank` or an address that explains the kind of problem.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// A short line that is the same for every problem of the kind.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened this time: what failed, why, what to do.
    #[serde(default)]
    pub detail: String,
    /// One of [`codes`].
    #[serde(default)]
    pub code: String,
    /// With [`codes::CLOCK`]: the host's clock, so that the caller can sign for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixTime>,
}

fn blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// A problem of a code of [`codes`], with the words for this time.
    #[must_use]
    pub fn new(code: &str, detail: impl fmt::Display) -> Self {
        let (status, title) = match code {
            codes::MALFORMED => (400, "The request is malformed"),
            codes::SIGNATURE => (403, "The signature does not hold"),
            codes::CLOCK => (403, "The clocks differ"),
            codes::PLANTING_OFF => (403, "Planting is not allowed here"),
            codes::FULL => (507, "No room left"),
            codes::BLOCKED => (451, "The torrent is blocked here"),
            codes::TORRENT => (422, "The torrent cannot be used"),
            codes::NOT_FOUND => (404, "Not found"),
            codes::BUSY => (429, "Too many requests"),
            _ => (500, "The host failed"),
        };
        let (title, code, detail) = (title.into(), code.into(), detail.to_string());
        Self { kind: blank(), title, status, detail, code, time: None }
    }

    /// Why a statement is not taken by a host whose clock shows `now`.
    #[must_use]
    pub fn of_statement(error: SignedError, now: UnixTime) -> Self {
        match error {
            SignedError::Time => Self { time: Some(now), ..Self::new(codes::CLOCK, error) },
            other => Self::new(codes::SIGNATURE, other),
        }
    }

    /// A failure that came without a document: nobody answered, or with something else.
    #[must_use]
    pub fn without_document(reason: impl fmt::Display) -> Self {
        Self { kind: blank(), detail: reason.to_string(), ..Self::default() }
    }

    /// What the host's clock shows, if that is the problem.
    #[must_use]
    pub fn clock(&self) -> Option<UnixTime> {
        self.time.filter(|_| self.code == codes::CLOCK)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, detail, .. } = self;
        match (title.as_str(), detail.as_str()) {
            (title, "") => f.write_str(title),
            ("", detail) => f.write_str(detail),
            (title, detail) => write!(f, "{title}: {detail}"),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_an_rfc_9457_document() {
        let problem = Problem::new(codes::PLANTING_OFF, "this node takes no torrents; ask another");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], 403);
        assert_eq!(json["code"], "planting-off");
        let read: Problem = serde_json::from_str(r#"{"title":"x","extra":1}"#).unwrap();
        assert_eq!(read.to_string(), "x");
        assert_eq!(
            problem.to_string(),
            "Planting is not allowed here: this node takes no torrents; ask another"
        );
    }
}
