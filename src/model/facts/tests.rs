//! Which change is which event, and what it says.

use chrono::TimeDelta;

use serde_json::{Value, json};

use super::*;
use crate::model::diff::Change;
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::fixture::{deposit, listed_wallet, noon, stored, wallet};
use crate::model::record::Wallet;
use crate::model::settled::Settled;

#[test]
fn an_import_announces_history_only_as_configured() {
    let started_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (before, after) = (started_at - TimeDelta::days(1), started_at + TimeDelta::seconds(1));
    let until = started_at + TimeDelta::days(1);
    let future = until + TimeDelta::seconds(1);
    let import = |history| Announce::Import { started_at, until, history };
    for (announce, created_at, expected) in [
        (Announce::News, Some(before), Some(Origin::Live)),
        (Announce::News, None, Some(Origin::Live)),
        (import(History::Silent), Some(before), None),
        (import(History::Silent), Some(after), Some(Origin::Live)),
        (import(History::Silent), Some(until), Some(Origin::Live)),
        (import(History::Silent), Some(future), None),
        (import(History::Silent), None, None),
        (import(History::Notify), Some(before), Some(Origin::Import)),
        (import(History::Notify), None, Some(Origin::Import)),
        (import(History::Since(before)), Some(before), Some(Origin::Import)),
        (import(History::Since(after)), Some(before), None),
        (import(History::Notify), Some(future), Some(Origin::Import)),
        (import(History::Since(before)), Some(future), Some(Origin::Import)),
        (import(History::Since(before)), None, None),
    ] {
        assert_eq!(announce.origin(created_at), expected, "{announce:?} {created_at:?}");
    }
}

fn context(announce: Announce) -> Context<'static> {
    Context { generation: "gen", announce, balances: true, settled: Settled(&[]), now: noon() }
}

fn news() -> Context<'static> {
    context(Announce::News)
}

fn changed(old: Wallet, change: impl FnOnce(&mut Wallet)) -> Change<Wallet> {
    let mut new = old.clone();
    change(&mut new);
    Change::Changed { old: stored(old), new: listed_wallet(new, "") }
}

/// The one event of the change.
fn only(change: &Change<Wallet>, predecessor: Option<&Predecessor>) -> Draft {
    let [draft] = wallet_events(change, predecessor, &news()).unwrap().try_into().expect("one event");
    draft
}

fn told(change: &Change<Wallet>) -> (EventType, Value) {
    let draft = only(change, None);
    (draft.kind, changes_of(&draft))
}

fn changes_of(draft: &Draft) -> Value {
    serde_json::from_str(draft.changes.as_deref().unwrap().get()).unwrap()
}

#[test]
fn a_new_wallet_is_created_and_a_second_one_of_the_user_replaces_the_first() {
    let change = Change::Appeared(wallet("w-2", "42"));
    let draft = only(&change, None);
    assert_eq!((draft.kind, draft.stream.as_str()), (EventType::WalletCreated, "user:42"));
    assert_eq!(draft.occurred_at, wallet("w-2", "42").created_at);

    let before = Predecessor { id: "w-1".parse().unwrap(), address: Some("T-w-1".to_owned()), created_at: noon() };
    let draft = only(&change, Some(&before));
    assert_eq!(draft.kind, EventType::WalletReplaced);
    let expected = json!({
        "wallet_id": { "from": "w-1", "to": "w-2" },
        "address": { "from": "T-w-1", "to": "T-w-2" },
    });
    assert_eq!(changes_of(&draft), expected);
}

#[test]
fn a_block_is_a_block_whatever_else_changed() {
    let block = |wallet: &mut Wallet| {
        wallet.is_blocked = true;
        wallet.block_reason = Some("fraud".to_owned());
        wallet.last_usdt_balance = "0".parse().ok();
    };
    let (kind, changes) = told(&changed(wallet("w-1", "42"), block));
    assert_eq!(kind, EventType::WalletBlocked);
    let expected = json!({
        "is_blocked": { "from": false, "to": true },
        "block_reason": { "from": null, "to": "fraud" },
        "last_usdt_balance": { "from": "1.5", "to": "0" },
    });
    assert_eq!(changes, expected);

    let mut blocked = wallet("w-1", "42");
    block(&mut blocked);
    let (kind, _) = told(&changed(listed_wallet(blocked, ""), |wallet| wallet.is_blocked = false));
    assert_eq!(kind, EventType::WalletUnblocked);
}

