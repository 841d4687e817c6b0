//! The page's content security policy.
//!
//! Scripts are our own files and the inline starter that Trunk writes into `index.html`, named by its hash.

use axum::http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// The policy for a page with this `index.html`.
#[must_use]
pub(super) fn of(index: &str) -> HeaderValue {
    let hashes: String = inline_scripts(index)
        .map(|script| format!(" 'sha256-{}'", base64(&Sha256::digest(script))))
        .collect();
    let policy = format!(
        "default-src 'none'; \
         script-src 'self' 'wasm-unsafe-eval'{hashes}; \
         worker-src 'self' blob:; \
         style-src 'self' 'unsafe-inline'; \
         img-src 'self' blob: data:; \
         media-src 'self' blob:; \
         frame-src 'self' blob:; \
         font-src 'self'; \
         manifest-src 'self'; \
         connect-src 'self' http: https: ws: wss: blob:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The texts of scripts without `src`.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script")?;
        (!attributes.contains("src=")).then_some(script)
    })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let number = a << 16 | b << 8 | c;
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            let known = digit <= chunk.len();
            text.push(if known {
                DIGITS.get(value as usize).map_or('=', |digit| char::from(*digit))
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn inline_scripts_are_named_and_no_others_may_run() {
        let policy = of("<script type=\"module\">start()</script><script src=\"/a.js\"></script>");
        let policy = policy.to_str().unwrap();
        assert_eq!(policy.matches("'sha256-").count(), 1);
        assert!(policy.contains("'wasm-unsafe-eval'") && !policy.contains("'unsafe-eval'"));
        assert!(!of("").to_str().unwrap().contains("sha256"));
    }
}
