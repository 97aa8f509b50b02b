//! From pages to rows: what appears, what changes, what stays, and what is only shown.

use lumo_bridge::model::event::EventType;
use lumo_bridge::model::facts::{Announce, History};
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::{Batch, Checkpoint, Ending, Fate, ImportStart, Ingested, Store};
use lumo_bridge_entity::{deposit, wallet};
use sea_orm::EntityTrait;

use super::fixture::{at, deposit, events, ingest, kinds, listed, migrated, noticed, page, shop, wallet, with_raw};
use crate::database::{Cell, Database, on_each_database};

on_each_database!(
    what_appears_is_stored_told_and_queued,
    what_changes_is_one_version_further_and_one_event,
    what_is_listed_as_before_costs_nothing,
    another_spelling_of_the_same_is_no_change,
    a_first_import_announces_history_only_as_asked,
    a_page_that_was_read_before_the_last_change_is_ignored,
    a_deposit_that_names_its_wallet_gets_its_user,
    a_new_wallet_adopts_the_deposits_that_came_before_it,
    a_dry_run_tells_what_would_happen_and_touches_nothing,
    a_page_longer_than_a_statement_is_stored_whole,
    the_beginning_of_an_import_is_stored_with_its_page_and_once,
);

async fn stored_wallet(store: &Store, id: &str) -> wallet::Model {
    store.wallet(&id.parse().unwrap()).await.unwrap().unwrap()
}

async fn stored_deposit(store: &Store, id: &str) -> deposit::Model {
    store.deposit(&id.parse().unwrap()).await.unwrap().unwrap()
}

/// What comes of one record that changes nothing.
fn nothing(fate: Fate) -> Ingested {
    Ingested { fates: vec![fate], ..Ingested::default() }
}

async fn what_appears_is_stored_told_and_queued(database: Database) {
    let store = migrated(&database, &shop()).await;
    let mut queued = store.appended();
    queued.mark_unchanged();

    let caused = ingest(&store, &[wallet("w1", "bob"), wallet("w2", "eve")], at(5)).await;

    let fates = vec![Fate::Appeared; 2];
    assert_eq!(caused, Ingested { appeared: 2, changed: 0, events: 2, preview: Vec::new(), fates });
    let row = stored_wallet(&store, "w1").await;
    assert_eq!((row.version, row.first_seen_at, row.changed_at, row.missing_since), (1, at(5), at(5), None));
    assert_eq!(row.raw, *wallet("w1", "bob").raw);
    assert_eq!(kinds(&database).await, ["wallet.created"; 2]);
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'shop' AND state = 'pending'").await, 2);
    assert!(queued.has_changed().unwrap(), "nobody is told that there is something to deliver");
}

async fn what_changes_is_one_version_further_and_one_event(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(1)).await;

    for version in 2..=4 {
        let now = at(version * 1000);
        let changed = listed(Wallet { address: Some(format!("T{version}")), ..wallet("w", "bob") });
        let caused = ingest(&store, &[changed], now).await;
        let fates = vec![Fate::Changed];
        assert_eq!(caused, Ingested { appeared: 0, changed: 1, events: 1, preview: Vec::new(), fates });
        let row = stored_wallet(&store, "w").await;
        assert_eq!((row.version, row.first_seen_at, row.changed_at), (version, at(1), now));
        assert_eq!(row.address, Some(format!("T{version}")));
    }
    assert_eq!(database.count("lumo_user_wallets", "1 = 1").await, 1);
    assert_eq!(kinds(&database).await, ["wallet.created", "wallet.updated", "wallet.updated", "wallet.updated"]);
}

async fn what_is_listed_as_before_costs_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    let (wallets, deposits) = ([wallet("w", "bob")], [noticed(Deposit { confirmations: Some(3), ..deposit("d") })]);
    ingest(&store, &wallets, at(1)).await;
    ingest(&store, &deposits, at(1)).await;
    let before = everything(&database).await;
    let mut queued = store.appended();
    queued.mark_unchanged();

    for now in [at(2), at(100_000)] {
        assert_eq!(ingest(&store, &wallets, now).await, nothing(Fate::Known));
        assert_eq!(ingest(&store, &deposits, now).await, nothing(Fate::Known));
    }

    assert_eq!(everything(&database).await, before);
    assert!(!queued.has_changed().unwrap(), "the delivery was woken for nothing");
}

