//! `anatomic get`: downloads a torrent, verifies it, and ends.
//!
//! The downloading is the engine's and the driver's; here are the options, the progress and the end.

use super::client::{self, Options};
use super::progress::Progress;
use super::{Failure, source};
use crate::driver::{Handle, Open};
use anatomic_core::human::{Size, Span, Speed};
use anatomic_core::metainfo::{FileKind, Metainfo};
use anatomic_engine::{Event, Limits, PickOrder, Priority, State, TorrentKey, TorrentSource, TorrentView};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;

/// Arguments of `anatomic get`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Planted link, magnet, info-hash, .torrent file or its address
    #[arg(value_name = "X")]
    pub source: String,
    /// Folder to download into; what is there already is kept and checked
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Send nothing to others while downloading
    #[arg(long)]
    pub no_seed: bool,
    /// Fetch from the beginning to the end, for looking at it while it comes
    #[arg(long)]
    pub sequential: bool,
    /// Fetch only these files, counted from 1 in the order of `anatomic inspect`: `1,3,5-7`
    #[arg(long, value_name = "FILES", value_parser = files)]
    pub select: Option<Numbers>,
    /// Receive at most so many bytes a second (`500k`, `2M`)
    #[arg(long, value_name = "RATE", value_parser = client::rate)]
    pub download_limit: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs)]
    pub options: Options,
}

/// Numbers of files, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(Vec<std::ops::RangeInclusive<usize>>);

/// Runs the command.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut progress = Progress::new(args.options.json);
    let source = tokio::select! {
        source = source::torrent(&args.source) => source?,
        () = client::interrupted() => return Err(Failure::interrupted()),
    };
    if let (Some(numbers), TorrentSource::Metainfo(metainfo)) = (&args.select, &source) {
        // Before a folder is made.
        selection(numbers, metainfo)?;
    }
    std::fs::create_dir_all(&args.output)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", args.output.display())))?;
    let upload = if args.no_seed { Some(0) } else { args.options.upload_limit };
    let limits = Limits { download: args.download_limit, upload };
    let handle = client::start(&args.options, limits).await?;
    let result = client::until_interrupted(&handle, download(&handle, &args, source, &mut progress)).await;
    progress.end();
    match &result {
        Ok(done) => progress.tell(
            &format!(
                "{}: complete, {} in {} ({}), in {}",
                done.name,
                Size(done.bytes),
                Span(done.time),
                Speed(done.speed()),
                args.output.display()
            ),
            &json!({
                "event": "complete",
                "info_hash": done.info_hash,
                "name": done.name,
                "length": done.bytes,
                "downloaded": done.downloaded,
                "seconds": done.time.as_secs_f64(),
                "path": args.output.join(&done.name),
            }),
        ),
        Err(failure) if args.options.json => {
            progress.tell("", &json!({"event": "error", "reason": failure.reason}));
        }
        Err(_) => {}
    }
    result.map(|_| ())
}

/// A download that came to its end.
struct Complete {
    name: String,
    info_hash: String,
    bytes: u64,
    downloaded: u64,
    time: Duration,
}

