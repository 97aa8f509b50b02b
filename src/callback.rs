//! Sends one signed HTTP request to a receiver, and reports the result.
//!
//! An [`Endpoint`] is compiled once from the configuration, so a mistake in it stops the start. A [`Sender`] makes one
//! attempt per call. It sends the stored bytes of the event, or the endpoint's template rendered from them, and signs
//! what it sends. The result, success or failure, is an [`Attempt`], never an error.
//!
//! [`crate::model::retry`] decides when to try again, and the caller decides the order. Nothing here logs: an attempt
//! carries everything to be reported. No attempt, `Debug` or error shows a secret, a header value or the query of an
//! address.

mod address;
mod answer;
mod backfill;
mod clients;
pub mod config;
mod echo;
mod endpoint;
mod fault;
#[cfg(test)]
mod fixture;
mod guard;
mod headers;
mod number;
mod problem;
mod proxy;
mod rehearsal;
mod request;
mod sender;
mod signing;
mod template;
mod transport;

pub use answer::says_unauthorized;
pub use config::{Config, Defaults, Egress, EndpointConfig};
pub use endpoint::Endpoint;
pub use problem::{ConfigError, Problem};
pub use proxy::{PROXY, Proxy};
pub use rehearsal::Misfit;
pub use request::Callback;
pub use sender::{Attempt, Sender};
