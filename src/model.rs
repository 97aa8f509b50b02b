//! What the bridge is about, as plain values and functions: no async, no IO, no clock, no logging.

pub mod account;
pub mod actor;
pub mod capture;
pub mod catalogue;
pub mod condition;
pub mod delivery;
pub mod diff;
pub mod draft;
pub mod event;
pub mod facts;
pub mod fingerprint;
#[cfg(test)]
pub(crate) mod fixture;
pub mod insecure;
pub mod listing;
pub mod lookalike;
pub mod pattern;
pub mod portable;
pub mod raw;
pub mod reconcile;
pub mod record;
pub mod retry;
pub mod retry_after;
pub mod sample;
pub mod settled;
pub mod sign;
pub mod sink;
pub mod subscriber;
pub mod suggest;

pub use listing::{Listing, PerListing};
pub use lumo_bridge_entity::{Amount, id};
