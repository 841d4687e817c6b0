//! The whole page takes what is dropped on it.
//!
//! Only the dropping: reading folders and telling torrents from content is [`crate::page::files`].

use crate::hooks::App;
use crate::page::files;
use yew::prelude::*;

/// What surrounds the page.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// What it surrounds.
    pub children: Html,
}

/// Draws its children, and a frame over them while something is dragged above.
#[function_component]
pub fn DropZone(props: &Props) -> Html {
    let above = use_state_eq(|| false);
    let on_over = {
        let above = above.clone();
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            above.set(true);
        })
    };
    let on_leave = {
        let above = above.clone();
        Callback::from(move |event: DragEvent| {
            // Leaving for a child is not leaving.
            if event.related_target().is_none() {
                above.set(false);
            }
        })
    };
    let on_drop = {
        let (above, app) = (above.clone(), props.app.clone());
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            above.set(false);
            let (Some(transfer), Some(session)) = (event.data_transfer(), app.session()) else { return };
            let entries = files::dropped(&transfer);
            // What is dropped while the wizard waits for it is the wizard's.
            let plant = app.plant();
            let app = app.clone();
            wasm_bindgen_futures::spawn_local(async move {
                app.report(files::take_dropped(&session, entries, app.begin, plant).await);
            });
        })
    };
    html! {
        <div class="page" ondragover={on_over} ondragleave={on_leave} ondrop={on_drop}>
            { props.children.clone() }
            if *above {
                <div class="drop" aria-hidden="true"><p>{ "Drop to add or share" }</p></div>
            }
        </div>
    }
}
