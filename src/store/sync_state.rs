//! Stores what the sync engine remembers between two rounds, and which process syncs.

pub(in crate::store) mod account;
pub(in crate::store) mod lead;
pub(in crate::store) mod progress;
pub(in crate::store) mod rejects;
pub(in crate::store) mod remember;
pub(in crate::store) mod speed;
pub(in crate::store) mod standing;
pub(in crate::store) mod sweep;
pub(in crate::store) mod watches;
