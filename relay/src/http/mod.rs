//! Everything this process answers over HTTP: all routes in one place, grouped by who calls.
//!
//! Each file here is a family of endpoints and only translates between HTTP and the parts that know: tracker, planting,
//! supernode, page. Errors of the API are problem documents (RFC 9457), those of the tracker are bencoded reasons.

pub mod about;
pub mod announce;
pub mod api;
pub mod classic;
mod door;
pub mod network;
pub mod openapi;
pub mod pace;
pub mod page;
pub mod problem;
pub mod request;
pub mod server;
pub mod sisters;
pub mod upgrade;
pub mod watch;

use crate::bridge::Bridge;
use crate::budget::Budget;
use crate::fleet::Fleet;
use crate::mesh::{self, Mesh};
use crate::node::Planting;
use crate::node::blocks::Blocks;
use crate::supernode::Supernode;
use crate::tracker::{Proxies, Tracker};
use about::About;
use anatomic_mesh::api::paths;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use pace::Pace;
use page::Page;
use std::sync::Arc;

/// Longest body of a request to the API: a torrent file of 10 MB as hexadecimal text, and what is around it.
const MAX_BODY: usize = 21_000_000;

/// What this process has to answer with. A process may be any of the three: node, supernode, page.
pub struct App {
    /// Who we are.
    pub about: About,
    /// The node's tracker.
    pub tracker: Option<Arc<Tracker>>,
    /// What is planted on the node.
    pub planting: Option<Arc<Planting>>,
    /// What the node may spend.
    pub budget: Option<Arc<Budget>>,
    /// The node's peer-sharing.
    pub mesh: Option<Mesh>,
    /// The node's own peer.
    pub bridge: Option<Bridge>,
    /// The other processes of this node.
    pub fleet: Option<Fleet>,
    /// The supernode.
    pub supernode: Option<Arc<Supernode>>,
    /// The web page.
    pub page: Option<Page>,
    /// What this host does not serve.
    pub blocks: Option<Arc<Blocks>>,
    /// Our reverse proxies.
    pub proxies: Proxies,
    /// How often one address may plant, register and hand over.
    pub pace: Pace,
    /// Connections at once, without those that became WebSockets: these are bounded by the tracker.
    pub max_connections: usize,
}

/// A family of routes, and their paths: the OpenAPI document is compared with them.
struct Family {
    router: Router<Arc<App>>,
    paths: Vec<String>,
}

impl Family {
    fn new() -> Self {
        Self { router: Router::new(), paths: Vec::new() }
    }

    fn route(mut self, path: &str, methods: MethodRouter<Arc<App>>) -> Self {
        self.paths.push(path.to_owned());
        self.router = self.router.route(path, methods);
        self
    }
}

/// For clients: the trackers. The 2005 network's names end in `.php`.
fn tracker() -> Family {
    Family::new()
        .route("/", get(announce::root))
        .route("/announce", get(announce::announce))
        .route("/announce.php", get(announce::announce))
        .route("/scrape", get(announce::scrape))
        .route("/scrape.php", get(announce::scrape))
}

/// For the programs of 2005.
fn old() -> Family {
    Family::new()
        .route("/plant", get(classic::plant))
        .route("/plant.php", get(classic::plant))
        .route("/multiseed", get(classic::multiseed))
        .route("/multiseed.php", get(classic::multiseed))
        .route("/request", get(classic::request))
        .route("/request.php", get(classic::request))
        .route("/cache", get(classic::cache))
        .route("/cache.php", get(classic::cache))
        .route("/force", get(classic::force))
        .route("/force.php", get(classic::force))
        .route("/index", get(classic::index))
        .route("/index.php", get(classic::index))
}

/// For planters, pages, nodes and supernodes.
fn api() -> Family {
    Family::new()
        .route(paths::WELL_KNOWN, get(about::well_known))
        .route(paths::OPENAPI, get(openapi::document))
        .route(paths::PLANT, post(api::plant))
        .route(paths::ADOPT, post(api::adopt))
        .route(paths::WITHDRAW, post(api::withdraw))
        .route(paths::NODES, get(network::nodes).post(network::register))
        .route(&format!("{}/{{key}}", paths::NODES), get(network::node))
        .route(paths::BLOCKS, get(network::blocks))
        .route(paths::DIRECTORY, get(network::directory))
        .route(paths::FEED, get(network::feed))
        .route(paths::REPORTS, post(network::reports))
        .route(paths::SEARCH, get(network::search))
        .route(&format!("{}/{{info_hash}}", paths::HEALTH), get(network::health))
        .route(paths::RECEIPTS, post(api::receipts))
        .route(&format!("{}/{{name}}", paths::TORRENTS), get(api::torrent))
}

/// For sister nodes.
fn sister() -> Family {
    Family::new().route(mesh::PATH, get(sisters::connect))
}

/// For people: short links; the page answers what no route names.
fn people() -> Family {
    Family::new().route("/t/{info_hash}", get(api::short_link))
}

/// For those who run it.
fn host() -> Family {
    Family::new().route("/healthz", get(watch::health)).route("/metrics", get(watch::metrics))
}

/// The paths of all routes, as [`Router::route`] takes them. Files of the page have none.
#[must_use]
pub fn route_paths() -> Vec<String> {
    [tracker(), old(), api(), sister(), people(), host()]
        .into_iter()
        .flat_map(|family| family.paths)
        .collect()
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let api = api()
        .router
        .layer(axum::middleware::from_fn_with_state(app.clone(), api::in_moderation))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn(api::any_origin));
    tracker()
        .router
        .merge(old().router)
        .merge(api)
        .merge(sister().router)
        .merge(host().router)
        .merge(people().router)
        .fallback(page::file)
        .with_state(app)
}
