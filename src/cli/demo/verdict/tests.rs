//! One world and its tables, and what each way to differ is called.

use chrono::{DateTime, Utc};
use lumo_simulator::World;

use super::*;
use crate::model::fixture::noon;

fn world() -> Snapshot {
    let world = World::new(7);
    world.add_wallet("ann");
    let bob = world.add_wallet("bob");
    world.block(bob.id, "stolen").unwrap();
    world.add_deposit_for("ann", "12.5").unwrap();
    world.snapshot()
}

fn wallet_row(wallet: &lumo_simulator::Wallet) -> wallet::Model {
    wallet::Model {
        id: wallet.id.to_string().parse().unwrap(),
        company_id: wallet.company_id.to_string().parse().unwrap(),
        external_id: wallet.external_id.parse().unwrap(),
        address: Some(wallet.address.to_string()),
        is_blocked: wallet.is_blocked(),
        block_reason: wallet.block_reason.as_deref().map(str::to_owned),
        last_usdt_balance: wallet.usdt_balance.as_str().parse().ok(),
        last_trx_balance: wallet.trx_balance.as_str().parse().ok(),
        created_at: noon(),
        raw: "{}".to_owned(),
        fingerprint: 0,
        version: 1,
        first_seen_at: noon(),
        changed_at: noon(),
        missing_since: None,
        row_no: 1,
        former_company_id: None,
    }
}

fn deposit_row(deposit: &lumo_simulator::Deposit) -> deposit::Model {
    deposit::Model {
        id: deposit.id.to_string().parse().unwrap(),
        company_id: None,
        wallet_id: None,
        external_id: None,
        address: None,
        from_address: None,
        tx_hash: None,
        amount: Some(deposit.amount.as_str().parse().unwrap()),
        currency: None,
        status: deposit.status.to_string(),
        confirmations: None,
        block_number: None,
        created_at: None,
        updated_at: None,
        status_since: None,
        settled_at: None,
        raw: "{}".to_owned(),
        fingerprint: 0,
        version: 1,
        first_seen_at: noon(),
        changed_at: noon(),
        missing_since: None,
        row_no: 1,
        former_company_id: None,
    }
}

fn event(id: &str, kind: &str) -> event::Model {
    event::Model {
        id: id.parse().unwrap(),
        seq: 1,
        kind: kind.to_owned(),
        stream: "user:ann".to_owned(),
        stream_seq: 1,
        object_kind: "deposit".to_owned(),
        object_id: "d".to_owned(),
        external_id: None,
        occurred_at: noon(),
        detected_at: noon(),
        origin: "live".to_owned(),
        audience: None,
        body: "{}".to_owned(),
    }
}

fn callback(id: &str, answered: u16, at: DateTime<Utc>) -> Arc<Received> {
    Arc::new(Received {
        at,
        path: "/".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        id: Some(id.to_owned()),
        attempt: Some(1),
        event_type: None,
        stream: None,
        sequence: None,
        body: Vec::new(),
        verdict: lumo_simulator::Verdict::Verified,
        answered,
    })
}

fn tables(world: &Snapshot) -> Tables {
    Tables {
        wallets: world.wallets.iter().map(wallet_row).collect(),
        deposits: world.deposits.iter().map(deposit_row).collect(),
        events: vec![event("evt_1", "deposit.created"), event("evt_2", "sync.stalled")],
        undelivered: 0,
    }
}

fn callbacks() -> Callbacks {
    let second = noon() + chrono::TimeDelta::seconds(1);
    Callbacks {
        received: vec![callback("evt_1", 503, noon()), callback("evt_1", 200, second)],
        out_of_order: 0,
        credited: Credited { deposits: 2, usdt: "0.3".parse().ok() },
    }
}

fn judged(tables: &Tables, callbacks: &Callbacks, unblocked: &HashSet<String>) -> Verdict {
    Verdict::of(&world(), tables, callbacks, unblocked, 9)
}

fn nobody() -> HashSet<String> {
    HashSet::new()
}

