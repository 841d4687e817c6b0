//! The web page: the files that `cargo xtask page` made, out of this binary or out of a folder.
//!
//! Builds nothing. Files with a hash in their name may be kept for good, the others are asked for anew; compressed copies
//! go to browsers that take them. The policy lets the page run its own code only, and talk to any tracker and node.

mod policy;

use super::App;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A file of the page inside this binary.
#[derive(Clone, Copy, Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    etag: &'static str,
    immutable: bool,
    bytes: &'static [u8],
    br: Option<&'static [u8]>,
    gz: Option<&'static [u8]>,
}

/// Written by `build.rs`; empty where the page was not built.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Said where there is no page.
const MISSING: &str = "The page is not in this binary. Build it with `cargo xtask page` and build again, or name its \
                       folder with --www DIR. Tracker, node and supernode work without it.\n";

/// Where the page comes from.
#[derive(Clone, Debug)]
pub enum Page {
    /// Out of this binary.
    Embedded {
        /// The content security policy.
        policy: HeaderValue,
    },
    /// Out of a folder, read at each request: for those who work on the page.
    Folder(PathBuf),
}

impl Page {
    /// The page in `folder`, or the one in this binary.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        match folder {
            Some(folder) => Self::Folder(folder),
            None => {
                let index =
                    FILES.iter().find(|file| file.path == "/index.html").map_or(&[][..], |file| file.bytes);
                Self::Embedded { policy: policy::of(&String::from_utf8_lossy(index)) }
            }
        }
    }

    /// Whether there is a page to show.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match self {
            Self::Embedded { .. } => !FILES.is_empty(),
            Self::Folder(folder) => folder.join("index.html").is_file(),
        }
    }
}

/// Every path that is no other route: a file of the page.
pub async fn file(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    answer(&app, &uri, &headers)
}

/// The file at `uri`.
pub(super) fn answer(app: &App, uri: &Uri, headers: &HeaderMap) -> Response {
    let path = if uri.path() == "/" { "/index.html" } else { uri.path() };
    match &app.page {
        None => not_found("There is no page here.\n"),
        Some(page) if path == "/index.html" && !page.is_there() => not_found(MISSING),
        Some(Page::Embedded { policy }) => match FILES.iter().find(|file| file.path == path) {
            Some(file) => embedded(file, policy, headers),
            None => not_found("No such file.\n"),
        },
        Some(Page::Folder(folder)) => from_folder(folder, path),
    }
}

fn embedded(file: &File, policy: &HeaderValue, headers: &HeaderMap) -> Response {
    let accepts = |encoding| accepts(headers, encoding);
    let (bytes, encoding) = match file {
        File { br: Some(bytes), .. } if accepts("br") => (*bytes, Some("br")),
        File { gz: Some(bytes), .. } if accepts("gzip") => (*bytes, Some("gzip")),
        _ => (file.bytes, None),
    };
    // Each encoding is a representation of its own (RFC 9110, section 8.8.3).
    let etag =
        format!("\"{}{}\"", file.etag, encoding.map_or(String::new(), |encoding| format!("-{encoding}")));
    let unchanged = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == etag);
    let keep = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { Response::new(Body::from(bytes)) };
    let into = response.headers_mut();
    set(into, CONTENT_TYPE, file.content_type);
    set(into, CACHE_CONTROL, keep);
    set(into, ETAG, &etag);
    if file.br.is_some() || file.gz.is_some() {
        set(into, VARY, "Accept-Encoding");
    }
    if let Some(encoding) = encoding.filter(|_| !unchanged) {
        set(into, CONTENT_ENCODING, encoding);
    }
    protect(into, file.path, policy.clone());
    response
}

fn from_folder(folder: &Path, path: &str) -> Response {
    let relative = PathBuf::from(anatomic_core::magnet::unescape(path.trim_start_matches('/')));
    // Nothing but plain names: no way out of the folder.
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return not_found("No such file.\n");
    }
    let Ok(bytes) = std::fs::read(folder.join(&relative)) else { return not_found("No such file.\n") };
    let policy = policy::of(&std::fs::read_to_string(folder.join("index.html")).unwrap_or_default());
    let mut response = Response::new(Body::from(bytes));
    set(response.headers_mut(), CONTENT_TYPE, content_type(&relative));
    set(response.headers_mut(), CACHE_CONTROL, "no-cache");
    protect(response.headers_mut(), path, policy);
    response
}

/// Headers that keep strangers' bytes from becoming code.
fn protect(headers: &mut HeaderMap, path: &str, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, REFERRER_POLICY, "no-referrer");
    if path.ends_with("sw.js") {
        set(headers, HeaderName::from_static("service-worker-allowed"), "/");
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the browser takes an encoding: named, and not with weight zero.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offer| {
            let (name, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let refused =
                weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            name.trim().eq_ignore_ascii_case(encoding) && !refused
        })
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

fn not_found(text: &'static str) -> Response {
    (StatusCode::NOT_FOUND, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    const SCRIPT: File = File {
        path: "/app-0123456789abcdef.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "e",
        immutable: true,
        bytes: b"plain",
        br: Some(b"br"),
        gz: Some(b"gz"),
    };

    #[test]
    fn the_best_encoding_that_the_browser_takes_is_sent() {
        for (accept, encoding) in [
            ("gzip, deflate, br;q=0.9", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, gzip", Some("gzip")),
            ("identity", None),
        ] {
            let response =
                embedded(&SCRIPT, &HeaderValue::from_static("x"), &headers(ACCEPT_ENCODING, accept));
            let sent = response.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(sent, encoding, "{accept}");
            assert_eq!(response.headers()[VARY], "Accept-Encoding");
            assert!(response.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        }
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let response =
            embedded(&SCRIPT, &HeaderValue::from_static("x"), &headers(IF_NONE_MATCH, "\"a\", W/\"e\""));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = std::env::temp_dir();
        for path in ["/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/a/../../x", "/."] {
            assert_eq!(
                from_folder(&folder.join("anatomic-none"), path).status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }
}
