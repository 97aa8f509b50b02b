//! History for a new endpoint: what it receives, in which order, how much at once, and what is left out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::draft::once;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::facts::{Announce, History};
use lumo_bridge::model::id::EventId;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::delivery::Backfilled;
use lumo_bridge::store::query::DeliveryRow;
use lumo_bridge::store::{Batch, Publishes, Registered, Store};
use lumo_bridge_entity::endpoint::State;
use lumo_bridge_entity::exception::Reason;

use super::fixture::{
    at, config, deliveries, deposit, endpoint, ingest, listed, migrated, noticed, page, shop, subscriber, wallet,
};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_new_endpoint_is_told_what_was_there_in_order_and_nobody_else_is,
    it_goes_on_where_a_process_died_and_two_processes_do_it_once,
    it_waits_for_the_first_import_for_the_endpoint_and_for_what_was_queued_last,
    what_arrives_meanwhile_is_told_once,
    what_the_endpoint_was_to_receive_anyway_is_left_out,
    rows_of_a_lane_wait_for_the_leader_to_order_them,
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
pub(crate) async fn import<R: Publishes>(store: &Store, mut records: Vec<R>) {
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
    store.register_endpoints(PROCESS, at(10)).await.unwrap();
    (store, crm)
}

/// Goes on to the end, delivering all that is queued; returns the events and how many rows each step queued.
async fn all(store: &Store, subscriber: &Subscriber) -> (Vec<EventId>, Vec<u64>) {
    let mut leader = Leader::of(store, subscriber.endpoint.as_str(), at(20)).await;
    let (mut told, mut steps) = (Vec::new(), Vec::new());
    for second in 20.. {
        match store.backfill(subscriber, at(second)).await.unwrap() {
            Backfilled::Done => break,
            Backfilled::Waits => panic!("nothing is under way"),
            Backfilled::Queued(rows) => steps.push(rows),
        }
        told.extend(leader.deliver(at(second)).await);
    }
    store.give_up_lead(&subscriber.endpoint, PROCESS, at(20)).await.unwrap();
    (told, steps)
}

async fn of(store: &Store, name: &str) -> Vec<DeliveryRow> {
    deliveries(store).await.into_iter().filter(|row| row.id.endpoint == endpoint(name)).collect()
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
    let sql = "SELECT e.stream, e.stream_seq FROM lumo_exceptions x JOIN lumo_events e ON e.seq = x.seq \
               WHERE x.endpoint = 'crm' ORDER BY x.seq";
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for row in database.rows(sql).await {
        let (stream, number) = (row[0].clone().unwrap(), row[1].as_deref().unwrap().parse().unwrap());
        assert_eq!(last.insert(stream, number).unwrap_or(0) + 1, number);
    }
    assert_eq!(store.backfill(&crm, at(9000)).await.unwrap(), Backfilled::Done);

    // Whoever comes next is told the same events, none of them made twice.
    let second = Subscriber { history: Some(at(-900)), ..subscriber("second", &["deposit.created"], Order::None) };
    let store = Store::open(&config(&database), vec![second.clone()]).await.unwrap();
    store.register_endpoints(PROCESS, at(9001)).await.unwrap();
    assert_eq!(all(&store, &second).await.0.len(), 753);
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
            "SELECT e.object_id, e.{} FROM lumo_exceptions x JOIN lumo_events e ON e.seq = x.seq \
             WHERE x.endpoint = '{}' ORDER BY e.object_id, e.stream_seq",
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
    store.register_endpoints(PROCESS, at(3001)).await.unwrap();
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
    let mut leader = Leader::of(&second, "crm", at(21)).await;
    assert_eq!(leader.deliver(at(21)).await.len(), 300);
    loop {
        let (one, other) = tokio::join!(second.backfill(&crm, at(22)), third.backfill(&crm, at(22)));
        let steps = [one.unwrap(), other.unwrap()];
        if steps == [Backfilled::Done; 2] {
            break;
        }
        leader.deliver(at(23)).await;
    }
    let rows = of(&second, "crm").await;
    let expected: Vec<_> = (0..700).map(|number| created(&format!("d-{number:03}"))).collect();
    assert_eq!(rows.into_iter().map(|row| row.id.event).collect::<Vec<_>>(), expected, "each once, in order");
}

async fn it_waits_for_the_first_import_for_the_endpoint_and_for_what_was_queued_last(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, (0..400).map(|number| dated(&format!("d-{number:03}"), "ann", number - 800)).collect()).await;
    let (store, crm) = with_crm(&database, &["*"], Order::None, DateTime::UNIX_EPOCH).await;
    assert_eq!(store.backfill(&crm, at(20)).await.unwrap(), Backfilled::Waits, "the first import is under way");
    imported(&database).await;
    assert!(store.set_endpoint_state(&endpoint("crm"), State::Paused, &Actor::API, at(21)).await.unwrap().is_some());
    assert_eq!(store.backfill(&crm, at(21)).await.unwrap(), Backfilled::Waits, "it is not to be called");
    assert!(store.set_endpoint_state(&endpoint("crm"), State::Active, &Actor::API, at(22)).await.unwrap().is_some());
    assert_eq!(store.backfill(&crm, at(22)).await.unwrap(), Backfilled::Queued(300));
    assert_eq!(store.backfill(&crm, at(23)).await.unwrap(), Backfilled::Waits, "300 are under way");
    let mut leader = Leader::of(&store, "crm", at(23)).await;
    assert_eq!(leader.pass(249, at(23), |_| Came::Delivered).await.len(), 249);
    assert_eq!(store.backfill(&crm, at(24)).await.unwrap(), Backfilled::Waits, "51 are under way");
    assert_eq!(leader.pass(1, at(24), |_| Came::Dead).await.len(), 1);
    assert_eq!(store.backfill(&crm, at(25)).await.unwrap(), Backfilled::Queued(100));
}

