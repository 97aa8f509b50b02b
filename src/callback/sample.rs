//! A body of each type of event, as the log would store it: for templates that are tried before anything happens.
//!
//! Every documented member is there that such an event can have.

use serde_json::{Value, json};

use crate::model::event::EventType;

const AT: &str = "2026-05-04T10:11:12.345Z";
const LATER: &str = "2026-05-04T10:16:41.020Z";

/// The stored body of such an event.
#[must_use]
pub fn body(kind: EventType) -> String {
    let family = kind.as_str().split('.').next().unwrap_or_default();
    let (stream, object, upstream) = match family {
        "wallet" => ("user:42", wallet(kind), Some(listed_wallet(kind))),
        "deposit" => ("user:42", deposit(kind), Some(listed_deposit(kind))),
        "sync" if kind == EventType::SyncWrongAccount => ("sync:account", account(), None),
        "sync" if kind == EventType::SyncItemRejected => ("sync:deposits", reject(), None),
        "sync" => ("sync:deposits", listing(kind), None),
        "delivery" => ("endpoint:shop", dead_delivery(), None),
        "endpoint" => ("endpoint:shop", endpoint(kind), None),
        _ => ("endpoint:shop", json!({ "kind": "endpoint", "id": "shop" }), None),
    };
    let mut data = json!({ "object": object, "changes": changes(kind) });
    if let Some(upstream) = upstream {
        data["upstream"] = upstream;
    }
    json!({
        "id": "evt_fngrklu4yiyladfd3hkzftj2dc",
        "type": kind.as_str(),
        "schema": 1,
        "timestamp": AT,
        "detected_at": LATER,
        "origin": "live",
        "company_id": "c-1",
        "environment": "production",
        "stream": stream,
        "sequence": 17,
        "data": data,
    })
    .to_string()
}

fn wallet(kind: EventType) -> Value {
    let mut wallet = json!({
        "kind": "wallet", "id": "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11", "version": 2, "company_id": "c-1",
        "external_id": "42", "address": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf", "is_blocked": is_blocked(kind),
        "last_usdt_balance": "12.5", "last_trx_balance": "0", "created_at": AT,
    });
    if is_blocked(kind) {
        wallet["block_reason"] = "fraud".into();
    }
    wallet
}

fn is_blocked(kind: EventType) -> bool {
    kind == EventType::WalletBlocked
}

fn listed_wallet(kind: EventType) -> Value {
    json!({
        "id": "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11", "companyId": "c-1", "externalId": "42",
        "address": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf", "isBlocked": is_blocked(kind),
        "blockReason": is_blocked(kind).then_some("fraud"), "lastUsdtBalance": "12.5", "lastTrxBalance": "0",
        "createdAt": AT,
    })
}

/// The status that a deposit has in such an event.
fn status(kind: EventType) -> &'static str {
    if kind == EventType::DepositSettled { "confirmed" } else { "new" }
}

fn deposit(kind: EventType) -> Value {
    json!({
        "kind": "deposit", "id": "8d5f4f0e-3c1b-4a55-8d0c-0f2b7c1e9a77", "version": 2, "company_id": "c-1",
        "external_id": "42", "wallet_id": "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11",
        "address": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf", "from_address": "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE",
        "status": status(kind), "amount": "12.5", "currency": "USDT",
        "tx_hash": "9ab1f6c0d2e34b5a8c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
        "confirmations": 3, "block_number": 61_000_000, "created_at": AT, "updated_at": LATER,
    })
}

fn listed_deposit(kind: EventType) -> Value {
    json!({
        "id": "8d5f4f0e-3c1b-4a55-8d0c-0f2b7c1e9a77", "companyId": "c-1", "externalId": "42",
        "walletId": "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11", "address": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf",
        "fromAddress": "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE", "status": status(kind), "amount": "12.5", "currency": "USDT",
        "txHash": "9ab1f6c0d2e34b5a8c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "confirmations": 3,
        "blockNumber": 61_000_000, "createdAt": AT, "updatedAt": LATER,
    })
}

fn dead_delivery() -> Value {
    json!({
        "kind": "delivery", "id": "evt_fngrklu4yiyladfd3hkzftj2dc@shop", "event_id": "evt_fngrklu4yiyladfd3hkzftj2dc",
        "endpoint": "shop", "attempts": 13, "last_status": 500, "last_error": "answered 500",
    })
}

