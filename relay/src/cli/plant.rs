//! `anatomic plant`: plants files, a torrent or a magnet on the network and prints the planted link.
//!
//! Flags and output; the steps are [`crate::planter`]'s. Content is hashed and planted, and seeded where that is asked for.

use super::progress::{say, say_json};
use super::{Failure, client, seed, source};
use crate::content::{Content, Flow};
use crate::node::{files, identity};
use crate::planter;
use anatomic_core::create::Options;
use anatomic_core::human::{Percent, Size};
use anatomic_core::{Link, Metainfo};
use anatomic_engine::TorrentSource;
use anatomic_mesh::api::paths;
use anatomic_mesh::planter::{DEFAULT_NODES, MAX_NODES, Outcome, Subject, Wish};
use anatomic_mesh::{Identity, Listing, PlantedLink};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// The supernode that `anatomic up` starts.
const DEFAULT_SUPERNODE: &str = "http://127.0.0.1:4080";

/// Arguments of `anatomic plant`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File, folder, .torrent file, magnet or link
    #[arg(value_name = "X")]
    source: String,
    /// Supernode to ask; may be given several times [default: those of the link, else http://127.0.0.1:4080]
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
        prefer: Vec::new(),
    };
    let first = wish.supernodes.first().cloned().unwrap_or_default();
    // On stderr: standard output is for the link.
    let planting = planter::plant(wish, identity, |step| eprintln!("{step}"));
    let outcome = tokio::select! {
        outcome = planting => outcome.map_err(Failure::new)?,
        () = client::interrupted() => return Err(Failure::interrupted()),
    };
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
    let options = client::Options { listen: None, no_webrtc: false, upload_limit: None, json: args.json };
    seed::run(seed::Args { source: printed.torrent, from: content, options }).await
}

/// Finds out what was named; content is hashed.
async fn named(args: &Args) -> Result<Named, Failure> {
    let path = Path::new(&args.source);
    let is_torrent = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    if path.exists() && (path.is_dir() || !is_torrent) {
        let metainfo = hash(path).await?;
        let subject = Subject::Torrent(Box::new(metainfo));
        return Ok(Named { subject, content: Some(path.to_owned()), supernodes: Vec::new() });
    }
    let supernodes = match Link::parse(&args.source) {
        Ok(Link::Short { origin, .. }) => vec![origin],
        Ok(link) => link.magnet().map_or_else(Vec::new, |magnet| magnet.supernodes),
        Err(_) => Vec::new(),
    };
    let subject = match source::torrent(&args.source).await? {
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

fn planter_key(data: Option<&Path>) -> Result<Identity, Failure> {
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
    let mut all = args.supernode.clone();
    if all.is_empty() {
        all.clone_from(&named.supernodes);
    }
    if all.is_empty() {
        all.push(DEFAULT_SUPERNODE.into());
    }
    all.iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
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
