//! The tables of lumo-bridge as SeaORM entities: the vocabulary that is stored.
//!
//! Derives and parsing only; no function here takes a connection. A merchant's own Rust code can use this crate to
//! read the `lumo_*` tables next to its own. docs/tables.md is made from the comments here; how the tables come
//! to be is the business of the migration crate, which does not depend on this one.

#![expect(
    clippy::disallowed_methods,
    reason = "SeaORM's derives open transactions in code they generate; none of it is called by the bridge"
)]

pub mod amount;
pub mod id;

pub mod account;
pub mod ack;
pub mod attempt;
pub mod blocks;
pub mod deposit_status;
pub mod endpoint;
pub mod event;
pub mod exception;
pub mod lease;
pub mod meta;
pub mod operator_action;
pub mod position;
pub mod process;
pub mod progress;
pub mod reject;
pub mod run;
pub mod seen;
pub mod stream;
pub mod subscription;
pub mod sweep;
pub mod watch;

pub mod deposit;
pub mod wallet;

pub use amount::Amount;