async fn another_spelling_of_the_same_is_no_change(database: Database) {
    let store = migrated(&database, &shop()).await;
    let first = with_raw(wallet("w", "bob"), r#"{"id":"w","n":1.10,"s":"é"}"#);
    ingest(&store, &[first], at(1)).await;
    let before = everything(&database).await;

    let again = with_raw(wallet("w", "bob"), "{ \"s\": \"\\u00e9\", \"n\": 11e-1, \"id\": \"w\" }");
    assert_eq!(ingest(&store, &[again], at(1000)).await, nothing(Fate::Known));

    assert_eq!(everything(&database).await, before);
}

async fn a_first_import_announces_history_only_as_asked(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (name, history, expected) in [
        ("silent", History::Silent, &["live"][..]),
        ("notify", History::Notify, &["import", "import", "live"]),
        ("since", History::Since(at(-100)), &["import", "live"]),
    ] {
        let created = |age: i64| {
            let wallet = wallet(&format!("{name}{age}"), &format!("{name}{age}"));
            listed(Wallet { created_at: at(age), ..wallet })
        };
        let announce = Announce::Import { started_at: at(0), until: at(1_000), history };
        let batch = Batch { announce, ..page(&[created(-200), created(-100), created(1)], at(2)) };
        let caused = store.ingest(batch, at(2)).await.unwrap();

        assert_eq!((caused.appeared, caused.events), (3, expected.len() as u64), "{name}");
        let sql = format!("SELECT origin FROM lumo_events WHERE object_id LIKE '{name}%' ORDER BY seq");
        let origins: Vec<_> = database.rows(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect();
        assert_eq!(origins, expected, "{name}");
    }
    assert_eq!(database.count("lumo_user_wallets", "version = 1").await, 9);

    // What was stored without a word is told when it changes.
    let changed = listed(Wallet { is_blocked: true, ..wallet("silent-200", "silent-200") });
    assert_eq!(ingest(&store, &[changed], at(1000)).await.events, 1);
}

async fn a_page_that_was_read_before_the_last_change_is_ignored(database: Database) {
    let store = migrated(&database, &shop()).await;
    let blocked = listed(Wallet { is_blocked: true, ..wallet("w", "bob") });
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    ingest(&store, std::slice::from_ref(&blocked), at(60)).await;

    // It left before the change was stored, and arrived after it.
    let stale = Batch { read_at: at(59), ..page(&[wallet("w", "bob")], at(61)) };
    assert_eq!(store.ingest(stale, at(61)).await.unwrap(), nothing(Fate::Stale));
    assert!(stored_wallet(&store, "w").await.is_blocked);

    let fresh = Batch { read_at: at(60), ..page(&[wallet("w", "bob")], at(62)) };
    assert_eq!(store.ingest(fresh, at(62)).await.unwrap().changed, 1);
    assert_eq!(kinds(&database).await, ["wallet.created", "wallet.blocked", "wallet.unblocked"]);

    // A clock that was set back hours ago must not make every page stale.
    let back = Batch { read_at: at(-7200), ..page(&[blocked], at(-7200)) };
    assert_eq!(store.ingest(back, at(-7200)).await.unwrap().changed, 1);
}

fn of_wallet(id: &str, wallet: &str) -> Deposit {
    noticed(Deposit { wallet_id: Some(wallet.parse().unwrap()), ..deposit(id) })
}

async fn a_deposit_that_names_its_wallet_gets_its_user(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(1)).await;
    let named = noticed(Deposit { external_id: Some("eve".parse().unwrap()), ..of_wallet("d3", "w") });
    ingest(&store, &[of_wallet("d1", "w"), of_wallet("d2", "unknown"), named, deposit("d4")], at(2)).await;

    let mut told = events(&database).await.split_off(1);
    told.sort();
    let streams: Vec<_> = told.iter().map(|(_, stream)| stream.as_str()).collect();
    assert_eq!(streams, ["deposit:d4", "user:bob", "user:eve", "wallet:unknown"]);
    let user = stored_deposit(&store, "d1").await.external_id;
    assert_eq!(user.as_ref().map(|user| user.as_str()), Some("bob"));

    // It keeps its user when it changes, and that it got one is no change.
    let changed = noticed(Deposit { status: "paid".to_owned(), ..of_wallet("d1", "w") });
    ingest(&store, &[changed], at(1000)).await;
    assert_eq!(events(&database).await.pop().unwrap(), ("deposit.status_changed".to_owned(), "user:bob".to_owned()));
    assert_eq!(stored_deposit(&store, "d1").await.external_id, user);
    let body = database.value("SELECT body FROM lumo_events WHERE seq = 6").await;
    assert!(!body.contains(r#""external_id":{"from""#), "{body}");
}

async fn a_new_wallet_adopts_the_deposits_that_came_before_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let named = noticed(Deposit { external_id: Some("eve".parse().unwrap()), ..of_wallet("d3", "w") });
    ingest(&store, &[of_wallet("d1", "w"), of_wallet("d2", "other"), named], at(1)).await;
    ingest(&store, &[wallet("w", "bob")], at(2)).await;

    let mut users = Vec::new();
    for id in ["d1", "d2", "d3"] {
        let row = stored_deposit(&store, id).await;
        assert_eq!(row.version, 1, "{id}");
        users.push(row.external_id.map(String::from));
    }
    assert_eq!(users, [Some("bob".to_owned()), None, Some("eve".to_owned())]);
    assert_eq!(ingest(&store, &[of_wallet("d1", "w")], at(3)).await, nothing(Fate::Known));
}

/// All rows of all tables that a page can touch.
pub(super) async fn everything(database: &Database) -> Vec<(&'static str, Vec<Vec<Cell>>)> {
    let mut dump = Vec::new();
    for (table, columns, key) in [
        ("lumo_user_wallets", "id, address, raw, version, first_seen_at, changed_at, missing_since", "id"),
        ("lumo_user_deposits", "id, external_id, status, raw, version, first_seen_at, changed_at", "id"),
        ("lumo_events", "id, seq, stream, stream_seq, body", "seq"),
        ("lumo_deliveries", "event_id, endpoint, state, next_attempt_at", "event_id, endpoint"),
        ("lumo_streams", "stream, last_seq", "stream"),
        ("lumo_sync_state", "listing, last_total", "listing"),
    ] {
        dump.push((table, database.rows(&format!("SELECT {columns} FROM {table} ORDER BY {key}")).await));
    }
    dump
}

async fn a_dry_run_tells_what_would_happen_and_touches_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w1", "bob"), wallet("w2", "eve")], at(0)).await;
    ingest(&store, &[of_wallet("d", "w3")], at(0)).await;
    let before = everything(&database).await;
    let mut queued = store.appended();
    queued.mark_unchanged();

    let blocked = listed(Wallet { is_blocked: true, ..wallet("w1", "bob") });
    let listing = lumo_bridge::model::Listing::Wallets;
    let import_started = Some(ImportStart { listing, at: at(1000), total: None });
    let batch = Batch {
        ending: Ending::RollBack,
        checkpoint: Checkpoint { import_started, ..Checkpoint::default() },
        ..page(&[blocked, wallet("w2", "eve"), wallet("w3", "joe")], at(1000))
    };
    let shown = store.ingest(batch, at(1000)).await.unwrap();

    assert_eq!((shown.appeared, shown.changed, shown.events), (1, 1, 2));
    let mut preview = shown.preview;
    preview.sort();
    let expected = [(EventType::WalletCreated, "w3".to_owned()), (EventType::WalletBlocked, "w1".to_owned())];
    assert_eq!(preview, expected);
    assert_eq!(everything(&database).await, before);
    assert!(!queued.has_changed().unwrap(), "a dry run woke the delivery");
    let rows = lumo_bridge_entity::progress::Entity::find().all(database.connection()).await.unwrap();
    assert!(rows.is_empty(), "a dry run moved the listing on: {rows:?}");
}

async fn a_page_longer_than_a_statement_is_stored_whole(database: Database) {
    let store = migrated(&database, &shop()).await;
    let wallets = |address: &str| -> Vec<Wallet> {
        let one = |number: i32| {
            let id = format!("w{number:04}");
            listed(Wallet { address: Some(address.to_owned()), ..wallet(&id, &id) })
        };
        (0..1201).map(one).collect()
    };
    assert_eq!(ingest(&store, &wallets("a"), at(0)).await.events, 1201);
    assert_eq!(ingest(&store, &wallets("b"), at(1000)).await.changed, 1201);
    assert_eq!(database.count("lumo_user_wallets", "version = 2 AND address = 'b'").await, 1201);
    assert_eq!(database.count("lumo_deliveries", "state = 'pending'").await, 2402);
    assert_eq!(database.number("SELECT MAX(seq) FROM lumo_events").await, 2402);
}

async fn the_beginning_of_an_import_is_stored_with_its_page_and_once(database: Database) {
    let store = migrated(&database, &shop()).await;
    let listing = lumo_bridge::model::Listing::Deposits;
    let before = store.progress(listing).await.unwrap();
    assert_eq!((before.listing.as_str(), before.import_started_at), ("deposits", None));
    for time in [1, 2] {
        // The page of the second time holds nothing new.
        let start = ImportStart { listing, at: at(time), total: Some(10 * time) };
        let checkpoint = Checkpoint { import_started: Some(start), ..Checkpoint::default() };
        let batch = Batch { checkpoint, ..page(&[deposit("d")], at(time)) };
        store.ingest(batch, at(time)).await.unwrap();
        let expected =
            lumo_bridge::store::Progress { import_started_at: Some(at(1)), last_total: Some(10), ..before.clone() };
        assert_eq!(store.progress(listing).await.unwrap(), expected);
    }
    assert_eq!(store.progress(lumo_bridge::model::Listing::Wallets).await.unwrap().import_started_at, None);
}