async fn what_arrives_meanwhile_is_told_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    let user = |number: i64| format!("u-{}", number % 10);
    import(&store, (0..400).map(|number| dated(&format!("d-{number:03}"), &user(number), number - 800)).collect())
        .await;
    imported(&database).await;
    let (store, crm) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    // Before anything of the history, between two batches of it, and after all of it.
    ingest(&store, &[dated("d-first", &user(1), 19)], at(19)).await;
    let mut news = vec![created("d-first")];
    let mut told = Vec::new();
    let mut leader = Leader::of(&store, "crm", at(20)).await;
    for second in 20.. {
        let backfilled = store.backfill(&crm, at(second)).await.unwrap();
        if second < 26 {
            let name = format!("d-news-{second}");
            ingest(&store, &[dated(&name, &user(1), second)], at(second)).await;
            news.push(created(&name));
        }
        told.extend(leader.deliver(at(second)).await);
        if backfilled == Backfilled::Done {
            break;
        }
    }
    let expected: BTreeSet<_> = (0..400).map(|number| created(&format!("d-{number:03}"))).chain(news.clone()).collect();
    assert_eq!(told.len(), expected.len(), "each once");
    assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), expected);
    let of_news: Vec<_> = told.into_iter().filter(|id| news.contains(id)).collect();
    assert_eq!(of_news, news, "in order");
    assert_eq!(database.count("lumo_exceptions", "reason = 'backfill' AND state = 'delivered'").await, 400);
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 400, "what is wanted anyway leaves no row");
}

async fn what_the_endpoint_was_to_receive_anyway_is_left_out(database: Database) {
    let store = migrated(&database, &shop()).await;
    imported(&database).await;
    ingest(&store, &[dated("d-before", "ann", 5)], at(5)).await;
    let (store, crm) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    // Delivered, given up, and still ahead.
    ingest(&store, &[dated("d-delivered", "ann", 11)], at(11)).await;
    assert_eq!(Leader::of(&store, "crm", at(12)).await.deliver(at(12)).await, [created("d-delivered")]);
    ingest(&store, &[dated("d-skipped", "ann", 13)], at(13)).await;
    let skipped = "UPDATE lumo_subscriptions SET through_seq = 3, state = 'skipped' WHERE endpoint = 'crm' AND ";
    database.execute(&format!("{skipped}{} = 'deposit.created'", database.quote("type"))).await;
    let values = "VALUES ('crm', 'deposit.created', 4, 'wanted')";
    let columns = format!("endpoint, {}, from_seq, state", database.quote("type"));
    database.execute(&format!("INSERT INTO lumo_subscriptions ({columns}) {values}")).await;
    ingest(&store, &[dated("d-ahead", "ann", 14)], at(14)).await;

    while store.backfill(&crm, at(20)).await.unwrap() != Backfilled::Done {}
    let rows = database.rows("SELECT seq, event_id, touched FROM lumo_exceptions").await;
    let revision = store.position(&endpoint("crm")).await.unwrap().unwrap().revision.to_string();
    let expected = ["1".to_owned(), created("d-before").as_str().to_owned(), revision].map(Some);
    assert_eq!(rows, [expected.to_vec()]);
}

/// A lane that is tried all at once would be out of order as soon as its first one fails.
async fn rows_of_a_lane_wait_for_the_leader_to_order_them(database: Database) {
    let store = migrated(&database, &shop()).await;
    import(&store, vec![dated("a-1", "ann", -4), dated("b-1", "bob", -3), dated("a-2", "ann", -2)]).await;
    imported(&database).await;
    let (store, crm) = with_crm(&database, &["*"], Order::User, DateTime::UNIX_EPOCH).await;
    while store.backfill(&crm, at(20)).await.unwrap() == Backfilled::Queued(0) {}
    assert_eq!(database.count("lumo_exceptions", "next_attempt_at IS NULL AND lane IS NOT NULL").await, 3);
    let mut leader = Leader::of(&store, "crm", at(21)).await;
    let failed = leader.pass(9, at(21), |_| Came::RetryAt(at(31))).await;
    assert_eq!(failed.into_iter().map(|next| next.event.id).collect::<Vec<_>>(), ["a-1", "b-1"].map(created));
    assert!(leader.deliver(at(30)).await.is_empty());
    assert_eq!(leader.deliver(at(31)).await, ["a-1", "b-1", "a-2"].map(created));
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
    let registered = store.register_endpoints(PROCESS, at(10)).await.unwrap();
    assert_eq!(registered, Registered { late: vec![endpoint("shop")], ..Registered::default() });
    assert_eq!(store.backfill(&late, at(20)).await.unwrap(), Backfilled::Done);
    assert!(of(&store, "shop").await.is_empty());
}
