//! `anatomic health`, `replant` and `unplant`: what became of a planted link, and what its planter can do.
//!
//! Asking is [`crate::planter`]'s; planting again is [`super::plant`]'s.

use super::progress::{say, say_json};
use super::{Failure, client, known, plant, source};
use crate::node::clock;
use crate::planter::{self, health};
use anatomic_core::human::Span;
use anatomic_core::{InfoHash, Link};
use anatomic_engine::TorrentSource;
use anatomic_mesh::api::{Health, Lookup, NodeEntry, NodeHealth};
use anatomic_mesh::counts::Peers;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `anatomic health` and `anatomic unplant`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Planted link, magnet, info-hash or .torrent file
    #[arg(value_name = "LINK")]
    link: String,
    /// Supernode to ask; may be given several times [default: those of the link, and those that are known]
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
    /// Folder with the list of supernodes and the planter's key
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA")]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `anatomic replant`.
#[derive(Debug, clap::Args)]
pub struct ReplantArgs {
    #[command(flatten)]
    which: Args,
    /// On how many nodes it is to be afterwards [default: as many as before, at least 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: Option<u8>,
}

/// The torrent that a link names, whom it says to ask, and what is known of it.
struct Asked {
    info_hash: InfoHash,
    supernodes: Vec<String>,
    known: Vec<Lookup>,
    nodes: Vec<(NodeEntry, Result<Option<Lookup>, String>)>,
}

async fn ask(args: &Args) -> Result<Asked, Failure> {
    let (info_hash, of_link) = match Link::parse(&args.link) {
        Ok(Link::Short { origin, info_hash }) => (info_hash, vec![origin]),
        Ok(Link::Magnet(magnet) | Link::Planted { magnet, .. }) => (magnet.info_hash, magnet.supernodes),
        _ => match source::torrent(&args.link).await? {
            TorrentSource::Metainfo(metainfo) => (metainfo.info_hash(), Vec::new()),
            TorrentSource::Magnet(magnet) => (magnet.info_hash, magnet.supernodes),
        },
    };
    let supernodes = known::supernodes(&args.supernode, &of_link, args.data.as_deref());
    let web = health::client().map_err(Failure::new)?;
    let (known, silent) = health::ask_supernodes(&web, &info_hash, &supernodes).await;
    if known.is_empty() {
        let reasons: Vec<String> = silent.iter().map(|(url, reason)| format!("{url} {reason}")).collect();
        return Err(Failure::new(format!(
            "no supernode knows where this torrent is planted: {}",
            reasons.join("; ")
        )));
    }
    let nodes = health::ask_nodes(&web, &info_hash, health::nodes(&known)).await;
    Ok(Asked { info_hash, supernodes, known, nodes })
}

async fn ask_or_end(args: &Args) -> Result<Asked, Failure> {
    tokio::select! {
        asked = ask(args) => asked,
        () = client::interrupted() => Err(Failure::interrupted()),
    }
}

/// Runs `anatomic health`.
///
/// # Errors
/// When no supernode knows the torrent.
pub async fn run(args: Args) -> Result<(), Failure> {
    let asked = ask_or_end(&args).await?;
    let health = Health::new(asked.info_hash, &asked.known, &asked.nodes, clock::now());
    if args.json {
        say_json(&serde_json::json!(health));
        return Ok(());
    }
    let span = |seconds: u64| Span(Duration::from_secs(seconds));
    say(&format!(
        "{}: planted on {} node(s), {} healthy{}",
        health.name.as_deref().unwrap_or("(no name yet)").replace(char::is_control, " "),
        health.nodes.len(),
        health.healthy,
        health.lease.map_or_else(String::new, |lease| format!(", lease for {}", span(lease)))
    ));
    say(&format!(
        "tabs: {} seed(s), {} leech(es); other clients: {} seed(s), {} leech(es); {} tab(s) helped",
        health.tabs.seeds, health.tabs.leeches, health.classic.seeds, health.classic.leeches, health.helped
    ));
    if let Some(age) = health.seed_seen {
        say(&format!("a seed was alive {} ago", span(age)));
    }
    for node in &health.nodes {
        let state = match (&node.reason, node.lives && node.holds) {
            (_, true) => format!("lives and holds it{}", meets(node)),
            (Some(reason), _) => reason.clone(),
            (None, _) => "does not hold it".to_owned(),
        };
        let lease =
            node.lease.map_or_else(|| "no lease".to_owned(), |lease| format!("lease for {}", span(lease)));
        say(&format!("  {}  {state}, {lease}", node.url));
    }
    if health.healthy == 0 {
        eprintln!("plant it elsewhere: anatomic replant LINK");
    }
    Ok(())
}

/// With whom a node is connected, by the way to them.
fn meets(node: &NodeHealth) -> String {
    let connected = node.swarm.unwrap_or_default().connected;
    let ways = [(connected.tcp, "over TCP"), (connected.utp, "over uTP"), (connected.webrtc, "in browsers")];
    let some = ways.into_iter().filter(|(peers, _)| *peers != Peers::default());
    let told =
        some.map(|(peers, way)| format!(", {} seed(s) and {} leech(es) {way}", peers.seeds, peers.leeches));
    told.collect()
}

/// Runs `anatomic replant`: renews the leases where it is planted, and finds nodes for those that are gone.
///
/// # Errors
/// When no node takes it.
pub async fn replant(args: ReplantArgs) -> Result<(), Failure> {
    let ReplantArgs { which, nodes } = args;
    let asked = ask_or_end(&which).await?;
    let health = Health::new(asked.info_hash, &asked.known, &asked.nodes, clock::now());
    let living = asked.nodes.iter().filter(|(_, answer)| matches!(answer, Ok(Some(_))));
    let prefer: Vec<NodeEntry> = living.map(|(node, _)| node.clone()).collect();
    // With the torrent itself new nodes need nobody else for the metadata.
    let host = asked.known.iter().find_map(|lookup| {
        let path = lookup.torrent.as_ref()?;
        let magnet = anatomic_core::Magnet::parse(&lookup.magnet).ok()?;
        magnet.supernodes.first().map(|supernode| format!("{supernode}{path}"))
    });
    let before = asked.nodes.len().min(8);
    let wanted = nodes.map_or(before.max(anatomic_mesh::planter::DEFAULT_NODES), usize::from);
    let source = host.unwrap_or(which.link);
    plant::again(source, asked.supernodes, wanted, prefer, which.data, which.json, health.listing).await
}

/// Runs `anatomic unplant`: takes the planter's word back at every node and supernode.
///
/// # Errors
/// When nobody took it.
pub async fn unplant(args: Args) -> Result<(), Failure> {
    let asked = ask_or_end(&args).await?;
    let identity = plant::planter_key(args.data.as_deref())?;
    let told = planter::unplant(&asked.info_hash, &asked.supernodes, &identity).await;
    if args.json {
        let hosts: Vec<_> = told
            .iter()
            .map(|told| serde_json::json!({"url": told.url, "ok": told.result.is_ok(), "reason": told.result.as_ref().err()}))
            .collect();
        say_json(&serde_json::json!({"info_hash": asked.info_hash.to_string(), "told": hosts}));
    } else {
        for told in &told {
            match &told.result {
                Ok(()) => say(&format!("{} forgot it", told.url)),
                Err(reason) => say(&format!("{}: {reason}", told.url)),
            }
        }
    }
    if told.iter().any(|told| told.result.is_ok()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "nobody forgot it: only the key that planted it can unplant it, this one is {}",
        identity.key()
    )))
}
