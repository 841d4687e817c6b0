//! What the page shows, as a value: a pure reducer over what the worker tells and a person does.
//!
//! No Yew, no browser: tested natively. What it means in words is [`words`]; why nothing happens is [`why`].

pub mod why;
pub mod words;

use crate::protocol::network::{Found, Health, Offered, Step};
use crate::protocol::view::{self, Creating, Host, Level, Notice, Planted, Progress, Storage, Torrent, View};
use crate::protocol::{Begin, Id, Limits, Plant};

/// Notices kept on screen; the oldest goes first.
const NOTICES: usize = 4;

/// Whether this tab drives the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not known yet.
    #[default]
    Starting,
    /// This tab's worker owns the engine.
    Owner,
    /// Another tab of this origin does; this one shows the same and passes wishes on.
    Viewer,
}

/// Everything the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Who drives.
    pub role: Role,
    /// Torrents, newest first.
    pub torrents: Vec<Torrent>,
    /// Whether the list from the last visit is complete.
    pub listed: bool,
    /// The torrents whose details a person folded away.
    pub folded: Vec<Id>,
    /// The host of this page.
    pub host: Host,
    /// A torrent being made.
    pub creating: Option<Creating>,
    /// Notices with the number that dismisses them, oldest first.
    pub notices: Vec<(u32, Notice)>,
    /// The limits in force.
    pub limits: Limits,
    /// Room in the browser's storage.
    pub storage: Storage,
    /// How planted torrents fare, of those that a person asked for.
    pub health: Vec<Health>,
    /// The steps of planting, for each torrent that was planted since the page was opened.
    pub steps: Vec<(Id, Vec<Step>)>,
    /// What this tab searched for last; empty is nothing.
    pub searched: String,
    /// What was found.
    pub found: Option<Found>,
    /// When the files of what a person adds are fetched.
    pub begin: Begin,
    /// The planting wizard, while it is open.
    pub wizard: Option<Wizard>,
    /// What was last worth saying to those who do not see it happen.
    pub spoken: String,
    /// Why the page cannot work at all.
    pub broken: Option<String>,
    next_notice: u32,
}

/// What the planting wizard knows; how far it is follows from that and from the torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wizard {
    /// What is planted, once it is chosen and added.
    pub id: Option<Id>,
    /// The nodes that would take it, once they are known.
    pub offered: Option<Offered>,
    /// The keys of the nodes left out.
    pub refused: Vec<String>,
    /// On how many of the others it is planted; 0: as many as usual.
    pub count: u32,
    /// Whether a person has pressed the button.
    pub begun: bool,
    /// Whether planting has begun since: what was told of it before is of an earlier time.
    pub asked: bool,
}

/// What changes the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The worker tells.
    Told(View),
    /// This tab became owner or viewer.
    Became(Role),
    /// Unfold or fold the details of a torrent.
    Toggle(Id),
    /// A notice was read.
    Dismiss(u32),
    /// Something to say that the page itself noticed.
    Say(Notice),
    /// From now on, the files of what is added are fetched then.
    Begin(Begin),
    /// A person searches for these words.
    Search(String),
    /// A person opens the planting wizard, for a torrent or for something still to be chosen.
    OpenWizard(Option<Id>),
    /// A person changes what the wizard knows.
    SetWizard(Wizard),
    /// A person closes it.
    CloseWizard,
    /// The page cannot work in this browser.
    Broke(String),
}

impl State {
    /// The state after `action`.
    #[must_use]
    pub fn after(mut self, action: Action) -> Self {
        match action {
            Action::Told(view) => self.told(view),
            Action::Became(role) => self.role = role,
            Action::Toggle(id) => {
                if self.folded.contains(&id) {
                    self.folded.retain(|other| *other != id);
                } else {
                    self.folded.push(id);
                }
            }
            Action::Dismiss(number) => self.notices.retain(|(other, _)| *other != number),
            Action::Say(notice) => self.say(notice),
            Action::Begin(begin) => self.begin = begin,
            Action::Search(words) => {
                self.searched = words;
                self.found = None;
            }
            Action::OpenWizard(id) => self.wizard = Some(Wizard { id, ..Wizard::default() }),
            Action::SetWizard(wizard) => {
                if wizard.begun {
                    self.steps.retain(|(id, _)| Some(id) != wizard.id.as_ref());
                }
                self.wizard = Some(wizard);
            }
            Action::CloseWizard => self.wizard = None,
            Action::Broke(reason) => self.broken = Some(reason),
        }
        self
    }

