//! Damages an answer on its way out, after the request took effect.
//!
//! Works on the text of the body: numbers in the undamaged parts keep every digit. A body that is not what a damage
//! needs (an empty page has no middle item) passes as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt};
use serde_json::value::RawValue;

use crate::clock;
use crate::server::Unanswered;
use crate::simulator::fault::RetryAfter;
use crate::simulator::refusal::Refusal;

const LOGIN_PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head><body><form></form></body></html>";

/// Long enough for what was sent to leave the buffers before the connection breaks.
const BEFORE_BREAKING: Duration = Duration::from_millis(30);

type Fields = BTreeMap<String, Box<RawValue>>;

/// What to change about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageDamage {
    NumericId,
    MissingId,
    DuplicateId,
    MissingTotal,
    LargeItems(usize),
}

pub(crate) fn status(code: u16, retry_after: Option<RetryAfter>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Refusal::new(status, "injected by the simulator").into_response();
    if let Some(value) = retry_after.and_then(|hint| HeaderValue::try_from(retry_after_text(hint)).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn retry_after_text(hint: RetryAfter) -> String {
    match hint {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Date { seconds } => {
            let ahead = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or_default();
            let now = clock::now();
            let at = now.checked_add_signed(ahead).unwrap_or(now);
            at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
        }
    }
}

pub(crate) fn html(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], LOGIN_PAGE).into_response()
}

pub(crate) fn unanswered() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unanswered);
    response
}

/// Promises the whole body, sends half of it and breaks the connection.
pub(crate) fn cut_body(response: Response, body: Bytes) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let breaking = stream::once(async {
        tokio::time::sleep(BEFORE_BREAKING).await;
        Err(Unanswered)
    });
    Response::from_parts(parts, Body::from_stream(half.chain(breaking)))
}

/// Sends half the body as if it were all of it.
pub(crate) fn cut_json(response: Response, body: &Bytes) -> Response {
    with_body(response, body.slice(..body.len() / 2))
}

/// Adds white space to the end until the body has that size; it stays the same JSON.
pub(crate) fn oversized(response: Response, body: &Bytes, size: usize) -> Response {
    let mut padded = body.to_vec();
    padded.resize(body.len().max(size), b' ');
    with_body(response, padded.into())
}

pub(crate) fn page(response: Response, body: Bytes, damage: PageDamage) -> Response {
    let damaged = damaged_page(&body, damage).map_or(body, Bytes::from);
    with_body(response, damaged)
}

/// The same answer with another body.
pub(crate) fn with_body(response: Response, body: Bytes) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

fn damaged_page(body: &[u8], damage: PageDamage) -> Option<Vec<u8>> {
    let mut envelope: Fields = serde_json::from_slice(body).ok()?;
    if damage == PageDamage::MissingTotal {
        envelope.remove("total");
        return serde_json::to_vec(&envelope).ok();
    }
    let list = envelope.iter_mut().find_map(|(name, value)| (name != "total").then_some(value))?;
    let mut items: Vec<Fields> = serde_json::from_str(list.get()).ok()?;
    let middle = items.len() / 2;
    match damage {
        PageDamage::NumericId => {
            items.get_mut(middle)?.insert("id".to_owned(), RawValue::from_string("17".to_owned()).ok()?);
        }
        PageDamage::MissingId => {
            items.get_mut(middle)?.remove("id")?;
        }
        PageDamage::DuplicateId => {
            let first = items.first()?.clone();
            // A page is no longer than asked for, so the copy takes the place of the last item if there is another.
            if items.len() > 1 {
                items.pop();
            }
            items.push(first);
        }
        PageDamage::LargeItems(bytes) => {
            let notes = vec!["what somebody noted"; bytes / 22];
            let notes = serde_json::value::to_raw_value(&notes).ok()?;
            for item in &mut items {
                item.insert("notes".to_owned(), notes.clone());
            }
        }
        PageDamage::MissingTotal => {}
    }
    *list = serde_json::value::to_raw_value(&items).ok()?;
    serde_json::to_vec(&envelope).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"deposits":[{"amount":0.10,"id":"a"},{"amount":1e-7,"id":"b"}],"total":2}"#;

    fn damaged(damage: PageDamage) -> String {
        String::from_utf8(damaged_page(PAGE.as_bytes(), damage).unwrap()).unwrap()
    }

    #[test]
    fn the_rest_of_a_damaged_page_stays_as_it_was() {
        assert_eq!(damaged(PageDamage::NumericId), PAGE.replace(r#""b""#, "17"));
        assert_eq!(damaged(PageDamage::MissingId), PAGE.replace(r#","id":"b""#, ""));
        assert_eq!(damaged(PageDamage::MissingTotal), PAGE.replace(r#","total":2"#, ""));
        assert_eq!(damaged(PageDamage::DuplicateId), PAGE.replace(r#"1e-7,"id":"b""#, r#"0.10,"id":"a""#));
    }

    #[test]
    fn items_can_be_made_large_without_changing_what_they_say() {
        let page = damaged(PageDamage::LargeItems(1_000));
        assert!((2_000..2_200).contains(&page.len()), "{page}");
        assert!(page.contains(r#""amount":1e-7,"id":"b""#), "{page}");
    }

    #[test]
    fn an_empty_page_has_nothing_to_damage() {
        assert_eq!(damaged_page(br#"{"wallets":[],"total":0}"#, PageDamage::MissingId), None);
        assert_eq!(damaged_page(b"not json", PageDamage::MissingTotal), None);
    }
}
