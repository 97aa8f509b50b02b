//! Tells what an endpoint refuses of one user from an endpoint that is down.
//!
//! Pure. A receiver that refuses the callbacks of some users for good takes those of others. When several that it
//! refuses are tried again one after the other, that is no sign that it is down.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// If more lanes fail, all are forgotten, and their next failures count.
const MAX_LANES: usize = 10_000;

/// The lanes whose last attempt failed.
#[derive(Debug, Default)]
pub(super) struct FailedLanes {
    /// How often the endpoint has taken a delivery.
    taken: u64,
    /// Each lane by its hash, with the value of `taken` at its last failure.
    failed_at: HashMap<u64, u64>,
    hasher: RandomState,
}

impl FailedLanes {
    /// The endpoint has taken a delivery of this lane. One without a lane is a lane of its own.
    pub(super) fn succeeded(&mut self, lane: Option<&str>, seq: i64) {
        self.taken += 1;
        if !self.failed_at.is_empty() {
            self.failed_at.remove(&self.key(lane, seq));
        }
    }

    /// A delivery of this lane failed. Returns whether this may mean that the endpoint is down: not if the lane had
    /// failed before, and the endpoint has taken others since.
    pub(super) fn failed(&mut self, lane: Option<&str>, seq: i64) -> bool {
        if self.failed_at.len() >= MAX_LANES {
            self.failed_at.clear();
        }
        let before = self.failed_at.insert(self.key(lane, seq), self.taken);
        before.is_none_or(|before| before == self.taken)
    }

    fn key(&self, lane: Option<&str>, seq: i64) -> u64 {
        lane.map_or_else(|| self.hasher.hash_one(seq), |lane| self.hasher.hash_one(lane))
    }
}
