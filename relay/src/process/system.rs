//! What a process needs of the system: its data folder, open files, and the signal to end.
//!
//! Where it listens, and where others reach it, is elsewhere.

use super::Role;
use crate::cli::Failure;
use crate::node;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder that was named, or the usual one of the role; made if it is not there.
pub(super) fn data_folder(named: Option<&Path>, role: Role) -> Result<PathBuf, Failure> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => node::files::default_folder().map_err(Failure::new)?.join(role.as_str()),
    };
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failure::new(format!("cannot make the data folder {}: {error}", folder.display()))
    })?;
    Ok(folder)
}

/// Each socket is an open file: takes as many as the system lets us have, not as few as it gives unasked.
pub(super) fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Then it stays as it was, and beyond it connections wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Two processes of one folder would overwrite each other's records.
pub(super) fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join("lock");
    let file = File::create(&path)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    file.try_lock().map_err(|_| {
        Failure::new(format!(
            "another process uses the data folder {}; end it, or name another with --data",
            folder.display()
        ))
    })?;
    Ok(file)
}

/// Ready when the process is told to end; from now on a signal does not kill it.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    #[cfg(unix)]
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(Failure::new)?;
    Ok(async move {
        let interrupt = tokio::signal::ctrl_c();
        #[cfg(unix)]
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = interrupt.await;
    })
}
