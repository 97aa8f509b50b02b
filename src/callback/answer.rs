//! Reads a receiver's answer: its status, its Retry-After, and the beginning of its body.
//!
//! A 2xx counts once its body has arrived, or 16 KiB of it: a receiver whose answer stops in the middle may have failed
//! in the middle. Any other status counts without its body.
//!
//! No request accepts an encoding. If a body is compressed all the same, it counts as read once its compressed bytes
//! have arrived. It is never unpacked and not kept, so its unpacked size does not matter.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_ENCODING, DATE, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::callback::fault::{Fault, Limit};
use crate::model::retry::Outcome;
use crate::model::retry_after::{http_date, retry_after};
use crate::setting::Redactor;

/// The most bytes of a body that are read.
const READ_BYTES: usize = 16 * 1024;
/// The most bytes of a body that are kept.
const KEPT_BYTES: usize = 4 * 1024;

/// An answer, as far as it arrived.
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// Whether the body is not compressed.
    is_plain: bool,
    body: Vec<u8>,
    /// The fault that cut the body short.
    fault: Option<Fault>,
}

impl Answer {
    /// Reads the answer. If a body is longer than [`READ_BYTES`], the rest is not read, and the connection cannot be
    /// reused.
    pub(super) async fn read(mut response: Response, limit: Limit, now: DateTime<Utc>) -> Self {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let served_at = header(DATE).and_then(http_date);
        let retry_after = header(RETRY_AFTER).and_then(|hint| retry_after(hint, served_at, now));
        let mut encodings = response.headers().get_all(CONTENT_ENCODING).iter();
        let is_plain = encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let mut answer = Self { status: response.status(), retry_after, is_plain, body: Vec::new(), fault: None };
        while answer.body.len() <= READ_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    answer.fault = Some(Fault::of(error, limit));
                    break;
                }
            }
        }
        answer.body.truncate(READ_BYTES);
        answer
    }

    /// Whether there is a body, or an error to report.
    pub(super) fn says_something(&self) -> bool {
        !self.body.is_empty() || self.fault.is_some()
    }

    pub(super) fn outcome(&self) -> Outcome {
        let status = self.status.as_u16();
        match &self.fault {
            _ if !self.status.is_success() => Outcome::Refused { status, retry_after: self.retry_after },
            Some(fault) => Outcome::Unreachable(fault.kind),
            None => Outcome::Accepted { status },
        }
    }

    /// What is wrong with the answer; none if it is a success.
    pub(super) fn error(&self) -> Option<String> {
        match &self.fault {
            _ if self.status.is_redirection() => Some(format!("answered {}; redirects are not followed", self.status)),
            _ if !self.status.is_success() => Some(format!("answered {}", self.status)),
            Some(fault) => Some(format!("answered {}, but not to its end: {}", self.status, fault.text)),
            None => None,
        }
    }

    /// The beginning of the body, as text that any database accepts, without the secrets of the request.
    pub(super) fn excerpt(&self, redactor: &Redactor) -> Option<String> {
        if !self.is_plain {
            return None;
        }
        let text = String::from_utf8_lossy(&self.body).replace('\0', "");
        let mut text = redactor.redact(&text).into_owned();
        text.truncate(text.floor_char_boundary(KEPT_BYTES));
        (!text.is_empty()).then_some(text)
    }
}

/// Whether the error of an attempt, as it is stored, says that the receiver let nobody in: it answered 401 or 403.
#[must_use]
pub fn says_unauthorized(error: &str) -> bool {
    ["answered 401", "answered 403"].iter().any(|answer| error.starts_with(answer))
}
