//! How a planted torrent fares on the network, and planting it again or no longer.
//!
//! Asked for when it is unfolded, not before: most people never look.

use super::{Icon, Shape};
use crate::hooks::App;
use crate::protocol::Command;
use crate::protocol::network::{Count, Health as Found, NodeHealth};
use crate::protocol::view::{Planted, Torrent};
use crate::state::words;
use web_sys::HtmlDetailsElement;
use yew::prelude::*;

/// What to draw.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// Whose health.
    pub torrent: Torrent,
}

/// Draws the folded view.
#[function_component]
pub fn Health(props: &Props) -> Html {
    let (app, torrent) = (&props.app, &props.torrent);
    let wish = |command: Command| {
        let app = app.clone();
        Callback::from(move |_: MouseEvent| app.wish(command.clone()))
    };
    let on_toggle = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |event: Event| {
            let details: HtmlDetailsElement = event.target_unchecked_into();
            if details.open() {
                app.wish(Command::AskHealth(id.clone()));
            }
        })
    };
    let health = app.health.iter().find(|health| health.id == torrent.id);
    let asking = torrent.progress.planted == Planted::Asking;
    html! {
        <details class="facts health" data-testid="health" ontoggle={on_toggle}>
            <summary>{ "Health of the link" }</summary>
            <div aria-live="polite">
                { health.map_or_else(|| html! { <p class="hint">{ "Asking the network …" }</p> }, found) }
            </div>
            { steps(app, torrent) }
            <div class="actions">
                <button type="button" data-testid="replant" disabled={asking} onclick={wish(Command::Plant(torrent.id.clone()))}>
                    { if asking { "Planting …" } else { "Plant again" } }
                </button>
                if health.is_some_and(|health| health.ours) {
                    <button type="button" data-testid="unplant" onclick={wish(Command::Unplant(torrent.id.clone()))}>{ "Unplant" }</button>
                }
                <button type="button" data-testid="refresh" onclick={wish(Command::AskHealth(torrent.id.clone()))}>{ "Ask again" }</button>
                if torrent.pieces > 0 {
                    <button type="button" data-testid="torrent-file" onclick={wish(Command::TorrentFile(torrent.id.clone()))}>
                        <Icon shape={Shape::Save} />{ "Torrent file" }
                    </button>
                }
            </div>
        </details>
    }
}

fn found(health: &Found) -> Html {
    if let Some(error) = &health.error {
        return html! { <p class="hint">{ format!("Nothing is known of it: {error}.") }</p> };
    }
    let healthy = health.nodes.iter().filter(|node| node.healthy).count();
    html! {
        <>
            <p>{ format!("Held by {healthy} of {}.", words::counted(health.nodes.len() as u32, "node", "nodes")) }</p>
            <ul class="nodes">{ for health.nodes.iter().map(node) }</ul>
            <dl>
                <dt>{ "Browsers" }</dt><dd>{ counts(health.tabs) }</dd>
                <dt>{ "Classic clients" }</dt><dd>{ counts(health.classic) }</dd>
                <dt>{ "Tabs helped" }</dt><dd>{ health.helped }</dd>
            </dl>
        </>
    }
}

fn node(node: &NodeHealth) -> Html {
    let (tcp, utp, webrtc) = node.connected;
    let state = match (node.healthy, &node.reason, node.lease) {
        (true, _, Some(lease)) => format!(
            "holds it, {} more; connected with {tcp} over TCP, {utp} over uTP, {webrtc} in browsers",
            words::lease(lease)
        ),
        (true, _, None) => "holds it, but its lease has ended".into(),
        (false, Some(reason), _) => reason.clone(),
        (false, None, _) => "does not hold it".into(),
    };
    let dot = if node.healthy { "dot on" } else { "dot off" };
    html! {
        <li data-healthy={node.healthy.to_string()}>
            <span class={dot} aria-hidden="true"></span><strong>{ &node.url }</strong>{ " " }<span class="hint">{ state }</span>
        </li>
    }
}

fn counts(count: Count) -> String {
    format!(
        "{}, {}",
        words::counted(count.seeds, "seed", "seeds"),
        words::counted(count.leeches, "leech", "leeches")
    )
}

/// What became of each step while this page planted it.
fn steps(app: &App, torrent: &Torrent) -> Html {
    let Some((_, steps)) = app.steps.iter().find(|(id, _)| *id == torrent.id) else { return Html::default() };
    html! {
        <ol class="steps" data-testid="steps" aria-label="Planting" aria-live="polite">
            { for steps.iter().map(|step| html! {
                <li data-done={step.done.to_string()}>{ if step.done { "✓ " } else { "✗ " } }{ &step.text }</li>
            }) }
        </ol>
    }
}
