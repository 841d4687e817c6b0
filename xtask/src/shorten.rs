//! Makes the files of the page shorter to transfer, without changing what they do.
//!
//! Not their compression, which follows in [`crate::page`].

use std::fs;
use std::path::Path;

use crate::tree;

/// Leaves out what only people and tools read: comments and indentation of texts, custom sections of wasm files. Trunk's
/// own shortening fails at what wasm-bindgen writes.
pub(crate) fn leave_out(staged: &Path) -> Result<(), String> {
    let fail = |what: &Path, e: std::io::Error| format!("cannot shorten {}: {e}", what.display());
    for file in tree::files(staged) {
        let extension = file.extension().unwrap_or_default();
        if extension == "wasm" {
            let bytes = fs::read(&file).map_err(|e| fail(&file, e))?;
            let bytes = crate::wasm::without_custom_sections(&bytes)?;
            fs::write(&file, bytes).map_err(|e| fail(&file, e))?;
        } else if ["js", "css", "html"].iter().any(|known| extension == *known) {
            let text = fs::read_to_string(&file).map_err(|e| fail(&file, e))?;
            fs::write(&file, squeezed(&text)).map_err(|e| fail(&file, e))?;
        }
    }
    Ok(())
}

/// The text without indentation, empty lines, and comments that have their lines for themselves.
fn squeezed(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        let ends = line.ends_with("*/");
        if in_comment || begins {
            in_comment = !ends;
        } else if !line.is_empty() && !line.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Each wasm file with the script that wasm-bindgen wrote for it.
const PAIRS: [(&str, &str); 3] =
    [("app_bg.wasm", "app.js"), ("worker_bg.wasm", "worker.js"), ("planter_bg.wasm", "planter.js")];

/// Gives short names to what a wasm file and its script know each other by. wasm-bindgen's carry digests, which no
/// compression helps, in both files: 4 % of what is transferred.
pub(crate) fn links(staged: &Path) -> Result<(), String> {
    let fail = |what: &Path, e: std::io::Error| format!("cannot shorten {}: {e}", what.display());
    for (wasm, script) in PAIRS.map(|(wasm, script)| (staged.join(wasm), staged.join(script))) {
        let text = fs::read_to_string(&script).map_err(|e| fail(&script, e))?;
        let module = fs::read(&wasm).map_err(|e| fail(&wasm, e))?;
        let links = links_of(&text);
        let short = |word: &str| match links.iter().position(|link| *link == word) {
            Some(at) => format!("${at}"),
            None => word.to_owned(),
        };
        let module = crate::wasm::renamed(&module, short)?;
        let text: String = words(&text).map(short).collect();
        fs::write(&script, text).map_err(|e| fail(&script, e))?;
        fs::write(&wasm, module).map_err(|e| fail(&wasm, e))?;
    }
    Ok(())
}

/// wasm-bindgen's own names in a script, each once.
fn links_of(script: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for word in words(script).filter(|word| word.starts_with("__wb") || word.starts_with("wasm_bindgen_")) {
        if !links.contains(&word) {
            links.push(word);
        }
    }
    links
}

/// A script's identifiers, and what stands between them, in turn.
fn words(script: &str) -> impl Iterator<Item = &str> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    script.split_inclusive(move |c| !in_word(c)).flat_map(move |piece| {
        let (word, between) = piece.split_at(piece.trim_end_matches(|c| !in_word(c)).len());
        [word, between]
    })
}

#[cfg(test)]
mod tests {
    use super::{links_of, squeezed, words};

    #[test]
    fn only_the_names_that_wasm_bindgen_made_are_shortened() {
        let script = "wasm.__wbg_f_01(__wbg_f_01, f$1);\nconst wasm_bindgen_x = ä.memory";
        assert_eq!(links_of(script), ["__wbg_f_01", "wasm_bindgen_x"]);
        assert_eq!(words(script).collect::<String>(), script);
    }

    #[test]
    fn comments_on_lines_of_their_own_and_indentation_are_left_out() {
        let text = "  // why\n/* a\n b */\nlet url = \"http://a\"; // kept\n\n/** c */\n    f();\n";
        assert_eq!(squeezed(text), "let url = \"http://a\"; // kept\nf();\n");
    }
}
