//! How long `--until-complete` reads a list again and again: while something comes of it, and for a while after that.
//!
//! A list without a total, with a wrong one, or that a mock makes up, is never complete.

use std::time::{Duration, Instant};

use crate::model::Listing;
use crate::sync::scan::walk::Doubt;
use crate::sync::{Report, Tally};

/// After this time in which nothing new came, it is given up. A total that counts rows too many is known for one after a minute.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);
/// It is never given up after fewer readings than this that brought nothing new.
const MIN_READINGS: u32 = 5;
/// How often it is said what it waits for.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// After as many readings in a row without a total it is given up, whatever they bring: none of them can prove anything.
const MAX_UNTOLD: u32 = 3;

/// The readings of one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How many there were since something came of one.
    in_vain: u32,
    /// How many of the latest were without a total.
    untold: u32,
    quiet_since: Instant,
    said_at: Instant,
}

/// What to do after a reading that was not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Again,
    /// Say this, and read again.
    SayAndAgain(String),
    /// Say this, and end.
    GiveUp(String),
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self { in_vain: 0, untold: 0, quiet_since: now, said_at: now }
    }

    /// Judges a reading that was not complete.
    pub(super) fn judge(&mut self, report: &Report, now: Instant) -> Next {
        self.next(report.listing, &report.tally, report.doubt.as_deref(), now)
    }

    fn next(&mut self, listing: Listing, tally: &Tally, doubt: Option<&str>, now: Instant) -> Next {
        if tally.appeared + tally.changed + tally.vanished > 0 {
            (self.in_vain, self.quiet_since) = (0, now);
        } else {
            self.in_vain = self.in_vain.saturating_add(1);
        }
        let is_untold = doubt.is_some_and(|doubt| doubt == Doubt::NoTotal.to_string());
        self.untold = if is_untold { self.untold.saturating_add(1) } else { 0 };
        if self.untold >= MAX_UNTOLD {
            return Next::GiveUp(format!("{listing}: given up, as no reading proves anything without a total"));
        }
        let quiet = now.saturating_duration_since(self.quiet_since);
        if self.in_vain >= MIN_READINGS && quiet >= GIVE_UP_AFTER {
            let (readings, minutes) = (self.in_vain, quiet.as_secs() / 60);
            return Next::GiveUp(format!(
                "{listing}: given up, as {readings} readings in {minutes} minutes brought nothing new and proved nothing"
            ));
        }
        if now.saturating_duration_since(self.said_at) < SAY_EVERY {
            return Next::Again;
        }
        self.said_at = now;
        let doubt = doubt.unwrap_or("nothing is proved yet");
        Next::SayAndAgain(format!("{listing}: not complete: {doubt}; it is read again, Ctrl-C ends that"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Tally =
        Tally { rows: 5, total: Some(9), requests: 2, appeared: 0, changed: 0, events: 0, rejected: 0, vanished: 0 };
    const DOUBT: Option<&str> = Some("rows arrive faster than pages are read");

    #[test]
    fn it_is_said_each_minute_what_it_waits_for_and_given_up_after_two_in_vain() {
        let begin = Instant::now();
        let mut patience = Patience::new(begin);
        let mut next = |seconds, tally: &Tally| {
            patience.next(Listing::Deposits, tally, DOUBT, begin + Duration::from_secs(seconds))
        };
        let waits =
            "deposits: not complete: rows arrive faster than pages are read; it is read again, Ctrl-C ends that"
                .to_owned();
        assert_eq!(next(1, &Tally { appeared: 5, ..NOTHING }), Next::Again);
        assert_eq!(next(59, &NOTHING), Next::Again);
        assert_eq!(next(60, &NOTHING), Next::SayAndAgain(waits.clone()));
        assert_eq!(next(61, &Tally { changed: 1, ..NOTHING }), Next::Again, "something came of it");
        assert_eq!(next(119, &NOTHING), Next::Again);
        assert_eq!(next(120, &NOTHING), Next::SayAndAgain(waits.clone()));
        assert_eq!(next(180, &NOTHING), Next::SayAndAgain(waits.clone()));
        assert_eq!(next(181, &NOTHING), Next::Again, "so few readings prove nothing");
        let given_up =
            "deposits: given up, as 5 readings in 2 minutes brought nothing new and proved nothing".to_owned();
        assert_eq!(next(182, &NOTHING), Next::GiveUp(given_up));
    }

    #[test]
    fn without_a_total_it_is_given_up_soon_whatever_comes() {
        let now = Instant::now();
        let mut patience = Patience::new(now);
        let untold = Doubt::NoTotal.to_string();
        let mut next =
            |doubt: Option<&str>| patience.next(Listing::Deposits, &Tally { appeared: 5, ..NOTHING }, doubt, now);
        for doubt in [Some(&*untold), Some(&*untold), DOUBT, Some(&*untold), Some(&*untold)] {
            assert_eq!(next(doubt), Next::Again, "an answer without one may be chance");
        }
        let given_up = "deposits: given up, as no reading proves anything without a total".to_owned();
        assert_eq!(next(Some(&untold)), Next::GiveUp(given_up));
    }
}
