//! Where a listing stands, what only grows of it, and what the operator is told.

use lumo_bridge::model::Listing;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::{Advance, Progress, Remembered, Run};
use lumo_bridge_entity::run::Outcome;
use serde_json::{Value, json};

use super::fixture::{at, kinds, migrated, round, shop, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(
    marks_only_grow_and_memory_is_what_was_said_last,
    a_pass_without_an_advance_leaves_nothing_but_its_record,
    a_pass_does_not_touch_the_troubles,
    a_stall_is_told_once_as_it_begins_and_once_as_it_ends,
    a_refused_key_is_told_once_as_it_begins_and_once_as_it_ends,
    of_many_that_note_the_same_trouble_one_tells_it,
);

fn operator() -> Vec<Subscriber> {
    [shop(), vec![subscriber("ops", &["sync.*"], Order::User)]].concat()
}

fn run(now: i64) -> Run {
    round(Listing::Wallets, at(now), at(now))
}

/// The progress as a round writes it, with nothing to say about the memory.
fn advance(progress: &Progress) -> Advance<'_> {
    Advance { progress, memory: Remembered::Keep }
}

async fn marks_only_grow_and_memory_is_what_was_said_last(database: Database) {
    let store = migrated(&database, &[]).await;
    let fresh = store.progress(Listing::Wallets).await.unwrap();
    let said = |mark: i64| Progress {
        complete_through: Some(at(mark)),
        proved_through: Some(at(mark - 5)),
        gap: Some(mark),
        ..fresh.clone()
    };
    for (number, mark, reached) in [(1, 10, 10), (2, 30, 30), (3, 20, 30)] {
        let memory = Remembered::Replace(format!("{mark}"));
        let advance = Advance { progress: &said(mark), memory };
        store.finish_pass(&run(number), Some(&advance), None).await.unwrap();
        let found = store.progress(Listing::Wallets).await.unwrap();
        assert_eq!((found.complete_through, found.proved_through), (Some(at(reached)), Some(at(reached - 5))));
        assert_eq!((found.gap, found.memory), (Some(mark), Some(format!("{mark}"))));
    }
    store.finish_pass(&run(4), Some(&advance(&fresh)), None).await.unwrap();
    let found = store.progress(Listing::Wallets).await.unwrap();
    assert_eq!((found.complete_through, found.proved_through), (Some(at(30)), Some(at(25))));
    assert_eq!((found.gap, found.memory), (None, Some("20".to_owned())));
    assert_eq!(store.runs(Listing::Wallets, 9).await.unwrap().len(), 4);
}

async fn a_pass_without_an_advance_leaves_nothing_but_its_record(database: Database) {
    let store = migrated(&database, &[]).await;
    let fresh = store.progress(Listing::Wallets).await.unwrap();
    store.finish_pass(&run(1), None, None).await.unwrap();
    assert_eq!(store.progress(Listing::Wallets).await.unwrap(), fresh);
    let learned = Progress { page_limit: Some(50), last_total: Some(7), last_run_at: Some(at(2)), ..fresh };
    let advance = Advance { progress: &learned, memory: Remembered::Replace("{}".to_owned()) };
    store.finish_pass(&run(2), Some(&advance), None).await.unwrap();
    let before = store.progress(Listing::Wallets).await.unwrap();
    store.finish_pass(&Run { outcome: Outcome::Failed, ..run(3) }, None, None).await.unwrap();
    assert_eq!(store.progress(Listing::Wallets).await.unwrap(), before);
    assert_eq!(store.runs(Listing::Wallets, 9).await.unwrap().len(), 3);
}

async fn a_pass_does_not_touch_the_troubles(database: Database) {
    let store = migrated(&database, &[]).await;
    let before = store.progress(Listing::Wallets).await.unwrap();
    let claims = Progress { stalled_since: Some(at(1)), unauthorized_since: Some(at(1)), ..before.clone() };
    store.finish_pass(&run(1), Some(&advance(&claims)), None).await.unwrap();
    let found = store.progress(Listing::Wallets).await.unwrap();
    assert_eq!((found.stalled_since, found.unauthorized_since), (None, None));

    store.note_stalled(Listing::Wallets, Some(at(2)), None, at(3)).await.unwrap();
    store.note_unauthorized(Listing::Wallets, true, None, at(4)).await.unwrap();
    store.finish_pass(&run(5), Some(&advance(&before)), None).await.unwrap();
    let found = store.progress(Listing::Wallets).await.unwrap();
    assert_eq!((found.stalled_since, found.unauthorized_since), (Some(at(2)), Some(at(4))));
}

