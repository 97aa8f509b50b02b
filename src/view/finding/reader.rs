//! Says whether a daemon runs and reads, by its lease.

use chrono::{DateTime, Utc};

use super::{Finding, Severity, at};
use crate::view::Reader;

const DAEMON_SILENT: &str = "daemon_silent";
const LEASE_IN_THE_FUTURE: &str = "lease_in_the_future";
const NO_DAEMON: &str = "no_daemon";

/// Whether anybody reads.
#[must_use]
pub fn of_reader(reader: &Reader, now: DateTime<Utc>) -> Option<Finding> {
    if let Some(since) = reader.silent_since {
        let message =
            format!("A daemon is alive, but has written nothing since {}: nothing is read or delivered", at(since));
        let hint = "its log says why, and so does `lumo-bridge health --ready` where it runs; if it works all the same, the \
                    clocks of the machines differ";
        return Some(Finding::new(Severity::Stopped, DAEMON_SILENT, message).hint(hint));
    }
    let message = match (reader.is_running, reader.lease_until) {
        (true, _) => return None,
        (false, Some(until)) if until > now => {
            let message =
                format!("whether a daemon runs is not known: its lease ends at {}, which no lease lasts to", at(until));
            let hint = "a clock is wrong, or was: compare the clocks of the machines; what is read is shown below";
            return Some(Finding::new(Severity::Broken, LEASE_IN_THE_FUTURE, message).hint(hint));
        }
        (false, Some(until)) => format!("No daemon runs since {}: nothing is read or delivered", at(until)),
        (false, None) => "No daemon has run yet: nothing is read or delivered".to_owned(),
    };
    let hint = match reader.lease_until {
        Some(_) => "start `lumo-bridge run`; if it runs, it cannot write: `lumo-bridge health --ready` says why",
        None => "start `lumo-bridge run`",
    };
    Some(Finding::new(Severity::Stopped, NO_DAEMON, message).hint(hint))
}

/// Whether the finding is one of [`of_reader`].
#[must_use]
pub fn speaks_of_reader(finding: &Finding) -> bool {
    [DAEMON_SILENT, LEASE_IN_THE_FUTURE, NO_DAEMON].contains(&finding.code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::store::WriteTrouble;
    use crate::view::Status;
    use crate::view::finding::of_writing;

    fn time(second: i64) -> DateTime<Utc> {
        "2026-05-04T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(second)
    }

    #[test]
    fn whether_a_daemon_runs_has_its_sentence() {
        let reader = |is_running, lease_until| Reader { is_running, lease_until, silent_since: None };
        assert_eq!(of_reader(&reader(true, Some(time(9))), time(9)), None);
        let message = |reader| of_reader(&reader, time(9)).unwrap().message;
        assert_eq!(message(reader(false, None)), "No daemon has run yet: nothing is read or delivered");
        assert_eq!(
            message(reader(false, Some(time(9)))),
            "No daemon runs since 2026-05-04T10:00:09Z: nothing is read or delivered"
        );
        let silent = Reader { silent_since: Some(time(1)), ..reader(false, Some(time(9))) };
        let finding = of_reader(&silent, time(9)).unwrap();
        assert_eq!((finding.severity, finding.code), (Severity::Stopped, "daemon_silent"));
        assert_eq!(
            finding.message,
            "A daemon is alive, but has written nothing since 2026-05-04T10:00:01Z: nothing is read or delivered"
        );
        assert!(finding.hint.unwrap().starts_with("its log says why"));
        assert!(silent.is_alive() && !reader(false, Some(time(9))).is_alive());
    }

    #[test]
    fn a_lease_says_that_a_daemon_runs_only_if_it_can_be_true() {
        let ends = |seconds| Reader::of(Some(time(0) + TimeDelta::seconds(seconds)), time(0));
        assert!(ends(15).is_running && ends(60).is_running);
        assert!(!ends(0).is_running && !ends(-1).is_running && !Reader::of(None, time(0)).is_running);
        let finding = of_reader(&ends(86_400), time(0)).unwrap();
        assert_eq!((finding.code, ends(86_400).is_running), ("lease_in_the_future", false));
        assert_eq!(
            finding.message,
            "whether a daemon runs is not known: its lease ends at 2026-05-05T10:00:00Z, which no lease lasts to"
        );
    }

    #[test]
    fn a_daemon_that_says_that_it_cannot_write_is_not_said_to_be_gone() {
        let trouble = WriteTrouble {
            transaction: "lease.lead",
            lasting: Duration::from_secs(14),
            reason: "the database takes no writes".to_owned(),
            hint: None,
        };
        let other = Finding::new(Severity::Broken, "stalled", "deposits: not complete".to_owned());
        let silent = Reader { silent_since: Some(time(1)), ..Reader::of(Some(time(9)), time(20)) };
        for (reader, silent_since) in [
            (Reader::of(Some(time(16)), time(20)), Some(time(1))),
            (silent, Some(time(1))),
            (Reader::of(None, time(20)), None),
            (Reader::of(Some(time(30)), time(20)), None),
            (Reader::of(Some(time(90_000)), time(20)), None),
        ] {
            let found = of_reader(&reader, time(20));
            assert_eq!(found.is_none(), reader.is_running, "{reader:?}");
            assert!(found.iter().all(speaks_of_reader), "{found:?}");
            let findings = found.into_iter().chain([other.clone()]).collect();
            let status = Status::of(reader, findings, Vec::new(), Vec::new()).with(of_writing(&trouble), time(20));
            let codes: Vec<&str> = status.findings.iter().map(|finding| finding.code).collect();
            assert_eq!(codes, ["not_written", "stalled"], "{reader:?}");
            assert_eq!(
                status.summary,
                "Writing to the database has been failing for 14 s (`lease.lead`): the database takes no writes; nothing is \
                 stored or sent meanwhile. There is 1 more finding."
            );
            assert_eq!(status.reader.silent_since, silent_since, "{reader:?}");
            let document = serde_json::to_string(&status).unwrap();
            assert!(!document.contains("No daemon") && !document.contains("no_daemon"), "{document}");
        }
    }
}
