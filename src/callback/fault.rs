//! Says why there was no complete answer: a kind from a closed set, and a short text for operators.
//!
//! The kind is found by walking the causes of the client's error. The text is the innermost cause, which is the one
//! that an operator can act on. Neither contains the url, whose query may carry a password.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::callback::guard::{Denied, LookupError};
use crate::callback::request::RequestError;
use crate::chain::{Chain, causes};
use crate::model::insecure::insecure;
use crate::model::retry::Unreachable;
use crate::setting::Span;

/// Longest text, in bytes; a certificate's names may run to pages.
const MAX_TEXT: usize = 500;

/// Why there was no complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Unreachable,
    pub(super) text: String,
}

/// When an attempt began, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) began: Instant,
    pub(super) timeout: Duration,
}

impl Limit {
    /// What a timeout of the client is called. A connection may time out before the attempt does.
    fn exceeded(self) -> String {
        if self.began.elapsed() < self.timeout {
            return "no complete answer in time".to_owned();
        }
        format!("no complete answer within {} (`timeout`)", Span(self.timeout))
    }
}

impl Fault {
    fn new(kind: Unreachable, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self { kind, text }
    }

    /// Why the client of an attempt failed.
    pub(super) fn of(error: reqwest::Error, limit: Limit) -> Self {
        let error = error.without_url();
        let root = causes(&error).last().map(ToString::to_string).unwrap_or_default();
        let insecure = insecure(&error, "name that authority in `tls.ca` of the endpoint");
        let lookup = causes(&error).find_map(<dyn Error>::downcast_ref::<LookupError>);
        if error.is_timeout() {
            let text = if error.is_connect() { "no connection in time".to_owned() } else { limit.exceeded() };
            return Self::new(Unreachable::Timeout, text);
        }
        match lookup {
            Some(LookupError::Denied(denied)) => denied.clone().into(),
            Some(unresolved) => Self::new(Unreachable::Dns, Chain(unresolved).to_string()),
            None if error.is_dns() => Self::new(Unreachable::Dns, format!("the name does not resolve: {root}")),
            None if insecure.is_some() => {
                Self::new(Unreachable::Tls, format!("no secure connection: {}", insecure.unwrap_or_default()))
            }
            None if error.is_builder() => Self::new(Unreachable::Request, format!("no request can be made: {root}")),
            None if error.is_connect() => Self::new(Unreachable::Connection, format!("no connection: {root}")),
            None => Self::new(Unreachable::Connection, format!("the connection broke: {root}")),
        }
    }
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        Self::new(Unreachable::Denied, denied.to_string())
    }
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        Self::new(Unreachable::Request, Chain(&error).to_string())
    }
}
