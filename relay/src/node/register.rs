//! Says "here I am" to a supernode.
//!
//! The supernode believes nothing of it: it comes and looks. When it is said is [`super::report`]'s business.

use anatomic_mesh::api::{Problem, Registered, Registration, paths};

/// Registers `url` at one supernode. `None`: it is of an older version and says nothing of itself.
///
/// # Errors
/// Why it was not taken, in one line.
pub async fn register(
    client: &reqwest::Client,
    supernode: &str,
    url: &str,
) -> Result<Option<Registered>, String> {
    let address = format!("{}{}", supernode.trim_end_matches('/'), paths::NODES);
    let answer = client
        .post(&address)
        .json(&Registration { url: url.to_owned() })
        .send()
        .await
        .map_err(|error| format!("{supernode} cannot be reached: {}", innermost(&error)))?;
    if answer.status().is_success() {
        return Ok(answer.json().await.ok());
    }
    let status = answer.status();
    let problem =
        answer.json::<Problem>().await.map_or_else(|_| status.to_string(), |problem| problem.to_string());
    Err(format!("{supernode} refused: {problem}"))
}

/// What really went wrong: the source at the end of the chain ("connection refused"), not the wrapping.
#[must_use]
pub fn innermost(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}
