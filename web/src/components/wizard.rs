//! Planting step by step: choose what, see the nodes and choose among them, watch each step, pass the link on.
//!
//! Dropping a file plants at once with what is usual; this is for those who want to see and choose. Who may be
//! chosen, and who replaces a node that fails, is the planter's business.

use super::health::steps;
use super::{FileInputs, Link, Shape, icon, notices};
use crate::hooks::App;
use crate::protocol::network::{Offered, OfferedNode};
use crate::protocol::view::{Planted, Torrent};
use crate::protocol::{Command, Nodes};
use crate::state::{Action, Wizard as Choice, words};
use web_sys::{HtmlDialogElement, HtmlInputElement};
use yew::prelude::*;

/// What the wizard needs.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// What it knows so far.
    pub choice: Choice,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Choose,
    Nodes,
    Planting,
    Done,
}

/// What the steps are called.
const STAGES: [(Stage, &str); 4] = [
    (Stage::Choose, "Choose what"),
    (Stage::Nodes, "Choose nodes"),
    (Stage::Planting, "Plant"),
    (Stage::Done, "Pass it on"),
];

fn stage(choice: &Choice, torrent: Option<&Torrent>) -> Stage {
    match torrent.map(|torrent| &torrent.progress.planted) {
        None => Stage::Choose,
        Some(_) if !choice.begun => Stage::Nodes,
        Some(Planted::Yes) if choice.asked => Stage::Done,
        Some(_) => Stage::Planting,
    }
}

/// Draws the wizard: a dialog over the page.
#[function_component]
pub fn Wizard(props: &Props) -> Html {
    let (app, choice) = (&props.app, &props.choice);
    let torrent = choice.id.as_ref().and_then(|id| app.torrent(id));
    let at = stage(choice, torrent);
    let dialog = use_node_ref();
    {
        let dialog = dialog.clone();
        use_effect_with((), move |()| {
            if let Some(dialog) = dialog.cast::<HtmlDialogElement>() {
                // Modal: what lies behind cannot be reached, and focus returns to where it was when it closes.
                let _ = dialog.show_modal();
            }
        });
    }
    {
        let app = app.clone();
        use_effect_with(choice.id.is_some(), move |chosen| {
            if *chosen {
                app.wish(Command::AskOffer);
            }
        });
    }
    let heading = use_node_ref();
    {
        let heading = heading.clone();
        use_effect_with(at, move |_| {
            // A control that was pressed is gone with its step: go on at the top of the next one.
            if let Some(heading) = heading.cast::<web_sys::HtmlElement>() {
                let _ = heading.focus();
            }
        });
    }
    let on_close = {
        let app = app.clone();
        Callback::from(move |_: Event| app.act(Action::CloseWizard))
    };
    let close = {
        let dialog = dialog.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(dialog) = dialog.cast::<HtmlDialogElement>() {
                dialog.close();
            }
        })
    };
    let number = STAGES.iter().position(|(stage, _)| *stage == at).unwrap_or_default();
    html! {
        <dialog ref={dialog} class="wizard" data-testid="wizard" aria-labelledby="wizard-name" onclose={on_close}>
            <header>
                <h2 id="wizard-name">{ "Plant step by step" }</h2>
                <button class="plain" type="button" data-testid="wizard-close" aria-label="Close" onclick={close.clone()}>{ icon(Shape::Close) }</button>
            </header>
            <ol class="stages" aria-label="Stages">
                { for STAGES.iter().enumerate().map(|(index, (_, name))| html! {
                    <li class={classes!((index < number).then_some("past"))} aria-current={(index == number).then_some("step")}>{ *name }</li>
                }) }
            </ol>
            { notices(app) }
            <div class="body">
                <h3 ref={heading} tabindex="-1" data-testid={format!("stage-{}", number + 1)}>{ title(at, torrent) }</h3>
                { match (at, torrent) {
                    (Stage::Nodes, Some(torrent)) => nodes(app, choice, torrent),
                    (Stage::Planting, Some(torrent)) => planting(app, choice, torrent),
                    (Stage::Done, Some(torrent)) => done(app, torrent, &close),
                    _ => choose(app),
                } }
            </div>
        </dialog>
    }
}

fn title(at: Stage, torrent: Option<&Torrent>) -> String {
    let name = torrent.map_or("", |torrent| torrent.name.as_str());
    match at {
        Stage::Choose => "What shall be planted?".into(),
        Stage::Nodes => format!("Which nodes shall hold {name}?"),
        Stage::Planting => format!("Planting {name}"),
        Stage::Done => format!("{name} is planted"),
    }
}

fn choose(app: &App) -> Html {
    if let Some(creating) = &app.creating {
        return html! {
            <div role="status">
                <p>{ format!("Copying and hashing {}: {} of {}", creating.name, words::bytes(creating.done), words::bytes(creating.total)) }</p>
                <progress max={creating.total.max(1).to_string()} value={creating.done.to_string()} aria-label="Hashing" />
            </div>
        };
    }
    html! {
        <>
            <p>{ "Choose " }<FileInputs app={app.clone()} prefix="wizard-" />{ ", or drop them here. A " }<code>{ ".torrent" }</code>{ " is planted as it is; of anything else a torrent is made." }</p>
            <p class="hint">{ "Files stay on this device; nodes only learn what the torrent says, and introduce peers to each other." }</p>
        </>
    }
}