#[test]
fn nothing_is_lost_where_tables_and_world_are_the_same() {
    let verdict = judged(&tables(&world()), &callbacks(), &nobody());
    assert_eq!(verdict.faults(), Vec::<String>::new());
    assert!(verdict.is_good());
    assert_eq!((verdict.wallets, verdict.deposits, verdict.changes), (2, 1, 9));
    assert_eq!(
        (verdict.events, verdict.delivered, verdict.refused),
        (1, 1, 1),
        "an operator's event is not for the shop"
    );
    assert_eq!(verdict.median_ms, Some(1_000.0));
    assert_eq!((verdict.credited, verdict.credited_usdt), (2, "0.3".parse().ok()));
}

#[test]
fn each_row_that_differs_is_named_with_both_values() {
    let good = world();
    let mut tables = tables(&good);
    let id = |at: usize| good.wallets[at].id.to_string();
    tables.wallets[0].last_usdt_balance = "7".parse().ok();
    tables.wallets.remove(1);
    tables.deposits[0].status = "odd".to_owned();
    tables.deposits[0].amount = None;
    tables.deposits.push(deposit::Model { id: "d-gone".parse().unwrap(), ..deposit_row(&good.deposits[0]) });
    let verdict = judged(&tables, &callbacks(), &nobody());
    let deposit = good.deposits[0].id.to_string();
    let balance = good.wallets[0].usdt_balance.as_str();
    let difference = |kind, id: &str, field, table: Option<&str>, upstream: Option<&str>| {
        let (table, upstream) = (table.map(str::to_owned), upstream.map(str::to_owned));
        Difference { kind, id: id.to_owned(), field, table, upstream }
    };
    assert_eq!(
        verdict.differences,
        [
            difference("wallet", &id(0), "last_usdt_balance", Some("7"), Some(balance)),
            difference("wallet", &id(1), "row", None, Some("listed")),
            difference("deposit", &deposit, "status", Some("odd"), Some(&good.deposits[0].status)),
            difference("deposit", &deposit, "amount", None, Some("12.5")),
            difference("deposit", "d-gone", "row", Some("listed"), None),
        ]
    );
    assert_eq!((verdict.wallets_differing, verdict.deposits_differing), (2, 2));
    assert_eq!(verdict.faults(), ["4 rows differ between the tables and the upstream"]);
}

#[test]
fn a_wallet_that_was_unblocked_a_moment_ago_is_not_lost() {
    let good = world();
    let mut tables = tables(&good);
    tables.wallets[0].is_blocked = true;
    tables.wallets[0].block_reason = Some("stolen".to_owned());
    let id = good.wallets[0].id.to_string();
    let verdict = judged(&tables, &callbacks(), &HashSet::from([id.clone()]));
    assert_eq!((verdict.is_good(), verdict.unblocked_lately, verdict.wallets_differing), (true, 1, 0));
    let verdict = judged(&tables, &callbacks(), &nobody());
    assert_eq!((verdict.is_good(), verdict.unblocked_lately, verdict.wallets_differing), (false, 0, 1));
    // That it was unblocked explains no other difference, and not that a block is missed.
    tables.wallets[0].last_usdt_balance = "7".parse().ok();
    assert_eq!(judged(&tables, &callbacks(), &HashSet::from([id])).wallets_differing, 1);
    let mut tables = self::tables(&good);
    tables.wallets[1].is_blocked = false;
    tables.wallets[1].block_reason = None;
    let id = good.wallets[1].id.to_string();
    assert_eq!(
        judged(&tables, &callbacks(), &HashSet::from([id])).faults(),
        ["1 row differs between the table and the upstream"]
    );
}

#[test]
fn each_trouble_of_callbacks_has_its_sentence() {
    let good = Verdict { events: 5, delivered: 5, ..Verdict::default() };
    for (verdict, fault) in [
        (Verdict { undelivered: 1, ..good.clone() }, "1 callback was not delivered"),
        (Verdict { delivered: 3, ..good.clone() }, "2 callbacks were not delivered"),
        (Verdict { delivered: 6, ..good.clone() }, "1 callback was delivered that no event stands for"),
        (Verdict { invalid: 2, ..good.clone() }, "2 signatures did not verify"),
        (Verdict { twice: 1, ..good.clone() }, "1 callback was taken twice"),
        (Verdict { out_of_order: 1, ..good.clone() }, "1 callback came out of order"),
    ] {
        assert_eq!((verdict.faults(), verdict.is_good()), (vec![fault.to_owned()], false));
    }
}
