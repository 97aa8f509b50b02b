//! Distinguishes an endpoint that refuses the callbacks of some users from one that is down.
//!
//! Pure. A receiver may refuse the callbacks of some users for good and accept those of others. Then repeated
//! failures of those users are no sign that it is down.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// If more lanes fail, all are forgotten, and their next failures count.
const MAX_LANES: usize = 10_000;

/// The lanes whose last attempt failed.
#[derive(Debug, Default)]
pub(super) struct FailedLanes {
    /// How many deliveries the endpoint has accepted.
    taken: u64,
    /// Each lane by its hash, with the value of `taken` at its last failure.
    failed_at: HashMap<u64, u64>,
    hasher: RandomState,
}

impl FailedLanes {
    /// The endpoint has accepted a delivery of this lane. One without a lane is a lane of its own.
    pub(super) fn succeeded(&mut self, lane: Option<&str>, seq: i64) {
        self.taken += 1;
        if !self.failed_at.is_empty() {
            self.failed_at.remove(&self.key(lane, seq));
        }
    }

    /// A delivery of this lane failed. Returns whether this may mean that the endpoint is down: not if the lane had
    /// failed before, and the endpoint has accepted other deliveries since.
    pub(super) fn failed(&mut self, lane: Option<&str>, seq: i64) -> bool {
        if self.failed_at.len() >= MAX_LANES {
            self.failed_at.clear();
        }
        let before = self.failed_at.insert(self.key(lane, seq), self.taken);
        before.is_none_or(|before| before == self.taken)
    }

    /// A delivery has died, or a command has changed it. One without a lane is forgotten. A lane is not: what comes next
    /// in it is probably refused as well, and that must not look as if the endpoint were down.
    pub(super) fn ended(&mut self, lane: Option<&str>, seq: i64) {
        if lane.is_none() {
            self.failed_at.remove(&self.key(None, seq));
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.failed_at.len()
    }

    fn key(&self, lane: Option<&str>, seq: i64) -> u64 {
        lane.map_or_else(|| self.hasher.hash_one(seq), |lane| self.hasher.hash_one(lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_forgotten_unless_more_of_its_lane_may_come() {
        let mut lanes = FailedLanes::default();
        assert!(lanes.failed(None, 1) && lanes.failed(Some("user"), 2));
        lanes.succeeded(None, 3);
        lanes.ended(None, 1);
        lanes.ended(Some("user"), 2);
        assert_eq!(lanes.remembered(), 1);
        assert!(!lanes.failed(Some("user"), 4), "the next one of the user is refused as well");
    }
}
