//! The files of a torrent: how far each is, and saving, opening, playing it.
//!
//! Bytes come from the service worker, which serves files still incomplete too, or straight from the browser's storage.

use super::{Icon, Shape};
use crate::hooks::App;
use crate::page::{files, streaming};
use crate::protocol::view::{File, Torrent};
use crate::state::words;
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
    html! {
        <>
            <ul class="files">
                { for files.iter().take(shown).map(|file| {
                    let on_play = {
                        let (playing, index) = (playing.clone(), file.index);
                        let next = if *playing == Some(index) { None } else { Some(index) };
                        Callback::from(move |_: MouseEvent| playing.set(next))
                    };
                    row(props, file, *playing == Some(file.index), on_play)
                }) }
            </ul>
            if shown < files.len() {
                <button class="plain more" type="button" onclick={on_all}>{ format!("Show all {} files", files.len()) }</button>
            }
        </>
    }
}

fn row(props: &Props, file: &File, playing: bool, on_play: Callback<MouseEvent>) -> Html {
    let torrent = &props.torrent;
    let complete = file.done >= file.length;
    let address = files::address(&torrent.id.0, file.index, &file.path);
    let kind = Kind::of(&file.path);
    let on_save = {
        let (app, folder, index, path, length) =
            (props.app.clone(), torrent.folder.clone(), file.index, file.path.clone(), file.length);
        Callback::from(move |event: MouseEvent| {
            if !complete && streaming::works() {
                // The service worker sends what is there and waits for the rest.
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
    html! {
        <li key={file.index} data-file={file.index.to_string()} data-done={words::thousandths(file.done, file.length.max(1)).to_string()}>
            <div class="file">
                <span class="path" title={file.path.clone()}>{ &file.path }</span>
                <span class="size">
                    if complete { { words::bytes(file.length) } }
                    else { { format!("{} of {}", words::percent(file.done, file.length), words::bytes(file.length)) } }
                </span>
                <span class="actions">
                    if kind.plays() {
                        <button class="plain" type="button" aria-expanded={playing.to_string()} onclick={on_play}>
                            <Icon shape={if playing { Shape::Close } else { Shape::Play }} />{ if playing { "Close" } else if kind == Kind::Image { "Show" } else { "Play" } }
                        </button>
                    } else if kind == Kind::Document {
                        <a class="plain" href={address.clone()} target="_blank" rel="noopener"><Icon shape={Shape::Open} />{ "Open" }</a>
                    }
                    <a class="plain" data-testid="save" href={format!("{address}?save")} onclick={on_save}
                        aria-label={format!("Save {}", file.path)}><Icon shape={Shape::Save} />{ "Save" }</a>
                </span>
            </div>
            if playing {
                { player(kind, address) }
            }
        </li>
    }
}

fn player(kind: Kind, src: String) -> Html {
    match kind {
        Kind::Video => {
            html! { <video class="player" controls=true autoplay=true playsinline=true {src}></video> }
        }
        Kind::Audio => html! { <audio class="player" controls=true autoplay=true {src}></audio> },
        _ => html! { <img class="player" alt="" {src} /> },
    }
}

/// What a browser can do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Video,
    Audio,
    Image,
    Document,
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        let extension = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "mp4" | "m4v" | "mov" | "mkv" | "webm" | "ogv" => Self::Video,
            "mp3" | "m4a" | "aac" | "ogg" | "oga" | "opus" | "flac" | "wav" => Self::Audio,
            "jpg" | "jpeg" | "png" | "gif" | "webp" | "avif" | "svg" => Self::Image,
            "pdf" | "txt" | "md" | "nfo" | "html" | "htm" | "xml" | "json" | "csv" | "log" | "srt" => {
                Self::Document
            }
            _ => Self::Other,
        }
    }

    const fn plays(self) -> bool {
        matches!(self, Self::Video | Self::Audio | Self::Image)
    }
}
