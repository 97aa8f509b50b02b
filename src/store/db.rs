//! Opens connections, runs transactions, migrates the tables, and lets processes see and wake each other.

pub mod config;
pub(in crate::store) mod connect;
pub(in crate::store) mod daemon;
pub(in crate::store) mod deadline;
pub(in crate::store) mod distrust;
pub(in crate::store) mod doctor;
pub(in crate::store) mod error;
#[cfg(test)]
pub(crate) mod eye;
#[doc(hidden)]
pub mod failpoint;
pub(in crate::store) mod file;
pub(in crate::store) mod fitness;
pub(in crate::store) mod kept;
pub(in crate::store) mod meters;
pub(in crate::store) mod notifier;
pub(in crate::store) mod process;
pub(in crate::store) mod process_locks;
pub mod schema;
pub(in crate::store) mod search_path;
pub(in crate::store) mod session;
pub(in crate::store) mod statement;
pub(in crate::store) mod survey;
pub(in crate::store) mod timeouts;
pub(in crate::store) mod transaction;
pub(in crate::store) mod trouble;
pub(in crate::store) mod tx;
