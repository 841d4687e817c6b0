//! Why nothing happens, and the one button that helps.
//!
//! The finding itself is [`crate::state::why`].

use crate::hooks::App;
use crate::page::focus;
use crate::protocol::{Command, Id, Nodes};
use crate::state::why::{Help, Why};
use yew::prelude::*;

/// What to draw.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// Whose trouble.
    pub id: Id,
    /// What is in the way.
    pub reason: AttrValue,
    /// What would help.
    pub help: Help,
    /// Whether it is a failure and not only a wait.
    pub failed: bool,
}

impl Props {
    /// The panel for a finding.
    #[must_use]
    pub fn new(app: &App, id: &Id, why: Why, failed: bool) -> Self {
        Self { app: app.clone(), id: id.clone(), reason: why.reason.into(), help: why.help, failed }
    }
}

/// Draws the explanation.
#[function_component]
pub fn WhyPanel(props: &Props) -> Html {
    // The button goes away with its reason.
    let keep_focus = {
        let name = format!("[data-info-hash=\"{}\"] .name", props.id);
        move || focus::to(&[name.as_str()])
    };
    let plant = {
        let (app, id, keep_focus) = (props.app.clone(), props.id.clone(), keep_focus.clone());
        Callback::from(move |_: MouseEvent| {
            keep_focus();
            app.wish(Command::Plant(id.clone(), Nodes::default()));
        })
    };
    let resume = {
        let (app, id) = (props.app.clone(), props.id.clone());
        Callback::from(move |_: MouseEvent| {
            keep_focus();
            app.wish(Command::Resume(id.clone()));
        })
    };
    let action = match props.help {
        Help::Wait | Help::Nothing => Html::default(),
        Help::Start => html! {
            <button class="primary" type="button" data-testid="start" onclick={resume}>{ "Start" }</button>
        },
        Help::Resume => html! {
            <button type="button" onclick={resume}>{ if props.failed { "Try again" } else { "Resume" } }</button>
        },
        Help::Plant => html! {
            <button type="button" data-testid="plant" onclick={plant}>{ "Plant it there" }</button>
        },
    };
    html! {
        <div class={classes!("why", props.failed.then_some("problem"))} role="status">
            <p>{ &props.reason }</p>
            { action }
        </div>
    }
}
