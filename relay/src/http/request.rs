//! Queries, paths and bodies of the API, refused with problem documents where they are malformed.
//!
//! The same as axum's, which refuse in plain text.

use super::problem::ApiProblem;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The query as `T`.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|refused| ApiProblem::malformed(refused.body_text()))?;
        Ok(Self(value))
    }
}

/// The variable part of the path as `T`.
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|refused| ApiProblem::malformed(refused.body_text()))?;
        Ok(Self(value))
    }
}

/// The body, of bounded length.
pub struct Sent(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|refused| ApiProblem::malformed(refused.body_text()))?;
        Ok(Self(body))
    }
}
