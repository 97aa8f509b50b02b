//! Delivering: each endpoint has a position in the log, and one process at a time brings it forward.
//!
//! The pool decides which endpoints this process leads. For each of them a dispatcher reads what comes next, sends
//! it, many requests side by side with no transaction open, and writes what came of it in group commits. What it does next is
//! decided by a pure machine; the endpoint's health is a circuit breaker. Crash, `kill -9` and a drain
//! that ran out of time are one case: what was not written is sent again by whoever leads next.

mod attempt;
mod breaker;
mod dispatcher;
mod jobs;
mod limits;
mod machine;
mod meters;
mod news;
mod pool;
pub mod replay;
pub mod retry;
mod rivals;
#[cfg(test)]
mod simulation;
mod tail;
pub mod trial;

pub use meters::Meters;
pub use pool::Pool;
