//! The tests of the whole: real sockets, real databases, real processes, real signals.
//!
//! A test waits for what it says, with a deadline, and never for time to pass. What is random comes from a seed that is
//! printed; `LUMO_TEST_SEED` repeats it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it must be")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a failing test saw is shown with it")]

mod account;
mod admin;
mod check;
mod database;
mod deliver;
mod demo;
mod documents;
mod e2e;
mod endpoints;
mod faults;
mod generated;
mod history;
mod operate;
mod packaging;
mod quirks;
mod reload;
mod restart;
mod restore;
mod schema;
mod secrecy;
mod service;
mod shutdown;
mod sim;
mod soak;
mod starting;
mod store;
mod takeover;
mod tidy;
mod traces;
mod watch;
mod world;
