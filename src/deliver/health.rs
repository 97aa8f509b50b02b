//! What the log tells of an endpoint: that it began to fail, how it goes once a minute, that it is over, and that callbacks
//! are given up. Not every attempt.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::callback::Endpoint;
use crate::model::retry::Verdict;
use crate::outage::{News, Outage};

/// How the endpoint's attempts go.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outage: Outage,
    /// Deliveries that were given up since the outage began.
    dead: u64,
}

impl State {
    /// What is new, and how many deliveries the outage has cost.
    fn note(&mut self, verdict: &Verdict, now: Instant) -> (News, u64) {
        let news = match verdict {
            Verdict::Done => self.outage.succeeded(now),
            Verdict::RetryAt(_) => self.outage.failed(now),
            Verdict::Dead => {
                self.dead += 1;
                self.outage.failed(now)
            }
        };
        let dead = self.dead;
        if matches!(news, News::Over { .. }) {
            self.dead = 0;
        }
        (news, dead)
    }
}

impl Health {
    /// Takes note of an attempt.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one log line")]
    pub(super) fn log(
        &self,
        endpoint: &Endpoint,
        event_type: &str,
        attempt: u32,
        status: Option<u16>,
        error: Option<&str>,
        verdict: &Verdict,
        duration: Duration,
    ) {
        let endpoint = endpoint.name();
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (news, dead) = self.0.lock().unwrap_or_else(PoisonError::into_inner).note(verdict, Instant::now());
        match news {
            News::Nothing if *verdict == Verdict::Done => {
                tracing::debug!(%endpoint, event_type, attempt, status, duration_ms, "delivered");
            }
            News::Nothing => {
                tracing::debug!(%endpoint, event_type, attempt, status, error, duration_ms, "delivery failed")
            }
            News::Begun => tracing::warn!(
                %endpoint, event_type, attempt, status, error, duration_ms,
                "delivery failed; further failures of this endpoint are summed up once a minute"
            ),
            News::Goes { failures, attempts, lasted } => {
                tracing::warn!(%endpoint, failures, attempts, dead, since_s = lasted.as_secs(), "deliveries fail");
            }
            News::Over { failures, lasted } => tracing::info!(
                %endpoint, failures, dead, lasted_s = lasted.as_secs(),
                "deliveries succeed; none has failed for a minute"
            ),
        }
        if *verdict == Verdict::Dead && dead == 1 {
            tracing::error!(
                %endpoint, event_type, attempt, status, error, duration_ms,
                "delivery is dead; it is kept and can be retried. Others that die are counted in the summaries"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_die_in_an_outage_are_counted_until_it_is_over() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(state.note(&Verdict::Dead, at(0)), (News::Begun, 1));
        assert_eq!(state.note(&Verdict::Dead, at(1)), (News::Nothing, 2));
        assert!(matches!(state.note(&Verdict::Dead, at(61)), (News::Goes { failures: 2, .. }, 3)));
        assert!(matches!(state.note(&Verdict::Done, at(121)), (News::Over { failures: 3, .. }, 3)));
        assert_eq!(state.note(&Verdict::Done, at(122)), (News::Nothing, 0));
        assert_eq!(state.note(&Verdict::Dead, at(123)), (News::Begun, 1));
    }
}
