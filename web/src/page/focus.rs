//! Where the keyboard's focus goes when the control that had it goes away.
//!
//! Without that a browser puts it nowhere, and whoever uses no mouse begins again at the top of the page.

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// The box for links: always there.
const ADD: &str = "[data-testid=\"add-input\"]";

/// Puts the focus on the first of these that is there, else on the box for links.
pub fn to(selectors: &[&str]) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else { return };
    let found =
        selectors.iter().chain(&[ADD]).find_map(|selector| document.query_selector(selector).ok().flatten());
    if let Some(element) = found {
        // An element that cannot have it leaves the focus where it is.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
}

/// Puts the focus on the torrent beside one that is about to go.
pub fn beside(id: &str) {
    let article = format!(".torrent[data-info-hash=\"{id}\"]");
    // After it, else before it.
    to(&[
        &format!("{article} + .torrent .name"),
        &format!(".torrent:has(+ [data-info-hash=\"{id}\"]) .name"),
    ]);
}
