//! The errors of a request to Lumo, sorted by what the caller does about them.
//!
//! No message contains the API key, a URL's query or more than a short excerpt of an answer. Causes are in `source()`,
//! where [`crate::chain::Chain`] finds them.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::lumo::retry_after;
use crate::model::insecure::insecure;

/// Why a request to Lumo brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401: the key was rotated or was never right. Retrying with the same key does not help.
    #[error("Lumo does not accept the API key")]
    Unauthorized,

    /// 429, or 503 with a `Retry-After`. The client has already lowered its own rate.
    #[error("Lumo asks for fewer requests{}", long_rest(*.retry_after))]
    Throttled {
        status: u16,
        /// How long Lumo asks clients to wait, capped at 15 minutes.
        retry_after: Option<Duration>,
    },

    /// No answer, half an answer, or a 5xx: a retry may succeed.
    #[error("Lumo is unavailable: {outage}")]
    Unavailable {
        outage: Outage,
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },

    /// 404: the requested object does not exist.
    #[error("Lumo does not know it: {message}")]
    NotFound { message: String },

    /// Any other answer that is neither a success nor an outage; a retry would get the same answer.
    #[error("Lumo refused the request with {status}: {message}")]
    Refused { status: u16, message: String },

    /// A success whose body does not match the API's reference.
    #[error("Lumo's answer is not as documented: `{path}` {problem}")]
    Contract {
        /// Where in the body, for example `wallets` or `createdAt`; `body` for all of it.
        path: String,
        problem: String,
    },

    /// The client cannot be built from its configuration.
    #[error("client for Lumo not set up: {problem}")]
    Setup {
        problem: &'static str,
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

/// Added to the message where `Retry-After` exceeded the cap, so that the log warns of it.
fn long_rest(retry_after: Option<Duration>) -> &'static str {
    let cut = retry_after.is_some_and(|wait| wait >= retry_after::MAX_WAIT);
    if cut { ", and for none in the next 15 minutes or longer; it is left alone for 15" } else { "" }
}

/// How Lumo was unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No connection: name resolution, TCP, TLS.
    Connect,
    /// The answer was not complete in time.
    Timeout,
    /// The connection broke before the end of the answer.
    Broken,
    /// A status that reports a fault of the server itself.
    Answered { status: u16, message: String },
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::Timeout => f.write_str("no complete answer in time"),
            Self::Broken => f.write_str("connection broken"),
            Self::Answered { status, message } => write!(f, "answer {status}: {message}"),
        }
    }
}

impl Error {
    /// Whether a retry may succeed although nobody changes anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }

    /// Whether a request that writes may have been carried out although it failed. Only a refusal, or no connection at
    /// all, proves that it was not. 429 is a refusal; 503 may come from a proxy that gave up waiting, with or without
    /// `Retry-After`.
    #[must_use]
    pub const fn may_have_been_done(&self) -> bool {
        match self {
            Self::Unavailable { outage: Outage::Connect | Outage::Answered { status: 425, .. }, .. } => false,
            Self::Unavailable { .. }
            | Self::Throttled { status: 503, .. }
            | Self::Contract { .. }
            | Self::Refused { status: 300..=399, .. } => true,
            Self::Unauthorized
            | Self::Throttled { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// What an operator can do, where that is not obvious from the message.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized => {
                Some("a company login or a regenerated key makes the old key void; put the current one in lumo.api_key")
            }
            Self::Refused { status: 403, .. } => {
                Some("the key may not do this, or a firewall in front of the API keeps this address out")
            }
            Self::Refused { status: 300..=399, .. } => {
                Some("redirects are not followed, so that the key stays where it belongs; check lumo.base_url")
            }
            Self::Unavailable { outage: Outage::Connect, .. } => {
                Some("check that lumo.base_url is right, and can be reached from here")
            }
            Self::NotFound { .. } | Self::Contract { .. } => {
                Some("if this concerns every request, check lumo.base_url")
            }
            _ => None,
        }
    }

    pub(super) fn contract(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Contract { path: path.into(), problem: problem.into() }
    }
}

/// An exchange that broke off before the end of the answer. The URL is removed because it may name a user.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let outage = if error.is_connect() {
            Outage::Connect
        } else if error.is_timeout() {
            Outage::Timeout
        } else {
            Outage::Broken
        };
        let source: Box<dyn StdError + Send + Sync> = match insecure(&error, "add that authority to the system's") {
            Some(problem) => problem.into(),
            None => Box::new(error.without_url()),
        };
        Self::Unavailable { outage, source: Some(source) }
    }
}
