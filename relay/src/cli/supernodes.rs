//! `anatomic supernodes [update|add|remove]`: the list of supernodes that this person's programs ask.
//!
//! Only output; the list is [`super::known`]'s.

use super::known::{self, Known};
use super::progress::{say, say_json};
use super::{Failure, client};
use crate::node::clock;
use anatomic_core::human::Span;
use clap::Subcommand;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `anatomic supernodes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Folder with the list
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA", global = true)]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

/// What to do with the list.
#[derive(Debug, Subcommand)]
enum What {
    /// Ask all known ones who answers and whom they know
    Update,
    /// Add supernodes
    Add {
        /// Scheme and host, `https://host[:port]`
        #[arg(required = true)]
        urls: Vec<String>,
    },
    /// Remove supernodes
    Remove {
        /// Scheme and host, as listed
        #[arg(required = true)]
        urls: Vec<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let data = args.data.as_deref();
    let mut list = Known::load(data)?;
    match args.what {
        None => {}
        Some(What::Update) => {
            let client = known::client()?;
            let answered = tokio::select! {
                answered = list.update(&client) => answered,
                () = client::interrupted() => return Err(Failure::interrupted()),
            };
            list.save(data)?;
            if answered == 0 {
                return Err(Failure::new(
                    "no supernode answers; add one with `anatomic supernodes add https://host`",
                ));
            }
        }
        Some(What::Add { urls }) => {
            for url in &urls {
                if !(url.starts_with("http://") || url.starts_with("https://")) {
                    return Err(Failure::new(format!("{url}: write it as https://host[:port]")));
                }
                list.add(url);
            }
            list.save(data)?;
        }
        Some(What::Remove { urls }) => {
            for url in &urls {
                let url = url.trim_end_matches('/');
                let before = list.supernodes.len();
                list.supernodes.retain(|entry| entry.url != url);
                if list.supernodes.len() == before {
                    return Err(Failure::new(format!("{url} is not in the list")));
                }
            }
            list.save(data)?;
        }
    }
    if args.json {
        say_json(&serde_json::json!(list));
        return Ok(());
    }
    for entry in &list.supernodes {
        let freshness = match entry.answered {
            Some(at) => {
                let age = Span(Duration::from_secs(clock::now().0.saturating_sub(at.0)));
                format!("answered {age} ago")
            }
            None => "not asked yet, or never answered".to_owned(),
        };
        say(&format!("{}  {freshness}", entry.url));
    }
    Ok(())
}
