//! A link as a QR code, for passing it to a phone.
//!
//! Drawn as one path of an SVG; the code itself is made by `qrcodegen`.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write as _;
use yew::prelude::*;

/// Light modules around the code, as its standard (ISO/IEC 18004) wants.
const QUIET: i32 = 4;

/// Draws the code for `text`, which opens what is called `name`; says so if the text is too long for one.
pub fn qr(text: &str, name: &str) -> Html {
    // The least error correction makes the least modules: a screen is not torn or stained.
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Low) else {
        return html! { <p class="hint" role="status">{ "This link is too long for a QR code. Copy it instead." }</p> };
    };
    let side = code.size() + 2 * QUIET;
    html! {
        <svg class="qr" data-testid="qr-code" role="img" aria-label={format!("QR code of the link to {name}")}
            viewBox={format!("0 0 {side} {side}")} shape-rendering="crispEdges">
            <rect width="100%" height="100%" fill="#fff" /><path fill="#000" d={path(&code)} />
        </svg>
    }
}

/// The dark modules: each run of a row is one rectangle.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).unwrap_or_default();
            if run > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_module_is_drawn_once() {
        let code = QrCode::encode_text("https://host/#magnet:?xt=urn:btih:0", QrCodeEcc::Low).unwrap();
        let dark = (0..code.size())
            .flat_map(|y| (0..code.size()).map(move |x| (x, y)))
            .filter(|(x, y)| code.get_module(*x, *y))
            .count();
        let drawn: usize = path(&code)
            .split('h')
            .skip(1)
            .step_by(2)
            .map(|run| run.split('v').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(drawn, dark);
    }
}
