//! What goes into a column comes out of it, digit for digit and character for character.

use chrono::{DateTime, Utc};
use lumo_bridge::model::Amount;
use lumo_bridge::model::id::ExternalId;
use lumo_bridge::model::record::{Deposit, Wallet};
use lumo_bridge::store::Fate;
use lumo_bridge::store::query::{EventFilter, WalletFilter};

use lumo_bridge_entity::id::MAX_EXTERNAL_ID_CHARS;

use super::fixture::{ALL, at, deposit, events, ingest, listed, migrated, noticed, shop, wallet, with_raw};
use crate::database::{Database, on_each_database};

on_each_database!(
    amounts_come_back_digit_for_digit,
    amounts_are_numbers_in_sql_where_the_database_has_exact_ones,
    what_could_not_be_read_of_a_wallet_is_null,
    odd_texts_come_back_character_for_character,
    users_that_differ_by_a_space_or_by_case_are_different_users,
    the_longest_external_ids_are_stored_and_found,
    a_raw_item_is_kept_byte_for_byte,
    an_event_carries_an_item_that_every_reader_takes_byte_for_byte,
    times_come_back_to_the_microsecond,
);

/// As the API may spell them, and the digits that are kept.
const AMOUNTS: &[(&str, &str)] = &[
    ("0", "0"),
    ("-0.00", "0"),
    ("0.1", "0.1"),
    ("12.50", "12.5"),
    ("100", "100"),
    ("1e3", "1000"),
    ("0.000001", "0.000001"),
    ("0.0000001", "0.0000001"),
    ("1e-30", "0.000000000000000000000000000001"),
    ("-0.000000000000000000000000000001", "-0.000000000000000000000000000001"),
    ("-5", "-5"),
    ("-123456789012.123456", "-123456789012.123456"),
    ("123456789012.123456", "123456789012.123456"),
    ("0.30000000000000004", "0.30000000000000004"),
    ("9007199254740993", "9007199254740993"),
    ("9999.9999", "9999.9999"),
    ("10000.0001", "10000.0001"),
    ("99999999999999999999999999999999999", "99999999999999999999999999999999999"),
    ("10000000000000000000000000000000000", "10000000000000000000000000000000000"),
    (
        "12345678901234567890123456789012345.123456789012345678901234567891",
        "12345678901234567890123456789012345.123456789012345678901234567891",
    ),
];

fn amount(text: &str) -> Amount {
    text.parse().unwrap_or_else(|error| panic!("{text} {error}"))
}

/// What a decimal column shows without the zeros of its scale.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

