//! Logs failing listings: the first failure of each kind, a summary once a minute, and the end of it.
//!
//! Logs how far a first import is, too, once a minute.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lumo_bridge_entity::run::Outcome;

use super::Report;
use crate::chain::Chain;
use crate::model::{Listing, PerListing};
use crate::outage::{News, Outage};
use crate::sync::Error;

/// The least time between two summaries.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);
/// The least time between two lines about the first import of a listing.
const IMPORT_EVERY: Duration = Duration::from_secs(60);

/// The listings that fail at present.
#[derive(Debug, Default)]
pub(in crate::sync) struct RoundLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outages: PerListing<Outage>,
    /// The kinds of failure that were said of each outage.
    said: PerListing<Vec<Kind>>,
    said_at: Option<Instant>,
    /// When it was last said how far the first import of each listing is.
    imports_said_at: PerListing<Option<Instant>>,
}

/// Why a round is not complete. Each has a line of its own, with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Incomplete,
    Unauthorized,
    Refused,
    Failed,
}

impl Kind {
    fn of(error: &Error) -> Self {
        match error {
            Error::Refused(_) => Self::Refused,
            error if error.is_unauthorized() => Self::Unauthorized,
            _ => Self::Failed,
        }
    }
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

impl Line {
    fn of_end(news: News) -> Self {
        match news {
            News::Over { failures, lasted } => Self::Over { failures, lasted },
            _ => Self::Nothing,
        }
    }
}

impl State {
    fn succeeded(&mut self, listing: Listing, now: Instant) -> Line {
        Line::of_end(self.outages[listing].succeeded(now))
    }

    /// Whether an outage has ended meanwhile.
    fn look(&mut self, listing: Listing, now: Instant) -> Line {
        Line::of_end(self.outages[listing].look(now))
    }

    fn failed(&mut self, listing: Listing, kind: Kind, now: Instant) -> Line {
        let news = self.outages[listing].failed(now);
        let said = &mut self.said[listing];
        if news == News::Begun {
            said.clear();
        }
        if !said.contains(&kind) {
            said.push(kind);
            return Line::Begun;
        }
        match news {
            News::Goes { .. } if self.said_at.is_none_or(|at| now.saturating_duration_since(at) >= SUMMARY_EVERY) => {
                self.said_at = Some(now);
                Line::Summary(self.failing())
            }
            _ => Line::Nothing,
        }
    }

    /// Whether to say how far the first import of the listing is.
    fn says_import(&mut self, listing: Listing, now: Instant) -> bool {
        let said_at = &mut self.imports_said_at[listing];
        let is_time = said_at.is_none_or(|at| now.saturating_duration_since(at) >= IMPORT_EVERY);
        if is_time {
            *said_at = Some(now);
        }
        is_time
    }

    /// `wallets 12, deposits 40`: the failures of each listing that fails, since it began to.
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs the end of an outage that was over without another round.
    pub(in crate::sync) fn look(&self, listing: Listing) {
        let line = self.state().look(listing, Instant::now());
        say_end(listing, &line);
    }

    /// Forgets the outages: another process reads, and knows how it goes on.
    pub(in crate::sync) fn forget(&self) {
        *self.state() = State::default();
    }

    /// Logs how many rows a first import has stored, of how many if the server tells.
    pub(in crate::sync) fn importing(&self, listing: Listing, rows: u64, total: Option<u64>) {
        if self.state().says_import(listing, Instant::now()) {
            tracing::info!(%listing, rows, total, "the first import goes on");
        }
    }

    /// Notes a round that ended, complete or not.
    pub(in crate::sync) fn ended(&self, report: &Report) {
        let listing = report.listing;
        match report.outcome {
            Outcome::Cancelled => report.log("round"),
            Outcome::Complete => {
                report.log("round");
                let line = self.state().succeeded(listing, Instant::now());
                say_end(listing, &line);
            }
            Outcome::Incomplete | Outcome::Failed => {
                self.look(listing);
                let line = self.state().failed(listing, Kind::Incomplete, Instant::now());
                let reason = report.reason();
                match line {
                    Line::Begun => report.log("round"),
                    Line::Summary(failed) => {
                        tracing::warn!(%failed, %listing, reason, "rounds are not complete; `reason` is the last");
                    }
                    Line::Nothing | Line::Over { .. } => tracing::debug!(%listing, reason, "round incomplete"),
                }
            }
        }
    }

