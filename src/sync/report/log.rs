//! Logs failing listings: the first failure, a summary once a minute, and the end of it.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lumo_bridge_entity::run::Outcome;

use super::Report;
use crate::chain::Chain;
use crate::model::{Listing, PerListing};
use crate::outage::{News, Outage};
use crate::sync::Error;

/// The least time between two summaries.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// The listings that fail at present.
#[derive(Debug, Default)]
pub(in crate::sync) struct RoundLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outages: PerListing<Outage>,
    said_at: Option<Instant>,
}

/// What to log after a round.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Begun,
    /// How often each failing listing has failed.
    Summary(String),
    Over {
        failures: u64,
        lasted: Duration,
    },
}

impl State {
    fn note(&mut self, listing: Listing, failed: bool, now: Instant) -> Line {
        let outage = &mut self.outages[listing];
        let news = if failed { outage.failed(now) } else { outage.succeeded(now) };
        match news {
            News::Nothing => Line::Nothing,
            News::Begun => Line::Begun,
            News::Over { failures, lasted } => Line::Over { failures, lasted },
            News::Goes { .. } if self.said_at.is_some_and(|at| now.saturating_duration_since(at) < SUMMARY_EVERY) => {
                Line::Nothing
            }
            News::Goes { .. } => {
                self.said_at = Some(now);
                Line::Summary(self.failing())
            }
        }
    }

    /// `wallets 12, deposits 40`: the failures of each listing since it began to fail.
    fn failing(&self) -> String {
        let mut text = String::new();
        for listing in Listing::ALL {
            if let Some(failures) = self.outages[listing].failures() {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a string does not fail.
                write!(text, "{comma}{listing} {failures}").ok();
            }
        }
        text
    }
}

impl RoundLog {
    fn note(&self, listing: Listing, failed: bool) -> Line {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(listing, failed, Instant::now())
    }

    /// Notes a round that ended, complete or not.
    pub(in crate::sync) fn ended(&self, report: &Report) {
        let listing = report.listing;
        let failed = match report.outcome {
            Outcome::Complete => false,
            Outcome::Incomplete | Outcome::Failed => true,
            Outcome::Cancelled => return report.log("round"),
        };
        match self.note(listing, failed) {
            Line::Nothing if failed => {
                tracing::debug!(%listing, reason = report.doubt, "round incomplete");
            }
            Line::Nothing | Line::Begun => report.log("round"),
            Line::Summary(failed) => {
                tracing::warn!(%failed, %listing, reason = report.doubt, "rounds are not complete; `reason` is the last");
            }
            Line::Over { failures, lasted } => {
                report.log("round");
                tracing::info!(%listing, failures, lasted_s = lasted.as_secs(), "rounds are complete again");
            }
        }
    }

    /// Notes a round, or a slice of a sweep, that failed with this error.
    pub(in crate::sync) fn failed(&self, listing: Listing, error: &Error) {
        match self.note(listing, true) {
            Line::Begun if error.is_unauthorized() => tracing::error!(
                %listing,
                "Lumo refuses the API key; nothing is read until a valid one is configured. Keys change at every login and \
                 when they are regenerated"
            ),
            Line::Begun if let Error::Refused(refusal) = error => {
                tracing::error!(%listing, hint = refusal.hint(), "{refusal}; nothing is read");
            }
            Line::Begun => tracing::error!(
                %listing, error = %Chain(error),
                "pass failed; the next one starts over, nothing stored is lost. Further failures are summed up once a minute"
            ),
            Line::Summary(failed) => {
                tracing::error!(%failed, %listing, error = %Chain(error), "passes fail; `error` is the last");
            }
            Line::Nothing | Line::Over { .. } => tracing::debug!(%listing, error = %Chain(error), "pass failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_that_is_away_is_a_line_for_each_listing_and_one_a_minute_for_all() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        let mut lines = Vec::new();
        for second in 0..780 {
            for listing in Listing::ALL {
                let line = state.note(listing, true, at(second));
                if line != Line::Nothing {
                    lines.push((second, line));
                }
            }
        }
        assert_eq!(lines[..3], [(0, Line::Begun), (0, Line::Begun), (0, Line::Begun)]);
        let minutes: Vec<u64> = lines[3..].iter().map(|(second, _)| *second).collect();
        assert_eq!(minutes, (1..=12).map(|minute| 60 * minute).collect::<Vec<_>>(), "a summary a minute");
        assert_eq!(lines[3].1, Line::Summary("wallets 61, blocked 60, deposits 60".to_owned()));

        assert_eq!(state.note(Listing::Wallets, false, at(779)), Line::Nothing);
        let over = Line::Over { failures: 780, lasted: Duration::from_secs(779) };
        assert_eq!(state.note(Listing::Wallets, false, at(840)), over);
        assert_eq!(state.note(Listing::Wallets, false, at(841)), Line::Nothing);
    }

    #[test]
    fn a_round_that_fails_now_and_then_is_no_pair_of_lines_each_time() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        let said =
            (0..60).filter(|round| state.note(Listing::Deposits, round % 3 == 0, at(round * 10)) != Line::Nothing);
        assert_eq!(said.count(), 10, "as it begins, and once a minute");
    }
}
