//! A body of each type of event, as the log would store it: for templates that are tried before anything happens, and for
//! the documents.
//!
//! Each is made of a change that can happen, by what makes the real ones, and has every member that such an event can have.

mod trial;

use std::fmt::Debug;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::State;
use serde_json::{Value, json};

use super::Listing;
use super::account::{Identity, Server};
use super::diff::{Change, Stored};
use super::draft::{Account, Draft};
use super::event::EventType;
use super::facts::{
    Announce, Context, Died, Predecessor, Standing, Trouble, Turned, dead_event, deposit_event, endpoint_event,
    rejected_event, settled_event, standing_event, test_event, wallet_events, wrong_account_event,
};
use super::id::{DeliveryId, EndpointName};
use super::record::{Deposit, Reject, Wallet};
use super::settled::Settled;
pub use trial::{Refused, Setting, Test, test};

const SERVER: &str = "https://b2b.lumowallet.io";
const ADDRESS: &str = "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf";
const FORMER_ADDRESS: &str = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL";
const PAYER: &str = "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE";
const REASON: &str = "fraud";

/// Which things the events are about.
#[derive(Debug)]
struct Ids {
    company: &'static str,
    other_company: &'static str,
    user: &'static str,
    wallet: &'static str,
    former_wallet: &'static str,
    deposit: &'static str,
    tx_hash: &'static str,
}

const EXAMPLE: Ids = Ids {
    company: "b3f0a7c2-5d1e-4f86-9c47-2e8d6a1b0f35",
    other_company: "6c9e1d04-87ab-4b2f-a1d3-0f5e7c42b968",
    user: "42",
    wallet: "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11",
    former_wallet: "0b6f4d2e-91c3-4a7a-8e55-7c1d3f9a2b60",
    deposit: "8d5f4f0e-3c1b-4a55-8d0c-0f2b7c1e9a77",
    tx_hash: "9ab1f6c0d2e34b5a8c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
};

/// When Lumo made the wallet and the deposit.
const MADE: &str = "2026-05-04T10:11:12.345Z";
/// When the bridge noticed them.
const SEEN: &str = "2026-05-04T10:11:41.020Z";
/// When they changed at Lumo.
const CHANGED: &str = "2026-05-04T10:16:33.781Z";
/// When the bridge noticed that, and when everything else happened.
const NOW: &str = "2026-05-04T10:16:41.020Z";

/// The events of each stream, in the order in which they happen there. A test counts in none.
const STREAMS: [&[EventType]; 4] = [
    &[
        EventType::WalletCreated,
        EventType::WalletReplaced,
        EventType::DepositCreated,
        EventType::WalletBlocked,
        EventType::WalletUnblocked,
        EventType::DepositUpdated,
        EventType::DepositStatusChanged,
        EventType::DepositSettled,
        EventType::WalletBalanceChanged,
        EventType::WalletUpdated,
        EventType::DepositMissing,
        EventType::WalletMissing,
    ],
    &[
        EventType::SyncStalled,
        EventType::SyncRecovered,
        EventType::SyncUnauthorized,
        EventType::SyncRemovalsHeld,
        EventType::SyncItemRejected,
    ],
    &[EventType::SyncWrongAccount],
    &[EventType::EndpointFailing, EventType::EndpointSuspended, EventType::EndpointRecovered, EventType::DeliveryDead],
];

/// Every type, stream after stream, in the order of `sequence`.
pub fn in_order() -> impl Iterator<Item = EventType> {
    STREAMS.into_iter().flatten().copied().chain([EventType::BridgeTest])
}

/// The stored body of such an event.
#[must_use]
pub fn body(kind: EventType) -> String {
    let account = Account { company_id: EXAMPLE.company, server: SERVER };
    let numbered = STREAMS.iter().find_map(|stream| (1..).zip(*stream).find(|(_, one)| **one == kind));
    let sequence = numbered.map_or(0, |(sequence, _)| sequence);
    let drafted = draft(kind, &EXAMPLE, &known("shop")).and_then(|draft| draft.body(sequence, Some(account)));
    #[expect(clippy::expect_used, reason = "they are made of constants, and a test makes them all")]
    drafted.expect("a sample can be spelled")
}

