//! `anatomic search WORDS`: asks several supernodes at once and merges what they find.
//!
//! How they find it is theirs; who answered is remembered.

use super::known;
use super::progress::{say, say_json};
use super::{Failure, client};
use crate::node::client as http;
use anatomic_core::human::{Size, Span};
use anatomic_mesh::api::{self, Found, Hit, paths};
use futures_util::future::join_all;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `anatomic search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Words that name and files of the torrent have, all of them
    #[arg(value_name = "WORDS", required = true)]
    words: Vec<String>,
    /// Supernode to ask; may be given several times [default: those that are known]
    #[arg(long, value_name = "URL", env = "ANATOMIC_SUPERNODE", value_delimiter = ',')]
    supernode: Vec<String>,
    /// At most so many torrents
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Folder with the list of supernodes
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA")]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When no supernode answers.
pub async fn run(args: Args) -> Result<(), Failure> {
    let supernodes = known::supernodes(&args.supernode, &[], args.data.as_deref());
    let web = known::client()?;
    let query = args.words.join(" ");
    let asked = supernodes.iter().map(|url| {
        let limit = args.limit.clamp(1, 100).to_string();
        let address = reqwest::Url::parse_with_params(
            &format!("{url}{}", paths::SEARCH),
            [("q", query.as_str()), ("limit", &limit)],
        );
        let web = web.clone();
        async move {
            match address {
                Ok(address) => http::ask::<Found>(web.get(address)).await,
                Err(error) => Err(error.to_string()),
            }
        }
    });
    let answers = tokio::select! {
        answers = join_all(asked) => answers,
        () = client::interrupted() => return Err(Failure::interrupted()),
    };
    let results = supernodes.iter().map(String::as_str).zip(answers.iter().map(Result::is_ok));
    known::remember(results, args.data.as_deref());
    if answers.iter().all(Result::is_err) {
        let reasons = supernodes
            .iter()
            .zip(&answers)
            .filter_map(|(url, answer)| Some(format!("{url} {}", answer.as_ref().err()?)));
        return Err(Failure::new(format!(
            "no supernode answers: {}",
            reasons.collect::<Vec<_>>().join("; ")
        )));
    }
    let found = supernodes.iter().zip(answers).filter_map(|(url, answer)| Some((url, answer.ok()?)));
    let hits = api::merge(found.map(|(url, found)| (url.as_str(), found.hits)), args.limit);
    if args.json {
        let link = |url: &str, hit: &Hit| format!("{url}/t/{}", hit.info_hash);
        let hits: Vec<_> = hits
            .iter()
            .map(|(url, hit)| {
                let mut value = serde_json::json!(hit);
                if let Some(object) = value.as_object_mut() {
                    object.insert("link".into(), link(url, hit).into());
                }
                value
            })
            .collect();
        say_json(&serde_json::json!({"hits": hits}));
        return Ok(());
    }
    if hits.is_empty() {
        eprintln!("nothing found");
    }
    for (url, hit) in hits {
        let name = hit.name.as_deref().unwrap_or("(no name)").replace(char::is_control, " ");
        let size = hit.length.map_or_else(String::new, |length| format!(", {}", Size(length)));
        let seeds = hit.tabs.seeds.saturating_add(hit.classic.seeds);
        let life = match hit.seed_seen {
            Some(age) => format!("{seeds} seed(s), proven {} ago", Span(Duration::from_secs(age))),
            None => "no seed yet".to_owned(),
        };
        say(&format!("{name}{size}, {life}\n    {url}/t/{}", hit.info_hash));
    }
    Ok(())
}
