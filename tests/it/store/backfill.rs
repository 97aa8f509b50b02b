//! History for a new endpoint: what it is told, in which order, how much at once, and what goes first.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lumo_bridge::model::draft::once;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::facts::{Announce, History};
use lumo_bridge::model::id::EventId;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::{Backfilled, Batch, Registered, Store, Told};
use lumo_bridge_entity::delivery::{self, Reason};
use lumo_bridge_entity::endpoint::State;

use super::fixture::{
    at, claim, config, deliveries, deposit, endpoint, ingest, listed, migrated, noticed, page, settle, shop,
    subscriber, wallet,
};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_new_endpoint_is_told_what_was_there_in_order_and_nobody_else_is,
    it_goes_on_where_a_process_died_and_two_processes_do_it_once,
    it_waits_for_the_first_import_for_the_endpoint_and_for_what_was_queued_last,
    what_arrives_meanwhile_goes_first_and_is_told_once,
    what_is_not_wanted_or_gone_or_too_old_is_left_out,
    an_endpoint_that_is_known_gets_no_history,
    history_says_which_wallets_are_blocked,
);

const COMPANY: &str = "company";

pub(crate) fn dated(id: &str, user: &str, seconds: i64) -> Deposit {
    noticed(Deposit {
        company_id: Some(COMPANY.parse().unwrap()),
        external_id: Some(user.parse().unwrap()),
        created_at: Some(at(seconds)),
        ..deposit(id)
    })
}

fn old(id: &str, user: &str, seconds: i64) -> Wallet {
    listed(Wallet { created_at: at(seconds), ..wallet(id, user) })
}

/// Stores rows as a silent first import does, the newest first.
pub(crate) async fn import<R: Told>(store: &Store, mut records: Vec<R>) {
    records.reverse();
    let announce = Announce::Import { started_at: at(0), until: at(1_000), history: History::Silent };
    let caused = store.ingest(Batch { announce, ..page(&records, at(1)) }, at(1)).await.unwrap();
    assert_eq!(caused.events, 0, "the import is silent");
}

pub(crate) async fn imported(database: &Database) {
    for listing in ["wallets", "deposits"] {
        let values = format!("'{listing}', '2026-05-04 10:00:00'");
        database.execute(&format!("INSERT INTO lumo_sync_state (listing, import_done_at) VALUES ({values})")).await;
    }
}

/// A process with another endpoint, `crm`, that wants history; it is new if it was not registered before.
async fn with_crm(database: &Database, patterns: &[&str], order: Order, since: DateTime<Utc>) -> (Store, Subscriber) {
    let crm = Subscriber { history: Some(since), ..subscriber("crm", patterns, order) };
    let store = Store::open(&config(database), [shop(), vec![crm.clone()]].concat()).await.unwrap();
    store.register_endpoints(at(10)).await.unwrap();
    (store, crm)
}

/// Claims and delivers everything that is due for `crm`; returns the events, in the order in which they went out.
async fn deliver(store: &Store, seconds: i64) -> Vec<EventId> {
    let mut told = Vec::new();
    loop {
        let claimed = claim(store, "crm", 500, at(seconds)).await;
        if claimed.is_empty() {
            return told;
        }
        told.extend(claimed.iter().map(|claimed| claimed.event_id.clone()));
        settle(store, claimed, "crm", Verdict::Done, at(seconds)).await;
    }
}

/// Goes on to the end, delivering all that is queued; returns the events and how many deliveries each step queued.
async fn all(store: &Store, crm: &Subscriber) -> (Vec<EventId>, Vec<u64>) {
    let (mut told, mut steps) = (Vec::new(), Vec::new());
    for second in 20.. {
        match store.backfill(crm, at(second)).await.unwrap() {
            Backfilled::Done => break,
            Backfilled::Waits => panic!("nothing is under way"),
            Backfilled::Queued(deliveries) => steps.push(deliveries),
        }
        told.extend(deliver(store, second).await);
    }
    (told, steps)
}

async fn of(store: &Store, name: &str) -> Vec<delivery::Model> {
    deliveries(store).await.into_iter().filter(|row| row.endpoint == endpoint(name)).collect()
}

