//! What programs are told of stored things: the JSON that `--json` prints and the admin HTTP answers.
//!
//! The names are those of the tables, so that what a script knows from one it knows from the other. A list leaves out
//! what is long (the item as listed, the body, the attempts); one thing in full has it, embedded exactly as it was stored.

pub mod account;
pub mod action;
pub mod csv;
pub mod delivery;
pub mod deposit;
pub mod difference;
pub mod done;
pub mod due;
pub mod empty;
pub mod endpoint;
pub mod event;
pub mod finding;
pub mod reject;
pub mod speed;
pub mod standing;
pub mod statuses;
pub mod trial;
pub mod wallet;
pub mod watch;

pub use account::{Account, WrongAccount};
pub use action::Action;
pub use delivery::{Attempt, Delivery};
pub use deposit::Deposit;
pub use difference::Difference;
pub use done::Done;
pub use due::RetriedAll;
pub use empty::EmptyColumn;
pub use endpoint::Endpoint;
pub use event::Event;
pub use finding::Finding;
pub use reject::Reject;
pub use speed::Speed;
pub use standing::{Reader, Round, Standing, Status};
pub use statuses::Statuses;
pub use trial::Test;
pub use wallet::Wallet;
pub use watch::{Watch, Watching};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

/// A stored text that is a JSON document, embedded as it is; should it be none, as a text.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Embedded {
    Document(#[schemars(with = "serde_json::Value")] Box<RawValue>),
    Text(String),
}

impl Embedded {
    #[must_use]
    pub fn new(text: &str) -> Self {
        RawValue::from_string(text.to_owned()).map_or_else(|_| Self::Text(text.to_owned()), Self::Document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_embedded_digit_for_digit() {
        let shown = |text| serde_json::to_string(&[Embedded::new(text)]).unwrap();
        assert_eq!(shown(r#"{"amount": 1.50e1, "a":1}"#), r#"[{"amount": 1.50e1, "a":1}]"#);
        assert_eq!(shown("<html>"), r#"["<html>"]"#);
    }
}
