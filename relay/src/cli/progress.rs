//! How a long command tells how far it is: a bar on a terminal, plain lines when piped, JSON lines on request.
//!
//! Only shows; what is shown is the command's.

use anatomic_core::human::{Percent, Size, Span, Speed, time_left};
use anatomic_engine::{State, TorrentView, Transport};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a bar moves.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// How often JSON tells the progress.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// How often a plain line does.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Where progress goes.
#[derive(Debug)]
pub enum Progress {
    /// A bar on stderr.
    Bar(ProgressBar),
    /// Lines on stdout; the last one, and when it came.
    Plain(Option<(Instant, String)>),
    /// JSON lines on stdout.
    Json,
}

impl Progress {
    /// JSON if asked for, a bar if a person is looking, else lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !std::io::stderr().is_terminal() || !std::io::stdout().is_terminal() {
            return Self::Plain(None);
        }
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar:.cyan/dim} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self::Bar(bar)
    }

    /// How often [`Self::show`] is worth calling.
    #[must_use]
    pub const fn every(&self) -> Duration {
        match self {
            Self::Bar(_) => BAR_EVERY,
            Self::Plain(_) | Self::Json => JSON_EVERY,
        }
    }

    /// Shows where a torrent stands.
    pub fn show(&mut self, view: &TorrentView) {
        match self {
            Self::Bar(bar) => {
                let (done, of) = shown(view);
                bar.set_length(of.max(1));
                bar.set_position(done);
                bar.set_prefix(short(&view.name));
                bar.set_message(line(view));
            }
            Self::Plain(last) => say_now_and_then(last, || format!("{}: {}", view.name, line(view))),
            Self::Json => {
                let [tcp, utp, webrtc] = peers(view);
                say_json(&json!({
                    "event": "progress",
                    "info_hash": view.info_hash.to_string(),
                    "state": view.state.as_str(),
                    "progress": view.progress(),
                    "checked": view.checked.map(|(done, of)| json!({"done": done, "of": of})),
                    "done": view.done,
                    "wanted": view.wanted,
                    "download_rate": view.download_rate,
                    "upload_rate": view.upload_rate,
                    "downloaded": view.counters.downloaded,
                    "uploaded": view.counters.uploaded,
                    "peers": {"tcp": tcp, "utp": utp, "webrtc": webrtc},
                    "time_left": view.time_left().map(|left| left.as_secs()),
                }));
            }
        }
    }

    /// Shows how far a task on this machine is (`hashing`): so many bytes done, of how many, how fast by now.
    pub fn show_task(&mut self, task: &str, done: u64, of: u64, started: Instant) {
        let micros = started.elapsed().as_micros().max(1);
        let rate = u64::try_from(u128::from(done) * 1_000_000 / micros).unwrap_or(u64::MAX);
        let left = time_left(of.saturating_sub(done), rate).filter(|left| !left.is_zero());
        let left_text = left.map(|left| format!(", {} left", Span(left))).unwrap_or_default();
        let text = format!("{} of {} at {}{left_text}", Percent { done, of }, Size(of), Speed(rate));
        match self {
            Self::Bar(bar) => {
                bar.set_length(of.max(1));
                bar.set_position(done);
                bar.set_prefix(task.to_owned());
                bar.set_message(text);
            }
            Self::Plain(last) => say_now_and_then(last, || format!("{task}: {text}")),
            Self::Json => say_json(&json!({
                "event": "progress",
                "task": task,
                "done": done,
                "wanted": of,
                "rate": rate,
                "time_left": left.map(|left| left.as_secs()),
            })),
        }
    }

    /// Tells of something that happened: as JSON the object, else the line.
    pub fn tell(&self, line: &str, object: &Value) {
        match self {
            Self::Bar(bar) => bar.println(line),
            Self::Plain(_) => say(line),
            Self::Json => say_json(object),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Prints a line if the last one is old, and says something else: a log is not filled with what has not changed.
fn say_now_and_then(last: &mut Option<(Instant, String)>, line: impl FnOnce() -> String) {
    if last.as_ref().is_some_and(|(at, _)| at.elapsed() < PLAIN_EVERY) {
        return;
    }
    let line = line();
    if last.as_ref().is_none_or(|(_, said)| *said != line) {
        say(&line);
    }
    *last = Some((Instant::now(), line));
}

/// Bytes shown as done, and of how many: hashed ones while checking.
fn shown(view: &TorrentView) -> (u64, u64) {
    match (view.state, view.checked) {
        (State::Checking, Some((done, of))) => (done.into(), of.into()),
        _ => (view.done, view.wanted),
    }
}

/// Peers over TCP, over uTP, and over data channels.
fn peers(view: &TorrentView) -> [usize; 3] {
    [Transport::Tcp, Transport::Utp, Transport::WebRtc]
        .map(|kind| view.peers.iter().filter(|peer| peer.transport == kind).count())
}

fn line(view: &TorrentView) -> String {
    let (done, of) = shown(view);
    let percent = Percent { done, of };
    let counts = peers(view).into_iter().zip(["TCP", "uTP", "WebRTC"]).filter(|(count, _)| *count > 0);
    let kinds: Vec<String> = counts.map(|(count, kind)| format!("{count} {kind}")).collect();
    let peers = if kinds.is_empty() { "no peers yet".to_owned() } else { kinds.join(" + ") };
    match view.state {
        State::Metadata => format!("asking for the metadata, {peers}"),
        State::Checking => format!("checking what is there, {percent}"),
        State::Seeding => {
            format!("seeding at {}, {} sent, {peers}", Speed(view.upload_rate), Size(view.counters.uploaded))
        }
        _ => {
            let left = view.time_left().filter(|left| !left.is_zero());
            let left = left.map(|left| format!(", {} left", Span(left))).unwrap_or_default();
            format!("{percent} of {} at {}, {peers}{left}", Size(view.wanted), Speed(view.download_rate))
        }
    }
}

/// A name that leaves room for the bar.
fn short(name: &str) -> String {
    if name.chars().count() <= 32 { name.to_owned() } else { name.chars().take(31).chain(['…']).collect() }
}

/// Prints a line on stdout. A reader that went away is no reason to stop.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints an object as one line on stdout.
pub fn say_json(object: &Value) {
    say(&object.to_string());
}
