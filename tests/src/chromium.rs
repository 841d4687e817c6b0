//! Headless Chromium: one profile a [`Browser`], its tabs, what they contacted, what they saved.
//!
//! Not for our page's own elements ([`crate::page`]). WebRTC runs with the browser's defaults, so
//! host candidates stay hidden behind mDNS names as they are for everybody.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;

use crate::cdp::Cdp;
use crate::process::{Log, Process};
use crate::programs;
use crate::scene::Scene;

mod events;

pub use events::Network;

/// Flags that make Chromium run as root without a screen and keep quiet; none concerns WebRTC.
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--mute-audio",
    "--window-size=1200,900",
    "--remote-debugging-port=0",
];

/// A Chromium with a fresh profile. It lives to the end of its scene, so that a picture can be taken
/// when the test fails.
pub struct Browser {
    inner: Arc<Inner>,
    process: Arc<tokio::sync::Mutex<Process>>,
    name: String,
}

struct Inner {
    cdp: Cdp,
    log: Log,
    downloads: PathBuf,
    sessions: watch::Sender<HashMap<String, String>>,
    network: Mutex<Network>,
    saves: watch::Sender<HashMap<String, Save>>,
}

#[derive(Debug, Clone)]
struct Save {
    name: String,
    state: String,
}

impl Browser {
    /// Starts Chromium with a new profile in the scene's folder.
    ///
    /// # Panics
    /// When it is not installed or not ready in half a minute.
    pub async fn launch(scene: &Scene, name: &str) -> Self {
        Self::launch_with(scene, name, &[]).await
    }

    /// As [`Browser::launch`] with more flags.
    ///
    /// # Panics
    /// When it is not installed or not ready in half a minute.
    pub async fn launch_with(scene: &Scene, name: &str, flags: &[&str]) -> Self {
        let profile = scene.folder(&format!("{name}.profile"));
        let downloads = scene.folder(&format!("{name}.saved"));
        let log = scene.log(name);
        let mut command = Command::new(programs::chromium());
        command
            .args(FLAGS)
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank");
        let own = Log::create(scene.dir(), &format!("{name}.chromium"));
        let mut process = Process::spawn(name, command, own);
        let url = devtools(&profile, &mut process).await;
        let cdp = Cdp::connect(&url).await.expect("DevTools answers");
        let events = cdp.events();
        let inner = Arc::new(Inner {
            cdp,
            log,
            downloads: downloads.clone(),
            sessions: watch::Sender::default(),
            network: Mutex::default(),
            saves: watch::Sender::default(),
        });
        tokio::spawn(events::attend(Arc::downgrade(&inner), events));
        for (method, params) in [
            (
                "Target.setAutoAttach",
                json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true }),
            ),
            (
                "Browser.setDownloadBehavior",
                json!({ "behavior": "allowAndName", "downloadPath": downloads, "eventsEnabled": true }),
            ),
        ] {
            inner.cdp.call("", method, params).await.expect("DevTools obeys");
        }
        let process = Arc::new(tokio::sync::Mutex::new(process));
        scene.keep(Box::new(Arc::clone(&process)));
        Self { inner, process, name: name.to_owned() }
    }

    /// Opens a tab at `url`.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn open(&self, scene: &Scene, url: &str) -> Tab {
        self.open_with(scene, url, "").await
    }

    /// As [`Browser::open`], with `script` run before each document's own.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn open_with(&self, scene: &Scene, url: &str, script: &str) -> Tab {
        self.open_target(scene, json!({ "url": "about:blank" }), url, script).await
    }

    async fn open_target(&self, scene: &Scene, target: Value, url: &str, script: &str) -> Tab {
        let made = self.inner.cdp.call("", "Target.createTarget", target).await.expect("a new tab");
        let target = made["targetId"].as_str().expect("a target id").to_owned();
        let session = self.session(&target).await;
        let tab = Tab {
            inner: Arc::clone(&self.inner),
            name: format!("{}-{}", self.name, target.chars().take(4).collect::<String>()),
            target,
            session,
        };
        scene.watch(tab.clone());
        tab.call("Page.enable", json!({})).await;
        if !script.is_empty() {
            let params = json!({ "source": script });
            tab.call("Page.addScriptToEvaluateOnNewDocument", params).await;
        }
        tab.go(url).await;
        tab
    }

    /// As [`Browser::open`], with storage of its own: as far as pages can tell another profile, for a fraction of its cost.
    ///
    /// # Panics
    /// When the browser does not.
    pub async fn open_apart(&self, scene: &Scene, url: &str) -> Tab {
        let made = self.inner.cdp.call("", "Target.createBrowserContext", json!({})).await;
        let context = made.expect("a new context")["browserContextId"].clone();
        let downloads = json!({
            "behavior": "allowAndName", "downloadPath": self.inner.downloads, "eventsEnabled": true,
            "browserContextId": context,
        });
        self.inner.cdp.call("", "Browser.setDownloadBehavior", downloads).await.expect("DevTools obeys");
        let target = json!({ "url": "about:blank", "browserContextId": context });
        self.open_target(scene, target, url, "").await
    }

    /// What this profile has exchanged so far by HTTP and WebSocket.
    #[must_use]
    pub fn network(&self) -> Network {
        self.inner.network.lock().expect("no panic here").clone()
    }

    /// Ends the browser as a crash does; its profile stays.
    pub async fn kill(self) {
        self.process.lock().await.kill().await;
    }

    async fn session(&self, target: &str) -> String {
        let mut sessions = self.inner.sessions.subscribe();
        let found = sessions.wait_for(|sessions| sessions.contains_key(target));
        let found = tokio::time::timeout(Duration::from_secs(30), found).await;
        let sessions = found.expect("the tab answers").expect("the browser lives");
        sessions[target].clone()
    }
}

