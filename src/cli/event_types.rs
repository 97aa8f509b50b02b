//! Options that name a type of event.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::event::EventType;

/// The types of events, by name.
pub(super) fn types() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(EventType::ALL.iter().map(|kind| kind.as_str()))
}