    /// When what a person gives us is planted: the wizard, while it waits for something, has questions first.
    #[must_use]
    pub fn plant(&self) -> Plant {
        let waits = self.wizard.as_ref().is_some_and(|wizard| wizard.id.is_none());
        if waits { Plant::AfterChoice } else { Plant::AtOnce }
    }

    /// The torrent of that info-hash.
    #[must_use]
    pub fn torrent(&self, id: &Id) -> Option<&Torrent> {
        self.torrents.iter().find(|torrent| torrent.id == *id)
    }

    /// Sum of all torrents' speeds, bytes a second: towards us, from us.
    #[must_use]
    pub fn speed(&self) -> (u64, u64) {
        self.torrents
            .iter()
            .fold((0, 0), |(down, up), torrent| (down + torrent.progress.down, up + torrent.progress.up))
    }

    fn told(&mut self, view: View) {
        match view {
            View::Torrent(torrent) => self.put(*torrent),
            View::Progress(all) => all.into_iter().for_each(|progress| self.progress(progress)),
            View::Removed(id) => {
                self.torrents.retain(|torrent| torrent.id != id);
                self.folded.retain(|other| *other != id);
                self.health.retain(|health| health.id != id);
                self.steps.retain(|(other, _)| *other != id);
            }
            View::Steps(id, steps) => {
                self.steps.retain(|(other, _)| *other != id);
                self.steps.push((id, steps));
            }
            View::Health(health) => {
                self.health.retain(|other| other.id != health.id);
                self.health.push(*health);
            }
            // Another tab's search is not this one's.
            View::Found(found) => {
                if found.words == self.searched {
                    self.found = Some(found);
                }
            }
            View::Listed => self.listed = true,
            View::Host(host) => self.host = host,
            View::Creating(creating) => self.creating = creating,
            View::Notice(notice) => self.say(notice),
            View::Limits(limits) => self.limits = limits,
            View::Storage(storage) => self.storage = storage,
            View::Offered(offered) => {
                if let Some(wizard) = &mut self.wizard {
                    wizard.offered = Some(offered);
                }
            }
            View::Focus(id) => {
                self.folded.retain(|other| *other != id);
                if let Some(wizard) = self.wizard.as_mut().filter(|wizard| wizard.id.is_none()) {
                    wizard.id = Some(id);
                }
            }
        }
    }

    fn put(&mut self, torrent: Torrent) {
        match self.torrents.iter_mut().find(|other| other.id == torrent.id) {
            Some(place) => *place = torrent,
            None => {
                let newer = self.torrents.iter().take_while(|other| other.added > torrent.added).count();
                self.torrents.insert(newer, torrent);
            }
        }
    }

    fn progress(&mut self, mut new: Progress) {
        let Some(torrent) = self.torrents.iter_mut().find(|torrent| torrent.id == new.id) else { return };
        for (index, done) in new.files.drain(..) {
            // Files are in ascending order of their number; pad files leave gaps.
            if let Ok(at) = torrent.files.binary_search_by_key(&index, |file| file.index)
                && let Some(file) = torrent.files.get_mut(at)
            {
                file.done = done;
            }
        }
        if let Some(wizard) = &mut self.wizard
            && wizard.begun
            && wizard.id.as_ref() == Some(&new.id)
        {
            wizard.asked |= new.planted == Planted::Asking;
        }
        new.map = new.map.or_else(|| torrent.progress.map.take());
        if torrent.progress.state != new.state {
            match (&new.state, &new.error) {
                (view::State::Seeding, _) if torrent.progress.state == view::State::Downloading => {
                    self.spoken = format!("{} is complete.", torrent.name);
                }
                (view::State::Error, Some(error)) => {
                    self.spoken = format!("{} has stopped: {error}", torrent.name);
                }
                _ => {}
            }
        }
        torrent.progress = new;
    }

    fn say(&mut self, notice: Notice) {
        self.notices.retain(|(_, other)| *other != notice);
        self.notices.push((self.next_notice, notice));
        self.next_notice = self.next_notice.wrapping_add(1);
        if self.notices.len() > NOTICES {
            // Problems outlive what is only good to know.
            let out = self.notices.iter().position(|(_, notice)| notice.level == Level::Info).unwrap_or(0);
            self.notices.remove(out);
        }
    }
}

#[cfg(test)]
mod tests;
