//! Threads that hash and touch the disk, so that the task of the engine never waits for either.
//!
//! Knows no torrent's rules: a job comes in with its store and its answer goes out.
//!
//! Jobs of one piece go to one disk thread in order, so a read never overtakes the write before it.

use crate::store::Files;
use anatomic_core::{PieceIndex, Sha1Hash};
use anatomic_engine::{Done, Job, JobKey};
use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

/// A job on its way to a thread.
struct Task {
    job: JobKey,
    work: Job,
    store: Option<Arc<Files>>,
}

/// The threads. They end when this is dropped and their work is done.
#[derive(Debug)]
pub(crate) struct Jobs {
    hashers: Sender<Task>,
    disks: Vec<Sender<Task>>,
}

impl Jobs {
    /// Starts `hashers` threads for hashing and `disks` for files; `answer` is called on them.
    pub(crate) fn start(
        hashers: usize,
        disks: usize,
        answer: impl Fn(JobKey, Done) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..hashers.max(1) {
            let (receiver, answer) = (Arc::clone(&receiver), answer.clone());
            thread::Builder::new().name("hash".into()).spawn(move || work(&receiver, answer))?;
        }
        let mut jobs = Self { hashers: sender, disks: Vec::new() };
        for _ in 0..disks.max(1) {
            let (sender, receiver) = channel();
            let answer = answer.clone();
            thread::Builder::new().name("disk".into()).spawn(move || work(&Mutex::new(receiver), answer))?;
            jobs.disks.push(sender);
        }
        Ok(jobs)
    }

    /// Has a job done. `store` is that of its torrent, if it has one yet.
    pub(crate) fn submit(&self, job: JobKey, work: Job, store: Option<Arc<Files>>) {
        let piece = match &work {
            Job::Hash { .. } => None,
            Job::Write { piece, .. } | Job::Check { piece } => Some(*piece),
            Job::Read { block } => Some(block.piece),
        };
        let queue =
            piece.and_then(|PieceIndex(piece)| self.disks.get(piece as usize % self.disks.len().max(1)));
        // The threads live as long as `self`; a send cannot fail before they end.
        let _ = queue.unwrap_or(&self.hashers).send(Task { job, work, store });
    }
}

fn work(queue: &Mutex<Receiver<Task>>, answer: impl Fn(JobKey, Done)) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { job, work, store }) = task else { return };
        answer(job, carry_out(work, store.as_deref()));
    }
}

fn carry_out(work: Job, store: Option<&Files>) -> Done {
    let stored = |act: &dyn Fn(&Files) -> Result<Done, crate::store::StoreError>| match store.map(act) {
        Some(Ok(done)) => done,
        Some(Err(error)) => Done::Failed(error.to_string()),
        None => Done::Failed("this torrent has no folder to store its data in".into()),
    };
    match work {
        Job::Hash { blocks } => Done::Digest(hash(&blocks)),
        Job::Write { piece, blocks } => stored(&|files| files.write(piece, &blocks).map(|()| Done::Written)),
        Job::Read { block } => stored(&|files| files.read(block).map(Done::Read)),
        Job::Check { piece } => stored(&|files| files.check(piece).map(Done::Checked)),
    }
}

fn hash(blocks: &[Bytes]) -> Sha1Hash {
    let mut hash = Sha1::new();
    for block in blocks {
        hash.update(block);
    }
    hash.finalize().into()
}
