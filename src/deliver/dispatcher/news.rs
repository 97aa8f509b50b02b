//! Logs what happens to an endpoint's deliveries, without a line per attempt.
//!
//! There is a line when deliveries begin to fail, a summary once a minute, and a line when they succeed again. Dead and
//! unacknowledged deliveries are logged, and whatever stops or resumes sending: a pause, a suspension, a resume, a
//! `Retry-After`, a position beyond the log. All other attempts are logged at the level `debug` only.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::State;

use crate::deliver::machine::Notice;
use crate::model::id::EndpointName;
use crate::model::retry::Verdict;
use crate::outage::{self, Outage};

/// A hold that ends so much later than the last one in the log is logged as well. Every answer in flight may ask for one.
const LONGER_HOLD: TimeDelta = TimeDelta::minutes(1);
/// The least time between two lines about deliveries that were not acknowledged. They are looked for each second.
const UNACKNOWLEDGED_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(in crate::deliver) struct News {
    endpoint: EndpointName,
    outage: Outage,
    /// Deliveries that died since the outage began.
    dead: u64,
    /// The end of the last hold in the log.
    held_until: Option<DateTime<Utc>>,
    unacknowledged: Unacknowledged,
}

/// Deliveries that were not acknowledged in time, and are in no log line yet.
#[derive(Debug, Default)]
struct Unacknowledged {
    failed: usize,
    dead: usize,
    said_at: Option<Instant>,
}

impl Unacknowledged {
    /// What to log now, as nothing was for a minute: how many failed, and how many are dead.
    fn due(&mut self, now: Instant) -> Option<(usize, usize)> {
        let is_time = self.said_at.is_none_or(|at| now.saturating_duration_since(at) >= UNACKNOWLEDGED_EVERY);
        if self.failed + self.dead == 0 || !is_time {
            return None;
        }
        self.said_at = Some(now);
        Some((std::mem::take(&mut self.failed), std::mem::take(&mut self.dead)))
    }
}

impl News {
    pub(in crate::deliver) fn new(endpoint: EndpointName) -> Self {
        let (outage, unacknowledged) = (Outage::of_many(), Unacknowledged::default());
        Self { endpoint, outage, dead: 0, held_until: None, unacknowledged }
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
            Notice::Paused { by, since } => {
                self.begin_anew();
                tracing::info!(
                    endpoint = %self.endpoint, by, since = shown(*since),
                    "an operator has paused the endpoint; what is for it is held until `lumo-bridge endpoint resume`"
                );
            }
            Notice::Resumed { by } => {
                self.begin_anew();
                tracing::info!(
                    endpoint = %self.endpoint, by, "an operator has resumed the endpoint; what waits for it goes out"
                );
            }
            Notice::Held { until, error } => {
                if self.is_longer_hold(*until) {
                    tracing::info!(
                        endpoint = %self.endpoint, until = shown(*until), error,
                        "the endpoint asks for quiet by `Retry-After`; nothing is sent to it until then"
                    );
                }
            }
            Notice::Unacknowledged { failed, dead } => {
                self.unacknowledged.failed += failed;
                self.unacknowledged.dead += dead;
                self.say_unacknowledged();
            }
            Notice::LeftOut => tracing::debug!(%endpoint, "left out by `when`"),
            Notice::BeyondTheLog { position, last } => tracing::error!(
                %endpoint, position, last,
                "endpoint is ahead of the log, as after a restored backup; nothing is sent to it until \
                 `lumo-bridge endpoint resume` sets it to the end"
            ),
        }
    }

    /// Logs what has to be logged because time has passed, as the end of an outage that was over since the last attempt.
    pub(in crate::deliver) fn look(&mut self) {
        let news = self.outage.look(Instant::now());
        self.say_end(news);
        self.say_unacknowledged();
    }

    fn say_unacknowledged(&mut self) {
        let Some((failed, dead)) = self.unacknowledged.due(Instant::now()) else { return };
        let endpoint = &self.endpoint;
        if failed > 0 {
            tracing::warn!(
                %endpoint, deliveries = failed, "not acknowledged in time; they are sent again by the schedule"
            );
        }
        if dead > 0 {
            tracing::error!(
                %endpoint, deliveries = dead, "never acknowledged; they are dead, kept, and can be retried"
            );
        }
    }

    fn say_end(&mut self, news: outage::News) {
        let outage::News::Over { failures, lasted } = news else { return };
        let dead = std::mem::take(&mut self.dead);
        tracing::info!(
            endpoint = %self.endpoint, failures, dead, lasted_s = lasted.as_secs(), "deliveries succeed again"
        );
    }

    /// Logs what has failed and is in no line yet, as there will be no summary of it.
    fn sum_up(&self) {
        let outage::News::Goes { failures, attempts, lasted } = self.outage.unsaid(Instant::now()) else { return };
        tracing::warn!(
            endpoint = %self.endpoint, failures, attempts, dead = self.dead, since_s = lasted.as_secs(),
            "deliveries failed since the last line"
        );
    }

    /// Forgets what has failed: an operator has decided about the endpoint.
    fn begin_anew(&mut self) {
        self.sum_up();
        (self.outage, self.dead, self.held_until) = (Outage::of_many(), 0, None);
    }

    fn is_longer_hold(&mut self, until: DateTime<Utc>) -> bool {
        let is_longer = self.held_until.is_none_or(|said| until > said + LONGER_HOLD);
        if is_longer {
            self.held_until = Some(until);
        }
        is_longer
    }

    fn attempt(
        &mut self,
        event_type: &str,
        attempt: u32,
        status: Option<u16>,
        error: Option<&str>,
        verdict: &Verdict,
        duration: Duration,
    ) {
        self.look();
        // A failed probe and a 429 are no attempts, so there may have been none yet.
        let attempt = (attempt > 0).then_some(attempt);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = Instant::now();
        let news = self.note(verdict, now.checked_sub(duration).unwrap_or(now), now);
        let (endpoint, dead) = (&self.endpoint, self.dead);
        match news {
            outage::News::Nothing | outage::News::Over { .. } if *verdict == Verdict::Done => {
                tracing::debug!(%endpoint, event_type, attempt, status, duration_ms, "delivered");
            }
            outage::News::Nothing | outage::News::Over { .. } => {
                tracing::debug!(%endpoint, event_type, attempt, status, error, duration_ms, "delivery failed");
            }
            outage::News::Begun => tracing::warn!(
                %endpoint, event_type, attempt, status, error, duration_ms,
                "delivery failed; further failures of this endpoint are summed up once a minute"
            ),
            outage::News::Goes { failures, attempts, lasted } => tracing::warn!(
                %endpoint, failures, attempts, dead, since_s = lasted.as_secs(), status, error,
                "deliveries fail; `error` is the last"
            ),
        }
        if *verdict == Verdict::Dead && dead == 1 {
            tracing::error!(
                %endpoint, event_type, attempt, status, error, duration_ms,
                "delivery is dead; it is kept and can be retried. Others that die are counted in the summaries"
            );
        }
        self.say_end(news);
    }

    fn note(&mut self, verdict: &Verdict, began: Instant, now: Instant) -> outage::News {
        match verdict {
            Verdict::Done => self.outage.succeeded(now),
            Verdict::RetryAt(_) => self.outage.failed_since(began, now),
            Verdict::Dead => {
                self.dead += 1;
                self.outage.failed_since(began, now)
            }
        }
    }
}

