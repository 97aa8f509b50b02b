//! History for new endpoints: whether what the configuration asks for is given.

use lumo_bridge_entity::endpoint::Model;

use super::finding::{Finding, Report};
use crate::callback::Endpoint;
use crate::callback::config::Backfill;
use crate::chain::Chain;
use crate::config::Config;
use crate::model::draft::rfc3339;
use crate::model::event::EventType;
use crate::store::Store;
use crate::store::delivery::{history_types, reached};

pub(super) async fn check(report: &mut Report<'_>, store: &Store, config: &Config) {
    let rows = match store.endpoints().await {
        Ok(rows) => rows,
        Err(error) => return report.add(Finding::fail("history", Chain(&error))),
    };
    for (name, endpoint) in &config.callbacks.endpoints {
        // What is wrong with an endpoint is said elsewhere.
        if let Some(backfill) = endpoint.backfill
            && let Ok(subscriber) = Endpoint::read_subscriber(name, endpoint, &config.callbacks.defaults)
        {
            let wanted: Vec<EventType> = history_types().filter(|kind| subscriber.wants(*kind)).collect();
            report.add(judge(name, backfill, &wanted, rows.iter().find(|row| row.name.as_str() == name)));
        }
    }
}

/// `wanted` are the types of a history that the endpoint wants.
fn judge(name: &str, backfill: Backfill, wanted: &[EventType], row: Option<&Model>) -> Finding {
    let subject = format!("history {name}");
    let listed = |types: Vec<EventType>| types.into_iter().map(EventType::as_str).collect::<Vec<_>>().join(", ");
    if wanted.is_empty() {
        let all = listed(history_types().collect());
        let message = format_args!("nothing of it is sent, as `events` name none of the types that history has: {all}");
        return Finding::warn(subject, message).hint("take `backfill` out");
    }
    let Some(row) = row else {
        let extent = match backfill {
            Backfill::All => "all of it".to_owned(),
            Backfill::Since(since) => format!("what was created since {}", rfc3339(since)),
        };
        let types = listed(wanted.to_vec());
        return Finding::ok(subject, format_args!("{extent} is sent when the daemon runs, as {types}"));
    };
    if row.backfill_since != Some(backfill.since()) {
        return Finding::warn(subject, "`backfill` has no effect, as the endpoint is known already").hint(format!(
            "send it stored events with `lumo-bridge event replay --since 14d --endpoint {name}`; under another name it is a new \
             endpoint, and gets history"
        ));
    }
    match (row.backfill_done_at, reached(row)) {
        (Some(done), _) => Finding::ok(subject, format_args!("queued to its end at {}", rfc3339(done))),
        (None, Some(reached)) => Finding::ok(subject, format_args!("queued up to {}", rfc3339(reached))),
        (None, None) if row.backfill_place.is_some() => Finding::ok(subject, "begun, with stored events"),
        (None, None) => Finding::ok(subject, "begins once the first import is done and the endpoint is called"),
    }
}

#[cfg(test)]
mod tests {
    use lumo_bridge_entity::endpoint::State;

    use super::*;
    use crate::cli::check::finding::Level;
    use crate::deliver::fixture;

    #[test]
    fn what_is_given_and_what_is_asked_for_too_late_are_told_apart() {
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        let asked = Backfill::Since(since);
        let row = |backfill_since| Model { backfill_since, ..fixture::row("crm", State::Active) };
        let given = Some(since);
        let begun = Some(r#"{"seq":1}"#.to_owned());
        let place = Some(r#"{"seq":1,"deposits":["2026-02-01T00:00:00Z","d"]}"#.to_owned());
        for (row, level, words) in [
            (
                None,
                Level::Ok,
                "what was created since 2026-01-01T00:00:00Z is sent when the daemon runs, as deposit.created",
            ),
            (Some(row(None)), Level::Warn, "`backfill` has no effect, as the endpoint is known already"),
            (
                Some(row(Some(since + chrono::TimeDelta::days(1)))),
                Level::Warn,
                "`backfill` has no effect, as the endpoint is known already",
            ),
            (Some(row(given)), Level::Ok, "begins once the first import is done and the endpoint is called"),
            (Some(Model { backfill_place: begun, ..row(given) }), Level::Ok, "begun, with stored events"),
            (
                Some(Model { backfill_place: place.clone(), ..row(given) }),
                Level::Ok,
                "queued up to 2026-02-01T00:00:00Z",
            ),
            (
                Some(Model { backfill_place: place, backfill_done_at: given, ..row(given) }),
                Level::Ok,
                "queued to its end at 2026-01-01T00:00:00Z",
            ),
        ] {
            let finding = judge("crm", asked, &[EventType::DepositCreated], row.as_ref());
            assert_eq!((finding.level(), finding.message()), (level, words));
            let nothing = judge("crm", asked, &[], row.as_ref());
            let words = "nothing of it is sent, as `events` name none of the types that history has: wallet.created, \
                         wallet.replaced, deposit.created, wallet.blocked";
            assert_eq!((nothing.level(), nothing.message()), (Level::Warn, words), "{row:?}");
        }
        let wanted = [EventType::WalletCreated, EventType::WalletBlocked];
        let words = "all of it is sent when the daemon runs, as wallet.created, wallet.blocked";
        assert_eq!(judge("crm", Backfill::All, &wanted, None).message(), words);
    }
}