/// An event of this type; `shop` is the endpoint that it is about, if it is about one.
fn draft(kind: EventType, ids: &Ids, shop: &EndpointName) -> serde_json::Result<Draft> {
    let now = known(NOW);
    match kind {
        EventType::WalletCreated
        | EventType::WalletBlocked
        | EventType::WalletUnblocked
        | EventType::WalletReplaced
        | EventType::WalletBalanceChanged
        | EventType::WalletUpdated
        | EventType::WalletMissing => of_wallet(kind, ids),
        EventType::DepositCreated
        | EventType::DepositSettled
        | EventType::DepositStatusChanged
        | EventType::DepositUpdated
        | EventType::DepositMissing => of_deposit(kind, ids),
        EventType::SyncStalled => listing(Trouble::Stalled, None, Some("the server cannot be reached")),
        EventType::SyncRecovered => listing(Trouble::Stalled, Some(known(SEEN)), None),
        EventType::SyncUnauthorized => listing(Trouble::Unauthorized, None, Some("the API key is refused")),
        EventType::SyncRemovalsHeld => {
            let why = "70 rows that left the list stay as listed until each is confirmed, 30 at a time";
            listing(Trouble::RemovalsHeld, None, Some(why))
        }
        EventType::SyncWrongAccount => {
            let server = Server::of(&known("https://b2b-staging.lumowallet.io"));
            let found = Identity { company: known(ids.other_company), server };
            wrong_account_event((&known(ids.company), SERVER), &found, "", now)
        }
        EventType::SyncItemRejected => {
            let problem = "contains a control character".to_owned();
            let reject = Reject::new(0, Some(ids.deposit.to_owned()), "{}", "externalId".to_owned(), problem);
            rejected_event(Listing::Deposits, &reject, "", now)
        }
        EventType::EndpointFailing => endpoint(shop, State::Active, State::Failing),
        EventType::EndpointSuspended => endpoint(shop, State::Active, State::Suspended),
        EventType::EndpointRecovered => endpoint(shop, State::Failing, State::Active),
        EventType::DeliveryDead => {
            let delivery = DeliveryId { event: of_deposit(EventType::DepositCreated, ids)?.id, endpoint: shop.clone() };
            let died = Died { delivery: &delivery, attempts: 13, status: Some(500), error: Some("answered 500") };
            dead_event(&died, "", now)
        }
        EventType::BridgeTest => test_event(shop, now),
    }
}

/// What is known to be one.
fn known<T: FromStr<Err: Debug>>(text: &str) -> T {
    #[expect(clippy::expect_used, reason = "they are constants, and a test reads them all")]
    text.parse().expect("a sample is made of what can be read")
}

fn context(settled: &[String], now: DateTime<Utc>) -> Context<'_> {
    Context { generation: "", announce: Announce::News, balances: true, settled: Settled(settled), now }
}

/// What was stored when it was first seen.
fn stored<R>(record: R) -> Stored<R> {
    let at = known(SEEN);
    Stored { record, version: 1, first_seen_at: at, changed_at: at, missing_since: None, row_no: 1 }
}

fn of_wallet(kind: EventType, ids: &Ids) -> serde_json::Result<Draft> {
    let plain = || wallet(ids, false, "0", json!({}));
    let changed = |old, new| Change::Changed { old: stored(old), new };
    let (change, at) = match kind {
        EventType::WalletBlocked => (changed(plain(), wallet(ids, true, "0", json!({}))), NOW),
        EventType::WalletUnblocked => (changed(wallet(ids, true, "0", json!({})), plain()), NOW),
        EventType::WalletBalanceChanged => (changed(plain(), wallet(ids, false, "12.5", json!({}))), NOW),
        EventType::WalletUpdated => (changed(plain(), wallet(ids, false, "0", json!({ "label": "shop" }))), NOW),
        EventType::WalletMissing => (Change::Vanished(stored(plain())), NOW),
        _ => (Change::Appeared(plain()), SEEN),
    };
    let former = (kind == EventType::WalletReplaced).then(|| Predecessor {
        id: known(ids.former_wallet),
        address: Some(FORMER_ADDRESS.to_owned()),
        created_at: known::<DateTime<Utc>>(MADE) - TimeDelta::days(1),
    });
    let events = wallet_events(&change, former.as_ref(), &context(&[], known(at)))?;
    Ok(the_one(kind, events))
}

