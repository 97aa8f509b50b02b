//! What a receiver did, and what follows from it: the whole retry policy as one pure function.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use rand::{Rng, RngExt};

/// What one attempt met. Never an error: the other side's failure is data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx, read to its end within the timeout.
    Accepted { status: u16 },
    /// Any other answer.
    Refused { status: u16, retry_after: Option<Duration> },
    /// No answer, or none that was complete in time.
    Unreachable(Unreachable),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The name did not resolve.
    Dns,
    /// The address is one that callbacks may not go to.
    Denied,
    /// The connection was refused, reset or cut.
    Connection,
    Tls,
    Timeout,
    /// The request could not be made from the configuration, for example a template that failed.
    Request,
    /// The database refused the statement of a sink.
    Statement,
}

impl Unreachable {
    pub const ALL: [Self; 7] =
        [Self::Dns, Self::Denied, Self::Connection, Self::Tls, Self::Timeout, Self::Request, Self::Statement];

    /// A closed set of names for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Denied => "denied",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Request => "request",
            Self::Statement => "statement",
        }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    RetryAt(DateTime<Utc>),
    Dead,
}

/// Tries up to which a delivery is due at once when its endpoint recovers. One that failed more often keeps to its own
/// schedule: it may be refused for a reason of its own, and would use up its attempts where the endpoint recovers often.
pub const EARLY_TRIES: i32 = 5;

/// No wait is longer, so that every time can be stored.
const LONGEST_WAIT: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// When to try again, and when to give up.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The wait after the first, second, … failed attempt; after the last of them the delivery is dead.
    pub schedule: Vec<Duration>,
    /// Share of a wait that may be added to it at random, 0 to 1. Never subtracted.
    pub jitter: f64,
    /// Longest `Retry-After` that is believed.
    pub retry_after_cap: Duration,
}

impl Policy {
    /// What follows from an attempt. `attempts` counts the attempts made, this one included.
    pub fn judge(&self, attempts: u32, outcome: &Outcome, now: DateTime<Utc>, rng: &mut impl Rng) -> Verdict {
        let hint = match outcome {
            Outcome::Accepted { .. } => return Verdict::Done,
            Outcome::Refused { retry_after, .. } => *retry_after,
            Outcome::Unreachable(_) => None,
        };
        let Some(step) = self.step(attempts) else { return Verdict::Dead };
        let wait = self.wait(step, hint);
        let wait = wait.saturating_add(self.jitter(wait, rng)).min(LONGEST_WAIT);
        Verdict::RetryAt((now + wait).trunc_subsecs(6))
    }