fn created(id: &str) -> EventId {
    once(COMPANY, EventType::DepositCreated, id)
}

async fn a_new_endpoint_is_told_what_was_there_in_order_and_nobody_else_is(database: Database) {
    let store = migrated(&database, &shop()).await;
    let (users, each) = (["ann", "bob", "eve"], 250);
    import(&store, users.map(|user| old(&format!("w-{user}"), user, -900)).to_vec()).await;
    let id = |user: &str, number: i64| format!("d-{user}-{number:03}");
    let history = (0..each).flat_map(|number| users.map(|user| dated(&id(user, number), user, number - 800)));
    import(&store, history.collect()).await;
    // Another wallet of the same user, which is the wallet that replaced the first.
    import(&store, vec![old("w-ann-2", "ann", -10)]).await;
    imported(&database).await;
    // News, which has its event already; `shop` was told.
    let news: Vec<_> = users.iter().map(|user| dated(&format!("d-{user}-new"), user, 5)).collect();
    assert_eq!(ingest(&store, &news, at(5)).await.events, 3);

    let (store, crm) = with_crm(&database, &["*"], Order::User, at(-900)).await;
    let (told, steps) = all(&store, &crm).await;

    assert!(steps.iter().all(|queued| *queued <= 300), "{steps:?}");
    assert_eq!((steps.iter().sum::<u64>(), told.len()), (757, 757), "{steps:?}");
    let of_user = |user: &str| {
        let mut ids =
            vec![created(&format!("d-{user}-new")), once(COMPANY, EventType::WalletCreated, &format!("w-{user}"))];
        ids.extend((0..each).map(|number| created(&id(user, number))));
        if user == "ann" {
            ids.push(once(COMPANY, EventType::WalletReplaced, "w-ann-2"));
        }
        ids
    };
    for user in users {
        let expected = of_user(user);
        let wanted: BTreeSet<_> = expected.iter().collect();
        let got: Vec<_> = told.iter().filter(|id| wanted.contains(id)).cloned().collect();
        assert_eq!(got, expected, "{user}: what has an event first, then as it was created");
    }
    let rows = of(&store, "crm").await;
    assert!(rows.iter().all(|row| row.reason == Reason::Backfill));
    assert_eq!(of(&store, "shop").await.len(), 3, "nobody else is told");
    let origins = "SELECT origin, COUNT(*) FROM lumo_events GROUP BY origin ORDER BY origin";
    let origins: BTreeMap<_, _> =
        database.rows(origins).await.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(origins, BTreeMap::from([(some("backfill"), some("754")), (some("live"), some("3"))]));
    // The numbers of each stream are in order, too.
    let sql = "SELECT e.stream, e.stream_seq FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id \
               WHERE d.endpoint = 'crm' ORDER BY d.id";
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for row in database.rows(sql).await {
        let (stream, number) = (row[0].clone().unwrap(), row[1].as_deref().unwrap().parse().unwrap());
        assert_eq!(last.insert(stream, number).unwrap_or(0) + 1, number);
    }
    assert_eq!(store.backfill(&crm, at(9000)).await.unwrap(), Backfilled::Done);

    // Whoever comes next is told the same events, none of them made twice.
    let second = Subscriber { history: Some(at(-900)), ..subscriber("second", &["deposit.created"], Order::None) };
    let store = Store::open(&config(&database), vec![second.clone()]).await.unwrap();
    store.register_endpoints(at(9001)).await.unwrap();
    while store.backfill(&second, at(9002)).await.unwrap() != Backfilled::Done {
        let claimed = store.claim(&endpoint("second"), 500, super::fixture::LEASE, at(9002)).await.unwrap();
        settle(&store, claimed, "second", Verdict::Done, at(9002)).await;
    }
    assert_eq!(of(&store, "second").await.len(), 753);
    assert_eq!(database.count("lumo_events", "1 = 1").await, 757);
}

