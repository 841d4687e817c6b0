//! The page: add, list, notices.
//!
//! Only the arrangement; each part is a component.

use crate::components::{Add, DropZone, Search, Wizard, notices, settings, torrent};
use crate::hooks::use_session;
use crate::state::{Role, words};
use yew::prelude::*;

/// Draws the page.
#[function_component]
pub fn Home() -> Html {
    let app = use_session();
    if let Some(reason) = &app.broken {
        return html! {
            <main class="broken" role="alert"><h1>{ "Anatomic" }</h1><p>{ reason }</p></main>
        };
    }
    let (down, up) = app.speed();
    html! {
        <DropZone app={app.clone()}>
            <header class="top">
                <a class="brand" href="/" aria-label="Anatomic">
                    <img src="/icon.svg" alt="" width="36" height="36" /><span>{ "Anatomic" }</span>
                </a>
                if down + up > 0 {
                    <span class="speed" aria-hidden="true">{ format!("↓ {}  ↑ {}", words::speed(down), words::speed(up)) }</span>
                }
                { settings(&app) }
            </header>
            <main>
                <p class="spoken" role="status">{ &app.spoken }</p>
                <Add app={app.clone()} />
                <Search app={app.clone()} />
                if app.wizard.is_none() {
                    { notices(&app) }
                }
                if let Some(creating) = &app.creating {
                    <section class="creating" role="status">
                        <p>{ format!("Sharing {}: copying and hashing, {} of {}", creating.name, words::bytes(creating.done), words::bytes(creating.total)) }</p>
                        <progress max={creating.total.max(1).to_string()} value={creating.done.to_string()} aria-label="Hashing" />
                    </section>
                }
                <section class="list" aria-label="Torrents">
                    { for app.torrents.iter().map(|one| torrent(&app, one)) }
                </section>
                if app.torrents.is_empty() && app.creating.is_none() {
                    <section class="empty">
                        if app.listed {
                            <h2>{ "Nothing here yet" }</h2>
                            <p>{ "Open a planted link, and it downloads here: from other browsers directly, and from classic BitTorrent peers through the node of this host. Files stay in this browser until you save or remove them." }</p>
                        } else {
                            <p>{ "Reading the list of your last visit …" }</p>
                        }
                    </section>
                }
            </main>
            if let Some(choice) = &app.wizard {
                <Wizard app={app.clone()} choice={choice.clone()} />
            }
            <footer>
                { foot(&app.host.name, app.host.reached, app.role) }
            </footer>
        </DropZone>
    }
}

fn foot(host: &str, reached: bool, role: Role) -> Html {
    let (class, text) = match (host, reached) {
        ("", _) => ("dot", "Starting …".into()),
        (host, true) => ("dot on", format!("Node {host}")),
        (host, false) => ("dot off", format!("Node {host} does not answer; trying again")),
    };
    html! {
        <>
            <span><span {class} aria-hidden="true"></span>{ text }</span>
            if role == Role::Viewer {
                <span>{ "Another tab does the work; this one shows it." }</span>
            }
        </>
    }
}