#[test]
fn a_wallet_that_is_blocked_when_it_is_first_seen_is_created_and_then_blocked() {
    let mut blocked = wallet("w-1", "42");
    (blocked.is_blocked, blocked.block_reason) = (true, Some("fraud".to_owned()));
    let change = Change::Appeared(listed_wallet(blocked.clone(), ""));
    let kinds = |drafts: &[Draft]| drafts.iter().map(|draft| draft.kind).collect::<Vec<_>>();
    let drafts = wallet_events(&change, None, &news()).unwrap();
    assert_eq!(kinds(&drafts), [EventType::WalletCreated, EventType::WalletBlocked]);
    let expected =
        json!({ "is_blocked": { "from": null, "to": true }, "block_reason": { "from": null, "to": "fraud" } });
    assert_eq!(changes_of(&drafts[1]), expected);
    assert!(drafts[0].occurred_at <= drafts[1].occurred_at);
    assert_eq!(drafts[0].stream, drafts[1].stream);

    let before = Predecessor { id: "w-0".parse().unwrap(), address: Some("T-w-0".to_owned()), created_at: noon() };
    let drafts = wallet_events(&change, Some(&before), &news()).unwrap();
    assert_eq!(kinds(&drafts), [EventType::WalletReplaced, EventType::WalletBlocked]);

    let (started_at, until) = (noon() + TimeDelta::days(9), noon() + TimeDelta::days(9));
    let import = |history| context(Announce::Import { started_at, until, history });
    assert!(wallet_events(&change, None, &import(History::Silent)).unwrap().is_empty());
    let drafts = wallet_events(&change, None, &import(History::Notify)).unwrap();
    assert_eq!(kinds(&drafts), [EventType::WalletCreated, EventType::WalletBlocked]);
    assert!(drafts.iter().all(|draft| draft.origin == Origin::Import));

    // A block that is announced later is the same event.
    let later = block_history(&stored(listed_wallet(blocked, "")), "gen", noon()).unwrap().unwrap();
    assert_eq!(later.id, drafts[1].id);
    assert!(block_history(&stored(wallet("w-1", "42")), "gen", noon()).unwrap().is_none());
}

#[test]
fn a_wallet_from_the_future_is_created_before_it_is_blocked() {
    let mut blocked = wallet("w-1", "42");
    (blocked.is_blocked, blocked.created_at) = (true, noon() + TimeDelta::hours(1));
    let drafts = wallet_events(&Change::Appeared(listed_wallet(blocked, "")), None, &news()).unwrap();
    assert!(drafts[0].occurred_at <= drafts[1].occurred_at);
}

#[test]
fn balances_alone_are_an_event_only_where_somebody_names_it() {
    let change = changed(wallet("w-1", "42"), |wallet| wallet.last_trx_balance = "7".parse().ok());
    assert_eq!(told(&change).0, EventType::WalletBalanceChanged);
    let silent = Context { balances: false, ..news() };
    assert!(wallet_events(&change, None, &silent).unwrap().is_empty());
    let more = changed(wallet("w-1", "42"), |wallet| {
        wallet.last_trx_balance = "7".parse().ok();
        wallet.address = Some("T-other".to_owned());
    });
    assert_eq!(told(&more).0, EventType::WalletUpdated);
}

