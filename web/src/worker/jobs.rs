//! The engine's jobs: hashing beside the worker, storing and reading one after the other.
//!
//! The queue keeps their order, so a piece is written before it is read; a job for a torrent that has left the list
//! is dropped.

use super::store::{Store, StoreError};
use super::{Driver, clock, hashing};
use anatomic_core::metainfo::Metainfo;
use anatomic_engine::{Done, Job, JobKey, TorrentKey};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;

/// Work for the store, in order.
#[derive(Default)]
pub struct Jobs {
    queue: RefCell<VecDeque<Task>>,
    running: Cell<bool>,
}

enum Task {
    Engine { job: JobKey, torrent: TorrentKey, work: Job },
    Remove { folder: String },
}

impl Driver {
    /// Takes a job of the engine.
    pub(super) fn take_job(self: &Rc<Self>, job: JobKey, torrent: TorrentKey, work: Job) {
        if let Job::Hash { blocks } = work {
            let driver = Rc::clone(self);
            spawn_local(async move {
                let done = match hashing::sha1(&blocks).await {
                    Ok(digest) => Done::Digest(digest),
                    Err(reason) => Done::Failed(reason),
                };
                driver.job_done(job, done);
            });
        } else {
            self.enqueue(Task::Engine { job, torrent, work });
        }
    }

    /// Deletes a torrent's folder, after the jobs before it.
    pub(super) fn delete_folder(self: &Rc<Self>, folder: String) {
        self.enqueue(Task::Remove { folder });
    }

    fn enqueue(self: &Rc<Self>, task: Task) {
        self.jobs.queue.borrow_mut().push_back(task);
        if self.jobs.running.replace(true) {
            return;
        }
        let driver = Rc::clone(self);
        spawn_local(async move {
            loop {
                let next = driver.jobs.queue.borrow_mut().pop_front();
                let Some(task) = next else { break };
                driver.work(task).await;
            }
            driver.jobs.running.set(false);
        });
    }

    async fn work(self: &Rc<Self>, task: Task) {
        let Some(store) = self.store() else {
            if let Task::Engine { job, .. } = task {
                self.job_done(job, Done::Failed("This browser gives the page no storage.".into()));
            }
            return;
        };
        match task {
            Task::Engine { job, torrent, work } => {
                // Gone from the list: nobody waits for the answer, and its folder must not come back.
                let Some((folder, metainfo)) = self.place_of(torrent) else { return };
                let done = match carry_out(&store, &folder, &metainfo, work).await {
                    Ok(done) => done,
                    Err(error) => Done::Failed(error.to_string()),
                };
                self.job_done(job, done);
            }
            Task::Remove { folder } => {
                if let Err(error) = store.remove(&folder).await {
                    self.problem(format!("The files could not be deleted. {error}"));
                }
                self.room_changed();
            }
        }
    }

    fn job_done(self: &Rc<Self>, job: JobKey, done: Done) {
        self.engine.borrow_mut().handle_done(clock::now(), job, done);
        self.pump();
    }
}

async fn carry_out(store: &Store, folder: &str, metainfo: &Metainfo, work: Job) -> Result<Done, StoreError> {
    let geometry = metainfo.geometry();
    match work {
        Job::Write { piece, blocks } => {
            store.write(folder, metainfo, geometry.start_of(piece), &blocks).await?;
            Ok(Done::Written)
        }
        Job::Read { block } => {
            let start = geometry.start_of(block.piece) + u64::from(block.offset);
            let bytes = store.read(folder, metainfo, start, block.length as usize).await?;
            Ok(Done::Read(Bytes::from(bytes)))
        }
        Job::Check { piece } => {
            let (start, length) = (geometry.start_of(piece), geometry.length_of(piece) as usize);
            match store.read(folder, metainfo, start, length).await {
                Ok(bytes) => Ok(hashing::sha1(&[Bytes::from(bytes)])
                    .await
                    .map_or_else(Done::Failed, |hash| Done::Checked(Some(hash)))),
                Err(StoreError::Missing) => Ok(Done::Checked(None)),
                Err(other) => Err(other),
            }
        }
        Job::Hash { blocks } => Ok(hashing::sha1(&blocks).await.map_or_else(Done::Failed, Done::Digest)),
    }
}