/// A wallet, and what else the API lists of it.
fn wallet(ids: &Ids, is_blocked: bool, balance: &str, more: Value) -> Wallet {
    let reason = is_blocked.then_some(REASON);
    let listed = json!({
        "id": ids.wallet, "companyId": ids.company, "externalId": ids.user, "address": ADDRESS, "isBlocked": is_blocked,
        "blockReason": reason, "lastUsdtBalance": number(balance), "lastTrxBalance": 0, "createdAt": MADE,
    });
    Wallet {
        id: known(ids.wallet),
        company_id: known(ids.company),
        external_id: known(ids.user),
        address: Some(ADDRESS.to_owned()),
        is_blocked,
        block_reason: reason.map(str::to_owned),
        last_usdt_balance: Some(known(balance)),
        last_trx_balance: Some(known("0")),
        created_at: known(MADE),
        raw: with(listed, more).into(),
        fingerprint: 0,
    }
}

fn of_deposit(kind: EventType, ids: &Ids) -> serde_json::Result<Draft> {
    let (new, settled) = (|confirmations| deposit(ids, "new", confirmations, MADE), ["confirmed".to_owned()]);
    let changed = |new_one| Change::Changed { old: stored(new(1)), new: new_one };
    let (change, at) = match kind {
        EventType::DepositSettled | EventType::DepositStatusChanged => {
            (changed(deposit(ids, "confirmed", 20, CHANGED)), NOW)
        }
        EventType::DepositUpdated => (changed(deposit(ids, "new", 3, CHANGED)), NOW),
        EventType::DepositMissing => (Change::Vanished(stored(new(1))), NOW),
        _ => (Change::Appeared(new(1)), SEEN),
    };
    let context = context(&settled, known(at));
    let events = [deposit_event(&change, &context)?, settled_event(&change, &context)?];
    Ok(the_one(kind, events.into_iter().flatten()))
}

fn deposit(ids: &Ids, status: &str, confirmations: i64, updated_at: &str) -> Deposit {
    let listed = json!({
        "id": ids.deposit, "companyId": ids.company, "externalId": ids.user, "walletId": ids.wallet, "address": ADDRESS,
        "fromAddress": PAYER, "status": status, "amount": number("12.5"), "currency": "USDT", "txHash": ids.tx_hash,
        "confirmations": confirmations, "blockNumber": 61_000_000, "createdAt": MADE, "updatedAt": updated_at,
    });
    Deposit {
        id: known(ids.deposit),
        company_id: Some(known(ids.company)),
        wallet_id: Some(known(ids.wallet)),
        external_id: Some(known(ids.user)),
        address: Some(ADDRESS.to_owned()),
        from_address: Some(PAYER.to_owned()),
        tx_hash: Some(ids.tx_hash.to_owned()),
        amount: Some(known("12.5")),
        currency: Some("USDT".to_owned()),
        status: status.to_owned(),
        confirmations: Some(confirmations),
        block_number: Some(61_000_000),
        created_at: Some(known(MADE)),
        updated_at: Some(known(updated_at)),
        status_since: None,
        settled_at: None,
        raw: listed.to_string().into(),
        fingerprint: 0,
    }
}

/// The digits as a number of JSON.
fn number(digits: &str) -> Value {
    known(digits)
}

/// The item, with further members.
fn with(mut item: Value, more: Value) -> String {
    if let (Value::Object(item), Value::Object(more)) = (&mut item, more) {
        item.extend(more);
    }
    item.to_string()
}

fn the_one(kind: EventType, events: impl IntoIterator<Item = Draft>) -> Draft {
    #[expect(clippy::expect_used, reason = "a test makes one of each type")]
    events.into_iter().find(|draft| draft.kind == kind).expect("such a change is such an event")
}

fn listing(trouble: Trouble, before: Option<DateTime<Utc>>, error: Option<&str>) -> serde_json::Result<Draft> {
    let standing = Standing {
        listing: Listing::Deposits,
        trouble,
        before,
        after: before.is_none().then(|| known(NOW)),
        complete_through: Some(known(MADE)),
        proved_through: Some(known(MADE)),
        removals_held: (trouble == Trouble::RemovalsHeld).then_some(70),
        error,
    };
    standing_event(&standing, "", known(NOW))
}

