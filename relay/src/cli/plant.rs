//! `anatomic plant`: plants files, a torrent or a magnet on the network and prints the planted link.
//!
//! Flags and output; the steps are [`crate::planter`]'s. Content is hashed and planted, and seeded where that is asked for.

mod wizard;

use super::progress::{say, say_json};
use super::{Failure, client, known, seed, source};
use crate::content::{Content, Flow};
use crate::dht;
use crate::node::{files, identity};
use crate::planter;
use anatomic_core::create::Options;
use anatomic_core::human::{Percent, Size};
use anatomic_core::{Link, Metainfo};
use anatomic_engine::TorrentSource;
use anatomic_mesh::api::{NodeEntry, Offer, paths};
use anatomic_mesh::planter::{DEFAULT_NODES, MAX_NODES, Outcome, Subject, Wish};
use anatomic_mesh::{Identity, Listing, PlantedLink};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Arguments of `anatomic plant`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File, folder, .torrent file, magnet or link; without it, on a terminal, you are asked
    #[arg(value_name = "X")]
    source: Option<String>,
    /// Supernode to ask; may be given several times [default: those of the link and those that are known, else http://127.0.0.1:4080]
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
    /// On how many nodes to plant
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_NODES as i64))]
    nodes: Option<u8>,
    /// Where to write the planted torrent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only those who have the link may find it: supernodes do not show it to people who search
    #[arg(long)]
    unlisted: bool,
    /// Seed the files that were planted, until Ctrl-C
    #[arg(long)]
    seed: bool,
    /// Folder with the key that plants and may unplant
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA")]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    dht: dht::Options,
}

/// What a person named.
struct Named {
    subject: Subject,
    /// The content, if that is what was named.
    content: Option<PathBuf>,
    /// Supernodes that the link names.
    supernodes: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    if args.source.is_none() {
        return interview(args).await;
    }
    run_with(args, Vec::new()).await
}

/// Asks on the terminal what the arguments do not say, and plants.
async fn interview(mut args: Args) -> Result<(), Failure> {
    if args.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure {
            reason: "name what shall be planted: anatomic plant FILE, FOLDER, TORRENT, MAGNET or LINK".into(),
            code: 2,
        });
    }
    let source = asked(|input, output| wizard::source(input, output)).await?;
    args.source = Some(source);
    let named = named(&args).await?;
    let web = known::client()?;
    let mut offered: Vec<NodeEntry> = Vec::new();
    for supernode in supernodes(&args, &named) {
        let url = format!("{supernode}{}?count=16", paths::NODES);
        match crate::node::client::ask::<Offer>(web.get(url)).await {
            Ok(offer) => {
                for node in offer.nodes {
                    if offered.iter().all(|known| known.key != node.key) {
                        offered.push(node);
                    }
                }
            }
            Err(reason) => eprintln!("{supernode} {reason}"),
        }
    }
    if offered.is_empty() {
        return Err(Failure::new(
            "no supernode offers a node that takes torrents; name another with --supernode",
        ));
    }
    let default = args.nodes.map_or(DEFAULT_NODES, usize::from);
    let (prefer, count) = asked(move |input, output| wizard::nodes(input, output, &offered, default)).await?;
    args.nodes = u8::try_from(count).ok();
    let listing = asked(|input, output| wizard::listing(input, output)).await?;
    args.unlisted = listing == Listing::Unlisted;
    if named.content.is_some() {
        args.seed = asked(|input, output| wizard::seed(input, output)).await?;
    }
    run_with(args, prefer).await
}

/// Puts a question; Ctrl-C ends it.
async fn asked<T: Send + 'static>(
    question: impl FnOnce(&mut std::io::StdinLock<'_>, &mut std::io::Stderr) -> std::io::Result<T>
    + Send
    + 'static,
) -> Result<T, Failure> {
    let answer =
        tokio::task::spawn_blocking(move || question(&mut std::io::stdin().lock(), &mut std::io::stderr()));
    tokio::select! {
        answer = answer => answer.map_err(Failure::new)?.map_err(Failure::new),
        () = client::interrupted() => Err(Failure::interrupted()),
    }
}

/// Plants once more what is planted: on the nodes that hold it, which renew their leases, and on others for those that are
/// gone.
///
/// # Errors
/// When no node takes it.
pub(super) async fn again(
    source: String,
    supernodes: Vec<String>,
    nodes: usize,
    prefer: Vec<NodeEntry>,
    data: Option<PathBuf>,
    json: bool,
    listing: Listing,
) -> Result<(), Failure> {
    let args = Args {
        source: Some(source),
        supernode: supernodes,
        nodes: u8::try_from(nodes).ok(),
        output: None,
        unlisted: listing == Listing::Unlisted,
        seed: false,
        data,
        json,
        dht: dht::Options::default(),
    };
    run_with(args, prefer).await
}

