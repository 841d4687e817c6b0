//! The settings: limits on speed.
//!
//! Folded away until asked for; changes take effect at once and survive a reload.

use super::{Shape, icon};
use crate::hooks::App;
use crate::protocol::{Command, Limits};
use crate::state::words;
use web_sys::HtmlInputElement;
use yew::prelude::*;

/// Draws the settings.
pub fn settings(app: &App) -> Html {
    let field = |label: &'static str, value: Option<u64>, with: fn(Limits, Option<u64>) -> Limits| {
        let app = app.clone();
        let on_change = Callback::from(move |event: Event| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let limit = input.value().trim().parse::<u64>().ok().filter(|limit| *limit > 0);
            app.wish(Command::SetLimits(with(app.limits, limit.map(|limit| limit.saturating_mul(1000)))));
        });
        html! {
            <label>
                { label }
                <span><input type="number" min="0" step="10" placeholder="no limit" onchange={on_change}
                    value={value.map(|value| (value / 1000).to_string()).unwrap_or_default()} />{ " kB/s" }</span>
            </label>
        }
    };
    html! {
        <details class="settings">
            <summary>{ icon(Shape::Settings) }{ "Settings" }</summary>
            <div class="panel">
                { field("Download at most", app.limits.download, |limits, download| Limits { download, ..limits }) }
                { field("Upload at most", app.limits.upload, |limits, upload| Limits { upload, ..limits }) }
                if app.storage.quota > 0 {
                    <p class="hint">{ format!("Stored in this browser: {} of {} allowed.", words::bytes(app.storage.used), words::bytes(app.storage.quota)) }</p>
                }
            </div>
        </details>
    }
}
