//! What a person should read once; screen readers speak it.
//!
//! A torrent's own trouble is shown at the torrent.

use super::{Shape, icon};
use crate::hooks::App;
use crate::page::focus;
use crate::protocol::view::Level;
use crate::state::Action;
use yew::prelude::*;

/// Draws the notices.
pub fn notices(app: &App) -> Html {
    html! {
        <div class="notices" aria-live="polite">
            { for app.notices.iter().map(|(number, notice)| {
                let on_dismiss = {
                    let (app, number) = (app.clone(), *number);
                    Callback::from(move |_| {
                        focus::to(&[".notice:not(:focus-within) button"]);
                        app.act(Action::Dismiss(number));
                    })
                };
                let (class, role) = match notice.level {
                    Level::Info => ("notice", "status"),
                    Level::Problem => ("notice problem", "alert"),
                };
                html! {
                    <div key={*number} {class} {role}>
                        <p>{ &notice.text }</p>
                        <button class="plain" type="button" aria-label="Dismiss" onclick={on_dismiss}>{ icon(Shape::Close) }</button>
                    </div>
                }
            }) }
        </div>
    }
}
