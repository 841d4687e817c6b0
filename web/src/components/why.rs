//! Why nothing happens, and the one button that helps.
//!
//! The finding itself is [`crate::state::why`].

use crate::hooks::App;
use crate::page::focus;
use crate::protocol::view::{State, Torrent};
use crate::protocol::{Command, Nodes};
use crate::state::why::{Help, why};
use yew::prelude::*;

/// Draws the explanation; nothing if nothing is in the way.
pub fn explanation(app: &App, torrent: &Torrent) -> Html {
    let Some(why) = why(torrent, &app.host) else { return Html::default() };
    let failed = torrent.progress.state == State::Error;
    // The button goes away with its reason.
    let keep_focus = {
        let name = format!("[data-info-hash=\"{}\"] .name", torrent.id);
        move || focus::to(&[name.as_str()])
    };
    let plant = {
        let (app, id, keep_focus) = (app.clone(), torrent.id.clone(), keep_focus.clone());
        Callback::from(move |_: MouseEvent| {
            keep_focus();
            app.wish(Command::Plant(id.clone(), Nodes::default()));
        })
    };
    let resume = {
        let (app, id) = (app.clone(), torrent.id.clone());
        Callback::from(move |_: MouseEvent| {
            keep_focus();
            app.wish(Command::Resume(id.clone()));
        })
    };
    let action = match why.help {
        Help::Wait | Help::Nothing => Html::default(),
        Help::Start => html! {
            <button class="primary" type="button" data-testid="start" onclick={resume}>{ "Start" }</button>
        },
        Help::Resume => html! {
            <button type="button" onclick={resume}>{ if failed { "Try again" } else { "Resume" } }</button>
        },
        Help::Plant => html! {
            <button type="button" data-testid="plant" onclick={plant}>{ "Plant it there" }</button>
        },
    };
    html! {
        <div class={classes!("why", failed.then_some("problem"))} role="status">
            <p>{ why.reason }</p>
            { action }
        </div>
    }
}
