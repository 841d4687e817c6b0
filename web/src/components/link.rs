//! The link to pass on, with buttons that copy it and show it as a QR code.
//!
//! Who made the link: the worker.

use super::{Shape, icon, qr};
use web_sys::HtmlInputElement;
use yew::prelude::*;

/// What to draw.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The link.
    pub link: AttrValue,
    /// What it opens, for people who hear the page.
    pub name: AttrValue,
    /// Whether the QR code is shown from the beginning.
    #[prop_or_default]
    pub shown: bool,
}

/// Draws link and button.
#[function_component]
pub fn Link(props: &Props) -> Html {
    let copied = use_state_eq(|| false);
    let code = use_state_eq(|| props.shown);
    let on_code = {
        let code = code.clone();
        Callback::from(move |_: MouseEvent| code.set(!*code))
    };
    let field = use_node_ref();
    let on_copy = {
        let (copied, field, link) = (copied.clone(), field.clone(), props.link.clone());
        Callback::from(move |_: MouseEvent| {
            let Some(window) = web_sys::window() else { return };
            if let Some(field) = field.cast::<HtmlInputElement>() {
                // So that it can be copied by hand where the clipboard is closed to pages.
                field.select();
            }
            let clipboard = window.navigator().clipboard();
            if clipboard.is_undefined() {
                return;
            }
            let (copied, link) = (copied.clone(), link.clone());
            wasm_bindgen_futures::spawn_local(async move {
                if wasm_bindgen_futures::JsFuture::from(clipboard.write_text(&link)).await.is_ok() {
                    copied.set(true);
                    crate::browser::sleep(2_000).await;
                    copied.set(false);
                }
            });
        })
    };
    html! {
        <div class="link">
            <input ref={field} type="text" readonly=true value={props.link.clone()} aria-label={format!("Link to {}", props.name)} />
            <button type="button" data-testid="copy-link" onclick={on_copy}>
                { icon(Shape::Copy) }<span aria-live="polite">{ if *copied { "Copied" } else { "Copy link" } }</span>
            </button>
            <button type="button" data-testid="qr" aria-expanded={code.to_string()} onclick={on_code}>
                { icon(Shape::Code) }{ "QR code" }
            </button>
            if *code { <div class="code">{ qr(&props.link, &props.name) }</div> }
        </div>
    }
}
