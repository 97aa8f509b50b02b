//! Writes an endpoint's log lines.
//!
//! There is one when it begins to fail, a summary once a minute, one when it recovers, and one when deliveries are
//! given up. Single attempts are not logged.

use std::time::Instant;

use lumo_bridge_entity::endpoint::State;

use crate::deliver::machine::Notice;
use crate::model::id::EndpointName;
use crate::model::retry::Verdict;
use crate::outage::{self, Outage};

#[derive(Debug)]
pub(in crate::deliver) struct News {
    endpoint: EndpointName,
    outage: Outage,
    /// Deliveries that died since the outage began.
    dead: u64,
}

impl News {
    pub(in crate::deliver) fn new(endpoint: EndpointName) -> Self {
        Self { endpoint, outage: Outage::default(), dead: 0 }
    }

    pub(in crate::deliver) fn tell(&mut self, told: &Notice) {
        let endpoint = &self.endpoint;
        match told {
            Notice::Attempt { kind, attempt, report, verdict, .. } => {
                self.attempt(kind, *attempt, report.status, report.error.as_deref(), verdict, report.duration);
            }
            Notice::Turned { to: State::Active, .. } => {
                tracing::info!(%endpoint, "endpoint recovered; what was held goes out");
            }
            Notice::Turned { to: State::Failing, error } => tracing::warn!(
                %endpoint, error, "endpoint fails; what is for it is held, and it is probed until it answers"
            ),
            Notice::Turned { error, .. } => tracing::error!(
                %endpoint, error, "endpoint is suspended; what is for it waits for `lumo-bridge endpoint resume`"
            ),
            Notice::Unacknowledged { failed, dead } => {
                if *failed > 0 {
                    tracing::warn!(
                        %endpoint, deliveries = failed, "not acknowledged in time; they are sent again by the schedule"
                    );
                }
                if *dead > 0 {
                    tracing::error!(
                        %endpoint, deliveries = dead, "never acknowledged; they are dead, kept, and can be retried"
                    );
                }
            }
            Notice::LeftOut => tracing::debug!(%endpoint, "left out by `when`"),
            Notice::BeyondTheLog { position, last } => tracing::error!(
                %endpoint, position, last,
                "endpoint is ahead of the log, as after a restored backup; nothing is sent to it until \
                 `lumo-bridge endpoint resume` sets it to the end"
            ),
        }
    }

    fn attempt(
        &mut self,
        event_type: &str,
        attempt: u32,
        status: Option<u16>,
        error: Option<&str>,
        verdict: &Verdict,
        duration: std::time::Duration,
    ) {
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (news, dead) = self.note(verdict, Instant::now());
        let endpoint = &self.endpoint;
        match news {
            outage::News::Nothing if *verdict == Verdict::Done => {
                tracing::debug!(%endpoint, event_type, attempt, status, duration_ms, "delivered");
            }
            outage::News::Nothing => {
                tracing::debug!(%endpoint, event_type, attempt, status, error, duration_ms, "delivery failed");
            }
            outage::News::Begun => tracing::warn!(
                %endpoint, event_type, attempt, status, error, duration_ms,
                "delivery failed; further failures of this endpoint are summed up once a minute"
            ),
            outage::News::Goes { failures, attempts, lasted } => {
                tracing::warn!(%endpoint, failures, attempts, dead, since_s = lasted.as_secs(), "deliveries fail");
            }
            outage::News::Over { failures, lasted } => tracing::info!(
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

    /// What to log, and how many deliveries died in the outage.
    fn note(&mut self, verdict: &Verdict, now: Instant) -> (outage::News, u64) {
        let news = match verdict {
            Verdict::Done => self.outage.succeeded(now),
            Verdict::RetryAt(_) => self.outage.failed(now),
            Verdict::Dead => {
                self.dead += 1;
                self.outage.failed(now)
            }
        };
        let dead = self.dead;
        if matches!(news, outage::News::Over { .. }) {
            self.dead = 0;
        }
        (news, dead)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deliveries_that_die_in_an_outage_are_counted_until_it_is_over() {
        let (start, mut news) = (Instant::now(), News::new("shop".parse().unwrap()));
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(news.note(&Verdict::Dead, at(0)), (outage::News::Begun, 1));
        assert_eq!(news.note(&Verdict::Dead, at(1)), (outage::News::Nothing, 2));
        assert!(matches!(news.note(&Verdict::Dead, at(61)), (outage::News::Goes { failures: 2, .. }, 3)));
        assert!(matches!(news.note(&Verdict::Done, at(121)), (outage::News::Over { failures: 3, .. }, 3)));
        assert_eq!(news.note(&Verdict::Done, at(122)), (outage::News::Nothing, 0));
        assert_eq!(news.note(&Verdict::Dead, at(123)), (outage::News::Begun, 1));
    }
}
