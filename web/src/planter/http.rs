//! Requests to nodes and supernodes, and their answers in JSON.
//!
//! What is asked and what an answer means is the callers' business.

use crate::browser::reason;
use crate::worker::host::respond;
use anatomic_mesh::api::Problem;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::RequestInit;

/// Asks for something.
///
/// # Errors
/// What the host said, or why it said nothing.
pub async fn get<T: DeserializeOwned>(url: &str) -> Result<T, String> {
    let text = fetch(url, None).await.map_err(|problem| problem.to_string())?;
    read(&text)
}

/// Posts something whose answer has no body.
///
/// # Errors
/// What the host said, or why it said nothing.
pub async fn send(url: &str, body: &impl serde::Serialize) -> Result<(), Problem> {
    let body = serde_json::to_string(body).map_err(Problem::without_document)?;
    fetch(url, Some(body)).await.map(drop)
}

/// Posts something and reads the answer.
///
/// # Errors
/// What the host said, or why it said nothing.
pub async fn post<T: DeserializeOwned>(url: &str, body: &impl serde::Serialize) -> Result<T, Problem> {
    let body = serde_json::to_string(body).map_err(Problem::without_document)?;
    read(&fetch(url, Some(body)).await?).map_err(Problem::without_document)
}

/// Asks supernodes one after the other until one answers.
///
/// # Errors
/// What the last one said.
pub async fn ask<T: DeserializeOwned>(supernodes: &[String], path: &str) -> Result<T, String> {
    let mut reason = "no supernode is known".to_owned();
    for supernode in supernodes {
        match get(&format!("{supernode}{path}")).await {
            Ok(answer) => return Ok(answer),
            Err(error) => reason = format!("{supernode}: {error}"),
        }
    }
    Err(reason)
}

/// Supernodes that are asked at once.
const AT_ONCE: usize = 5;

/// Asks supernodes all at once; who does not answer is left out.
///
/// # Errors
/// What each of them said, if none answers.
pub async fn ask_all<T: DeserializeOwned>(supernodes: &[String], path: &str) -> Result<Vec<T>, String> {
    let asked = supernodes.iter().take(AT_ONCE).map(|supernode| async move {
        get(&format!("{supernode}{path}")).await.map_err(|error| format!("{supernode}: {error}"))
    });
    let (mut answers, mut reasons) = (Vec::new(), Vec::new());
    for answer in join_all(asked).await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(reason) => reasons.push(reason),
        }
    }
    if answers.is_empty() {
        reasons.extend(supernodes.is_empty().then(|| "no supernode is known".to_owned()));
        return Err(reasons.join("; "));
    }
    Ok(answers)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("it answered something else than was asked: {error}"))
}

async fn fetch(url: &str, body: Option<String>) -> Result<String, Problem> {
    let init = RequestInit::new();
    if let Some(body) = body {
        init.set_method("POST");
        init.set_body(&body.into());
    }
    let failed = |error: JsValue| Problem::without_document(reason(&error));
    let response = respond(url, &init).await.map_err(Problem::without_document)?;
    let text = response.text().map_err(failed)?;
    let text = JsFuture::from(text).await.map_err(failed)?.as_string().unwrap_or_default();
    if response.ok() {
        return Ok(text);
    }
    Err(serde_json::from_str(&text).unwrap_or_else(|_| {
        Problem::without_document(format!("it answered {} {}", response.status(), response.status_text()))
    }))
}
