//! Delivers events to endpoints: each endpoint has a position in the log, and one process at a time moves it forward.
//!
//! The pool decides which endpoints this process leads. A dispatcher per endpoint reads the next events, sends many of
//! them in parallel with no transaction open, and writes the results in group commits. A pure machine decides what the
//! dispatcher does next; a circuit breaker tracks the endpoint's health. A crash, `kill -9` and a drain that ran out of
//! time are one case: the next leader sends again what was not written.

mod attempt;
mod breaker;
mod command;
mod dispatcher;
#[cfg(test)]
pub(crate) mod fixture;
mod limits;
mod machine;
mod meters;
mod pool;
#[cfg(test)]
mod simulation;

pub use command::{replay, retry, trial};
pub use meters::Meters;
pub use pool::Pool;
