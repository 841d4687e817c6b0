//! The page for people who use no mouse or no eyes: keys pressed, where the focus is, what the browser tells assistive
//! programs.
//!
//! Only what a browser reports; what must be so is said by the tests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chromium::Tab;

/// Stops of the Tab key after which an element is not going to come.
const MOST_STOPS: usize = 120;

/// A node of the accessibility tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Such as `button`.
    pub role: String,
    /// What is spoken for it.
    pub name: String,
    /// Its value, where it has one.
    pub value: Value,
    /// Such as `live`, `focused`, `disabled`, `expanded`.
    pub properties: BTreeMap<String, Value>,
}

/// Where the focus is and whether a person sees it.
#[derive(Debug, Clone)]
pub struct Focus {
    /// The `data-testid` of the element, else its tag.
    pub on: String,
    /// It is on an element, not lost.
    pub is_somewhere: bool,
    /// An outline is drawn around it, or around the label that stands for it.
    pub is_visible: bool,
}

impl Tab {
    /// Presses and lets go of a key: `Tab`, `Shift+Tab`, `Enter`, `Space`, `Escape`.
    ///
    /// # Panics
    /// When the key is another one.
    pub async fn key(&self, name: &str) {
        let (key, code, number, text) = match name {
            "Tab" | "Shift+Tab" => ("Tab", "Tab", 9, ""),
            "Enter" => ("Enter", "Enter", 13, "\r"),
            "Space" => (" ", "Space", 32, " "),
            "Escape" => ("Escape", "Escape", 27, ""),
            other => panic!("no such key: {other}"),
        };
        let modifiers = if name.starts_with("Shift") { 8 } else { 0 };
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let params = json!({
                "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number,
                "text": if kind == "keyDown" { text } else { "" }, "modifiers": modifiers,
            });
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Types text where the focus is.
    pub async fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Where the focus is.
    ///
    /// # Panics
    /// When the page does not answer.
    pub async fn focus(&self) -> Focus {
        let script = "(e => {
            const drawn = e => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0; };
            return [e.dataset?.testid || e.tagName, e !== document.body && e !== document.documentElement,
                e.matches(':focus-visible') && (drawn(e) || !!e.closest('label') && drawn(e.closest('label')))];
        })(document.activeElement || document.body)";
        let found = self.eval(script).await;
        Focus {
            on: found[0].as_str().unwrap_or_default().to_owned(),
            is_somewhere: found[1].as_bool().unwrap_or(false),
            is_visible: found[2].as_bool().unwrap_or(false),
        }
    }

    /// Presses Tab (or Shift+Tab) until the focus is on an element that matches `selector`; each stop on the way must
    /// be seen.
    ///
    /// # Panics
    /// When the element cannot be reached, or a stop on the way is not seen.
    pub async fn key_to(&self, key: &str, selector: &str) {
        let reached = format!("!!document.activeElement?.matches({})", json!(selector));
        let mut stops = Vec::new();
        for _ in 0..MOST_STOPS {
            if self.eval(&reached).await == true {
                return;
            }
            self.key(key).await;
            let focus = self.focus().await;
            // Past the last element the focus leaves the page, as it should, and comes back.
            assert!(focus.is_visible || !focus.is_somewhere, "nobody sees the focus on {}", focus.on);
            stops.push(focus.on);
        }
        panic!("{selector} cannot be reached by {key}: {stops:?}");
    }

    /// Waits until the accessibility tree has a node for which `wanted` holds.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub async fn wait_spoken(&self, what: &str, limit: Duration, wanted: impl Fn(&Node) -> bool) -> Node {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let tree = self.spoken().await;
            if let Some(node) = tree.iter().find(|node| wanted(node)) {
                return node.clone();
            }
            assert!(tokio::time::Instant::now() < end, "nothing like {what} in {tree:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The accessibility tree, without what is ignored in it.
    ///
    /// # Panics
    /// When the browser gives none.
    pub async fn spoken(&self) -> Vec<Node> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().expect("a tree").iter();
        nodes
            .filter(|node| node["ignored"] != true)
            .map(|node| Node {
                role: text(&node["role"]),
                name: text(&node["name"]),
                value: node["value"]["value"].clone(),
                properties: node["properties"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|property| {
                        let name = property["name"].as_str().unwrap_or_default().to_owned();
                        (name, property["value"]["value"].clone())
                    })
                    .collect(),
            })
            .collect()
    }
}
