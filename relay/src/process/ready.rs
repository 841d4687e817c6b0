//! What a process says when it is ready: the first line on standard output.
//!
//! Scripts rely on it: `anatomic up: http://HOST:PORT/`, or one JSON object.

use super::Role;
use anatomic_mesh::Key;
use serde::Serialize;
use std::net::SocketAddr;

/// The facts of a process that is ready.
pub(super) struct Ready {
    pub(super) role: Role,
    pub(super) http: String,
    pub(super) tcp: Option<SocketAddr>,
    pub(super) udp: Option<SocketAddr>,
    pub(super) udp_tracker: Option<SocketAddr>,
    pub(super) key: Key,
    pub(super) demo: Option<String>,
    pub(super) hint: Option<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    http: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp_tracker: Option<SocketAddr>,
    key: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    demo: Option<&'a str>,
}

impl Ready {
    pub(super) fn print(&self, json: bool) {
        use std::io::Write as _;
        let text = if json { self.json() } else { self.text() };
        // A reader that has gone is no reason to end.
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn json(&self) -> String {
        let object = Json {
            http: &self.http,
            tcp: self.tcp,
            udp: self.udp,
            udp_tracker: self.udp_tracker,
            key: self.key,
            demo: self.demo.as_deref(),
        };
        serde_json::to_string(&object).unwrap_or_default() + "\n"
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("anatomic {}: {}", self.role.as_str(), self.http)];
        if let Some(link) = &self.demo {
            lines.push(format!("  demo link  {link}"));
        }
        if let (Some(tcp), Some(udp)) = (self.tcp, self.udp) {
            lines.push(format!("  peers      tcp {tcp} (classic), udp {udp} (browsers)"));
        }
        lines.extend(self.udp_tracker.map(|udp| format!("  tracker    udp {udp}, and as above")));
        lines.push(format!("  key        {}", self.key));
        lines.extend(self.hint.as_ref().map(|hint| format!("  note       {hint}")));
        lines.push("  Ctrl-C ends it.".into());
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_what_scripts_wait_for() {
        let ready = Ready {
            role: Role::Up,
            http: "http://127.0.0.1:4080/".into(),
            tcp: Some("127.0.0.1:1".parse().unwrap()),
            udp: Some("127.0.0.1:2".parse().unwrap()),
            udp_tracker: Some("127.0.0.1:4080".parse().unwrap()),
            key: Key([1; 32]),
            demo: None,
            hint: None,
        };
        assert_eq!(ready.text().lines().next(), Some("anatomic up: http://127.0.0.1:4080/"));
        let json: serde_json::Value = serde_json::from_str(&ready.json()).unwrap();
        assert_eq!((&json["tcp"], &json["udp"]), (&"127.0.0.1:1".into(), &"127.0.0.1:2".into()));
        assert_eq!(json["key"].as_str().map(str::len), Some(64));
    }
}
