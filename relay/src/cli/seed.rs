//! `anatomic seed`: gives others what lies in a folder.
//!
//! Fetches nothing and changes no file: what is missing or damaged is not offered, and that is said.

use super::client::{self, Options};
use super::progress::Progress;
use super::{Failure, source};
use crate::driver::{Handle, Open};
use anatomic_core::human::Percent;
use anatomic_core::metainfo::Metainfo;
use anatomic_engine::{Event, Limits, PickOrder, Priority, State, TorrentSource, TorrentView};
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::sync::broadcast::error::RecvError;

/// Arguments of `anatomic seed`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Planted link, magnet, info-hash, .torrent file or its address
    #[arg(value_name = "X")]
    pub source: String,
    /// Where the data are: the folder that holds them, or the data themselves
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs)]
    pub options: Options,
}

/// Runs the command, until it is interrupted.
///
/// # Errors
/// What failed, in one line.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut progress = Progress::new(args.options.json);
    let source = tokio::select! {
        source = source::torrent(&args.source) => source?,
        () = client::interrupted() => return Ok(()),
    };
    let root = root(&args.from, &source)?;
    let limits = Limits { download: None, upload: args.options.upload_limit };
    let handle = client::start(&args.options, limits).await?;
    let mut counted = false;
    let result =
        client::until_interrupted(&handle, seed(&handle, source, root, &mut progress, &mut counted)).await;
    progress.end();
    match result {
        // Seeding has no other end.
        Err(failure) if failure.code == Failure::interrupted().code && counted => Ok(()),
        Err(failure) => {
            if args.options.json {
                progress.tell("", &json!({"event": "error", "reason": failure.reason}));
            }
            Err(failure)
        }
        Ok(()) => Ok(()),
    }
}

/// The folder below which the torrent's paths lie, whichever of the two the person named.
fn root(from: &Path, source: &TorrentSource) -> Result<PathBuf, Failure> {
    if !from.exists() {
        return Err(Failure::new(format!("{} is not there", from.display())));
    }
    let name = match source {
        TorrentSource::Metainfo(metainfo) => Some(metainfo.name().to_owned()),
        TorrentSource::Magnet(magnet) => magnet.name.clone(),
    };
    let is_named =
        name.as_ref().is_some_and(|name| from.file_name().is_some_and(|last| last == name.as_str()));
    let holds_it = name.as_ref().is_some_and(|name| from.is_dir() && from.join(name).exists());
    if (is_named && !holds_it) || from.is_file() {
        let parent = from.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Ok(parent.unwrap_or(Path::new(".")).to_owned());
    }
    if let (TorrentSource::Metainfo(_), Some(name), false) = (source, &name, holds_it) {
        return Err(Failure::new(format!("there is no {name} in {}", from.display())));
    }
    Ok(from.to_owned())
}

async fn seed(
    handle: &Handle,
    source: TorrentSource,
    root: PathBuf,
    progress: &mut Progress,
    counted: &mut bool,
) -> Result<(), Failure> {
    let mut events = handle.events();
    // Nothing is wanted, so nothing is fetched and no file is written.
    let selection = match &source {
        TorrentSource::Metainfo(metainfo) => Some(nothing(metainfo)),
        // Said as soon as the metadata is there; until everything is checked nothing is fetched.
        TorrentSource::Magnet(_) => None,
    };
    let open = Open { source, root: root.clone(), order: PickOrder::RarestFirst, selection };
    let torrent = handle.open(open).await.map_err(Failure::new)?;
    let mut tick = tokio::time::interval(progress.every());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            event = events.recv() => match event {
                Ok((_, Event::Error(reason))) => return Err(Failure::new(reason)),
                Ok((_, Event::Warning(reason))) => client::warn(progress, &reason),
                Ok((_, Event::MetadataReady)) => {
                    handle
                        .with(move |session| {
                            let now = session.now();
                            let metainfo = session.engine.view(torrent).and_then(|view| view.metainfo);
                            if let Some(metainfo) = metainfo {
                                session.engine.select_files(now, torrent, &nothing(&metainfo));
                            }
                        })
                        .await;
                }
                Ok((_, Event::StateChanged(_))) | Err(RecvError::Lagged(_)) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => return Err(Failure::new("the session ended by itself")),
            },
        }
        let view = handle.view(torrent).await.ok_or_else(|| Failure::new("the session ended by itself"))?;
        if !*counted && matches!(view.state, State::Seeding | State::Downloading) {
            *counted = true;
            count(progress, &view, &root)?;
        }
        progress.show(&view);
    }
}

/// Priorities by which no file is wanted.
fn nothing(metainfo: &Metainfo) -> Vec<Priority> {
    vec![Priority::SKIP; metainfo.files().len()]
}

/// Says how much is there to be given.
fn count(progress: &Progress, view: &TorrentView, root: &Path) -> Result<(), Failure> {
    let Some(have) = &view.have else { return Ok(()) };
    if have.is_empty() && have.pieces() > 0 {
        return Err(Failure::new(format!("nothing of {} is in {}", view.name, root.display())));
    }
    let percent = Percent { done: have.count().into(), of: have.pieces().into() };
    let line = if have.is_full() {
        format!("{}: complete, seeding", view.name)
    } else {
        format!("{}: only {percent} is there; seeding that", view.name)
    };
    let object = json!({
        "event": "seeding",
        "info_hash": view.info_hash.to_string(),
        "name": view.name,
        "pieces": have.pieces(),
        "have": have.count(),
    });
    progress.tell(&line, &object);
    Ok(())
}
