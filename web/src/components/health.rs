//! How a planted torrent fares on the network, and planting it again or no longer.
//!
//! Asked for when it is unfolded, not before: most people never look.

use super::{Shape, icon};
use crate::hooks::App;
use crate::protocol::network::{Count, Health as Found, NodeHealth, StepState};
use crate::protocol::view::{Planted, Torrent};
use crate::protocol::{Command, Nodes};
use crate::state::{Action, words};
use web_sys::HtmlDetailsElement;
use yew::prelude::*;

/// Draws the folded view.
pub fn health(app: &App, torrent: &Torrent) -> Html {
    let asking = torrent.progress.planted == Planted::Asking;
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
    let choose = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |_: MouseEvent| app.act(Action::OpenWizard(Some(id.clone()))))
    };
    // Not `disabled`, which would take the focus away from whoever pressed it.
    let replant = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |_: MouseEvent| {
            if !asking {
                app.wish(Command::Plant(id.clone(), Nodes::default()));
            }
        })
    };
    let health = app.health.iter().find(|health| health.id == torrent.id);
    html! {
        <details class="facts health" data-testid="health" ontoggle={on_toggle}>
            <summary>{ "Health of the link" }</summary>
            <div aria-live="polite">
                { health.map_or_else(|| html! { <p class="hint">{ "Asking the network …" }</p> }, found) }
            </div>
            { steps(app, torrent) }
            <div class="actions">
                <button type="button" data-testid="replant" aria-disabled={asking.then_some("true")} onclick={replant}>
                    { if asking { "Planting …" } else { "Plant again" } }
                </button>
                <button type="button" data-testid="choose-nodes" onclick={choose}>{ "Choose nodes …" }</button>
                if health.is_some_and(|health| health.ours) {
                    <button type="button" data-testid="unplant" onclick={wish(Command::Unplant(torrent.id.clone()))}>{ "Unplant" }</button>
                }
                <button type="button" data-testid="refresh" onclick={wish(Command::AskHealth(torrent.id.clone()))}>{ "Ask again" }</button>
                if torrent.pieces > 0 {
                    <button type="button" data-testid="torrent-file" onclick={wish(Command::TorrentFile(torrent.id.clone()))}>
                        { icon(Shape::Save) }{ "Torrent file" }
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
    let state = match (node.healthy, &node.reason, node.lease) {
        (true, _, Some(lease)) => {
            format!("holds it, {} more; connected with {}", words::lease(lease), connected(&node.connected))
        }
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

/// With whom a node is connected, by the way to them.
fn connected(ways: &[Count; 3]) -> String {
    let named = ways.iter().zip(["over TCP", "over uTP", "in browsers"]);
    let some = named.filter(|(count, _)| count.seeds + count.leeches > 0);
    let told: Vec<String> = some.map(|(count, way)| format!("{} {way}", counts(*count))).collect();
    if told.is_empty() { "nobody now".into() } else { told.join("; ") }
}

fn counts(count: Count) -> String {
    format!(
        "{}, {}",
        words::counted(count.seeds, "seed", "seeds"),
        words::counted(count.leeches, "leech", "leeches")
    )
}

/// What became of each step while this page planted it.
pub(super) fn steps(app: &App, torrent: &Torrent) -> Html {
    let Some((_, steps)) = app.steps.iter().find(|(id, _)| *id == torrent.id) else { return Html::default() };
    html! {
        <ol class="steps" data-testid="steps" aria-label="Steps of planting" aria-live="polite">
            { for steps.iter().map(|step| {
                let (state, mark, spoken) = match step.state {
                    StepState::Doing => ("doing", "…", "Under way: "),
                    StepState::Done => ("true", "✓", "Done: "),
                    StepState::Failed => ("false", "✗", "Failed: "),
                };
                html! {
                    <li data-done={state}>
                        <span class="mark" aria-hidden="true">{ mark }</span>
                        <span><span class="spoken">{ spoken }</span>{ &step.text }</span>
                    </li>
                }
            }) }
        </ol>
    }
}
