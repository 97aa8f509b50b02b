//! Queries what people ask for, and removes old rows: lists, counts, `reconcile`, retention.
//!
//! Nothing here decides what is delivered.

pub mod activity;
mod counts;
mod deliveries;
pub mod query;
pub mod reconcile;
pub mod retention;
