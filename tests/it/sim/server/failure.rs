//! How a request can fail.

use std::time::Duration;

use lumo_bridge::lumo::{Error, Outage};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    Timeout,
    Status500,
    /// 429 with this many seconds to wait, or without a word.
    Throttled(Option<u64>),
    Unauthorized,
    /// A page of HTML where JSON was expected.
    Html,
    /// JSON that ends in the middle.
    Truncated,
    Refused(u16),
}

impl Failure {
    /// One of those that pass.
    pub(super) fn random(rng: &mut StdRng) -> Self {
        match rng.random_range(0..12) {
            0..=2 => Self::Timeout,
            3..=5 => Self::Status500,
            6 | 7 => Self::Throttled(Some(0)),
            8 => Self::Throttled(None),
            9 => Self::Html,
            10 => Self::Truncated,
            _ => Self::Unauthorized,
        }
    }

    pub(super) fn error(self) -> Error {
        let contract = |problem: &str| Error::Contract { path: "body".to_owned(), problem: problem.to_owned() };
        match self {
            Self::Timeout => Error::Unavailable { outage: Outage::Timeout, source: None },
            Self::Status500 => {
                let outage = Outage::Answered { status: 500, message: "internal error".to_owned() };
                Error::Unavailable { outage, source: None }
            }
            Self::Throttled(seconds) => Error::Throttled { status: 429, retry_after: seconds.map(Duration::from_secs) },
            Self::Unauthorized => Error::Unauthorized,
            Self::Html => contract("is not JSON: it begins with `<html>`"),
            Self::Truncated => contract("ends in the middle"),
            Self::Refused(status) => Error::Refused { status, message: "limit must be smaller".to_owned() },
        }
    }
}