async fn bodies(database: &Database) -> Vec<Value> {
    let rows = database.rows("SELECT body FROM lumo_events ORDER BY seq").await;
    rows.into_iter().map(|row| serde_json::from_str(row[0].as_deref().unwrap()).unwrap()).collect()
}

async fn a_stall_is_told_once_as_it_begins_and_once_as_it_ends(database: Database) {
    let store = migrated(&database, &operator()).await;
    let listing = Listing::Deposits;
    let note = |since: Option<i64>, now: i64| {
        let store = store.clone();
        async move { store.note_stalled(listing, since.map(at), None, at(now)).await.unwrap() }
    };
    assert!(!note(None, 1).await, "it was not stalled");
    assert!(note(Some(5), 10).await);
    assert!(!note(Some(7), 11).await);
    assert_eq!(store.progress(listing).await.unwrap().stalled_since, Some(at(5)), "it stalled before that");

    let progress = store.progress(listing).await.unwrap();
    let (mark, error) = (Some(at(3)), Some("page not read".to_owned()));
    let progress = Progress { complete_through: mark, proved_through: mark, last_error: error, ..progress };
    store.finish_pass(&Run { listing, ..run(12) }, Some(&advance(&progress)), None).await.unwrap();
    assert!(note(None, 20).await);
    assert!(!note(None, 21).await);
    assert_eq!(store.progress(listing).await.unwrap().stalled_since, None);
    assert!(note(Some(25), 30).await, "it may stall again");

    assert_eq!(kinds(&database).await, ["sync.stalled", "sync.recovered", "sync.stalled"]);
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'ops'").await, 3);
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'shop'").await, 0, "`*` is about wallets and deposits");
    let bodies = bodies(&database).await;
    let time = |seconds: i64| json!(lumo_bridge::model::draft::rfc3339(at(seconds)));
    let since = time(5);
    assert_eq!(bodies[0]["stream"], "sync:deposits");
    assert_eq!(bodies[0]["data"]["object"], json!({ "kind": "listing", "id": "deposits", "since": since }));
    assert_eq!(bodies[0]["data"]["changes"], json!({ "stalled_since": { "from": null, "to": since } }));
    let expected = json!({
        "kind": "listing", "id": "deposits", "since": since, "complete_through": time(3), "proved_through": time(3),
        "error": "page not read",
    });
    assert_eq!(bodies[1]["data"]["object"], expected);
    assert_eq!(bodies[1]["data"]["changes"], json!({ "stalled_since": { "from": since, "to": null } }));
    assert_eq!((&bodies[1]["timestamp"], &bodies[1]["sequence"]), (&time(20), &json!(2)));
}

async fn a_refused_key_is_told_once_as_it_begins_and_once_as_it_ends(database: Database) {
    let store = migrated(&database, &operator()).await;
    for (unauthorized, now, news) in
        [(false, 1, false), (true, 2, true), (true, 3, false), (false, 4, true), (false, 5, false), (true, 6, true)]
    {
        let noted = store.note_unauthorized(Listing::Blocked, unauthorized, None, at(now)).await.unwrap();
        assert_eq!(noted, news, "{now}");
        let since = store.progress(Listing::Blocked).await.unwrap().unauthorized_since;
        assert_eq!(since.is_some(), unauthorized, "{now}");
    }
    assert_eq!(kinds(&database).await, ["sync.unauthorized", "sync.recovered", "sync.unauthorized"]);
    let since = store.progress(Listing::Blocked).await.unwrap().unauthorized_since;
    assert_eq!(since, Some(at(6)));
    assert_eq!(store.progress(Listing::Wallets).await.unwrap().unauthorized_since, None);
    // One trouble does not end the other.
    assert!(store.note_stalled(Listing::Blocked, Some(at(7)), None, at(8)).await.unwrap());
    assert!(store.note_stalled(Listing::Blocked, None, None, at(9)).await.unwrap());
    assert_eq!(store.progress(Listing::Blocked).await.unwrap().unauthorized_since, since);
}

async fn of_many_that_note_the_same_trouble_one_tells_it(database: Database) {
    let store = migrated(&database, &operator()).await;
    for (since, now, told) in [(Some(at(1)), 10, 1), (None, 20, 2)] {
        let notes = (0..6).map(|late| store.note_stalled(Listing::Wallets, since, None, at(now + late)));
        let noted = futures_util::future::join_all(notes).await;
        assert_eq!(noted.into_iter().filter(|noted| *noted.as_ref().unwrap()).count(), 1);
        assert_eq!(database.count("lumo_events", "1 = 1").await, told);
    }
}
