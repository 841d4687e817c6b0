//! One end-to-end test: its turn, its folder, and what is shown when it fails.
//!
//! Starts no program itself. Tests take turns over processes too (a lock file), since `cargo test`
//! runs several tests of one file at once and two browsers would fight for a small machine.

use std::any::Any;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::chromium::Tab;
use crate::process::Log;
use crate::programs;

/// Time that a test gets when it names no other: no test waits for ever.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A running test.
pub struct Scene {
    name: String,
    dir: PathBuf,
    logs: Mutex<Vec<Log>>,
    tabs: Mutex<Vec<Tab>>,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// Runs `test` in a scene named after the test's thread, within [`LIMIT`].
pub async fn run(test: impl AsyncFnOnce(&Scene)) {
    run_within(LIMIT, test).await;
}

/// Runs `test` in a scene named after the test's thread.
///
/// # Panics
/// As the test does, or when `limit` passes; before, it prints the end of each log and takes a
/// picture of each open tab.
pub async fn run_within(limit: Duration, test: impl AsyncFnOnce(&Scene)) {
    let name = std::thread::current().name().unwrap_or("main").replace("::", ".");
    run_named(&name, limit, test).await;
}

/// As [`run_within`], under a name of its own (benchmarks).
///
/// # Panics
/// As [`run_within`].
pub async fn run_named(name: &str, limit: Duration, test: impl AsyncFnOnce(&Scene)) {
    let home = programs::target().join("e2e");
    std::fs::create_dir_all(&home).expect("target/e2e can be made");
    let turn = tokio::task::spawn_blocking({
        let lock = home.join("turn.lock");
        move || {
            let file = File::create(lock).expect("a lock file");
            file.lock().expect("the machine's turn");
            file
        }
    })
    .await
    .expect("waiting for the turn");

    let dir = home.join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("the scene's folder");
    let scene = Scene {
        name: name.to_owned(),
        dir,
        logs: Mutex::default(),
        tabs: Mutex::default(),
        kept: Mutex::default(),
    };
    let outcome = AssertUnwindSafe(tokio::time::timeout(limit, test(&scene))).catch_unwind().await;
    let failure: Option<Box<dyn Any + Send>> = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(Box::new(format!("the test did not end within {limit:?}"))),
        Err(panic) => Some(panic),
    };
    match failure {
        None => {
            scene.end();
            let _ = std::fs::remove_dir_all(&scene.dir);
            drop(turn);
        }
        Some(failure) => {
            scene.report().await;
            scene.end();
            drop(turn);
            if let Some(text) = failure.downcast_ref::<String>() {
                eprintln!("{}: {text}", scene.name);
            }
            std::panic::resume_unwind(failure);
        }
    }
}

impl Scene {
    /// The scene's own folder, empty at the start, removed when the test passes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new folder below [`Scene::dir`].
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir).expect("a folder of the scene");
        dir
    }

    /// A path below [`Scene::dir`].
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A log that is shown if the test fails.
    #[must_use]
    pub fn log(&self, name: &str) -> Log {
        let log = Log::create(&self.dir, name);
        self.logs.lock().expect("no panic here").push(log.clone());
        log
    }

    /// Has a picture taken of `tab` if the test fails.
    pub fn watch(&self, tab: Tab) {
        self.tabs.lock().expect("no panic here").push(tab);
    }

    /// Keeps something alive until the test has ended and its report is made.
    pub fn keep(&self, what: Box<dyn Any + Send>) {
        self.kept.lock().expect("no panic here").push(what);
    }

    fn end(&self) {
        self.tabs.lock().expect("no panic here").clear();
        self.kept.lock().expect("no panic here").clear();
    }

    async fn report(&self) {
        eprintln!("\n=== {} failed; its folder is kept: {}", self.name, self.dir.display());
        let tabs = std::mem::take(&mut *self.tabs.lock().expect("no panic here"));
        for tab in tabs {
            let file = self.dir.join(format!("{}.png", tab.name()));
            let ask = async |script: &str| {
                let limit = Duration::from_secs(10);
                match tokio::time::timeout(limit, tab.try_eval(script)).await {
                    Ok(Ok(value)) => value,
                    Ok(Err(error)) => error.into(),
                    Err(_) => "no answer".into(),
                }
            };
            eprintln!("--- tab {} at {}", tab.name(), ask("location.href").await);
            eprintln!("    torrents: {}", ask(crate::page::TORRENTS).await);
            let text = ask("document.body ? document.body.innerText : ''").await;
            for line in text.as_str().unwrap_or_default().lines().take(60) {
                eprintln!("    | {line}");
            }
            match tokio::time::timeout(Duration::from_secs(20), tab.try_screenshot(&file)).await {
                Ok(Ok(())) => eprintln!("    picture: {}", file.display()),
                Ok(Err(error)) => eprintln!("    no picture: {error}"),
                Err(_) => eprintln!("    no picture in time"),
            }
        }
        for log in self.logs.lock().expect("no panic here").iter() {
            eprint!("{}", log.tail());
        }
    }
}