async fn history_says_which_wallets_are_blocked(database: Database) {
    let store = migrated(&database, &shop()).await;
    let of = |id: &str, is_blocked: bool| listed(Wallet { is_blocked, created_at: at(-900), ..wallet(id, id) });
    import(&store, vec![of("silent", true), of("later", false), of("released", true), of("free", false)]).await;
    imported(&database).await;
    // News: one that is blocked already, one that is blocked now, one that is no longer.
    ingest(&store, &[of("new", true)], at(1000)).await;
    ingest(&store, &[of("later", true), of("released", false)], at(1000)).await;
    ingest(&store, &[listed(Wallet { address: Some("T2".to_owned()), ..of("later", true) })], at(2000)).await;

    let (store, crm) = with_crm(&database, &["wallet.*"], Order::User, at(-900)).await;
    let blocks = Subscriber { history: Some(at(-900)), ..subscriber("blocks", &["wallet.blocked"], Order::User) };
    let told_of = async |store: &Store, endpoint: &Subscriber| {
        while store.backfill(endpoint, at(3000)).await.unwrap() != Backfilled::Done {}
        let sql = format!(
            "SELECT e.object_id, e.{} FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id \
             WHERE d.endpoint = '{}' ORDER BY e.object_id, e.stream_seq",
            database.quote("type"),
            endpoint.endpoint,
        );
        let rows = database.rows(&sql).await.into_iter();
        rows.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let all = told_of(&store, &crm).await;
    let expected = [
        "free wallet.created",
        "later wallet.blocked",
        "later wallet.created",
        "new wallet.created",
        "new wallet.blocked",
        "released wallet.created",
        "silent wallet.created",
        "silent wallet.blocked",
    ];
    assert_eq!(all, expected);
    let store = Store::open(&config(&database), vec![crm, blocks.clone()]).await.unwrap();
    store.register_endpoints(at(3001)).await.unwrap();
    let all = told_of(&store, &blocks).await;
    assert_eq!(all, ["later wallet.blocked", "new wallet.blocked", "silent wallet.blocked"]);
    assert_eq!(database.count("lumo_events", "object_id = 'silent'").await, 2, "each event is made once");
}

async fn it_goes_on_where_a_process_died_and_two_processes_do_it_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, (0..700).map(|number| dated(&format!("d-{number:03}"), "ann", number - 800)).collect()).await;
    imported(&database).await;
    let (first, crm) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    // Of stored events there are none, which the first step sees to.
    let mut queued = 0;
    while queued == 0 {
        if let Backfilled::Queued(deliveries) = first.backfill(&crm, at(20)).await.unwrap() {
            queued = deliveries;
        }
    }
    assert_eq!(queued, 300);
    drop(first);

    let (second, crm) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    let (third, _) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    assert_eq!(deliver(&second, 21).await.len(), 300);
    loop {
        let (one, other) = tokio::join!(second.backfill(&crm, at(22)), third.backfill(&crm, at(22)));
        let steps = [one.unwrap(), other.unwrap()];
        if steps == [Backfilled::Done; 2] {
            break;
        }
        deliver(&second, 23).await;
    }
    let rows = of(&second, "crm").await;
    let expected: Vec<_> = (0..700).map(|number| created(&format!("d-{number:03}"))).collect();
    assert_eq!(rows.into_iter().map(|row| row.event_id).collect::<Vec<_>>(), expected, "each once, in order");
}

async fn it_waits_for_the_first_import_for_the_endpoint_and_for_what_was_queued_last(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, (0..400).map(|number| dated(&format!("d-{number:03}"), "ann", number - 800)).collect()).await;
    let (store, crm) = with_crm(&database, &["*"], Order::None, DateTime::UNIX_EPOCH).await;
    assert_eq!(store.backfill(&crm, at(20)).await.unwrap(), Backfilled::Waits, "the first import is under way");
    imported(&database).await;
    assert!(store.set_endpoint_state(&endpoint("crm"), State::Paused, at(21)).await.unwrap());
    assert_eq!(store.backfill(&crm, at(21)).await.unwrap(), Backfilled::Waits, "it is not to be called");
    assert!(store.set_endpoint_state(&endpoint("crm"), State::Active, at(22)).await.unwrap());
    assert_eq!(store.backfill(&crm, at(22)).await.unwrap(), Backfilled::Queued(300));
    assert_eq!(store.backfill(&crm, at(23)).await.unwrap(), Backfilled::Waits, "300 are under way");
    let some = claim(&store, "crm", 249, at(23)).await;
    settle(&store, some, "crm", Verdict::Done, at(23)).await;
    assert_eq!(store.backfill(&crm, at(24)).await.unwrap(), Backfilled::Waits, "51 are under way");
    let one = claim(&store, "crm", 1, at(24)).await;
    settle(&store, one, "crm", Verdict::Dead, at(24)).await;
    assert_eq!(store.backfill(&crm, at(25)).await.unwrap(), Backfilled::Queued(100));
}

