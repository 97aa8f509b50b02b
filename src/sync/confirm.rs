//! Confirmations: a row that seems to be gone or to have stepped back is asked for again before an event is published.

pub(in crate::sync) mod ask;
pub(in crate::sync) mod recently_seen;
pub mod recheck;
pub mod removals;
pub(in crate::sync) mod suspect;