fn nodes(app: &App, choice: &Choice, torrent: &Torrent) -> Html {
    let Some(offered) = &choice.offered else {
        return html! { <p class="hint" role="status">{ "Asking the supernodes which nodes take torrents …" }</p> };
    };
    if let Some(error) = &offered.error {
        let again = {
            let app = app.clone();
            Callback::from(move |_: MouseEvent| app.wish(Command::AskOffer))
        };
        return html! {
            <div class="why problem" role="alert">
                <p>{ format!("No node is offered: {error}.") }</p>
                <button type="button" onclick={again}>{ "Ask again" }</button>
            </div>
        };
    }
    let (chosen, count) = selection(choice, offered);
    let on_count = {
        let (app, choice) = (app.clone(), choice.clone());
        Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let count = input.value().trim().parse().unwrap_or(0);
            app.act(Action::SetWizard(Choice { count, ..choice.clone() }));
        })
    };
    let on_plant = {
        let (app, choice, id) = (app.clone(), choice.clone(), torrent.id.clone());
        let first: Vec<String> = chosen.iter().map(|node| node.key.clone()).collect();
        Callback::from(move |_: MouseEvent| {
            app.wish(Command::Plant(
                id.clone(),
                Nodes { count: Some(count), first: first.clone(), not: choice.refused.clone() },
            ));
            app.act(Action::SetWizard(Choice { begun: true, ..choice.clone() }));
        })
    };
    let most = chosen.len().max(1).to_string();
    html! {
        <>
            <ul class="offered" aria-label="Nodes offered">{ for offered.nodes.iter().map(|node| row(app, choice, node)) }</ul>
            <p class="planting-on">
                <label>{ "Plant on " }<input type="number" data-testid="node-count" min="1" max={most} value={count.to_string()} onchange={on_count} />
                { format!(" of {} ticked", words::counted(chosen.len() as u32, "node", "nodes")) }</label>
                <button class="primary" type="button" data-testid="wizard-plant" disabled={chosen.is_empty()} onclick={on_plant}>{ "Plant" }</button>
            </p>
            <p class="hint">{ "Any one of them is enough; more keep the link alive when some vanish. One that fails is replaced by another." }</p>
        </>
    }
}

/// The nodes ticked, and on how many of them it is planted.
fn selection<'a>(choice: &Choice, offered: &'a Offered) -> (Vec<&'a OfferedNode>, u32) {
    let chosen: Vec<_> = offered.nodes.iter().filter(|node| !choice.refused.contains(&node.key)).collect();
    let wanted = if choice.count == 0 { offered.usual } else { choice.count };
    let most = u32::try_from(chosen.len()).unwrap_or(u32::MAX).max(1);
    (chosen, wanted.clamp(1, most))
}

fn row(app: &App, choice: &Choice, node: &OfferedNode) -> Html {
    let ticked = !choice.refused.contains(&node.key);
    let on_change = {
        let (app, choice, key) = (app.clone(), choice.clone(), node.key.clone());
        Callback::from(move |_: Event| {
            let mut choice = choice.clone();
            if ticked {
                choice.refused.push(key.clone());
            } else {
                choice.refused.retain(|other| *other != key);
            }
            app.act(Action::SetWizard(choice));
        })
    };
    let mut facts = vec![format!("key {}…", node.key.get(..8).unwrap_or(&node.key))];
    facts.extend(node.block.as_ref().map(|block| format!("block {block}")));
    facts.extend(node.free.map(|free| format!("room for {free} more")));
    facts.push(node.protocols.join(", "));
    if node.needs_key {
        facts.push("only for planters it allowed".into());
    }
    html! {
        <li data-node={node.host.clone()}>
            <label>
                <input type="checkbox" checked={ticked} onchange={on_change} />
                <span class="who"><strong>{ &node.host }</strong><span class="hint">{ facts.join(" · ") }</span></span>
            </label>
        </li>
    }
}

fn planting(app: &App, choice: &Choice, torrent: &Torrent) -> Html {
    let back = {
        let (app, choice) = (app.clone(), choice.clone());
        Callback::from(move |_: MouseEvent| {
            app.wish(Command::AskOffer);
            app.act(Action::SetWizard(Choice {
                begun: false,
                asked: false,
                offered: None,
                ..choice.clone()
            }));
        })
    };
    html! {
        <>
            { steps(app, torrent) }
            if let Planted::Refused(reason) = &torrent.progress.planted {
                <div class="why problem" role="alert">
                    <p>{ format!("It is not planted, and nothing was changed: {reason}.") }</p>
                    <button type="button" onclick={back}>{ "Choose other nodes" }</button>
                </div>
            }
        </>
    }
}

fn done(app: &App, torrent: &Torrent, close: &Callback<MouseEvent>) -> Html {
    let on_file = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |_: MouseEvent| app.wish(Command::TorrentFile(id.clone())))
    };
    html! {
        <>
            { steps(app, torrent) }
            <p>{ "Whoever opens this link gets it, in a browser or in any BitTorrent client:" }</p>
            <Link link={torrent.link.clone()} name={torrent.name.clone()} shown=true />
            <p class="actions">
                if torrent.pieces > 0 {
                    <button type="button" data-testid="wizard-torrent" onclick={on_file}>{ icon(Shape::Save) }{ "Planted torrent" }</button>
                }
                <button class="primary" type="button" data-testid="wizard-done" onclick={close.clone()}>{ "Done" }</button>
            </p>
        </>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_planted_on_no_more_nodes_than_are_ticked() {
        let node = |key: &str| OfferedNode { key: key.into(), ..OfferedNode::default() };
        let offered = Offered { nodes: vec![node("a"), node("b"), node("c")], usual: 3, error: None };
        let choice = Choice { refused: vec!["b".into()], ..Choice::default() };
        let (chosen, count) = selection(&choice, &offered);
        assert_eq!((chosen.len(), count), (2, 2));
        assert_eq!(selection(&Choice { count: 1, ..choice }, &offered).1, 1);
    }
}
