//! Answers the queries of commands and `/api` (lists, counts, `reconcile`), and removes old rows.
//!
//! Nothing here decides what is delivered.

pub mod activity;
mod counts;
mod deliveries;
pub mod query;
pub mod reconcile;
pub mod retention;
