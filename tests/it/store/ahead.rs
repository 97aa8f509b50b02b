//! A clock that is decades ahead: every time that it gives is stored, in whichever column and by whichever statement.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;
use lumo_bridge::model::account::{Identity, Server};
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::id::ExternalId;
use lumo_bridge::model::record::Deposit;
use lumo_bridge::store::delivery::{EndpointNote, StateTransition};
use lumo_bridge::store::{Advance, Fence, HeldRemovals, Noting, Progress, Remembered, Run, Store, SweepState};
use lumo_bridge_entity::endpoint::State;
use lumo_bridge_entity::run::Outcome;

use super::fixture::{at, config, deliveries, deposit, endpoint, ingest, migrated, noticed, publish_in, shop};
use super::leader::{Came, Leader, PROCESS};
use super::rejects::reject;
use crate::database::{Database, on_each_database};

on_each_database!(
    the_progress_of_a_listing_is_stored,
    sweeps_and_rejects_are_stored_and_found_again,
    whoever_reads_and_acts_is_stored,
    deposits_and_their_statuses_are_stored,
    deliveries_and_their_endpoint_are_stored,
);

/// In 2066; a TIMESTAMP of MySQL ends in 2038.
fn far(seconds: i64) -> DateTime<Utc> {
    at(seconds) + TimeDelta::days(40 * 365)
}

async fn the_progress_of_a_listing_is_stored(database: Database) {
    let store = migrated(&database, &shop()).await;
    let listing = Listing::Wallets;
    let progress = Progress {
        import_started_at: Some(far(1)),
        first_run_at: Some(far(1)),
        complete_through: Some(far(2)),
        last_run_at: Some(far(3)),
        proved_through: Some(far(2)),
        ..store.progress(listing).await.unwrap()
    };
    let run = Run {
        listing,
        started_at: far(2),
        finished_at: far(3),
        outcome: Outcome::Complete,
        requests: 1,
        rows: 1,
        appeared: 0,
        changed: 0,
        rejected: 0,
        error: None,
    };
    let advance = Advance { progress: &progress, memory: Remembered::Keep };
    store.finish_pass(&run, Some(&advance), None).await.unwrap();
    store.end_import(listing, far(3), None).await.unwrap();
    assert!(store.note_stalled(listing, Some(far(4)), None, far(5)).await.unwrap());
    assert!(store.note_unauthorized(listing, true, None, far(6)).await.unwrap());
    let held = HeldRemovals { rows: 3, why: None, is_news: true, accepted_at: Some(far(7)) };
    store.note_removals(listing, &held, None, far(8)).await.unwrap();
    let expected = Progress {
        import_done_at: Some(far(3)),
        stalled_since: Some(far(4)),
        unauthorized_since: Some(far(6)),
        removals_held: Some(3),
        removals_held_since: Some(far(8)),
        removals_accepted_at: Some(far(7)),
        ..progress.clone()
    };
    assert_eq!(store.progress(listing).await.unwrap(), expected);

    for (before, left) in [(far(3), 1), (far(4), 0)] {
        let runs = store.runs(listing, 9).await.unwrap();
        assert_eq!((runs[0].started_at, runs[0].finished_at), (far(2), far(3)));
        store.forget_runs(before).await.unwrap();
        assert_eq!(store.runs(listing, 9).await.unwrap().len(), left);
    }
}

async fn sweeps_and_rejects_are_stored_and_found_again(database: Database) {
    let store = migrated(&database, &shop()).await;
    let listing = Listing::Deposits;
    let sweep = SweepState { listing, started_at: far(1), known_until: 1, state: "{}".to_owned() };
    for chunk in [0, 1] {
        store.save_sweep(&sweep, &[(chunk, vec![1])], None, far(2)).await.unwrap();
    }
    let chunks = vec![(0, vec![1]), (1, vec![1])];
    assert_eq!(store.sweep(listing).await.unwrap(), Some((sweep, chunks)), "it did not recognise itself");

    for now in [far(1), far(9)] {
        store.keep_rejects(listing, &[reject("d", "a")], None, now).await.unwrap();
    }
    let kept = store.known_rejects().await.unwrap();
    assert_eq!(kept.values().map(|kept| kept.last_seen_at).collect::<Vec<_>>(), [far(9)]);
    assert_eq!(store.forget_rejects(listing, far(9), None).await.unwrap(), 0);
    assert_eq!(store.forget_rejects(listing, far(10), None).await.unwrap(), 1);
}

