//! Starts the session once and keeps its state for the page.
//!
//! Decides nothing: facts go into the reducer, wishes to the session.

use crate::page::{Session, Told};
use crate::protocol::view::{Level, Notice};
use crate::protocol::{Begin, Command, Origin};
use crate::state::{Action, State};
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use yew::prelude::*;

/// The page's state as Yew keeps it.
#[derive(Clone, Default, PartialEq)]
pub struct Shown(State);

impl Reducible for Shown {
    type Action = Action;
    fn reduce(self: Rc<Self>, action: Action) -> Rc<Self> {
        Rc::new(Self(self.0.clone().after(action)))
    }
}

/// What every component needs: the state, and ways to wish and to say.
#[derive(Clone)]
pub struct App {
    state: UseReducerHandle<Shown>,
    session: Rc<RefCell<Option<Rc<Session>>>>,
}

impl PartialEq for App {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl Deref for App {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state.0
    }
}

impl App {
    /// The session, once it runs.
    #[must_use]
    pub fn session(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone()
    }

    /// Passes a wish to the worker.
    pub fn wish(&self, command: Command) {
        if let Some(session) = self.session() {
            session.command(command, &[]);
        }
    }

    /// Changes the page's own state.
    pub fn act(&self, action: Action) {
        self.state.dispatch(action);
    }

    /// Shows a problem.
    pub fn problem(&self, text: String) {
        self.act(Action::Say(Notice { level: Level::Problem, text }));
    }

    /// Shows a problem if there is one.
    pub fn report(&self, result: Result<(), String>) {
        if let Err(text) = result {
            self.problem(text);
        }
    }
}

/// Starts the session with the page and opens what its address names.
#[hook]
pub fn use_session() -> App {
    let state = use_reducer(Shown::default);
    let session = use_mut_ref(|| None);
    let app = App { state: state.clone(), session: session.clone() };
    use_effect_with((), move |()| {
        let dispatcher = state.dispatcher();
        let tell = {
            let dispatcher = dispatcher.clone();
            move |told| {
                dispatcher.dispatch(match told {
                    Told::View(view) => Action::Told(*view),
                    Told::Role(role) => Action::Became(role),
                    Told::Broken(reason) => Action::Broke(reason),
                });
            }
        };
        match Session::start(tell) {
            Ok(started) => {
                session.replace(Some(Rc::clone(&started)));
                open_address(&started);
                let on_change = Closure::<dyn Fn()>::new(move || open_address(&started));
                if let Some(window) = web_sys::window() {
                    window.set_onhashchange(Some(on_change.as_ref().unchecked_ref()));
                }
                on_change.forget();
            }
            Err(reason) => {
                dispatcher.dispatch(Action::Broke(format!("This browser cannot run the page: {reason}")));
            }
        }
    });
    app
}

/// Adds what the page's address names: `#magnet:?…`, or `/t/INFOHASH`.
fn open_address(session: &Session) {
    let Some(window) = web_sys::window() else { return };
    let location = window.location();
    let hash = location.hash().unwrap_or_default();
    let path = location.pathname().unwrap_or_default();
    let text = match (hash.strip_prefix('#'), path.strip_prefix("/t/")) {
        (Some(link), _) if !link.is_empty() => link.to_owned(),
        (_, Some(id)) => id.to_owned(),
        _ => return,
    };
    session.command(Command::AddLink { text, origin: Origin::Opened, begin: Begin::AtOnce }, &[]);
}
