//! The answers that say no, as JSON: `{"statusCode", "error", "message"}`.
//!
//! The real error body is not published. This one is the shape of the framework whose conventions the rest of the API
//! follows; a client must not depend on it.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::world::WorldError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    status_code: u16,
    error: &'a str,
    message: &'a str,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = self.status.canonical_reason().unwrap_or("Error");
        let body = Body { status_code: self.status.as_u16(), error, message: &self.message };
        (self.status, Json(body)).into_response()
    }
}

impl From<WorldError> for Refusal {
    fn from(error: WorldError) -> Self {
        let status = match error {
            WorldError::UnknownWallet(_) | WorldError::UnknownDeposit(_) => StatusCode::NOT_FOUND,
            WorldError::AlreadyReplaced(_) => StatusCode::CONFLICT,
            WorldError::NotAnAmount(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

/// What every path that is nobody's answers.
pub(crate) async fn no_such_route(uri: Uri) -> Refusal {
    Refusal::not_found(format!("no route {}", uri.path()))
}

/// What every path answers to a method that it does not have.
pub(crate) async fn no_such_method(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take this method", uri.path()))
}