async fn whoever_reads_and_acts_is_stored(database: Database) {
    let store = migrated(&database, &shop()).await;
    let lead = async |owner: &str, now: DateTime<Utc>| {
        let fence = store.lead("sync", owner, TimeDelta::seconds(30), now).await.unwrap();
        (fence.map(|fence| fence.epoch), store.holder("sync").await.unwrap().unwrap().expires_at)
    };
    assert_eq!(lead("a", far(0)).await, (Some(1), far(30)));
    assert_eq!(lead("b", far(29)).await, (None, far(30)));
    assert_eq!(lead("b", far(31)).await, (Some(2), far(61)));
    store.resign(Fence { resource: "sync", epoch: 2 }, "b", far(40)).await.unwrap();
    assert_eq!(store.holder("sync").await.unwrap().unwrap().expires_at, far(40));

    let found = |company: &str| Identity {
        company: company.parse().unwrap(),
        server: Server::of(&"https://b2b.lumowallet.io".parse().unwrap()),
    };
    let noting = Noting::All { fence: None };
    assert!(store.admit(&found("own"), noting, far(1)).await.unwrap().is_ok());
    assert!(store.admit(&found("other"), noting, far(2)).await.unwrap().is_err());
    let account = store.account().await.unwrap().unwrap();
    assert_eq!((account.since, account.wrong_since), (far(1), Some(far(2))));

    store.record_test(&endpoint("shop"), &Actor::API, far(3)).await.unwrap();
    assert_eq!(store.list_actions(None, 9).await.unwrap()[0].at, far(3));
    store.beat(8, 1, "{}", far(4)).await.unwrap();
    assert_eq!(store.processes().await.unwrap()[0].started_at, far(4));

    let user: ExternalId = "42".parse().unwrap();
    for _ in 0..2 {
        store.watch(&user, far(600)).await.unwrap();
        let watched = store.watches(far(0), 9).await.unwrap().users;
        assert_eq!(watched.iter().map(|watch| watch.until).collect::<Vec<_>>(), [far(600)]);
    }
    assert_eq!(database.count("lumo_watches", "1 = 1").await, 1);
    assert!(store.unwatch(&user, Some(far(600))).await.unwrap());
}

async fn deposits_and_their_statuses_are_stored(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (seconds, status) in [(0, "new"), (1000, "paid"), (2000, "new"), (3000, "paid")] {
        let deposit = noticed(Deposit { status: status.to_owned(), ..deposit("d") });
        ingest(&store, &[deposit], far(seconds)).await;
    }
    let row = store.deposit(&"d".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.first_seen_at, row.changed_at, row.status_since), (far(0), far(3000), Some(far(3000))));
    let counted = store.deposit_transitions().await.unwrap();
    let counted: Vec<_> = counted.iter().map(|row| (row.to_status.as_str(), row.times, row.last_at)).collect();
    assert_eq!(counted, [("paid", 2, far(3000)), ("new", 1, far(2000))]);
}

async fn deliveries_and_their_endpoint_are_stored(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:b", "user:c"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", far(0)).await;
    for (now, next) in [(far(1), far(1000)), (far(1000), far(2000))] {
        assert_eq!(leader.pass(3, now, |_| Came::RetryAt(next)).await.len(), 3);
        assert!(deliveries(&store).await.iter().all(|row| row.next_attempt_at == Some(next)));
        assert_eq!(database.count("lumo_exceptions", "hold_until IS NULL").await, 0);
    }
    assert_eq!(leader.pass(3, far(1999), |_| Came::Delivered).await.len(), 0, "they are not due yet");
    assert_eq!(leader.pass(3, far(2000), |_| Came::Answered(far(3000))).await.len(), 3);
    assert!(deliveries(&store).await.iter().all(|row| row.ack_by == Some(far(3000))));

    leader.note = Some(EndpointNote {
        state: State::Failing,
        consecutive_failures: 5,
        last_success_at: Some(far(2001)),
        last_error: None,
        hold_until: Some(far(2500)),
        transition: Some(StateTransition { from: State::Active, to: State::Failing }),
    });
    leader.commit(Vec::new(), 3, far(2002)).await;
    let row = async || store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    let found = row().await;
    assert_eq!((found.since, found.last_success_at, found.hold_until), (far(2002), Some(far(2001)), Some(far(2500))));
    store.set_endpoint_state(&endpoint("shop"), State::Active, &Actor::API, far(2700)).await.unwrap();
    assert_eq!((row().await.since, row().await.hold_until), (far(2700), None));
    let without = Store::open(&config(&database), Vec::new()).await.unwrap();
    without.register_endpoints(PROCESS, far(2800)).await.unwrap();
    assert_eq!(row().await.removed_at, Some(far(2800)));
}
