//! Why there was no complete answer: a kind from a closed set, and a short text for whoever looks into it.
//!
//! The kind is found by walking the causes of the client's error. The text is the innermost cause, which is what an
//! operator can act upon; the url, which may carry a password in its query, is in none of it.

use std::error::Error;
use std::io;

use crate::callback::guard::{Denied, LookupError};
use crate::callback::request::RequestError;
use crate::chain::Chain;
use crate::model::retry::Unreachable;

/// Longest text, in bytes; a certificate's names may run to pages.
const MAX_TEXT: usize = 500;

/// Why there was no complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Unreachable,
    pub(super) text: String,
}

impl Fault {
    fn new(kind: Unreachable, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self { kind, text }
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

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let root = causes(&error).last().map(ToString::to_string).unwrap_or_default();
        let lookup = causes(&error).find_map(<dyn Error>::downcast_ref::<LookupError>);
        if error.is_timeout() {
            let text = if error.is_connect() { "no connection in time" } else { "no complete answer in time" };
            return Self::new(Unreachable::Timeout, text);
        }
        match lookup {
            Some(LookupError::Denied(denied)) => denied.clone().into(),
            Some(unresolved) => Self::new(Unreachable::Dns, Chain(unresolved).to_string()),
            None if error.is_dns() => Self::new(Unreachable::Dns, format!("the name does not resolve: {root}")),
            None if causes(&error).any(<dyn Error>::is::<rustls::Error>) => {
                Self::new(Unreachable::Tls, format!("no secure connection: {root}"))
            }
            None if error.is_builder() => Self::new(Unreachable::Request, format!("no request can be made: {root}")),
            None if error.is_connect() => Self::new(Unreachable::Connection, format!("no connection: {root}")),
            None => Self::new(Unreachable::Connection, format!("the connection broke: {root}")),
        }
    }
}

/// An error and what caused it, down to the innermost. An `io::Error` is a cause of its own and hides the one that it
/// wraps, so that one is taken out.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}
