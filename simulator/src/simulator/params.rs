//! Reads what a request asks for: the query of a listing, the body of a change.
//!
//! Strict where the reference is: `limit` is an integer from 1 up, `status` one of an enum, a body has its one required
//! text. Everything wrong is told apart from everything missing, so that a client's mistake is easy to see.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::serving::{Cap, Window};
use crate::simulator::quirks::{OverCap, Quirks};
use crate::simulator::refusal::Refusal;

/// The query of a listing as sent; unknown parameters are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListQuery {
    pub(crate) external_id: Option<String>,
    pub(crate) status: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

impl ListQuery {
    /// The page that this request is answered with, by the rules of this server.
    pub(crate) fn window(&self, quirks: &Quirks) -> Result<Window, Refusal> {
        let limit = match &self.limit {
            Some(text) => number("limit", text)?,
            None => quirks.default_limit.min(quirks.page_cap),
        };
        let offset = self.offset.as_deref().map_or(Ok(0), |text| number("offset", text))?;
        if limit == 0 {
            return Err(Refusal::bad_request("limit must not be less than 1"));
        }
        let rows = quirks.page_cap;
        let refuse = |status| Refusal::new(status, format!("limit must not be greater than {rows}"));
        let refusal = match quirks.over_cap {
            OverCap::Clamp => None,
            OverCap::Refuse400 => Some(StatusCode::BAD_REQUEST),
            OverCap::Refuse422 => Some(StatusCode::UNPROCESSABLE_ENTITY),
        };
        let limit = Cap { rows, refusal }.limit(limit).map_err(refuse)?;
        Ok(Window { offset, limit })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query: Result<Query<Self>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match query {
            Ok(Query(query)) => Ok(query),
            Err(rejection) => Err(Refusal::bad_request(rejection.body_text())),
        }
    }
}

/// Digits only: no sign, no space, nothing a lenient parser would let pass.
fn number(name: &str, text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| Refusal::bad_request(format!("{name} must be an integer, not {text:?}")))
}

/// A JSON body, whatever its content type says.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::bad_request(format!("body: {error}")))
}

/// A required text of a body.
pub(crate) fn required(name: &str, text: String) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::bad_request(format!("{name} should not be empty")));
    }
    Ok(text)
}