async fn run_with(args: Args, prefer: Vec<NodeEntry>) -> Result<(), Failure> {
    let named = tokio::select! {
        named = named(&args) => named?,
        () = client::interrupted() => return Err(Failure::interrupted()),
    };
    if args.seed && named.content.is_none() {
        return Err(Failure::new(
            "--seed is for files and folders; for a torrent use `anatomic seed X --from DIR`",
        ));
    }
    let identity = planter_key(args.data.as_deref())?;
    let supernodes = supernodes(&args, &named);
    let wish = Wish {
        subject: named.subject,
        nodes: args.nodes.map_or(DEFAULT_NODES, usize::from),
        supernodes,
        listing: if args.unlisted { Listing::Unlisted } else { Listing::Listed },
        prefer,
    };
    let first = wish.supernodes.first().cloned().unwrap_or_default();
    // On stderr: standard output is for the link.
    let planting = planter::plant(wish, identity, |step| eprintln!("{step}"));
    let outcome = tokio::select! {
        outcome = planting => outcome.map_err(Failure::new)?,
        () = client::interrupted() => return Err(Failure::interrupted()),
    };
    known::remember(outcome.supernodes.iter().map(|url| (url.as_str(), true)), args.data.as_deref());
    let printed = print(&args, &outcome, &first)?;
    let Some(content) = named.content else { return Ok(()) };
    if !args.seed {
        eprintln!(
            "nobody seeds it yet: anatomic seed {} --from {}",
            quoted(&printed.torrent),
            quoted(&content.display().to_string())
        );
        return Ok(());
    }
    let (json, dht) = (args.json, args.dht);
    let options =
        client::Options { listen: None, no_webrtc: false, no_utp: false, upload_limit: None, json, dht };
    seed::run(seed::Args { source: printed.torrent, from: content, options }).await
}

/// Finds out what was named; content is hashed.
async fn named(args: &Args) -> Result<Named, Failure> {
    let text = args.source.as_deref().unwrap_or_default();
    let path = Path::new(text);
    let is_torrent = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    if path.exists() && (path.is_dir() || !is_torrent) {
        let metainfo = hash(path).await?;
        let subject = Subject::Torrent(Box::new(metainfo));
        return Ok(Named { subject, content: Some(path.to_owned()), supernodes: Vec::new() });
    }
    let supernodes = match Link::parse(text) {
        Ok(Link::Short { origin, .. }) => vec![origin],
        Ok(link) => link.magnet().map_or_else(Vec::new, |magnet| magnet.supernodes),
        Err(_) => Vec::new(),
    };
    let subject = match source::torrent(text).await? {
        TorrentSource::Metainfo(metainfo) => Subject::Torrent(Box::new((*metainfo).clone())),
        TorrentSource::Magnet(magnet) => Subject::Magnet(magnet),
    };
    Ok(Named { subject, content: None, supernodes })
}

async fn hash(path: &Path) -> Result<Metainfo, Failure> {
    let path = path.to_owned();
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("hashing {wide_bar} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(0).with_style(style)
    });
    let hashed = tokio::task::spawn_blocking(move || {
        let options = Options {
            created_by: Some(crate::http::about::SOFTWARE.replace('/', " ")),
            ..Options::default()
        };
        let metainfo = Content::find(&[path], None, options)?.hash(|done, of| {
            if let Some(bar) = &bar {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(format!("{} of {}", Percent { done, of }, Size(of)));
            }
            Flow::Continue
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        metainfo
    });
    hashed.await.map_err(Failure::new)?.map_err(Failure::new)
}

pub(super) fn planter_key(data: Option<&Path>) -> Result<Identity, Failure> {
    let folder = match data {
        Some(folder) => folder.to_owned(),
        None => files::default_folder().map_err(Failure::new)?,
    };
    let path = folder.join("planter.key");
    identity::load_or_create(&path).map_err(|error| {
        Failure::new(format!("cannot read or make the planter's key {}: {error}", path.display()))
    })
}

fn supernodes(args: &Args, named: &Named) -> Vec<String> {
    known::supernodes(&args.supernode, &named.supernodes, args.data.as_deref())
}

/// What was printed and is of further use.
struct Printed {
    /// Path or address of the planted torrent.
    torrent: String,
}

fn print(args: &Args, outcome: &Outcome, first: &str) -> Result<Printed, Failure> {
    let supernode = outcome.supernodes.first().map_or(first, String::as_str);
    let link = PlantedLink { origin: supernode.to_owned(), magnet: outcome.magnet.clone() };
    let torrent = match (&args.output, &outcome.torrent) {
        (Some(path), Some(metainfo)) => {
            files::write(path, &metainfo.to_torrent(), files::Access::Default).map_err(|error| {
                Failure::new(format!("planted, but {} cannot be written: {error}", path.display()))
            })?;
            path.display().to_string()
        }
        (Some(path), None) => {
            return Err(Failure::new(format!(
                "planted as {link}, but {} was not written: a magnet's torrent is known only once a node has found a peer",
                path.display()
            )));
        }
        (None, _) => format!("{supernode}{}/{}.torrent", paths::TORRENTS, outcome.magnet.info_hash),
    };
    if args.json {
        let nodes: Vec<&str> = outcome.nodes.iter().map(|node| node.url.as_str()).collect();
        say_json(&json!({
            "link": link.to_string(),
            "short": link.short(),
            "magnet": outcome.magnet.to_string(),
            "torrent": torrent,
            "info_hash": outcome.magnet.info_hash.to_string(),
            "nodes": nodes,
            "supernodes": outcome.supernodes,
        }));
    } else {
        say(&link.to_string());
    }
    Ok(Printed { torrent })
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
