//! Problem documents (RFC 9457) as HTTP answers.
//!
//! What may go wrong is named where it does.

use anatomic_mesh::api::{PROBLEM_TYPE, Problem, codes};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// A problem that an endpoint answers with.
#[derive(Debug)]
pub struct ApiProblem(pub Problem);

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl ApiProblem {
    /// Nothing is known under that name.
    pub fn not_found(detail: impl std::fmt::Display) -> Self {
        Self(Problem::new(codes::NOT_FOUND, detail))
    }

    /// The request is malformed.
    pub fn malformed(detail: impl std::fmt::Display) -> Self {
        Self(Problem::new(codes::MALFORMED, detail))
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(CONTENT_TYPE, PROBLEM_TYPE)], body).into_response()
    }
}
