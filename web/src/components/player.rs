//! Shows or plays one file of a torrent, complete or still coming.
//!
//! Which bytes come first is decided by what the browser reads: the service worker passes its ranges on to the engine.

use crate::page::{files, streaming};
use yew::prelude::*;

/// What a browser can do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// A picture.
    Image,
    /// Something to read in a tab of its own.
    Document,
    /// Anything else can only be saved.
    Other,
}

impl Kind {
    /// By the name's extension: the bytes themselves may not be here yet.
    #[must_use]
    pub fn of(path: &str) -> Self {
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

    /// Whether it is shown within the page.
    #[must_use]
    pub const fn plays(self) -> bool {
        matches!(self, Self::Video | Self::Audio | Self::Image)
    }
}

/// What to play.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// What it is.
    pub kind: Kind,
    /// Its path in the torrent.
    pub path: AttrValue,
    /// Where the service worker serves it.
    pub address: AttrValue,
    /// The torrent's folder in the browser's storage, and the file's number.
    pub stored: (AttrValue, u32),
    /// Whether all of it is here.
    pub complete: bool,
}

/// Draws the player.
#[function_component]
pub fn Player(props: &Props) -> Html {
    let failed = use_state_eq(|| None::<String>);
    let copy = use_state_eq(|| None::<String>);
    let serves = streaming::works();
    {
        let (failed, copy) = (failed.clone(), copy.clone());
        let (folder, index) = props.stored.clone();
        use_effect_with((serves, props.complete), move |(serves, complete)| {
            // Without a service worker only what is complete can be played, straight from the storage.
            if !serves && *complete {
                wasm_bindgen_futures::spawn_local(async move {
                    match files::stored_address(&folder, index).await {
                        Ok(address) => copy.set(Some(address)),
                        Err(reason) => failed.set(Some(reason)),
                    }
                });
            }
        });
    }
    if let Some(reason) = &*failed {
        return html! { <p class="hint unplayed" role="status">{ reason }</p> };
    }
    let src = match (&*copy, serves) {
        (Some(copy), _) => AttrValue::from(copy.clone()),
        (None, true) => props.address.clone(),
        (None, false) if props.complete => return Html::default(),
        (None, false) => {
            let text =
                "This browser lets the page play only what is complete. It can be played as soon as it is.";
            return html! { <p class="hint unplayed" role="status">{ text }</p> };
        }
    };
    let name = props.path.rsplit('/').next().unwrap_or(&props.path).to_owned();
    let onerror = {
        let (failed, name) = (failed.clone(), name.clone());
        Callback::from(move |_: Event| {
            failed.set(Some(format!(
                "This browser cannot play {name}: it does not know the format, or the file stopped coming. Save it and open it in another program."
            )));
        })
    };
    match props.kind {
        Kind::Video => html! {
            <video class="player" data-testid="player" aria-label={name} controls=true autoplay=true playsinline=true {src} {onerror}></video>
        },
        Kind::Audio => html! {
            <audio class="player" data-testid="player" aria-label={name} controls=true autoplay=true {src} {onerror}></audio>
        },
        _ => html! { <img class="player" data-testid="player" alt={name} {src} {onerror} /> },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_its_extension_says() {
        assert_eq!(Kind::of("a/Film.MP4"), Kind::Video);
        assert_eq!(Kind::of("a.tar.gz"), Kind::Other);
        assert!(Kind::of("x.flac").plays() && !Kind::of("x.pdf").plays());
    }
}