impl Complete {
    fn speed(&self) -> u64 {
        let micros = self.time.as_micros().max(1);
        u64::try_from(u128::from(self.downloaded) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

async fn download(
    handle: &Handle,
    args: &Args,
    source: TorrentSource,
    progress: &mut Progress,
) -> Result<Complete, Failure> {
    let start = Instant::now();
    let mut events = handle.events();
    let chosen = match (&args.select, &source) {
        (Some(numbers), TorrentSource::Metainfo(metainfo)) => selection(numbers, metainfo)?,
        // All, or what the magnet says.
        _ => Vec::new(),
    };
    let order = if args.sequential { PickOrder::Sequential } else { PickOrder::RarestFirst };
    let open = Open { source, root: args.output.clone(), order, selection: Some(chosen) };
    let torrent = handle.open(open).await.map_err(Failure::new)?;
    let before = handle.view(torrent).await.map_or(0, |view| view.counters.downloaded);
    let mut announced = false;
    let mut tick = tokio::time::interval(progress.every());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let look = tokio::select! {
            _ = tick.tick() => true,
            event = events.recv() => match event {
                Ok((_, Event::Error(reason))) => return Err(Failure::new(reason)),
                Ok((_, Event::Warning(reason))) => {
                    client::warn(progress, &reason);
                    false
                }
                Ok((_, Event::PeerBanned { reason, .. })) => {
                    client::warn(progress, &format!("a peer was banned: {reason}"));
                    false
                }
                Ok((_, Event::MetadataReady | Event::Complete | Event::StateChanged(_))) => true,
                Ok(_) => false,
                // What was missed is in the view.
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return Err(Failure::new("the session ended by itself")),
            },
        };
        if !look {
            continue;
        }
        let view = handle.view(torrent).await.ok_or_else(|| Failure::new("the session ended by itself"))?;
        if let (false, Some(metainfo)) = (announced, &view.metainfo) {
            announced = true;
            describe(progress, &view, metainfo);
            if let Some(numbers) = &args.select {
                select(handle, torrent, selection(numbers, metainfo)?).await;
                continue;
            }
        }
        progress.show(&view);
        if view.state == State::Error {
            return Err(Failure::new(view.error.unwrap_or_else(|| "the torrent stopped".to_owned())));
        }
        if is_complete(&view) {
            return Ok(Complete {
                name: view.name,
                info_hash: view.info_hash.to_string(),
                bytes: view.wanted,
                downloaded: view.counters.downloaded.saturating_sub(before),
                time: start.elapsed(),
            });
        }
    }
}

/// Everything wanted is verified and stored.
fn is_complete(view: &TorrentView) -> bool {
    view.state == State::Seeding && view.have.is_some() && view.have == view.stored
}

fn describe(progress: &Progress, view: &TorrentView, metainfo: &Metainfo) {
    let files = metainfo.files().iter().filter(|file| file.kind == FileKind::Content).count();
    let length = metainfo.geometry().length();
    let line =
        format!("{}: {} in {files} {}", view.name, Size(length), if files == 1 { "file" } else { "files" });
    let object = json!({
        "event": "metadata",
        "info_hash": view.info_hash.to_string(),
        "name": view.name,
        "length": length,
        "files": files,
        "pieces": metainfo.geometry().pieces(),
        "piece_length": metainfo.geometry().piece_length(),
    });
    progress.tell(&line, &object);
}

async fn select(handle: &Handle, torrent: TorrentKey, selection: Vec<Priority>) {
    handle
        .with(move |session| {
            let now = session.now();
            session.engine.select_files(now, torrent, &selection);
        })
        .await;
}

/// The priorities of all files, when only some are wanted.
fn selection(numbers: &Numbers, metainfo: &Metainfo) -> Result<Vec<Priority>, Failure> {
    let mut count = 0;
    let priorities: Vec<_> = metainfo
        .files()
        .iter()
        .map(|file| {
            if file.kind == FileKind::Pad {
                return Priority::SKIP;
            }
            count += 1;
            if numbers.0.iter().any(|range| range.contains(&count)) {
                Priority::NORMAL
            } else {
                Priority::SKIP
            }
        })
        .collect();
    match numbers.0.iter().find(|range| *range.end() > count) {
        Some(range) => Err(Failure::new(format!(
            "there is no file {}: the torrent has {count}; `anatomic inspect` lists them",
            range.end()
        ))),
        None => Ok(priorities),
    }
}

fn files(text: &str) -> Result<Numbers, String> {
    let wrong = || "numbers of files are wanted, counted from 1, such as 1,3,5-7".to_owned();
    let number =
        |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number > 0).ok_or_else(wrong);
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to)?);
            if from <= to { Ok(from..=to) } else { Err(wrong()) }
        }
        None => number(part).map(|number| number..=number),
    };
    text.split(',').map(range).collect::<Result<_, _>>().map(Numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_chosen_by_number_and_range() {
        assert_eq!(files("1,3,5-7"), Ok(Numbers(vec![1..=1, 3..=3, 5..=7])));
        for wrong in ["", "0", "a", "3-1", "1,,2", "-1"] {
            assert!(files(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [("500", 500), ("500k", 500_000), ("2M", 2_000_000), ("1 GB/s", 1_000_000_000)] {
            assert_eq!(client::rate(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "k", "-1", "1.5x", "99999999999G"] {
            assert!(client::rate(wrong).is_err(), "{wrong}");
        }
    }
}