fn endpoint(shop: &EndpointName, from: State, to: State) -> serde_json::Result<Draft> {
    let turned = Turned {
        endpoint: shop,
        from,
        to,
        since: known(SEEN),
        consecutive_failures: if to == State::Active { 0 } else { 5 },
        error: (to != State::Active).then_some("answered 500"),
    };
    endpoint_event(&turned, "", known(NOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_a_sample_that_can_happen() {
        for &kind in EventType::ALL {
            let body: Value = serde_json::from_str(&body(kind)).unwrap();
            assert_eq!(body["type"], kind.as_str());
            let time = |name: &str| body[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
            assert!(time("timestamp") <= time("detected_at"), "{kind}");
            assert_eq!(
                (&body["company_id"], &body["environment"]),
                (&json!(EXAMPLE.company), &json!("production")),
                "{kind}"
            );
            assert_eq!(body["origin"], if kind == EventType::BridgeTest { "test" } else { "live" }, "{kind}");
        }
    }

    #[test]
    fn each_stream_counts_its_events_in_the_order_of_their_times() {
        let (mut last, mut types) = (json!({}), Vec::new());
        for kind in in_order() {
            let event: Value = serde_json::from_str(&body(kind)).unwrap();
            if kind == EventType::BridgeTest {
                assert_eq!(event["sequence"], 0);
            } else if event["stream"] == last["stream"] {
                assert_eq!(event["sequence"].as_i64(), last["sequence"].as_i64().map(|before| before + 1), "{kind}");
                assert!(event["detected_at"].as_str() >= last["detected_at"].as_str(), "{kind}");
            } else {
                assert_eq!(event["sequence"], 1, "{kind}");
            }
            types.push(kind);
            last = event;
        }
        types.sort_unstable();
        assert_eq!(types, EventType::ALL);
    }

    #[test]
    fn what_appears_is_new_and_what_changed_was_there_before() {
        let object = |kind: EventType| serde_json::from_str::<Value>(&body(kind)).unwrap()["data"]["object"].clone();
        let changes = |kind: EventType| serde_json::from_str::<Value>(&body(kind)).unwrap()["data"]["changes"].clone();
        let created = object(EventType::DepositCreated);
        assert_eq!((&created["status"], &created["version"]), (&json!("new"), &json!(1)));
        for kind in [EventType::DepositStatusChanged, EventType::DepositSettled] {
            assert_eq!(object(kind)["version"], 2, "{kind}");
            assert_eq!(changes(kind)["status"], json!({ "from": "new", "to": "confirmed" }), "{kind}");
        }
        assert_eq!(changes(EventType::DepositUpdated)["confirmations"], json!({ "from": 1, "to": 3 }));
        assert_eq!(
            changes(EventType::WalletBalanceChanged),
            json!({ "last_usdt_balance": { "from": "0", "to": "12.5" } })
        );
        assert_eq!(changes(EventType::WalletUpdated), json!({ "upstream.label": { "from": null, "to": "shop" } }));
        assert_eq!(object(EventType::WalletBlocked)["block_reason"], REASON);
    }

    #[test]
    fn a_sample_has_every_member_that_such_an_event_can_have() {
        let schema = crate::model::catalogue::schema();
        for (kind, name) in [
            (EventType::WalletBlocked, "WalletObject"),
            (EventType::DepositCreated, "DepositObject"),
            (EventType::SyncRemovalsHeld, "ListingObject"),
            (EventType::SyncWrongAccount, "AccountObject"),
            (EventType::SyncItemRejected, "RejectObject"),
            (EventType::DeliveryDead, "DeliveryObject"),
            (EventType::EndpointFailing, "EndpointObject"),
        ] {
            let body: Value = serde_json::from_str(&body(kind)).unwrap();
            let members = schema["$defs"][name]["properties"].as_object().unwrap();
            for member in members.keys() {
                assert!(body["data"]["object"].get(member).is_some(), "{kind}: {member}");
            }
        }
    }
}
