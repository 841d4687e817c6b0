//! Who we are: `/.well-known/anatomic`.
//!
//! Says only what the host set and what anyone may know.

use super::App;
use super::problem::ApiProblem;
use super::request::Asked;
use crate::node::clock;
use anatomic_mesh::api::{Announce, Limits, NodeEntry, Planting, Role, WellKnown};
use anatomic_mesh::proof::MAX_CHALLENGE;
use anatomic_mesh::{Identity, Proof, Signed, VERSION};
use axum::Json;
use axum::extract::State;
use std::net::SocketAddr;
use std::sync::Arc;

/// Name and version, for people.
pub const SOFTWARE: &str = concat!("Anatomic/", env!("CARGO_PKG_VERSION"));

/// What this process says about itself.
pub struct About {
    /// Its key.
    pub identity: Identity,
    /// Scheme and host, without a slash at the end.
    pub url: String,
    /// Supernodes that the page should plant through, itself not included.
    pub supernodes: Vec<String>,
    /// Where classic peers reach the bridge.
    pub tcp: Option<SocketAddr>,
    /// `udp://host:port/announce` of the UDP tracker.
    pub udp_tracker: Option<String>,
    /// `stun:host:port` of the UDP port.
    pub stun: Option<String>,
}

impl App {
    /// This process as a node; `None` if it is none.
    #[must_use]
    pub fn node_entry(&self) -> Option<NodeEntry> {
        self.tracker.as_ref()?;
        let url = &self.about.url;
        let websocket = url.strip_prefix("http").map(|rest| format!("ws{rest}/announce"));
        Some(NodeEntry {
            key: self.about.identity.key(),
            url: url.clone(),
            announce: Announce {
                http: Some(format!("{url}/announce")),
                udp: self.about.udp_tracker.clone(),
                websocket,
            },
            tcp: self.about.tcp,
            stun: self.about.stun.clone(),
            planting: self.planting.as_ref().map_or(Planting::Off, |planting| planting.settings().policy),
            free: self.planting.as_ref().and_then(|planting| planting.free()),
            seen: None,
        })
    }

    /// What this process says about itself.
    #[must_use]
    pub fn well_known(&self) -> WellKnown {
        let roles = [
            self.tracker.as_ref().map(|_| Role::Node),
            self.supernode.as_ref().map(|_| Role::Supernode),
            self.page.as_ref().map(|_| Role::Page),
        ];
        let own = self.supernode.as_ref().map(|_| self.about.url.clone());
        WellKnown {
            version: VERSION,
            software: SOFTWARE.into(),
            key: self.about.identity.key(),
            roles: roles.into_iter().flatten().collect(),
            node: self.node_entry(),
            supernode: self.supernode.as_ref().map(|supernode| supernode.entry()),
            supernodes: own.into_iter().chain(self.about.supernodes.iter().cloned()).collect(),
            limits: self
                .planting
                .as_ref()
                .map_or_else(Limits::default, |planting| planting.settings().limits.clone()),
            proof: None,
        }
    }
}

/// The query of a visit.
#[derive(serde::Deserialize)]
pub struct Visit {
    challenge: Option<String>,
}

/// `GET /.well-known/anatomic[?challenge=TEXT]`
///
/// # Errors
/// When the challenge is longer than allowed.
pub async fn well_known(
    State(app): State<Arc<App>>,
    Asked(visit): Asked<Visit>,
) -> Result<Json<WellKnown>, ApiProblem> {
    let mut document = app.well_known();
    if let Some(challenge) = visit.challenge {
        if challenge.len() > MAX_CHALLENGE {
            return Err(ApiProblem::malformed(format!("a challenge is at most {MAX_CHALLENGE} bytes long")));
        }
        let proof = Proof { key: document.key, url: app.about.url.clone(), challenge, issued: clock::now() };
        document.proof = Signed::new(proof, &app.about.identity).ok();
    }
    Ok(Json(document))
}