async fn what_arrives_meanwhile_goes_first_and_is_told_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, (0..400).map(|number| dated(&format!("d-{number:03}"), "ann", number - 800)).collect()).await;
    imported(&database).await;
    let (store, crm) = with_crm(&database, &["*"], Order::None, DateTime::UNIX_EPOCH).await;
    assert_eq!(store.backfill(&crm, at(20)).await.unwrap(), Backfilled::Queued(300));
    ingest(&store, &[dated("d-news", "bob", 21)], at(21)).await;
    let claimed = claim(&store, "crm", 10, at(22)).await;
    assert_eq!(
        claimed.iter().filter(|claimed| claimed.reason == Reason::Live).count(),
        1,
        "300 others were due before it"
    );
    assert_eq!(claimed.len(), 10, "and history takes what is left");
    settle(&store, claimed, "crm", Verdict::Done, at(22)).await;
    ingest(&store, &[dated("d-more", "bob", 23)], at(23)).await;
    let claimed = claim(&store, "crm", 1, at(24)).await;
    assert_eq!(claimed[0].event_id, created("d-more"));
    settle(&store, claimed, "crm", Verdict::Done, at(24)).await;
    deliver(&store, 25).await;
    let (told, _) = all(&store, &crm).await;
    assert_eq!(told.len(), 100);
    let rows = of(&store, "crm").await;
    assert_eq!(rows.len(), 402);
    assert_eq!(rows.iter().map(|row| &row.event_id).collect::<BTreeSet<_>>().len(), 402, "each once");
}

async fn what_is_not_wanted_or_gone_or_too_old_is_left_out(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, vec![old("w", "ann", -10)]).await;
    let undated = |id: &str| Deposit { company_id: Some(COMPANY.parse().unwrap()), ..deposit(id) };
    import(
        &store,
        vec![
            dated("too-old", "ann", -501),
            dated("gone", "ann", -400),
            dated("oldest", "ann", -500),
            dated("last", "ann", -1),
        ],
    )
    .await;
    ingest(&store, &[undated("b"), undated("a")], at(2)).await;
    imported(&database).await;
    for gone in ["gone", "b"] {
        let sql = format!("UPDATE lumo_user_deposits SET missing_since = '2026-05-04 10:00:00' WHERE id = '{gone}'");
        database.execute(&sql).await;
    }
    // The event of one of them was never made, as if nobody had been told of it.
    database
        .execute("DELETE FROM lumo_deliveries WHERE event_id IN (SELECT id FROM lumo_events WHERE object_id = 'a')")
        .await;
    database.execute("DELETE FROM lumo_events WHERE object_id = 'a'").await;
    let (store, crm) = with_crm(&database, &["deposit.created"], Order::User, at(-500)).await;
    let (told, _) = all(&store, &crm).await;
    assert_eq!(told, ["oldest", "last", "a"].map(created), "what tells no time comes last");
}

async fn an_endpoint_that_is_known_gets_no_history(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, vec![old("w", "ann", -10)]).await;
    imported(&database).await;
    let late = Subscriber { history: Some(at(-100)), ..shop().remove(0) };
    let store = Store::open(&config(&database), vec![late.clone()]).await.unwrap();
    let registered = store.register_endpoints(at(10)).await.unwrap();
    assert_eq!(registered, Registered { late: vec![endpoint("shop")], ..Registered::default() });
    assert_eq!(store.backfill(&late, at(20)).await.unwrap(), Backfilled::Done);
    assert!(of(&store, "shop").await.is_empty());
}
