//! The files of a torrent: which are wanted, how far each is, and saving, opening, playing it.
//!
//! Bytes come from the service worker, which serves files still incomplete too, or straight from the browser's storage.

use super::player::Kind;
use super::{Player, Shape, icon};
use crate::hooks::App;
use crate::page::{files, streaming};
use crate::protocol::view::{File, Torrent};
use crate::protocol::{Command, Order};
use crate::state::words;
use web_sys::HtmlInputElement;
use yew::prelude::*;

/// Files shown before a person asks for all.
const FIRST: usize = 20;

/// What to draw.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// Whose files.
    pub torrent: Torrent,
}

/// Draws the list.
#[function_component]
pub fn Files(props: &Props) -> Html {
    let all = use_state_eq(|| false);
    let playing = use_state_eq(|| None::<u32>);
    let files = &props.torrent.files;
    let shown = if *all { files.len() } else { files.len().min(FIRST) };
    let on_all = {
        let all = all.clone();
        Callback::from(move |_: MouseEvent| all.set(true))
    };
    // Nothing is left to choose of what is here.
    let missing = files.iter().any(|file| file.done < file.length);
    let choosable = missing && files.len() > 1;
    html! {
        <section>
            <div class="heading">
                <h3>{ words::counted(files.len() as u32, "file", "files") }</h3>
                if choosable { { all_or_none(props) } }
                if missing { { order(props) } }
            </div>
            <ul class="files">
                { for files.iter().take(shown).map(|file| {
                    let on_play = {
                        let (playing, index) = (playing.clone(), file.index);
                        let next = if *playing == Some(index) { None } else { Some(index) };
                        let want = want(props, file);
                        Callback::from(move |_: MouseEvent| {
                            want.emit(());
                            playing.set(next);
                        })
                    };
                    row(props, file, choosable, *playing == Some(file.index), on_play)
                }) }
            </ul>
            if shown < files.len() {
                <button class="plain more" type="button" onclick={on_all}>{ format!("Show all {} files", files.len()) }</button>
            }
        </section>
    }
}

fn all_or_none(props: &Props) -> Html {
    let select = |wanted: bool| {
        let (app, id) = (props.app.clone(), props.torrent.id.clone());
        Callback::from(move |_: MouseEvent| app.wish(Command::Select { id: id.clone(), files: None, wanted }))
    };
    html! {
        <span class="actions" role="group" aria-label="Choose files">
            <button class="plain" type="button" data-testid="select-all" onclick={select(true)}>{ "All" }</button>
            <button class="plain" type="button" data-testid="select-none" onclick={select(false)}>{ "None" }</button>
        </span>
    }
}

fn order(props: &Props) -> Html {
    let on_change = {
        let (app, id) = (props.app.clone(), props.torrent.id.clone());
        Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let order = if input.checked() { Order::Sequential } else { Order::RarestFirst };
            app.wish(Command::SetOrder(id.clone(), order));
        })
    };
    html! {
        <label class="tick order" title="Fetches pieces from the first to the last. Otherwise those come first that fewest peers have, which is better for everybody.">
            <input type="checkbox" data-testid="order" checked={props.torrent.order == Order::Sequential} onchange={on_change} />
            { "In order" }
        </label>
    }
}

/// Has a file fetched that was not wanted.
fn want(props: &Props, file: &File) -> Callback<()> {
    let (app, id, index, wanted) = (props.app.clone(), props.torrent.id.clone(), file.index, file.wanted);
    Callback::from(move |()| {
        if !wanted {
            app.wish(Command::Select { id: id.clone(), files: Some(vec![index]), wanted: true });
        }
    })
}

fn row(props: &Props, file: &File, choosable: bool, playing: bool, on_play: Callback<MouseEvent>) -> Html {
    let torrent = &props.torrent;
    let complete = file.done >= file.length;
    let address = files::address(&torrent.id.0, file.index, &file.path);
    let kind = Kind::of(&file.path);
    let on_save = {
        let (app, folder, index, path, length) =
            (props.app.clone(), torrent.folder.clone(), file.index, file.path.clone(), file.length);
        let want = want(props, file);
        Callback::from(move |event: MouseEvent| {
            if !complete && streaming::works() {
                // The service worker sends what is there and waits for the rest.
                want.emit(());
                return;
            }
            event.prevent_default();
            if !complete {
                app.problem(format!("{path} is not complete yet. It can be saved as soon as it is."));
                return;
            }
            let (app, folder, path) = (app.clone(), folder.clone(), path.clone());
            wasm_bindgen_futures::spawn_local(async move {
                app.report(files::save(&folder, index, &path, length).await);
            });
        })
    };
    let size = match (complete, file.wanted) {
        (true, _) => words::bytes(file.length),
        (false, true) => {
            format!("{} of {}", words::percent(file.done, file.length), words::bytes(file.length))
        }
        (false, false) => format!("left out, {}", words::bytes(file.length)),
    };
    html! {
        <li key={file.index} data-file={file.index.to_string()} data-wanted={file.wanted.to_string()}
            data-done={words::thousandths(file.done, file.length.max(1)).to_string()}>
            <div class={classes!("file", (!complete && !file.wanted).then_some("unwanted"))}>
                <label class="path" title={file.path.clone()}>
                    if choosable { { tick(props, file) } }
                    <span>{ &file.path }</span>
                </label>
                <span class="size">{ size }</span>
                <span class="actions">
                    if kind.plays() {
                        <button class="plain" type="button" data-testid="play" aria-expanded={playing.to_string()} onclick={on_play}
                            aria-label={format!("{} {}", if kind == Kind::Image { "Show" } else { "Play" }, file.path)}>
                            { icon(if playing { Shape::Close } else { Shape::Play }) }{ if playing { "Close" } else if kind == Kind::Image { "Show" } else { "Play" } }
                        </button>
                    } else if kind == Kind::Document {
                        <a class="plain" href={address.clone()} target="_blank" rel="noopener" aria-label={format!("Open {}", file.path)}>{ icon(Shape::Open) }{ "Open" }</a>
                    }
                    <a class="plain" data-testid="save" href={format!("{address}?save")} onclick={on_save}
                        aria-label={format!("Save {}", file.path)}>{ icon(Shape::Save) }{ "Save" }</a>
                </span>
            </div>
            if playing {
                <Player {kind} {address} path={file.path.clone()} stored={(AttrValue::from(torrent.folder.clone()), file.index)} {complete} />
            }
        </li>
    }
}

fn tick(props: &Props, file: &File) -> Html {
    let on_change = {
        let (app, id, index) = (props.app.clone(), props.torrent.id.clone(), file.index);
        Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let wanted = input.checked();
            app.wish(Command::Select { id: id.clone(), files: Some(vec![index]), wanted });
        })
    };
    html! {
        <input type="checkbox" data-testid="wanted" checked={file.wanted} disabled={file.done >= file.length} onchange={on_change}
            aria-label={format!("Download {}", file.path)} />
    }
}
