//! Checks the licences and the sources of every dependency, offline, from `cargo metadata`.
//!
//! Knows nothing of vulnerabilities: that needs a database from the network.

use serde_json::Value;

use crate::run;

/// Licences that may be combined with the project's own, GPL-3.0-or-later.
const COMPATIBLE: [&str; 16] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "GPL-3.0-or-later",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Checks every package of `Cargo.lock`.
///
/// # Errors
/// Names each package whose licence is unknown or not compatible, or whose code comes from elsewhere than the
/// registry or this project.
pub(crate) fn check() -> Result<(), String> {
    let mut command = run::cargo_like("cargo");
    command.args(["metadata", "--format-version", "1", "--locked"]);
    let text = run::ask(&mut command).ok_or("`cargo metadata --locked` failed: is Cargo.lock current?")?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("`cargo metadata`: {e}"))?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).ok_or("`cargo metadata` lists no packages")?;
    let mut bad = Vec::new();
    for package in packages {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap_or("?"),
            package["version"].as_str().unwrap_or("?")
        );
        let licence = package["license"].as_str().unwrap_or("");
        if !permits(licence) {
            bad.push(format!("{name}: licence `{licence}`"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+")) {
            bad.push(format!("{name}: comes from {}", source.unwrap_or("?")));
        }
    }
    if bad.is_empty() {
        eprintln!("{} packages, all compatible", packages.len());
        return Ok(());
    }
    Err(bad.join("\n"))
}

/// Whether an SPDX expression of `AND`, `OR` and parentheses leaves a choice that is compatible.
fn permits(expression: &str) -> bool {
    let spaced =
        expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = words.as_slice();
    let result = any(&mut at);
    result && at.is_empty()
}

fn any(at: &mut &[&str]) -> bool {
    let mut result = all(at);
    while let Some((&"OR", rest)) = at.split_first() {
        *at = rest;
        result |= all(at);
    }
    result
}

fn all(at: &mut &[&str]) -> bool {
    let mut result = one(at);
    while let Some((&"AND", rest)) = at.split_first() {
        *at = rest;
        result &= one(at);
    }
    result
}

fn one(at: &mut &[&str]) -> bool {
    let Some((&word, rest)) = at.split_first() else { return false };
    *at = rest;
    if word != "(" {
        return COMPATIBLE.contains(&word.replace("_WITH_", " WITH ").as_str());
    }
    let result = any(at);
    match at.split_first() {
        Some((&")", rest)) => {
            *at = rest;
            result
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::permits;

    #[test]
    fn one_compatible_choice_is_enough_but_every_part_counts() {
        assert!(permits("MIT OR LGPL-2.1-only"));
        assert!(permits("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(permits("MIT/Apache-2.0"));
        assert!(permits("Apache-2.0 WITH LLVM-exception OR MIT"));
        assert!(!permits("MIT AND SSPL-1.0"));
        assert!(!permits("(MIT"));
        assert!(!permits(""));
    }
}
