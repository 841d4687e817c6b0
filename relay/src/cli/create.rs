//! `anatomic create`: makes a torrent from files and folders.
//!
//! The format lives in the core crate, listing and reading in the `content` module; here are flags and progress.

use super::progress::Progress;
use super::{Failure, client};
use crate::content::{Content, ContentError, Flow};
use crate::node::files;
use anatomic_core::create::{Options, Padding, Privacy};
use anatomic_core::human::{Binary, Size};
use anatomic_core::{Magnet, Metainfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `anatomic create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files or folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Where to write the torrent
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Name of the torrent
    #[arg(long)]
    pub name: Option<String>,
    /// Bytes of a piece: a power of two such as 262144, 256K or 1M
    #[arg(long, value_name = "BYTES", value_parser = parse_length)]
    pub piece_length: Option<u32>,
    /// Tracker to announce to; may be given several times, the first is tried first
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub tracker: Vec<String>,
    /// Web seed; may be given several times
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub web_seed: Vec<String>,
    /// Remark for people
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Mark as private (BEP 27)
    #[arg(long)]
    pub private: bool,
    /// Let every file start with a piece, by pad files (BEP 47)
    #[arg(long)]
    pub align: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let options = Options {
        piece_length: args.piece_length,
        padding: if args.align { Padding::Aligned } else { Padding::None },
        privacy: if args.private { Privacy::Private } else { Privacy::Public },
        trackers: args.tracker.iter().map(|url| vec![url.clone()]).collect(),
        web_seeds: args.web_seed.clone(),
        comment: args.comment.clone(),
        created_by: Some(concat!("Anatomic ", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date: None,
    };
    let mut progress = Progress::new(args.json);
    let metainfo = make(args.paths, args.name, options, &mut progress).await?;
    progress.end();
    files::write(&args.output, &metainfo.to_torrent(), files::Access::Default)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", args.output.display())))?;
    report(&metainfo, &args.output, &progress);
    Ok(())
}

/// Makes a torrent on a thread of its own, with progress; Ctrl-C ends it.
///
/// # Errors
/// What failed, in one line.
pub async fn make(
    paths: Vec<PathBuf>,
    name: Option<String>,
    options: Options,
    progress: &mut Progress,
) -> Result<Metainfo, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (report, reports) = tokio::sync::watch::channel((0, 0));
    let (skipped, left_out) = tokio::sync::oneshot::channel();
    let stopped = Arc::clone(&stop);
    let mut work = tokio::task::spawn_blocking(move || {
        let content = Content::find(&paths, name.as_deref(), options)?;
        // Nobody listens any more only when the command has ended.
        let _ = skipped.send(content.left_out.clone());
        content.hash(|done, of| {
            let _ = report.send((done, of));
            if stopped.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue }
        })
    });
    // Not sent if nothing could be found; then the work says why.
    if let Ok(paths) = left_out.await {
        for path in paths {
            client::warn(
                progress,
                &format!("{} is left out: it is a link or no ordinary file", path.display()),
            );
        }
    }
    let started = Instant::now();
    let mut tick = tokio::time::interval(progress.every());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            made = &mut work => {
                let made = made.map_err(|error| Failure::new(format!("hashing ended: {error}")))?;
                return made.map_err(|error| match error {
                    ContentError::Interrupted => Failure::interrupted(),
                    error => Failure::new(error),
                });
            }
            _ = tick.tick() => {
                let (done, of) = *reports.borrow();
                // A speed measured sooner would mislead.
                if started.elapsed() >= Duration::from_millis(300) {
                    progress.show_task("hashing", done, of, started);
                }
            }
            () = client::interrupted() => stop.store(true, Ordering::Relaxed),
        }
    }
}

fn report(metainfo: &Metainfo, output: &Path, progress: &Progress) {
    let geometry = metainfo.geometry();
    let magnet = Magnet::of(metainfo);
    let (size, piece) = (Size(geometry.length()), Binary(u64::from(geometry.piece_length())));
    progress.tell(
        &format!(
            "{}: {size} in {} pieces of {piece}\ninfo-hash {}\nmagnet    {magnet}\ntorrent   {}",
            metainfo.name(),
            geometry.pieces(),
            metainfo.info_hash(),
            output.display()
        ),
        &serde_json::json!({
            "event": "created",
            "torrent": output.display().to_string(),
            "name": metainfo.name(),
            "info_hash_v1": metainfo.info_hash().to_string(),
            "piece_length": geometry.piece_length(),
            "pieces": geometry.pieces(),
            "length": geometry.length(),
            "magnet": magnet.to_string(),
        }),
    );
}

/// Reads `262144`, `256K`, `256KiB`, `1M`.
fn parse_length(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1024,
        "m" | "mib" => 1024 * 1024,
        _ => return Err("use bytes, K or M, such as 262144, 256K or 1M".to_owned()),
    };
    let number: u32 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too long".to_owned())
}

fn parse_url(text: &str) -> Result<String, String> {
    let known = ["http://", "https://", "udp://", "ws://", "wss://"];
    if known.iter().any(|scheme| text.starts_with(scheme)) && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("an address begins with http://, https://, udp://, ws:// or wss://".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_lengths_are_read_with_and_without_unit() {
        for (text, length) in [("262144", 262_144), ("256K", 262_144), ("256 KiB", 262_144), ("1m", 1 << 20)]
        {
            assert_eq!(parse_length(text), Ok(length), "{text}");
        }
        for wrong in ["", "x", "1.5M", "1G", "-1", "99999M"] {
            assert!(parse_length(wrong).is_err(), "{wrong}");
        }
    }
}
