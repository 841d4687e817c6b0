//! Takes a torrent off the list, after a question: with its files or without.
//!
//! A modal dialog, so that nothing behind it can be reached meanwhile; Escape takes the question back.

use super::{Shape, icon};
use crate::hooks::App;
use crate::page::focus;
use crate::protocol::{Command, DataFate, Id};
use web_sys::HtmlDialogElement;
use yew::prelude::*;

/// What to draw.
#[derive(Clone, PartialEq, Properties)]
pub struct Props {
    /// The page.
    pub app: App,
    /// Which torrent.
    pub id: Id,
    /// Its name.
    pub name: AttrValue,
}

/// Draws the button and, when it is pressed, the question.
#[function_component]
pub fn Remove(props: &Props) -> Html {
    let (app, id, name) = (&props.app, &props.id, &props.name);
    let dialog = use_node_ref();
    let ask = {
        let dialog = dialog.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(dialog) = dialog.cast::<HtmlDialogElement>() {
                // Fails only if it is open already.
                let _ = dialog.show_modal();
            }
        })
    };
    let answer = |fate: Option<DataFate>| {
        let (app, dialog, id) = (app.clone(), dialog.clone(), id.clone());
        Callback::from(move |_: MouseEvent| {
            if let Some(dialog) = dialog.cast::<HtmlDialogElement>() {
                dialog.close();
            }
            if let Some(data) = fate {
                focus::beside(&id.0);
                app.wish(Command::Remove { id: id.clone(), data });
            }
        })
    };
    let label = format!("remove-{id}");
    html! {
        <>
            <button class="plain" type="button" data-testid="remove" aria-haspopup="dialog" aria-label={format!("Remove {name}")}
                onclick={ask}>{ icon(Shape::Remove) }<span class="wide">{ "Remove" }</span></button>
            <dialog ref={dialog.clone()} class="question" aria-labelledby={label.clone()}>
                <h3 id={label}>{ format!("Remove {name}?") }</h3>
                <p class="hint">{ "Files that are kept are found again when the torrent is added again." }</p>
                <div class="answers">
                    <button type="button" data-testid="remove-keep" onclick={answer(Some(DataFate::Keep))}>{ "Take off the list, keep the files" }</button>
                    <button type="button" data-testid="remove-delete" class="danger" onclick={answer(Some(DataFate::Delete))}>{ "Remove and delete the files" }</button>
                    <button type="button" data-testid="remove-cancel" onclick={answer(None)}>{ "Cancel" }</button>
                </div>
            </dialog>
        </>
    }
}
