//! Pebble, Let's Encrypt's small authority for tests (RFC 8555), and the names that it resolves.
//!
//! It proves names over TLS at a port of the caller's choice.

use crate::certificates::Authority;
use crate::process::Process;
use crate::scene::Scene;
use crate::{ports, programs};
use serde_json::json;
use std::time::Duration;
use tokio::process::Command;

/// A running authority. Every name leads to 127.0.0.1 for it.
pub struct Pebble {
    directory: String,
    management: String,
    _processes: [Process; 2],
}

impl Pebble {
    /// Starts it; `authority` signs its own HTTPS, and names are proven at `tls_port`.
    ///
    /// # Panics
    /// When it is not installed or does not answer in time.
    pub async fn start(scene: &Scene, authority: &Authority, tls_port: u16) -> Self {
        let (listen, management, dns) = (ports::free(), ports::free(), ports::free());
        let signed = authority.sign("pebble", &["localhost", "127.0.0.1"]);
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": signed.certificate,
            "privateKey": signed.key,
            "httpPort": ports::free(),
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        let file = scene.path("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        let mut names = Command::new(programs::on_path(&["pebble-challtestsrv"]));
        names.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]);
        names.arg("-dns01").arg(format!("127.0.0.1:{dns}"));
        names.arg("-management").arg(format!("127.0.0.1:{}", ports::free()));
        let names = Process::spawn("names", names, scene.log("names"));
        let mut pebble = Command::new(programs::on_path(&["pebble"]));
        pebble.arg("-config").arg(&file).arg("-dnsserver").arg(format!("127.0.0.1:{dns}"));
        // Nonces are refused now and then, as the real one may do.
        pebble.envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "10")]);
        let pebble = Process::spawn("pebble", pebble, scene.log("pebble"));
        let this = Self {
            directory: format!("https://127.0.0.1:{listen}/dir"),
            management: format!("https://127.0.0.1:{management}"),
            _processes: [names, pebble],
        };
        for _ in 0..100 {
            if this.client(authority).get(&this.directory).send().await.is_ok() {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("pebble does not answer within ten seconds");
    }

    /// Where its directory is.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The root under which it signs, in PEM.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn root(&self, authority: &Authority) -> String {
        let request = self.client(authority).get(format!("{}/roots/0", self.management)).send();
        request.await.expect("an answer").text().await.expect("a text")
    }

    fn client(&self, authority: &Authority) -> reqwest::Client {
        crate::web::client_with(authority.pem(), &[])
    }
}
