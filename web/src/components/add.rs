//! The box in which a person adds: a link, a magnet, an info-hash, or files.
//!
//! What the text means is found out by the worker.

use super::{Shape, icon};
use crate::hooks::App;
use crate::page::files;
use crate::protocol::{Begin, Command, Origin};
use crate::state::Action;
use web_sys::HtmlInputElement;
use yew::prelude::*;

/// What the box needs.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
}

/// Draws the box.
#[function_component]
pub fn Add(props: &Props) -> Html {
    let text = use_node_ref();
    let on_submit = {
        let (app, text) = (props.app.clone(), text.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let Some(input) = text.cast::<HtmlInputElement>() else { return };
            let value = input.value().trim().to_owned();
            if value.is_empty() {
                // Nothing to add: put the cursor where something is expected.
                let _ = input.focus();
                return;
            }
            input.set_value("");
            app.wish(Command::AddLink { text: value, origin: Origin::Typed, begin: app.begin });
        })
    };
    let on_choose = {
        let app = props.app.clone();
        Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            app.act(Action::Begin(if input.checked() { Begin::AfterChoice } else { Begin::AtOnce }));
        })
    };
    let on_wizard = {
        let app = props.app.clone();
        Callback::from(move |_: MouseEvent| app.act(Action::OpenWizard(None)))
    };
    let choose = props.app.begin == Begin::AfterChoice;
    html! {
        <section class="add" aria-label="Add a torrent">
            <form onsubmit={on_submit}>
                <input ref={text} data-testid="add-input" type="text" autocomplete="off" spellcheck="false"
                    aria-label="Link, magnet or info-hash" placeholder="Paste a link, a magnet or an info-hash" />
                <button data-testid="add-button" class="primary" type="submit">{ "Add" }</button>
            </form>
            <p class="hint">
                { "Or " }<FileInputs app={props.app.clone()} prefix="" />
                { ", or drop them anywhere on this page. A " }<code>{ ".torrent" }</code>
                { " is added; anything else is shared: you get a link to pass on. Or " }
                <button class="text" type="button" data-testid="open-wizard" onclick={on_wizard}>{ "plant step by step" }</button>{ "." }
            </p>
            <label class="tick">
                <input type="checkbox" data-testid="choose-first" checked={choose} onchange={on_choose} />
                { "Let me choose the files before a download starts" }
            </label>
        </section>
    }
}

/// What the inputs need.
#[derive(Clone, PartialEq, Properties)]
pub struct InputProps {
    /// The page.
    pub app: App,
    /// Begins the names by which scripts find them.
    pub prefix: &'static str,
}

/// Draws the two inputs for files and for a folder, as words of a sentence.
#[function_component]
pub fn FileInputs(props: &InputProps) -> Html {
    let folder = use_node_ref();
    {
        let folder = folder.clone();
        // Not among the attributes that Yew knows for inputs.
        use_effect_with((), move |()| {
            if let Some(input) = folder.cast::<HtmlInputElement>() {
                let _ = input.set_attribute("webkitdirectory", "");
            }
        });
    }
    let on_pick = {
        let app = props.app.clone();
        Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let picked: Vec<_> = input
                .files()
                .map(|list| (0..list.length()).filter_map(|at| list.get(at)).collect())
                .unwrap_or_default();
            input.set_value("");
            let (app, Some(session)) = (app.clone(), app.session()) else { return };
            if picked.is_empty() {
                return;
            }
            let plant = app.plant();
            wasm_bindgen_futures::spawn_local(async move {
                app.report(files::take_picked(&session, picked, app.begin, plant).await);
            });
        })
    };
    html! {
        <>
            <label class="pick">
                { icon(Shape::File) }{ "choose files" }
                <input data-testid={format!("{}file-input", props.prefix)} type="file" multiple=true onchange={on_pick.clone()} />
            </label>
            { " or " }
            <label class="pick">
                { "a folder" }
                <input ref={folder} data-testid={format!("{}folder-input", props.prefix)} type="file" onchange={on_pick} />
            </label>
        </>
    }
}