    /// Notes a round, or a slice of a sweep, that failed with this error.
    pub(in crate::sync) fn failed(&self, listing: Listing, error: &Error) {
        if error.is_fenced() {
            // That is no failure, and the log says it when the lease is lost.
            return tracing::debug!(%listing, "round given up; the lease that it began with has ended");
        }
        self.look(listing);
        let line = self.state().failed(listing, Kind::of(error), Instant::now());
        match line {
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

fn say_end(listing: Listing, line: &Line) {
    if let Line::Over { failures, lasted } = line {
        tracing::info!(%listing, failures, lasted_s = lasted.as_secs(), "rounds are complete again");
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
                let line = state.failed(listing, Kind::Failed, at(second));
                if line != Line::Nothing {
                    lines.push((second, line));
                }
            }
        }
        assert_eq!(lines[..3], [(0, Line::Begun), (0, Line::Begun), (0, Line::Begun)]);
        let minutes: Vec<u64> = lines[3..].iter().map(|(second, _)| *second).collect();
        assert_eq!(minutes, (1..=12).map(|minute| 60 * minute).collect::<Vec<_>>(), "a summary a minute");
        assert_eq!(lines[3].1, Line::Summary("wallets 61, blocked 60, deposits 60".to_owned()));

        let over = Line::Over { failures: 780, lasted: Duration::from_secs(780) };
        assert_eq!(state.succeeded(Listing::Wallets, at(780)), over);
        assert_eq!(state.succeeded(Listing::Wallets, at(781)), Line::Nothing);
        let others = Line::Summary("blocked 781, deposits 780".to_owned());
        assert_eq!(
            state.failed(Listing::Blocked, Kind::Failed, at(785)),
            others,
            "one that is read again is no more in it"
        );
    }

    #[test]
    fn a_round_that_fails_now_and_then_is_no_pair_of_lines_each_time() {
        let (start, mut state) = (Instant::now(), State::default());
        let mut round = |number: u64| {
            let at = start + Duration::from_secs(number * 4);
            if number.is_multiple_of(3) {
                state.failed(Listing::Deposits, Kind::Failed, at)
            } else {
                state.succeeded(Listing::Deposits, at)
            }
        };
        let said: Vec<u64> = (0..60).filter(|number| round(*number) != Line::Nothing).collect();
        assert_eq!(said, [0, 15, 30, 45], "as it begins, and once a minute, each after a failure");
    }

    #[test]
    fn the_end_of_each_outage_is_said_with_the_first_complete_round() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        for begun in [0, 70] {
            assert_eq!(state.failed(Listing::Deposits, Kind::Failed, at(begun)), Line::Begun);
            assert_eq!(state.failed(Listing::Deposits, Kind::Failed, at(begun + 10)), Line::Nothing);
            let over = Line::Over { failures: 2, lasted: Duration::from_secs(20) };
            assert_eq!(state.succeeded(Listing::Deposits, at(begun + 20)), over);
            assert_eq!(state.succeeded(Listing::Deposits, at(begun + 30)), Line::Nothing);
        }
    }

    #[test]
    fn each_kind_of_failure_is_said_once_in_an_outage() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        let mut failed = |kind, second| state.failed(Listing::Deposits, kind, at(second));
        assert_eq!(failed(Kind::Incomplete, 0), Line::Begun);
        assert_eq!(failed(Kind::Failed, 10), Line::Begun);
        assert_eq!(failed(Kind::Incomplete, 20), Line::Nothing);
        assert_eq!(failed(Kind::Unauthorized, 30), Line::Begun, "whatever failed before");
        assert_eq!(failed(Kind::Unauthorized, 90), Line::Summary("deposits 5".to_owned()));
        assert!(matches!(state.succeeded(Listing::Deposits, at(100)), Line::Over { failures: 5, .. }));
        assert_eq!(state.failed(Listing::Deposits, Kind::Unauthorized, at(200)), Line::Begun);
    }

    #[test]
    fn a_first_import_is_a_line_a_minute_for_each_listing() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        let mut said = |listing| (0..150).filter(|second| state.says_import(listing, at(*second))).collect::<Vec<_>>();
        assert_eq!(said(Listing::Wallets), [0, 60, 120]);
        assert_eq!(said(Listing::Deposits), [0, 60, 120]);
    }

    #[test]
    fn an_outage_ends_without_another_round() {
        let (start, mut state) = (Instant::now(), State::default());
        let at = |second| start + Duration::from_secs(second);
        state.failed(Listing::Wallets, Kind::Failed, at(0));
        state.succeeded(Listing::Wallets, at(10));
        assert_eq!(state.look(Listing::Wallets, at(19)), Line::Nothing);
        let over = Line::Over { failures: 1, lasted: Duration::from_secs(10) };
        assert_eq!(state.look(Listing::Wallets, at(20)), over);
    }
}