/// A tab (page) of a [`Browser`].
#[derive(Clone)]
pub struct Tab {
    inner: Arc<Inner>,
    name: String,
    target: String,
    session: String,
}

impl Tab {
    /// The browser's name and part of the tab's id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes to `url`, as typed into the address bar, and waits until the document is there.
    ///
    /// # Panics
    /// When the address cannot be loaded.
    pub async fn go(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        if let Some(error) = answer["errorText"].as_str() {
            panic!("{}: {url} cannot be loaded: {error}", self.name);
        }
        self.wait_for("the document", "document.readyState !== 'loading'", Duration::from_secs(60)).await;
    }

    /// Reloads the page, as F5 does.
    pub async fn reload(&self) {
        let _ = self.try_eval("window.__before_reload = true").await;
        self.call("Page.reload", json!({})).await;
        self.wait_for(
            "the reloaded document",
            "!window.__before_reload && document.readyState !== 'loading'",
            Duration::from_secs(60),
        )
        .await;
    }

    /// Closes the tab.
    pub async fn close(self) {
        let _ = self.inner.cdp.call("", "Target.closeTarget", json!({ "targetId": self.target })).await;
    }

    /// Puts another tab of the same window in front of this one, which makes this one a background tab.
    ///
    /// # Panics
    /// When the page does not become hidden.
    pub async fn hide(&self) {
        let other = json!({ "url": "about:blank", "background": false });
        self.inner.cdp.call("", "Target.createTarget", other).await.expect("another tab");
        self.wait_for("to be hidden", "document.visibilityState === 'hidden'", Duration::from_secs(20)).await;
    }

    /// The value of a JavaScript expression (a promise is awaited), as JSON.
    ///
    /// # Errors
    /// What the script threw, or that the page does not answer.
    pub async fn try_eval(&self, script: &str) -> Result<Value, String> {
        let params = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.inner.cdp.call(&self.session, "Runtime.evaluate", params).await?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() {
            Ok(answer["result"]["value"].take())
        } else {
            Err(thrown["exception"]["description"]
                .as_str()
                .or_else(|| thrown["text"].as_str())
                .unwrap_or("the script threw")
                .to_owned())
        }
    }

    /// As [`Tab::try_eval`].
    ///
    /// # Panics
    /// Where that errs.
    pub async fn eval(&self, script: &str) -> Value {
        let short: String = script.chars().take(200).collect();
        self.try_eval(script).await.unwrap_or_else(|error| panic!("{}: {short}: {error}", self.name))
    }

