//! The OpenAPI document of everything that this process answers: `GET /api/v1/openapi.json`.
//!
//! Kept by hand in `openapi.json`, so that neither the page nor the shared types carry a generator of it;
//! `relay/tests/openapi.rs` holds it against the routes and against what a running process answers.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /api/v1/openapi.json`
pub async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
