//! Confirms, by asking a second time, that a row is gone or has stepped back, before an event is published.

pub(in crate::sync) mod ask;
pub(in crate::sync) mod recently_seen;
pub mod recheck;
pub mod removals;
pub(in crate::sync) mod suspect;