#[test]
fn a_member_that_no_field_stands_for_is_told_under_its_own_name() {
    let old = listed_wallet(wallet("w-1", "42"), r#","tier":1.10"#);
    let new = listed_wallet(wallet("w-1", "42"), r#","tier":2.50,"note":"x""#);
    let (kind, changes) = told(&Change::Changed { old: stored(old), new });
    assert_eq!(kind, EventType::WalletUpdated);
    assert_eq!(
        changes,
        json!({ "upstream.tier": { "from": 1.10, "to": 2.50 }, "upstream.note": { "from": null, "to": "x" } })
    );
}

#[test]
fn a_deposit_tells_its_status_first() {
    let change = |new| Change::Changed { old: stored(deposit("d-1", "new", "12.5")), new };
    let draft = deposit_event(&change(deposit("d-1", "confirmed", "12.5")), &news()).unwrap().unwrap();
    assert_eq!((draft.kind, draft.occurred_at), (EventType::DepositStatusChanged, noon()));
    assert_eq!(changes_of(&draft), json!({ "status": { "from": "new", "to": "confirmed" } }));
    let draft = deposit_event(&change(deposit("d-1", "new", "12.6")), &news()).unwrap().unwrap();
    assert_eq!(draft.kind, EventType::DepositUpdated);
    assert_eq!(changes_of(&draft)["amount"], json!({ "from": "12.5", "to": "12.6" }));
}

#[test]
fn a_deposit_belongs_to_the_narrowest_stream_that_is_known() {
    let mut record = deposit("d-1", "new", "12.5");
    let stream = |record: &crate::model::record::Deposit| {
        deposit_event(&Change::Appeared(record.clone()), &news()).unwrap().unwrap().stream
    };
    assert_eq!(stream(&record), "user:42");
    record.external_id = None;
    assert_eq!(stream(&record), "deposit:d-1");
    record.wallet_id = Some("w-1".parse().unwrap());
    assert_eq!(stream(&record), "wallet:w-1");
}

#[test]
fn what_could_not_be_derived_is_absent_from_the_object() {
    let draft = deposit_event(&Change::Appeared(deposit("d-1", "new", "12.50")), &news()).unwrap().unwrap();
    let object: Value = serde_json::from_str(draft.object.get()).unwrap();
    let expected = json!({
        "kind": "deposit", "id": "d-1", "version": 1, "external_id": "42", "status": "new", "amount": "12.5",
        "created_at": "2026-05-04T11:00:00Z",
    });
    assert_eq!(object, expected);
}

#[test]
fn what_is_no_longer_listed_is_told_with_what_it_was() {
    let draft = only(&Change::Vanished(stored(wallet("w-1", "42"))), None);
    assert_eq!((draft.kind, draft.stream.as_str(), draft.occurred_at), (EventType::WalletMissing, "user:42", noon()));
    let expected = json!({ "missing_since": { "from": null, "to": "2026-05-04T12:00:00Z" } });
    assert_eq!(changes_of(&draft), expected);
    let object: Value = serde_json::from_str(draft.object.get()).unwrap();
    assert_eq!((&object["version"], &object["address"]), (&json!(2), &json!("T-w-1")));

    let draft = deposit_event(&Change::Vanished(stored(deposit("d-1", "new", "1"))), &news()).unwrap().unwrap();
    assert_eq!((draft.kind, changes_of(&draft)), (EventType::DepositMissing, expected));
}

#[test]
fn each_time_that_a_trouble_begins_or_ends_is_an_event_of_its_own() {
    let standing = |trouble, before, after| Standing {
        listing: crate::model::Listing::Wallets,
        trouble,
        before,
        after,
        complete_through: None,
        proved_through: None,
        removals_held: None,
        error: None,
    };
    let event = |standing: &Standing<'_>, now| standing_event(standing, "gen", now).unwrap();
    let later = noon() + TimeDelta::microseconds(1);
    let mut ids = Vec::new();
    for (trouble, kind) in [
        (Trouble::Stalled, EventType::SyncStalled),
        (Trouble::Unauthorized, EventType::SyncUnauthorized),
        (Trouble::RemovalsHeld, EventType::SyncRemovalsHeld),
    ] {
        let begins = standing(trouble, None, Some(noon()));
        assert_eq!(event(&begins, noon()).kind, kind);
        ids.extend([event(&begins, noon()).id, event(&begins, later).id]);
        assert_eq!(event(&standing(trouble, Some(noon()), None), later).kind, EventType::SyncRecovered);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}
