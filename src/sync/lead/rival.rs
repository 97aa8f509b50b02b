//! Decides, from what a standby has observed, whether the holder of the lease is gone.

use std::time::Instant;

use chrono::TimeDelta;

use crate::store::Holder;

/// How many consecutive times a process must be found without its lock before it counts as dead. A live process may
/// lose its database session for a moment. Taking its lease then is safe, because it is fenced, but makes both
/// processes change roles.
const DEAD_AFTER_MISSING_LOCKS: u32 = 2;

/// The holder of the lease, as a standby sees it.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    holder: Holder,
    unchanged_since: Instant,
    last_seen: Instant,
    looks_without_lock: u32,
}

impl Rival {
    /// The state after another poll of the lease.
    pub(super) fn seen(before: Option<Self>, holder: Holder, lives: bool, now: Instant) -> Self {
        let same_process = |before: &Self| before.holder.process == holder.process;
        let looks_before = before.as_ref().filter(|before| same_process(before)).map_or(0, |it| it.looks_without_lock);
        let looks_without_lock = if lives { 0 } else { looks_before + 1 };
        let unchanged = before.filter(|before| before.holder == holder);
        let unchanged_since = unchanged.map_or(now, |before| before.unchanged_since);
        Self { holder, unchanged_since, last_seen: now, looks_without_lock }
    }

    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Whether the lease is abandoned: it was not renewed for its whole duration, regardless of its stored end, or its
    /// process has no lock. With `at_once`, just after the start, one missing lock is enough.
    pub(super) fn is_gone(&self, lease: TimeDelta, at_once: bool) -> bool {
        let unchanged_for = self.last_seen.saturating_duration_since(self.unchanged_since);
        let looks = if at_once { 1 } else { DEAD_AFTER_MISSING_LOCKS };
        self.looks_without_lock >= looks || lease.to_std().is_ok_and(|lease| unchanged_for >= lease)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;

    const LEASE: TimeDelta = TimeDelta::seconds(15);

    fn holder(epoch: i64, expires_in_days: i64) -> Holder {
        let expires_at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + expires_in_days);
        Holder { owner: "a".to_owned(), epoch, expires_at, process: Some(7) }
    }

    #[test]
    fn a_lease_that_nobody_renews_is_over_whatever_end_it_names() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for days in [0, 1, 10_000] {
            let rival = Rival::seen(None, holder(1, days), true, start);
            let rival = Rival::seen(Some(rival), holder(1, days), true, after(14));
            assert!(!rival.is_gone(LEASE, true), "{days}");
            let rival = Rival::seen(Some(rival), holder(1, days), true, after(15));
            assert!(rival.is_gone(LEASE, false), "{days}");
        }
    }

    #[test]
    fn a_lease_that_is_renewed_is_not_over() {
        let start = Instant::now();
        let mut rival = None;
        for look in 0..100_u64 {
            let at = start + Duration::from_secs(look);
            let seen = Rival::seen(rival, holder(1, (look / 14).cast_signed()), true, at);
            assert!(!seen.is_gone(LEASE, false), "{look}");
            rival = Some(seen);
        }
    }

    #[test]
    fn a_process_without_its_lock_is_gone_at_the_second_look_or_to_who_has_just_started() {
        let now = Instant::now();
        let first = Rival::seen(None, holder(1, 0), false, now);
        assert!(first.is_gone(LEASE, true) && !first.is_gone(LEASE, false));
        let back = Rival::seen(Some(first.clone()), holder(1, 0), true, now);
        assert!(!back.is_gone(LEASE, true), "its session was lost for a moment");
        let other = Holder { process: Some(8), ..holder(2, 0) };
        assert!(!Rival::seen(Some(first.clone()), other, false, now).is_gone(LEASE, false), "another one");
        assert!(Rival::seen(Some(first), holder(1, 0), false, now).is_gone(LEASE, false));
    }
}