fn endpoint(kind: EventType) -> Value {
    let state = match kind {
        EventType::EndpointFailing => "failing",
        EventType::EndpointSuspended => "suspended",
        _ => "active",
    };
    json!({
        "kind": "endpoint", "id": "shop", "state": state, "since": AT, "consecutive_failures": 5,
        "error": "answered 500",
    })
}

fn reject() -> Value {
    json!({
        "kind": "reject", "id": "8d5f4f0e-3c1b-4a55-8d0c-0f2b7c1e9a77", "listing": "deposits",
        "reason": "externalId contains a control character",
    })
}

fn account() -> Value {
    json!({
        "kind": "account", "id": "c-1", "server": "https://b2b.lumowallet.io", "found_company_id": "c-2",
        "found_server": "https://b2b-staging.lumowallet.io", "since": AT,
    })
}

fn listing(kind: EventType) -> Value {
    let mut listing = json!({
        "kind": "listing", "id": "deposits", "since": AT, "complete_through": AT, "proved_through": AT,
        "error": "the server cannot be reached",
    });
    if kind == EventType::SyncRemovalsHeld {
        listing["removals_held"] = 70.into();
        listing["error"] = "70 rows that left the list stay as listed until each is confirmed, 30 at a time".into();
    }
    listing
}

fn changes(kind: EventType) -> Value {
    match kind {
        EventType::WalletBlocked => json!({
            "is_blocked": { "from": false, "to": true }, "block_reason": { "from": null, "to": "fraud" },
        }),
        EventType::WalletUnblocked => json!({
            "is_blocked": { "from": true, "to": false }, "block_reason": { "from": "fraud", "to": null },
        }),
        EventType::WalletReplaced => json!({
            "wallet_id": { "from": "0b6f", "to": "1f3a0c52-7d0e-4c8e-9a51-5d2f2f6f0b11" },
            "address": { "from": "TOLD", "to": "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf" },
        }),
        EventType::WalletBalanceChanged => json!({ "last_usdt_balance": { "from": "10", "to": "12.5" } }),
        EventType::WalletUpdated => json!({ "upstream.label": { "from": null, "to": "shop" } }),
        EventType::DepositSettled => json!({ "status": { "from": "processing", "to": "confirmed" } }),
        EventType::DepositStatusChanged => json!({ "status": { "from": "pending", "to": "new" } }),
        EventType::DepositUpdated => json!({ "confirmations": { "from": 2, "to": 3 } }),
        EventType::WalletMissing | EventType::DepositMissing => {
            json!({ "missing_since": { "from": null, "to": LATER } })
        }
        EventType::EndpointFailing | EventType::EndpointSuspended => json!({
            "state": { "from": "active", "to": endpoint(kind)["state"] }, "since": { "from": AT, "to": LATER },
        }),
        EventType::EndpointRecovered => json!({
            "state": { "from": "failing", "to": "active" }, "since": { "from": AT, "to": LATER },
        }),
        EventType::SyncStalled => json!({ "stalled_since": { "from": null, "to": AT } }),
        EventType::SyncRecovered => json!({ "stalled_since": { "from": AT, "to": null } }),
        EventType::SyncRemovalsHeld => json!({ "removals_held_since": { "from": null, "to": AT } }),
        EventType::SyncWrongAccount => json!({ "wrong_since": { "from": null, "to": AT } }),
        EventType::SyncUnauthorized => json!({ "unauthorized_since": { "from": null, "to": AT } }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Listing;
    use crate::model::account::{Identity, Server};
    use crate::model::diff::Change;
    use crate::model::draft::{Account, Draft};
    use crate::model::facts::{
        Announce, Context, Predecessor, Standing, Trouble, deposit_event, rejected_event, settled_event,
        standing_event, wallet_events, wrong_account_event,
    };
    use crate::model::fixture::{deposit as listed, noon, stored, wallet as user_wallet};
    use crate::model::record::Reject;
    use crate::model::settled::Settled;

    const ACCOUNT: Option<Account<'_>> = Some(Account { company_id: "c-1", server: "https://b2b.lumowallet.io" });

    /// The names of a body's members, down to those of the object.
    fn members(body: &str) -> BTreeSet<String> {
        let body: Value = serde_json::from_str(body).unwrap();
        let names = |value: &Value, at: &str| -> Vec<String> {
            value.as_object().unwrap().keys().map(|name| format!("{at}{name}")).collect()
        };
        let mut found = BTreeSet::from_iter(names(&body, ""));
        found.extend(names(&body["data"], "data."));
        found.extend(names(&body["data"]["object"], "data.object."));
        found
    }

    fn assert_alike(draft: Option<Draft>) {
        let draft = draft.expect("an event");
        let sample = body(draft.kind);
        assert_eq!(members(&sample), members(&draft.body(17, ACCOUNT).unwrap()), "{}", draft.kind);
        let (sample, told) = (serde_json::from_str::<Value>(&sample).unwrap(), draft.changes);
        let told = told.map_or(Value::Null, |changes| serde_json::from_str(changes.get()).unwrap());
        assert_eq!(sample["data"]["changes"].is_null(), told.is_null(), "{}", draft.kind);
    }

    #[test]
    fn a_sample_has_the_members_of_the_real_event() {
        let names = ["confirmed".to_owned()];
        let context = Context {
            generation: "g",
            announce: Announce::News,
            balances: true,
            settled: Settled(&names),
            now: noon(),
        };
        let plain = user_wallet("w", "42");
        let mut blocked = plain.clone();
        (blocked.is_blocked, blocked.block_reason) = (true, Some("fraud".to_owned()));
        let old = Predecessor { id: "o".parse().unwrap(), address: Some("T".to_owned()), created_at: noon() };
        for (change, predecessor) in [
            (Change::Appeared(plain.clone()), None),
            (Change::Appeared(plain.clone()), Some(&old)),
            (Change::Changed { old: stored(plain.clone()), new: blocked.clone() }, None),
            (Change::Changed { old: stored(blocked), new: plain.clone() }, None),
            (Change::Vanished(stored(plain)), None),
        ] {
            wallet_events(&change, predecessor, &context)
                .unwrap()
                .into_iter()
                .for_each(|draft| assert_alike(Some(draft)));
        }

        let mut full = listed("d", "new", "12.5");
        (full.company_id, full.wallet_id) = ("c-1".parse().ok(), "w".parse().ok());
        for text in [&mut full.address, &mut full.from_address, &mut full.tx_hash, &mut full.currency] {
            *text = Some("T".to_owned());
        }
        (full.confirmations, full.block_number, full.updated_at) = (Some(1), Some(2), Some(noon()));
        let mut settled = 0;
        let mut confirmed = full.clone();
        confirmed.status = "confirmed".to_owned();
        for change in [
            Change::Appeared(full.clone()),
            Change::Changed { old: stored(full.clone()), new: confirmed },
            Change::Vanished(stored(full)),
        ] {
            assert_alike(deposit_event(&change, &context).unwrap());
            if let Some(draft) = settled_event(&change, &context).unwrap() {
                assert_alike(Some(draft));
                settled += 1;
            }
        }

        assert_eq!(settled, 1);

        let reject = Reject::new(0, Some("d".to_owned()), "{}", "id".to_owned(), "is odd".to_owned());
        assert_alike(rejected_event(Listing::Deposits, &reject, "g", noon()).ok());

        let server = Server::of(&"https://b2b-staging.lumowallet.io".parse().unwrap());
        let found = Identity { company: "c-2".parse().unwrap(), server };
        let own = (&"c-1".parse().unwrap(), "https://b2b.lumowallet.io");
        assert_alike(wrong_account_event(own, &found, "g", noon()).ok());

        for (trouble, before, after) in [
            (Trouble::Stalled, None, Some(noon())),
            (Trouble::Stalled, Some(noon()), None),
            (Trouble::Unauthorized, None, Some(noon())),
            (Trouble::RemovalsHeld, None, Some(noon())),
        ] {
            let standing = Standing {
                listing: Listing::Deposits,
                trouble,
                before,
                after,
                complete_through: Some(noon()),
                proved_through: Some(noon()),
                removals_held: (trouble == Trouble::RemovalsHeld).then_some(70),
                error: Some("e"),
            };
            assert_alike(standing_event(&standing, "g", noon()).ok());
        }
    }
}
