//! One torrent: what it does, and what can be done with it.
//!
//! Its attributes (`data-info-hash`, `data-state`, `data-progress`, `data-link`) are what scripts read.

use super::{Files, Link, Remove, Shape, explanation, health, icon, peers, pieces};
use crate::hooks::App;
use crate::protocol::Command;
use crate::protocol::view::{self, State, TrackerStatus};
use crate::state::{Action, words};
use yew::prelude::*;

/// Draws the torrent.
pub fn torrent(app: &App, torrent: &view::Torrent) -> Html {
    let progress = &torrent.progress;
    let open = !app.folded.contains(&torrent.id);
    let share = words::thousandths(progress.done, progress.wanted);
    let body = format!("details-{}", torrent.id);
    let toggle = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |_: MouseEvent| app.act(Action::Toggle(id.clone())))
    };
    html! {
        <article key={torrent.id.0.clone()} class="torrent" data-info-hash={torrent.id.0.clone()} data-state={progress.state.word()}
            data-progress={words::progress(progress)} data-link={torrent.link.clone()} aria-label={torrent.name.clone()}>
            <header>
                <h2>
                    <button class="plain name" type="button" aria-expanded={open.to_string()} aria-controls={body.clone()} onclick={toggle}>
                        { icon(Shape::Fold) }<span>{ &torrent.name }</span>
                    </button>
                </h2>
                <span class="percent">{ if progress.wanted > 0 { words::percent(progress.done, progress.wanted) } else { String::new() } }</span>
                { actions(app, torrent) }
            </header>
            <div class="bar" role="progressbar" aria-label={format!("Progress of {}", torrent.name)} aria-valuemin="0" aria-valuemax="100" aria-valuenow={(share / 10).to_string()}>
                <div style={format!("width:{}.{}%", share / 10, share % 10)}></div>
            </div>
            <p class="summary">{ words::summary(torrent) }</p>
            { explanation(app, torrent) }
            <div class="details" id={body} hidden={!open}>
                if open { { details(app, torrent) } }
            </div>
        </article>
    }
}

fn actions(app: &App, torrent: &view::Torrent) -> Html {
    let wish = |command: Command| {
        let app = app.clone();
        Callback::from(move |_: MouseEvent| app.wish(command.clone()))
    };
    let id = || torrent.id.clone();
    let (label, shape, command) = match torrent.progress.state {
        State::Paused | State::Error => ("Resume", Shape::Play, Command::Resume(id())),
        _ => ("Pause", Shape::Pause, Command::Pause(id())),
    };
    html! {
        <div class="actions">
            <button class="plain" type="button" data-testid={label.to_ascii_lowercase()} aria-label={format!("{label} {}", torrent.name)}
                onclick={wish(command)}>{ icon(shape) }<span class="wide">{ label }</span></button>
            <Remove app={app.clone()} id={torrent.id.clone()} name={torrent.name.clone()} />
        </div>
    }
}

fn details(app: &App, torrent: &view::Torrent) -> Html {
    let progress = &torrent.progress;
    let map = progress.map.as_deref().unwrap_or_default();
    html! {
        <>
            if !torrent.link.is_empty() {
                <Link link={torrent.link.clone()} name={torrent.name.clone()} />
            }
            if !torrent.files.is_empty() {
                <Files app={app.clone()} torrent={torrent.clone()} />
            }
            if torrent.pieces > 0 {
                <section>
                    <h3>{ format!("{} of {}", words::counted(torrent.pieces, "piece", "pieces"), words::bytes(torrent.piece_length.into())) }</h3>
                    { pieces(map, torrent.pieces) }
                </section>
            }
            <section>
                <h3>{ match progress.peers.len() { 0 => "Peers".into(), count => words::counted(count as u32, "peer", "peers") } }</h3>
                { peers(&progress.peers) }
            </section>
            if !torrent.private && !torrent.link.is_empty() {
                { health(app, torrent) }
            }
            <details class="facts">
                <summary>{ "Trackers and totals" }</summary>
                <dl>
                    <dt>{ "Info-hash" }</dt><dd><code>{ &torrent.id.0 }</code></dd>
                    <dt>{ "Downloaded" }</dt><dd>{ words::bytes(progress.downloaded) }</dd>
                    <dt>{ "Uploaded" }</dt><dd>{ words::bytes(progress.uploaded) }</dd>
                    if progress.wasted > 0 {
                        <dt>{ "Failed its hash" }</dt><dd>{ words::bytes(progress.wasted) }</dd>
                    }
                    if progress.offers > 0 {
                        <dt>{ "Offers unanswered" }</dt><dd>{ progress.offers }</dd>
                    }
                    { for progress.trackers.iter().map(|tracker| html! {
                        <><dt><code>{ &tracker.url }</code></dt><dd>{ status(&tracker.status) }</dd></>
                    }) }
                </dl>
            </details>
        </>
    }
}

fn status(status: &TrackerStatus) -> String {
    match status {
        TrackerStatus::Unreachable => {
            "for classic clients; a browser cannot speak to it, the node can".into()
        }
        TrackerStatus::Waiting => "waiting for an answer".into(),
        TrackerStatus::Working { seeds, leeches } => format!(
            "works: {}, {}",
            words::counted(*seeds, "seed", "seeds"),
            words::counted(*leeches, "leech", "leeches")
        ),
        TrackerStatus::Failed(reason) => format!("failed: {reason}"),
    }
}
