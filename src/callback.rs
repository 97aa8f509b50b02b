//! One signed HTTP request to a receiver, and what came of it.
//!
//! An [`Endpoint`] is compiled once from the configuration, so that whatever is wrong with it stops the start. A
//! [`Sender`] makes one attempt per call: what is sent are the stored bytes of the event, or the endpoint's template
//! rendered from them, signed as they go out. What the receiver did, or failed to do, is an [`Attempt`], never an error.
//!
//! When to try again is decided by [`crate::model::retry`], and what waits for what by the caller. Nothing here logs:
//! an attempt carries what is worth telling, and neither it nor any `Debug` or error shows a secret, a header value or
//! the query of an address.

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

pub use config::{Config, Defaults, Egress, EndpointConfig};
pub use endpoint::Endpoint;
pub use problem::{ConfigError, Problem};
pub use proxy::{PROXY, Proxy};
pub use rehearsal::Misfit;
pub use request::Callback;
pub use sender::{Attempt, Sender};