async fn amounts_come_back_digit_for_digit(database: Database) {
    let store = migrated(&database, &shop()).await;
    let (mut wallets, mut deposits) = (Vec::new(), Vec::new());
    for (number, (text, _)) in AMOUNTS.iter().enumerate() {
        let id = format!("{number:02}");
        wallets.push(listed(Wallet { last_usdt_balance: Some(amount(text)), ..wallet(&id, &id) }));
        deposits.push(noticed(Deposit { amount: Some(amount(text)), ..deposit(&id) }));
    }
    deposits.push(deposit("none"));
    ingest(&store, &wallets, at(1)).await;
    ingest(&store, &deposits, at(1)).await;

    for (number, (text, expected)) in AMOUNTS.iter().enumerate() {
        let id = format!("{number:02}");
        let row = store.wallet(&id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(row.last_usdt_balance.unwrap().as_str(), *expected, "{text}");
        let row = store.deposit(&id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(row.amount.unwrap().as_str(), *expected, "{text}");

        let column = database.text("amount");
        let shown = database.value(&format!("SELECT {column} FROM lumo_user_deposits WHERE id = '{id}'")).await;
        let shown = if database.is_sqlite() { &shown } else { without_zeros(&shown) };
        assert_eq!(shown, *expected, "{text} in SQL");
    }
    assert_eq!(store.deposit(&"none".parse().unwrap()).await.unwrap().unwrap().amount, None);
    assert_eq!(ingest(&store, &deposits, at(2)).await.changed, 0, "what was stored differs from what is listed");
}

async fn amounts_are_numbers_in_sql_where_the_database_has_exact_ones(database: Database) {
    let store = migrated(&database, &shop()).await;
    let addends = ["0.1", "0.2", "0.000001", "0.0000001", "-5", "12.50", "123456789012.123456"];
    let deposits: Vec<_> =
        addends.iter().map(|text| noticed(Deposit { amount: Some(amount(text)), ..deposit(text) })).collect();
    ingest(&store, &deposits, at(1)).await;

    if database.is_sqlite() {
        assert_eq!(database.count("lumo_user_deposits", "typeof(amount) = 'text'").await, 7);
        return;
    }
    let sum = database.text("SUM(amount)");
    let sum = database.value(&format!("SELECT {sum} FROM lumo_user_deposits")).await;
    assert_eq!(without_zeros(&sum), "123456789019.9234571");
    assert_eq!(database.count("lumo_user_deposits", "amount > 9 AND amount < 100").await, 1, "compared as text");
}

const ODD: &[&str] = &[
    " ",
    "tab and \"quotes\" and 'more'",
    "'; DROP TABLE lumo_events; --",
    r"50%_off\n\\",
    "$1 ? :name @x {}",
    "👩‍💻🇺🇦",
    "ñ",        // composed
    "n\u{303}", // decomposed: not the same text
    "ß",
    "ss",
    "\u{feff}\u{200b}\u{202e}right to left",
    "🂡\u{10ffff}",
    "null",
    "0",
];

async fn what_could_not_be_read_of_a_wallet_is_null(database: Database) {
    let store = migrated(&database, &shop()).await;
    let bare = Wallet { address: None, last_usdt_balance: None, last_trx_balance: None, ..wallet("w", "bob") };
    ingest(&store, &[with_raw(bare, r#"{"id":"w","lastUsdtBalance":"much"}"#)], at(1)).await;
    let absent = "address IS NULL AND last_usdt_balance IS NULL AND last_trx_balance IS NULL";
    assert_eq!(database.count("lumo_user_wallets", absent).await, 1);
    let body: serde_json::Value = serde_json::from_str(&database.value("SELECT body FROM lumo_events").await).unwrap();
    crate::generated::assert_published(&body);
    assert!(body["data"]["object"].get("address").is_none());
    // Once it can be read, that is a change like any other.
    ingest(&store, &[wallet("w", "bob")], at(1000)).await;
    let row = store.wallet(&"w".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.address.as_deref(), row.last_usdt_balance), (Some("T-w"), Some(amount("0"))));
}

async fn odd_texts_come_back_character_for_character(database: Database) {
    let store = migrated(&database, &shop()).await;
    let odd = |(number, text): (usize, &&str)| {
        let block_reason = Some((*text).to_owned());
        listed(Wallet { address: Some((*text).to_owned()), block_reason, ..wallet(&format!("w{number}"), text) })
    };
    let wallets: Vec<_> = ODD.iter().enumerate().map(odd).collect();
    assert_eq!(ingest(&store, &wallets, at(1)).await.appeared, wallets.len() as u64);

    for (text, listed) in ODD.iter().zip(&wallets) {
        let row = store.wallet(&listed.id).await.unwrap().unwrap();
        assert_eq!((row.external_id.as_str(), row.address.as_deref()), (*text, Some(*text)));
        assert_eq!((row.block_reason.as_deref(), row.raw.as_str()), (Some(*text), &*listed.raw));
        let filter =
            WalletFilter { external_id: Some(listed.external_id.clone()), limit: ALL, ..WalletFilter::default() };
        let found = store.list_wallets(&filter).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [listed.id.as_str()], "{text:?}");
    }
    let told = events(&database).await;
    assert!(told.iter().all(|(kind, _)| kind == "wallet.created"), "two of them were taken for one user: {told:?}");
    assert_eq!(database.count("lumo_events", "stream_seq = 1").await, ODD.len() as i64);
    assert!(ingest(&store, &wallets, at(2)).await.fates.iter().all(|fate| *fate == Fate::Known));
}

async fn users_that_differ_by_a_space_or_by_case_are_different_users(database: Database) {
    let store = migrated(&database, &shop()).await;
    let users = ["bob", "bob ", "bob  ", " bob", "Bob", "BOB"];
    let wallets: Vec<_> = users.iter().map(|user| wallet(&format!("of {user}"), user)).collect();
    ingest(&store, &wallets, at(1)).await;
    // Ids of wallets and deposits are as exact as users.
    let deposits: Vec<_> = users
        .iter()
        .map(|user| noticed(Deposit { wallet_id: Some(format!("of {user}").parse().unwrap()), ..deposit(user) }))
        .collect();
    ingest(&store, &deposits, at(2)).await;

    let mut told = events(&database).await;
    told.sort();
    let streams = |kind: &str| users.map(|user| (kind.to_owned(), format!("user:{user}")));
    let mut expected = [streams("wallet.created"), streams("deposit.created")].concat();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(database.count("lumo_events", "stream_seq = 1").await, 6);
    assert_eq!(database.count("lumo_events", "stream_seq = 2").await, 6);
    assert_eq!(database.count("lumo_streams", "last_seq = 2").await, 6);
}

/// The longest external id of characters between these, in an order that no compression makes shorter.
fn longest(first: u32, last: u32) -> String {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_u32(first + (state >> 8) % (last - first)).unwrap()
    };
    let mut text: String = (0..=MAX_EXTERNAL_ID_CHARS).map(|_| next()).collect();
    while text.parse::<ExternalId>().is_err() {
        text.pop();
    }
    text
}

async fn the_longest_external_ids_are_stored_and_found(database: Database) {
    let store = migrated(&database, &shop()).await;
    let users = [longest(0x21, 0x7e), longest(0x4e00, 0x9fff), longest(0x20000, 0x2a6df)];
    for (bytes, user) in [1, 3, 4].into_iter().zip(users) {
        let id = format!("w{bytes}");
        let result = store.ingest(super::fixture::page(&[wallet(&id, &user)], at(1)), at(1)).await;
        if let Err(error) = result {
            panic!("{} characters of {bytes} bytes: {}", user.chars().count(), lumo_bridge::chain::Chain(&error));
        }
        assert!(user.len() > 599);
        ingest(&store, &[noticed(Deposit { wallet_id: Some(id.parse().unwrap()), ..deposit(&id) })], at(2)).await;
        let filter = WalletFilter { external_id: Some(user.parse().unwrap()), limit: ALL, ..WalletFilter::default() };
        assert_eq!(store.list_wallets(&filter).await.unwrap().len(), 1);
    }
    assert_eq!(database.count("lumo_streams", "last_seq = 2").await, 3);
}

async fn a_raw_item_is_kept_byte_for_byte(database: Database) {
    let store = migrated(&database, &shop()).await;
    let raw = "{ \"id\":\"w\",\t\"note\": \"a\\u0000b \\ud83d\\ude00 \\/ é\", \"n\": 1.10e+2,\r\n \"big\":123456789012345678901234567890.5 }";
    ingest(&store, &[with_raw(wallet("w", "bob"), raw)], at(1)).await;
    assert_eq!(store.wallet(&"w".parse().unwrap()).await.unwrap().unwrap().raw, raw);
    assert_eq!(database.value("SELECT raw FROM lumo_user_wallets").await, raw);
    let body = database.value("SELECT body FROM lumo_events").await;
    // The one value that not every reader of JSON takes is respelled, and named; the others keep their spelling.
    let portable =
        r#"{"id":"w","note":"a\ufffdb \ud83d\ude00 \/ é","n":1.10e+2,"big":123456789012345678901234567890.5}"#;
    assert!(body.contains(&format!(r#""upstream":{portable},"upstream_altered":["/upstream/note"]"#)), "{body}");
}

async fn an_event_carries_an_item_that_every_reader_takes_byte_for_byte(database: Database) {
    let store = migrated(&database, &shop()).await;
    let raw = "{ \"id\":\"w\",\t\"note\": \"\\ud83d\\ude00 \\/ é\", \"n\": 1.10e+2,\r\n \"big\":123456789012345678901234567890.5 }";
    ingest(&store, &[with_raw(wallet("w", "bob"), raw)], at(1)).await;
    let body = database.value("SELECT body FROM lumo_events").await;
    assert!(body.contains(&format!("\"upstream\":{raw}")), "{body}");
    assert!(!body.contains("upstream_altered"), "{body}");
}

async fn times_come_back_to_the_microsecond(database: Database) {
    let store = migrated(&database, &shop()).await;
    let times: Vec<DateTime<Utc>> = [
        "2026-05-04T10:11:12.345678Z",
        "2026-05-04T10:11:12.000001Z",
        "2026-05-04T10:11:12Z",
        "2026-05-04T10:11:12.999999Z",
        "2024-02-29T23:59:59.5Z",
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1900-01-01T00:00:00.000001Z",
        "2038-01-19T03:14:08Z",
        "2040-01-01T00:00:00.123456Z",
        "9999-12-31T23:59:59.999999Z",
        // What Go and .NET write where there is no time.
        "0001-01-01T00:00:00Z",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec();
    let deposits: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(number, time)| {
            noticed(Deposit { created_at: Some(*time), updated_at: Some(*time), ..deposit(&format!("{number}")) })
        })
        .collect();
    let now = "2026-05-04T10:11:12.345678Z".parse().unwrap();
    for (time, listed) in times.iter().zip(&deposits) {
        // Each in a page of its own, to tell which of them fails.
        if let Err(error) = store.ingest(super::fixture::page(std::slice::from_ref(listed), now), now).await {
            panic!("{time}: {}", lumo_bridge::chain::Chain(&error));
        }
    }

    for (time, listed) in times.iter().zip(&deposits) {
        let row = store.deposit(&listed.id).await.unwrap().unwrap();
        assert_eq!((row.created_at, row.updated_at), (Some(*time), Some(*time)));
        assert_eq!((row.first_seen_at, row.changed_at), (now, now));
    }
    let told = store.list_events(&EventFilter { limit: ALL, ..EventFilter::default() }).await.unwrap();
    assert_eq!(told.len(), times.len());
    for event in told {
        let number: usize = event.object_id.parse().unwrap();
        assert_eq!((event.occurred_at, event.detected_at), (times[number], now));
    }
    assert_eq!(ingest(&store, &deposits, now).await.changed, 0, "what was stored differs from what is listed");

    let rows = database.rows("SELECT id FROM lumo_user_deposits ORDER BY created_at").await;
    let mut sorted: Vec<_> = times.iter().enumerate().collect();
    sorted.sort_by_key(|(_, time)| **time);
    let expected: Vec<_> = sorted.into_iter().map(|(number, _)| vec![Some(number.to_string())]).collect();
    assert_eq!(rows, expected, "times do not sort in SQL");
}