/// The configuration was reloaded, the process ends, or another one leads the endpoint.
impl Drop for News {
    fn drop(&mut self) {
        self.sum_up();
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_die_in_an_outage_are_counted_until_it_is_over() {
        let (start, mut news) = (Instant::now(), News::new("shop".parse().unwrap()));
        let at = |second| start + Duration::from_secs(second);
        let mut noted = |verdict, second| {
            let said = news.note(&verdict, at(second), at(second));
            let dead = news.dead;
            news.say_end(said);
            (said, dead)
        };
        assert_eq!(noted(Verdict::Dead, 0), (outage::News::Begun, 1));
        assert_eq!(noted(Verdict::Dead, 1), (outage::News::Nothing, 2));
        assert!(matches!(noted(Verdict::Dead, 61), (outage::News::Goes { failures: 2, .. }, 3)));
        assert!(matches!(noted(Verdict::Done, 70), (outage::News::Over { failures: 3, .. }, 3)));
        assert_eq!(noted(Verdict::Done, 72), (outage::News::Nothing, 0));
        assert_eq!(noted(Verdict::Dead, 73), (outage::News::Begun, 1));
    }

    #[test]
    fn what_is_not_acknowledged_is_a_line_a_minute() {
        let (start, mut waiting) = (Instant::now(), Unacknowledged::default());
        let mut said = Vec::new();
        for second in 0..150 {
            waiting.failed += usize::from(second < 100);
            waiting.dead += usize::from(second == 70);
            let due = waiting.due(start + Duration::from_secs(second));
            said.extend(due.map(|(failed, dead)| (second, failed, dead)));
        }
        assert_eq!(said, [(0, 1, 0), (60, 60, 0), (120, 39, 1)], "nothing is lost, and nothing is said of nothing");
    }

    #[test]
    fn a_hold_is_said_once_though_each_answer_asks_for_it_a_little_later() {
        let mut news = News::new("shop".parse().unwrap());
        let at = |second| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let said: Vec<i64> =
            [60, 61, 59, 120, 121, 125, 7_200, 7_201].into_iter().filter(|end| news.is_longer_hold(at(*end))).collect();
        assert_eq!(said, [60, 121, 7_200]);
        news.begin_anew();
        assert!(news.is_longer_hold(at(7_202)), "an operator has ended the one before");
    }
}
