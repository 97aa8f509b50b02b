//! How fast Lumo is asked, while that is slower than configured.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Finding;
use super::finding::Severity;
use crate::lumo;
use crate::store::{Error, Store};

/// A note of a process that has died says nothing.
const MAX_AGE: TimeDelta = TimeDelta::seconds(15);

/// How fast Lumo is asked, while that is slower than configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speed {
    /// Requests per second at present.
    pub rate: f64,
    /// Requests per second as configured.
    pub ceiling: f64,
    /// Nothing is asked before then, because Lumo answered 429 or 503.
    pub waits_until: Option<DateTime<Utc>>,
    pub noted_at: DateTime<Utc>,
}

impl Speed {
    #[must_use]
    pub fn new(speed: lumo::Speed, now: DateTime<Utc>) -> Self {
        let wait = TimeDelta::from_std(speed.wait).unwrap_or_default();
        let waits_until = (!wait.is_zero()).then(|| now + wait);
        Self { rate: speed.rate, ceiling: speed.ceiling, waits_until, noted_at: now }
    }

    #[must_use]
    pub fn is_reduced(&self) -> bool {
        self.rate < self.ceiling || self.waits_until.is_some()
    }

    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding::new(Severity::Notice, "slowed", self.to_string())
    }

    /// What the process that reads noted, if it is reduced.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, now: DateTime<Utc>) -> Result<Option<Self>, Error> {
        let note = store.speed().await?;
        Ok(note.and_then(|note| Self::read(&note, now)))
    }

    fn read(note: &str, now: DateTime<Utc>) -> Option<Self> {
        let mut speed: Self = serde_json::from_str(note).ok()?;
        speed.waits_until = speed.waits_until.filter(|until| *until > now);
        ((now - speed.noted_at).abs() <= MAX_AGE && speed.is_reduced()).then_some(speed)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, ceiling) = (short(self.rate), short(self.ceiling));
        match self.waits_until {
            Some(until) => {
                let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                write!(
                    f,
                    "Lumo asked us to wait (429 or 503) until {until}; reading at {rate} of {ceiling} requests a second"
                )
            }
            None => write!(f, "Lumo pushed back or is slow; reading at {rate} of {ceiling} requests a second"),
        }
    }
}

/// As many digits as tell something.
fn short(rate: f64) -> String {
    let text = if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fixture::noon;

    fn speed(rate: f64, seconds: u64) -> Speed {
        Speed::new(lumo::Speed { rate, ceiling: 20.0, wait: Duration::from_secs(seconds) }, noon())
    }

    #[test]
    fn rate_and_wait_are_one_sentence() {
        assert_eq!(
            speed(10.0, 30).to_string(),
            "Lumo asked us to wait (429 or 503) until 2026-05-04T12:00:30Z; reading at 10 of 20 requests a second"
        );
        assert_eq!(speed(0.25, 0).to_string(), "Lumo pushed back or is slow; reading at 0.25 of 20 requests a second");
        assert!(speed(12.34, 0).to_string().ends_with("reading at 12.3 of 20 requests a second"));
    }

    #[test]
    fn a_note_counts_while_it_is_new_and_tells_of_less_than_the_whole_rate() {
        let seconds = TimeDelta::seconds;
        let note = |speed: &Speed| serde_json::to_string(speed).unwrap();
        let waiting = speed(10.0, 10);
        assert_eq!(Speed::read(&note(&waiting), noon() + seconds(5)), Some(waiting.clone()));
        let over = Speed { waits_until: None, ..waiting.clone() };
        assert_eq!(Speed::read(&note(&waiting), noon() + seconds(12)), Some(over));
        assert_eq!(Speed::read(&note(&waiting), noon() + seconds(16)), None);
        assert_eq!(Speed::read(&note(&speed(20.0, 0)), noon()), None);
        assert_eq!(Speed::read("{}", noon()), None);
    }
}
