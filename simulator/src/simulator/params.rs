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

use crate::simulator::quirks::{OverCap, Quirks};
use crate::simulator::refusal::Refusal;
use crate::world::Window;

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
        let cap = quirks.page_cap;
        let refuse = |status| Refusal::new(status, format!("limit must not be greater than {cap}"));
        match quirks.over_cap {
            _ if limit <= cap => Ok(Window { offset, limit }),
            OverCap::Clamp => Ok(Window { offset, limit: cap }),
            OverCap::Refuse400 => Err(refuse(StatusCode::BAD_REQUEST)),
            OverCap::Refuse422 => Err(refuse(StatusCode::UNPROCESSABLE_ENTITY)),
        }
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
fn number(name: &str, text: &str) -> Result<usize, Refusal> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn window(limit: Option<&str>, offset: Option<&str>, over_cap: OverCap) -> Result<(usize, usize), u16> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let query = ListQuery { external_id: None, status: None, limit: owned(limit), offset: owned(offset) };
        let quirks = Quirks { page_cap: 50, over_cap, ..Quirks::default() };
        let window = query.window(&quirks).map_err(|refusal| refusal.status.as_u16())?;
        Ok((window.offset, window.limit))
    }

    #[test]
    fn limits_are_defaulted_capped_or_refused() {
        assert_eq!(window(None, None, OverCap::Clamp), Ok((0, 20)));
        assert_eq!(window(Some("50"), Some("7"), OverCap::Refuse400), Ok((7, 50)));
        assert_eq!(window(Some("51"), None, OverCap::Clamp), Ok((0, 50)));
        assert_eq!(window(Some("51"), None, OverCap::Refuse400), Err(400));
        assert_eq!(window(Some("51"), None, OverCap::Refuse422), Err(422));
    }

    #[test]
    fn garbage_is_a_bad_request() {
        for text in ["0", "-1", "", "ten", "1.5", "+1", " 1", "99999999999999999999999"] {
            assert_eq!(window(Some(text), None, OverCap::Clamp), Err(400), "limit={text}");
        }
        for text in ["-1", "", "x"] {
            assert_eq!(window(None, Some(text), OverCap::Clamp), Err(400), "offset={text}");
        }
    }
}