    /// Evaluates `script` until its value is truthy, and returns it.
    ///
    /// # Panics
    /// When `limit` passes before; says `what` was awaited and what the page shows.
    pub async fn wait_for(&self, what: &str, script: &str, limit: Duration) -> Value {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let value = self.try_eval(script).await;
            match &value {
                Ok(value) if truthy(value) => return value.clone(),
                _ => {}
            }
            if tokio::time::Instant::now() > end {
                panic!("{}: waited {limit:?} for {what}; last: {value:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until an element matches the CSS `selector`.
    pub async fn wait_element(&self, selector: &str, limit: Duration) {
        let script = format!("!!document.querySelector({})", json!(selector));
        self.wait_for(&format!("an element {selector}"), &script, limit).await;
    }

    /// Clicks the first element that matches.
    pub async fn click(&self, selector: &str) {
        self.wait_element(selector, Duration::from_secs(30)).await;
        self.eval(&format!("document.querySelector({}).click()", json!(selector))).await;
    }

    /// Types `text` into the first element that matches, replacing what it holds.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.wait_element(selector, Duration::from_secs(30)).await;
        let focus = "const e = document.querySelector(SELECTOR); e.focus(); if (e.select) e.select();"
            .replace("SELECTOR", &json!(selector).to_string());
        self.eval(&format!("(() => {{ {focus} }})()")).await;
        self.call("Input.insertText", json!({ "text": text })).await;
        self.eval("document.activeElement && document.activeElement.blur()").await;
    }

    /// Gives files to an `<input type=file>`, as a person does who picks or drops them.
    ///
    /// # Panics
    /// When no such input is there.
    pub async fn give_files(&self, selector: &str, files: &[&Path]) {
        self.wait_element(selector, Duration::from_secs(30)).await;
        let script = format!("document.querySelector({})", json!(selector));
        let found = self.call("Runtime.evaluate", json!({ "expression": script })).await;
        let object = found["result"]["objectId"].as_str().expect("the file input");
        self.call("DOM.setFileInputFiles", json!({ "files": files, "objectId": object })).await;
    }

    /// Drags files and folders over the page and drops them in its middle.
    ///
    /// # Panics
    /// When the browser does not take them.
    pub async fn drop_files(&self, files: &[&Path]) {
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let params = json!({ "type": kind, "x": 400, "y": 400, "data": data });
            self.call("Input.dispatchDragEvent", params).await;
        }
    }

    /// Lets the page's origin read and write the clipboard without asking.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn allow_clipboard(&self) {
        let origin = self.eval("location.origin").await;
        let params = json!({
            "origin": origin, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
        });
        self.inner.cdp.call("", "Browser.grantPermissions", params).await.expect("the browser grants");
        self.call("Page.bringToFront", json!({})).await;
    }

    /// Does `act`, which makes the browser save a file, and returns the name the page proposed and
    /// where the saved file is.
    ///
    /// # Panics
    /// When nothing is saved, or not completely, within `limit`.
    pub async fn saved_by(&self, act: impl Future<Output = ()>, limit: Duration) -> (String, PathBuf) {
        let mut saves = self.inner.saves.subscribe();
        let known: BTreeSet<String> = saves.borrow().keys().cloned().collect();
        act.await;
        let new = |saves: &HashMap<String, Save>| {
            saves
                .iter()
                .find(|(id, save)| !known.contains(*id) && save.state != "inProgress")
                .map(|(id, save)| (id.clone(), save.clone()))
        };
        let done = tokio::time::timeout(limit, saves.wait_for(|saves| new(saves).is_some())).await;
        let Ok(Ok(saves)) = done else {
            panic!("{}: no file was saved within {limit:?}: {:?}", self.name, self.inner.saves.borrow());
        };
        let (id, save) = new(&saves).expect("just seen");
        assert_eq!(save.state, "completed", "{}: saving {} failed", self.name, save.name);
        (save.name, self.inner.downloads.join(id))
    }

    /// Gives the page's origin only `bytes` of storage (`None`: what it had by default).
    pub async fn set_quota(&self, bytes: Option<u64>) {
        let origin = self.eval("location.origin").await;
        let mut params = json!({ "origin": origin });
        if let Some(bytes) = bytes {
            params["quotaSize"] = bytes.into();
        }
        self.call("Storage.overrideQuotaForOrigin", params).await;
    }

    /// Writes a picture of the page to `file` (PNG).
    ///
    /// # Errors
    /// When the page does not answer or the file cannot be written.
    pub async fn try_screenshot(&self, file: &Path) -> Result<(), String> {
        let params = json!({ "format": "png" });
        let picture = self.inner.cdp.call(&self.session, "Page.captureScreenshot", params).await?;
        let data = picture["data"].as_str().ok_or("no picture")?;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(data).map_err(|error| error.to_string())?;
        std::fs::write(file, bytes).map_err(|error| error.to_string())
    }

    /// Calls a method of DevTools for this tab.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.inner
            .cdp
            .call(&self.session, method, params)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

async fn devtools(profile: &Path, process: &mut Process) -> String {
    let file = profile.join("DevToolsActivePort");
    for _ in 0..600 {
        if let Ok(text) = std::fs::read_to_string(&file)
            && let Some((port, path)) = text.trim().split_once('\n')
        {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        assert!(process.is_running(), "Chromium ended at its start:\n{}", process.log().tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("Chromium is not ready after 30 s:\n{}", process.log().tail());
}