    /// How long the whole endpoint is to be left alone, if it asked for that: `Retry-After` on 429 and 503. No shorter
    /// than the wait that the schedule gives this delivery, while it gives one.
    #[must_use]
    pub fn hold(&self, attempts: u32, outcome: &Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Refused { status: 429 | 503, retry_after: Some(hint) } => {
                Some(self.wait(self.step(attempts).unwrap_or_default(), Some(*hint)))
            }
            _ => None,
        }
    }

    /// Attempts that a wait follows: after one more the delivery is dead.
    #[must_use]
    pub fn retries(&self) -> u32 {
        u32::try_from(self.schedule.len()).unwrap_or(u32::MAX)
    }

    /// No wait that follows from an attempt is longer.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let wait = self.schedule.iter().copied().max().unwrap_or_default().max(self.retry_after_cap);
        let jitter = Duration::try_from_secs_f64(wait.as_secs_f64() * self.jitter.clamp(0.0, 1.0));
        wait.saturating_add(jitter.unwrap_or_default()).min(LONGEST_WAIT)
    }

    fn step(&self, attempts: u32) -> Option<Duration> {
        let made = usize::try_from(attempts).ok()?;
        self.schedule.get(made.saturating_sub(1)).copied()
    }

    /// A hint makes a wait longer, never shorter, and never longer than it is believed.
    fn wait(&self, step: Duration, hint: Option<Duration>) -> Duration {
        hint.map_or(step, |hint| hint.min(self.retry_after_cap).max(step)).min(LONGEST_WAIT)
    }

    fn jitter(&self, wait: Duration, rng: &mut impl Rng) -> Duration {
        let share = self.jitter.clamp(0.0, 1.0) * rng.random::<f64>();
        Duration::try_from_secs_f64(wait.as_secs_f64() * share).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const CAP: Duration = Duration::from_secs(12 * 3600);

    fn policy(jitter: f64) -> Policy {
        let schedule = [5, 30, 120, 86_400].map(Duration::from_secs).to_vec();
        Policy { schedule, jitter, retry_after_cap: CAP }
    }

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:11:12Z".parse().unwrap()
    }

    fn refused(status: u16, seconds: Option<u64>) -> Outcome {
        Outcome::Refused { status, retry_after: seconds.map(Duration::from_secs) }
    }

    fn wait(policy: &Policy, attempts: u32, outcome: &Outcome, seed: u64) -> Option<Duration> {
        match policy.judge(attempts, outcome, now(), &mut StdRng::seed_from_u64(seed)) {
            Verdict::RetryAt(at) => Some((at - now()).to_std().unwrap()),
            Verdict::Done | Verdict::Dead => None,
        }
    }

    #[test]
    fn the_schedule_is_followed_to_its_end() {
        let unreachable = Outcome::Unreachable(Unreachable::Timeout);
        for (attempts, seconds) in
            [(1, Some(5)), (2, Some(30)), (3, Some(120)), (4, Some(86_400)), (5, None), (u32::MAX, None)]
        {
            for outcome in [&refused(500, None), &unreachable] {
                let expected = seconds.map(Duration::from_secs);
                assert_eq!(wait(&policy(0.0), attempts, outcome, 1), expected, "attempt {attempts}, {outcome:?}");
            }
        }
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(policy(0.0).judge(5, &unreachable, now(), &mut rng), Verdict::Dead);
        assert_eq!(policy(0.0).judge(1, &Outcome::Accepted { status: 204 }, now(), &mut rng), Verdict::Done);
    }

    #[test]
    fn a_hint_lengthens_a_wait_up_to_the_cap() {
        for (attempts, hint, seconds) in [
            (1, 60, 60),
            (1, 1, 5),
            (2, 1, 30),
            (1, 13 * 3600, 12 * 3600),
            (1, u64::MAX, 12 * 3600),
            // The schedule's own wait may be longer than any hint that is believed.
            (4, 60, 86_400),
        ] {
            let outcome = refused(503, Some(hint));
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(wait(&policy(0.0), attempts, &outcome, 1), expected, "attempt {attempts}, hint {hint}");
            assert_eq!(policy(0.0).hold(attempts, &outcome), expected, "attempt {attempts}, hint {hint}");
        }
    }

    #[test]
    fn only_throttling_holds_the_endpoint() {
        let policy = policy(0.0);
        assert_eq!(policy.hold(1, &refused(429, Some(60))), Some(Duration::from_secs(60)));
        assert_eq!(policy.hold(9, &refused(503, Some(60))), Some(Duration::from_secs(60)));
        let unreachable = Outcome::Unreachable(Unreachable::Connection);
        for outcome in [refused(429, None), refused(500, Some(60)), Outcome::Accepted { status: 200 }, unreachable] {
            assert_eq!(policy.hold(1, &outcome), None, "{outcome:?}");
        }
    }

    #[test]
    fn an_absurd_policy_neither_panics_nor_retries_at_once() {
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 1.0] {
            let policy = Policy { schedule: vec![Duration::MAX], jitter, retry_after_cap: Duration::MAX };
            let verdict = policy.judge(1, &refused(503, Some(u64::MAX)), now(), &mut StdRng::seed_from_u64(1));
            assert_eq!(verdict, Verdict::RetryAt(now() + LONGEST_WAIT));
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_its_step_and_some_jitter(
            attempts in 1_u32..=4, jitter in 0.0..=1.0_f64, hint: Option<u64>, seed: u64,
        ) {
            let policy = policy(jitter);
            let step = policy.schedule[attempts as usize - 1];
            let floor = hint.map_or(step, |hint| Duration::from_secs(hint).min(CAP).max(step));
            let wait = wait(&policy, attempts, &refused(503, hint), seed).unwrap();
            prop_assert!(wait >= floor, "{wait:?} is less than {floor:?}");
            prop_assert!(wait <= floor.mul_f64(1.0 + jitter) + Duration::from_micros(1), "{wait:?} is too long");
        }

        #[test]
        fn waits_grow_with_a_growing_schedule(
            mut steps in prop::collection::vec(0_u64..1_000_000, 1..20), hint: Option<u64>,
        ) {
            steps.sort_unstable();
            let schedule: Vec<_> = steps.into_iter().map(Duration::from_secs).collect();
            let last = schedule.len() as u32;
            let policy = Policy { schedule, jitter: 0.0, retry_after_cap: CAP };
            let waits: Vec<_> = (1..=last).map(|made| wait(&policy, made, &refused(429, hint), 1)).collect();
            prop_assert!(waits.iter().all(Option::is_some));
            prop_assert!(waits.is_sorted());
            prop_assert_eq!(wait(&policy, last + 1, &refused(429, hint), 1), None);
        }
    }
}
