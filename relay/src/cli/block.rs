//! `anatomic block add|remove|list`: which torrents this host does not serve.
//!
//! Writes the list in the data folder; a running process takes it in within a second.

use super::Failure;
use super::progress::{say, say_json};
use crate::node::blocks::OwnList;
use crate::node::files;
use anatomic_core::Link;
use anatomic_mesh::blocks::Blocked;
use clap::Subcommand;
use std::path::PathBuf;

/// Arguments of `anatomic block`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Data folder of the node, supernode or both [default: that of `anatomic up`]
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA", global = true)]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum What {
    /// Serve these no more: info-hashes, magnets, links, or entries of a block list (64 digits)
    Add {
        /// What to block
        #[arg(value_name = "X", required = true)]
        torrents: Vec<String>,
    },
    /// Serve these again
    Remove {
        /// What to allow
        #[arg(value_name = "X", required = true)]
        torrents: Vec<String>,
    },
    /// Show the entries
    List,
}

fn entry(text: &str) -> Result<Blocked, Failure> {
    if let Ok(entry) = text.parse() {
        return Ok(entry);
    }
    let info_hash = match Link::parse(text) {
        Ok(Link::Short { info_hash, .. }) => Some(info_hash),
        Ok(link) => link.magnet().map(|magnet| magnet.info_hash),
        Err(_) => None,
    };
    info_hash.as_ref().map(Blocked::of).ok_or_else(|| {
        Failure::new(format!("{text}: neither an info-hash, magnet, link nor an entry of a block list"))
    })
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let folder = match args.data {
        Some(folder) => folder,
        None => files::default_folder().map_err(Failure::new)?.join("up"),
    };
    let cannot = |error: std::io::Error| {
        Failure::new(format!("the block list {}: {error}", OwnList::path(&folder).display()))
    };
    let mut list = OwnList::load(&folder).map_err(cannot)?;
    let before = list.entries.clone();
    match args.what {
        What::Add { torrents } => {
            for text in &torrents {
                list.entries.insert(entry(text)?);
            }
        }
        What::Remove { torrents } => {
            for text in &torrents {
                list.entries.remove(&entry(text)?);
            }
        }
        What::List => {}
    }
    if list.entries != before {
        list.save(&folder).map_err(cannot)?;
    }
    if args.json {
        say_json(&serde_json::json!(list));
    } else {
        list.entries.iter().for_each(|entry| say(&entry.to_string()));
    }
    Ok(())
}
