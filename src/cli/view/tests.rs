//! Lists as people read them on a terminal of 80 columns.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::attempt::{self, AttemptResult};
use lumo_bridge_entity::exception::Reason;
use lumo_bridge_entity::{deposit, endpoint, reject, wallet};

use super::delivery::Sent;
use super::status::lines;
use super::{Listed, table};
use crate::model::delivery::State;
use crate::model::reconcile::{Deposit, Difference, Kind};
use crate::store::query::{Addressee, DeliveryRow};
use crate::view::finding::{self, Severity};
use crate::view::{Endpoint, Finding, Reader, Status};

const UUID: &str = "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36";
const COLUMNS: usize = 80;

fn now() -> DateTime<Utc> {
    "2026-05-04T10:11:12Z".parse().unwrap()
}

fn before(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// The lines, and whether something is not in them.
fn shown<T: Listed>(items: &[T]) -> (Vec<String>, bool) {
    let table = table(items, now());
    let lines = table.lines(Some(COLUMNS));
    let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
    for line in &plain {
        assert!(console::measure_text_width(line) <= COLUMNS, "{line}");
    }
    (plain, table.is_cut(Some(COLUMNS)))
}

#[test]
fn a_list_of_deliveries_says_which_and_why() {
    let row = DeliveryRow {
        id: "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop".parse().unwrap(),
        seq: 7,
        kind: "deposit.settled".to_owned(),
        stream: "user:42".to_owned(),
        external_id: None,
        state: State::Dead,
        reason: Reason::Live,
        attempts: 3,
        tries: 3,
        next_attempt_at: None,
        hold_until: None,
        ack_by: None,
        delivered_at: None,
        last_status: Some(422),
        last_error: Some("answered 422 Unprocessable Entity".to_owned()),
        since: before(10),
        is_behind: None,
        to: Addressee {
            state: endpoint::State::Active,
            since: before(10),
            hold_until: None,
            is_removed: false,
            is_led: true,
            order: None,
        },
    };
    let (lines, is_cut) = shown(&Sent::all(vec![row], now()));
    assert_eq!(
        lines,
        [
            "DELIVERY                             TYPE             STATE  TRIES   AGE  WHY",
            "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop  deposit.settled  dead       3  10 s",
            "    given up after 3 attempts (answered 422 Unprocessable Entity); `lumo-bridge",
            "    delivery retry evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop` begins anew, `delivery",
            "    skip` puts it away",
        ]
    );
    assert!(!is_cut);
}

#[test]
fn the_answer_to_an_attempt_is_shown_in_full() {
    let failed = attempt::Model {
        endpoint: "shop".parse().unwrap(),
        seq: 7,
        attempt: 1,
        event_id: "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5".parse().unwrap(),
        started_at: before(10),
        duration_ms: 6,
        status: Some(422),
        error: Some("answered 422 Unprocessable Entity".to_owned()),
        response_body: Some(r#"{"error": "there is no such user as user-42", "code": "unknown_user"} "#.repeat(2)),
        result: AttemptResult::Failed,
        reason: Reason::Live,
    };
    let delivered = attempt::Model {
        attempt: 2,
        started_at: before(4),
        status: Some(200),
        error: None,
        response_body: None,
        result: AttemptResult::Delivered,
        ..failed.clone()
    };
    let (lines, is_cut) = shown(&[failed, delivered]);
    assert_eq!(
        lines,
        [
            "TRY  STARTED   TOOK  RESULT     ANSWER                             BODY",
            "  1  10 s ago  6 ms  failed     answered 422 Unprocessable Entity",
            r#"    {"error": "there is no such user as user-42", "code": "unknown_user"}"#,
            r#"    {"error": "there is no such user as user-42", "code": "unknown_user"}"#,
            "  2  4 s ago   6 ms  delivered  200                                -",
        ]
    );
    assert!(!is_cut);
}

#[test]
fn a_long_user_hides_nothing_of_what_differs() {
    let deposit = |user: &str, amount: &str| Deposit {
        id: UUID.to_owned(),
        external_id: Some(user.to_owned()),
        amount: amount.parse().ok(),
        status: "confirmed".to_owned(),
        created_at: None,
        first_seen_at: now(),
        settled_at: None,
        is_former: false,
    };
    let not_booked = Difference {
        kind: Kind::NotBooked,
        what: "settled, not booked".to_owned(),
        deposit_id: Some(UUID.to_owned()),
        deposit: Some(deposit(&"u".repeat(200), "1250.75")),
        booked: None,
        bookings: 0,
    };
    let other = Difference {
        kind: Kind::OtherAmount,
        what: "booked with another amount".to_owned(),
        deposit: Some(deposit("ann", "10")),
        booked: "20".parse().ok(),
        bookings: 1,
        ..not_booked.clone()
    };
    let (lines, is_cut) = shown(&[not_booked, other]);
    assert_eq!(
        lines,
        [
            "DEPOSIT                               USER                        AMOUNT  BOOKED",
            "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36  uuuuuuuuuuuuuuuuuuuuuuuu…  1250.75       -",
            "    settled, not booked",
            "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36  ann                             10      20",
            "    booked with another amount",
        ]
    );
    assert!(is_cut, "the user was");
}

#[test]
fn a_wallet_keeps_its_address() {
    let wallet = wallet::Model {
        id: UUID.parse().unwrap(),
        company_id: "7".parse().unwrap(),
        external_id: "user-42".parse().unwrap(),
        address: Some("TXqb4Kt7mv8hGYz5cQdNwLr3JpEeXuRa9s".to_owned()),
        is_blocked: true,
        block_reason: None,
        last_usdt_balance: "12.5".parse().ok(),
        last_trx_balance: None,
        created_at: before(10),
        raw: "{}".to_owned(),
        fingerprint: 0,
        version: 1,
        first_seen_at: before(10),
        changed_at: before(10),
        missing_since: None,
        row_no: 1,
        former_company_id: None,
    };
    let (lines, is_cut) = shown(&[wallet]);
    assert_eq!(
        lines,
        [
            "WALLET                                USER     STATE    USDT   AGE  ADDRESS",
            "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36  user-42  blocked  12.5  10 s",
            "    TXqb4Kt7mv8hGYz5cQdNwLr3JpEeXuRa9s",
        ]
    );
    assert!(!is_cut);
}

#[test]
fn a_deposit_keeps_its_transaction() {
    let paid = deposit::Model {
        id: UUID.parse().unwrap(),
        company_id: None,
        wallet_id: None,
        external_id: "user-42".parse().ok(),
        address: None,
        from_address: None,
        tx_hash: Some("9ab1f6c0d2e34b5a8c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned()),
        amount: "9001.28622".parse().ok(),
        currency: Some("USDT".to_owned()),
        status: "confirmed".to_owned(),
        confirmations: None,
        block_number: None,
        created_at: Some(before(10)),
        updated_at: None,
        status_since: None,
        settled_at: None,
        raw: "{}".to_owned(),
        fingerprint: 0,
        version: 1,
        first_seen_at: before(10),
        changed_at: before(10),
        missing_since: None,
        row_no: 1,
        former_company_id: None,
    };
    let bare = deposit::Model {
        external_id: None,
        tx_hash: None,
        amount: "5".parse().ok(),
        status: "new".to_owned(),
        ..paid.clone()
    };
    let (lines, is_cut) = shown(&[paid, bare]);
    assert_eq!(
        lines,
        [
            "DEPOSIT                               USER              AMOUNT  STATUS      AGE",
            "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36  user-42  9001.28622 USDT  confirmed  10 s",
            "    9ab1f6c0d2e34b5a8c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
            "8d5f4f0e-94f0-4a0e-8a53-7b9d2c1e0f36  -                 5 USDT  new        10 s",
        ]
    );
    assert!(!is_cut);
}

#[test]
fn an_endpoint_says_where_it_is() {
    let shop = Endpoint {
        name: "shop".to_owned(),
        is_configured: true,
        origin: Some("https://payments.shop.example:8443".to_owned()),
        state: Some("active"),
        ..Endpoint::default()
    };
    let ledger = Endpoint { name: "ledger".to_owned(), origin: None, ..shop.clone() };
    let (lines, is_cut) = shown(&[shop, ledger]);
    assert_eq!(
        lines,
        [
            "ENDPOINT  STATE   WAITING  OLDEST  DEAD  FAILURES  LAST SUCCESS  WHERE",
            "shop      active        0       -     0         0  -",
            "    https://payments.shop.example:8443",
            "ledger    active        0       -     0         0  -             -",
        ]
    );
    assert!(!is_cut);
}

#[test]
fn an_item_without_an_id_is_named_as_in_the_log_and_shows_how_it_begins() {
    let unnamed = reject::Model {
        listing: "deposits".to_owned(),
        item: "#530edc0192aa77ff".to_owned(),
        id: None,
        raw: format!(r#"{{"amount":"12.5","memo":"{}"}}"#, "x".repeat(500)),
        reason: "id is missing".to_owned(),
        fingerprint: 0x530e_dc01_92aa_77ff,
        first_seen_at: before(60),
        last_seen_at: before(10),
    };
    let named = reject::Model { id: Some("d-1".to_owned()), item: "d-1".to_owned(), ..unnamed.clone() };
    assert_eq!(serde_json::to_value(unnamed.json()).unwrap()["item"], "#530edc0192aa77ff");
    let (lines, is_cut) = shown(&[unnamed, named]);
    let text = lines.join("\n");
    for words in ["#530edc0192aa77ff", "it is listed as", r#"{"amount":"12.5","memo":"xxx"#, "…"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert_eq!((text.matches("id is missing").count(), text.matches("listed as").count()), (2, 1), "{text}");
    assert!(!is_cut);
}

#[test]
fn a_daemon_that_answers_is_not_said_to_be_gone() {
    let reader = Reader::of(Some(before(4)), now());
    let findings = finding::of_reader(&reader, now()).into_iter().collect();
    let message = "The daemon on 127.0.0.1:8600 says: Writing to the database has been failing for 14 s".to_owned();
    let trouble = Finding::new(Severity::Stopped, finding::NOT_WRITTEN, message);
    let status = Status::of(reader, findings, Vec::new(), Vec::new()).with(trouble, now());
    assert_eq!(
        lines(&status, Some(COLUMNS), now())
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .take(5)
            .collect::<Vec<_>>(),
        [
            "The daemon on 127.0.0.1:8600 says: Writing to the database has been failing for",
            "14 s.",
            "",
            "A daemon is alive; its lease ended at 10:11:08.",
            "",
        ]
    );
}
