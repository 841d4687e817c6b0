//! Looks for planted torrents by name, at the supernodes that are known.
//!
//! How words are matched is the supernode's business.

use crate::hooks::App;
use crate::protocol::network::Hit;
use crate::protocol::{Command, Origin};
use crate::state::{Action, words};
use web_sys::HtmlInputElement;
use yew::prelude::*;

/// What the search needs.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
}

/// Draws the field and what was found.
#[function_component]
pub fn Search(props: &Props) -> Html {
    let app = &props.app;
    let field = use_node_ref();
    let on_submit = {
        let (app, field) = (app.clone(), field.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let Some(input) = field.cast::<HtmlInputElement>() else { return };
            let words = input.value().trim().to_owned();
            app.act(Action::Search(words.clone()));
            if !words.is_empty() {
                app.wish(Command::Search { words });
            }
        })
    };
    html! {
        <details class="search">
            <summary>{ "Search this network" }</summary>
            <form role="search" onsubmit={on_submit}>
                <input ref={field} data-testid="search-input" type="text" autocomplete="off" aria-label="Words of a name" placeholder="Words of a name" />
                <button data-testid="search-button" type="submit">{ "Search" }</button>
            </form>
            <div aria-live="polite">{ found(app) }</div>
        </details>
    }
}

fn found(app: &App) -> Html {
    if app.searched.is_empty() {
        return Html::default();
    }
    let Some(found) = &app.found else { return html! { <p class="hint">{ "Searching …" }</p> } };
    if let Some(error) = &found.error {
        return html! { <p class="hint">{ format!("The search failed: {error}.") }</p> };
    }
    if found.hits.is_empty() {
        return html! { <p class="hint">{ format!("Nothing planted here is called “{}”.", found.words) }</p> };
    }
    html! {
        <>
            <ul class="hits">{ for found.hits.iter().map(|found| hit(app, found)) }</ul>
            if found.more { <p class="hint">{ "There are more; use more words." }</p> }
        </>
    }
}

fn hit(app: &App, hit: &Hit) -> Html {
    let here = app.torrent(&hit.id).is_some();
    let on_add = {
        let (app, text) = (app.clone(), hit.magnet.clone());
        Callback::from(move |_: MouseEvent| {
            if !here {
                app.wish(Command::AddLink { text: text.clone(), origin: Origin::Typed, begin: app.begin });
            }
        })
    };
    let mut facts = Vec::new();
    facts.extend(hit.length.map(words::bytes));
    facts.extend(
        hit.files.map(|files| words::counted(u32::try_from(files).unwrap_or(u32::MAX), "file", "files")),
    );
    facts.push(words::counted(hit.peers.seeds, "seed", "seeds"));
    facts.push(words::counted(hit.peers.leeches, "leech", "leeches"));
    html! {
        <li key={hit.id.0.clone()} data-hit={hit.id.0.clone()}>
            <span class="who"><strong>{ &hit.name }</strong><span class="hint">{ facts.join(" · ") }</span></span>
            <button type="button" aria-disabled={here.then_some("true")} onclick={on_add} aria-label={format!("{} {}", if here { "Here:" } else { "Add" }, hit.name)}>{ if here { "Here" } else { "Add" } }</button>
        </li>
    }
}
