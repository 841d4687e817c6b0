//! The door for sister nodes: `GET /api/v1/mesh` becomes a WebSocket of peer-sharing.
//!
//! Who may come in is decided there, by keys.

use super::App;
use anatomic_mesh::sharing::message::MAX_MESSAGE;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// `GET /api/v1/mesh`
pub async fn connect(State(app): State<Arc<App>>, upgrade: WebSocketUpgrade) -> Response {
    let Some(mesh) = app.mesh.clone() else {
        return (StatusCode::NOT_FOUND, "this is not a node").into_response();
    };
    if !mesh.speaks() {
        // Sisters keep one connection to the whole fleet; the one who speaks calls them.
        return (StatusCode::SERVICE_UNAVAILABLE, "another process of this fleet speaks for it")
            .into_response();
    }
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .on_upgrade(move |stream| mesh.serve(stream))
}
