//! Rules of the page's state.

use super::*;
use crate::protocol::Order;
use crate::protocol::view::File;

fn torrent(id: &str, added: u64) -> Torrent {
    Torrent {
        id: Id(id.into()),
        name: id.into(),
        folder: id.into(),
        length: 10,
        piece_length: 5,
        pieces: 2,
        files: [0, 2]
            .map(|index| File { index, path: index.to_string(), length: 5, done: 0, wanted: true })
            .into(),
        link: String::new(),
        private: false,
        added,
        order: Order::default(),
        choosing: false,
        progress: Progress { id: Id(id.into()), map: Some("00".into()), ..Progress::default() },
    }
}

fn told(state: State, view: View) -> State {
    state.after(Action::Told(view))
}

#[test]
fn the_newest_torrent_stands_first_whatever_order_they_come_in() {
    let mut state = State::default();
    for (id, added) in [("b", 2), ("c", 3), ("a", 1)] {
        state = told(state, View::Torrent(Box::new(torrent(id, added))));
    }
    let order: Vec<_> = state.torrents.iter().map(|torrent| torrent.id.0.as_str()).collect();
    assert_eq!(order, ["c", "b", "a"]);
}

#[test]
fn progress_changes_what_moves_and_keeps_the_map_it_does_not_mention() {
    let state = told(State::default(), View::Torrent(Box::new(torrent("a", 1))));
    let progress =
        Progress { id: Id("a".into()), done: 5, files: vec![(2, 5), (1, 7)], ..Progress::default() };
    let state = told(state, View::Progress(vec![progress]));
    let torrent = state.torrent(&Id("a".into())).unwrap();
    assert_eq!((torrent.progress.done, torrent.progress.map.as_deref()), (5, Some("00")));
    assert_eq!(torrent.files.iter().map(|file| file.done).collect::<Vec<_>>(), [0, 5]);
}

#[test]
fn progress_of_a_torrent_not_on_the_list_changes_nothing() {
    let before = told(State::default(), View::Torrent(Box::new(torrent("a", 1))));
    let progress = Progress { id: Id("b".into()), done: 5, ..Progress::default() };
    assert_eq!(told(before.clone(), View::Progress(vec![progress])), before);
}

#[test]
fn a_removed_torrent_leaves_nothing_behind() {
    let state = told(State::default(), View::Torrent(Box::new(torrent("a", 1))));
    let state = state.after(Action::Toggle(Id("a".into())));
    let state = told(state, View::Removed(Id("a".into())));
    assert!(state.torrents.is_empty() && state.folded.is_empty());
}

#[test]
fn the_same_notice_is_not_shown_twice_and_problems_outlive_news() {
    let say = |level, text: &str| Action::Say(Notice { level, text: text.into() });
    let mut state = State::default();
    for text in ["a", "a", "b"] {
        state = state.after(say(Level::Problem, text));
    }
    for text in ["news", "c", "d"] {
        let level = if text == "news" { Level::Info } else { Level::Problem };
        state = state.after(say(level, text));
    }
    let texts: Vec<_> = state.notices.iter().map(|(_, notice)| notice.text.as_str()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
}

#[test]
fn the_wizard_takes_what_was_added_and_waits_for_planting_to_begin() {
    let id = Id("a".repeat(40));
    let state = State::default().after(Action::OpenWizard(None));
    assert_eq!(state.plant(), Plant::AfterChoice);
    let state = state.after(Action::Told(View::Focus(id.clone())));
    assert_eq!(state.plant(), Plant::AtOnce);
    let wizard = state.wizard.clone().unwrap();
    assert_eq!(wizard.id, Some(id.clone()));
    // What was told of an earlier planting is not this one's.
    let state = state.after(Action::Told(View::Steps(id.clone(), Vec::new())));
    let state = state.after(Action::SetWizard(Wizard { begun: true, ..wizard }));
    assert!(state.steps.is_empty() && !state.wizard.unwrap().asked);
}
