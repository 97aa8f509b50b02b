//! Who leads, and that nobody commits anything who no longer does.

use chrono::TimeDelta;
use futures_util::future::join_all;
use lumo_bridge::model::Listing;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::store::{Advance, Batch, Checkpoint, Error, Fence, ImportStart, Remembered, Store, SweepState};

use super::fixture::{at, config, ingest, kinds, listed, migrated, page, round, shop, wallet};
use super::ingest::everything;
use crate::database::{Database, on_each_database};

on_each_database!(
    one_leads_until_its_lease_ends_or_it_resigns,
    a_leader_that_comes_back_gets_a_number_of_its_own,
    who_resigns_with_a_wrong_clock_lets_go_all_the_same,
    of_many_that_reach_for_the_lead_one_gets_it,
    a_stale_leader_can_commit_nothing,
    a_takeover_waits_for_what_the_leader_is_writing,
);

const SYNC: &str = "sync";
const LEASE: TimeDelta = TimeDelta::seconds(30);

async fn lead(store: &Store, owner: &str, seconds: i64) -> Option<i64> {
    let fence = store.lead(SYNC, owner, LEASE, at(seconds)).await.unwrap();
    fence.inspect(|fence| assert_eq!(fence.resource, SYNC)).map(|fence| fence.epoch)
}

async fn one_leads_until_its_lease_ends_or_it_resigns(database: Database) {
    let store = migrated(&database, &shop()).await;
    assert_eq!(lead(&store, "a", 0).await, Some(1));
    assert_eq!(lead(&store, "b", 29).await, None);
    assert_eq!(lead(&store, "a", 29).await, Some(1), "who keeps the lead keeps the fence");
    assert_eq!(lead(&store, "b", 58).await, None, "the lease was not prolonged");
    assert_eq!(lead(&store, "b", 59).await, Some(2));
    assert_eq!(lead(&store, "a", 60).await, None);
    assert!(store.lead("other", "a", LEASE, at(60)).await.unwrap().is_some(), "leads are not one by one");

    store.resign(Fence { resource: SYNC, epoch: 1 }, "a", at(61)).await.unwrap();
    assert_eq!(lead(&store, "a", 61).await, None, "somebody gave up the lead of another");
    store.resign(Fence { resource: SYNC, epoch: 2 }, "b", at(62)).await.unwrap();
    assert_eq!(lead(&store, "a", 62).await, Some(3));
    assert_eq!(lead(&store, "b", 62).await, None);
}

async fn a_leader_that_comes_back_gets_a_number_of_its_own(database: Database) {
    let store = migrated(&database, &shop()).await;
    assert_eq!(lead(&store, "a", 0).await, Some(1));
    assert_eq!(lead(&store, "a", 31).await, Some(2), "its lease had ended");
    store.resign(Fence { resource: SYNC, epoch: 2 }, "a", at(32)).await.unwrap();
    assert_eq!(lead(&store, "a", 33).await, Some(3), "it had resigned");
}

/// The process that stops has a clock that is ahead by a day.
async fn who_resigns_with_a_wrong_clock_lets_go_all_the_same(database: Database) {
    let store = migrated(&database, &shop()).await;
    assert_eq!(lead(&store, "a", 86_400).await, Some(1));
    assert_eq!(lead(&store, "b", 0).await, None);
    store.resign(Fence { resource: SYNC, epoch: 1 }, "a", at(86_400)).await.unwrap();
    assert_eq!(lead(&store, "b", 0).await, Some(2));
    let seen = store.holder(SYNC).await.unwrap().expect("a holder");
    assert_eq!((seen.owner.as_str(), seen.epoch, seen.expires_at), ("b", 2, at(0) + LEASE));
    assert_eq!(lead(&store, "b", 1).await, Some(2));
    assert!(!store.depose(SYNC, &seen, at(2)).await.unwrap(), "it was renewed since it was seen");
    let seen = store.holder(SYNC).await.unwrap().expect("a holder");
    assert!(store.depose(SYNC, &seen, at(2)).await.unwrap());
    assert_eq!(lead(&store, "a", 2).await, Some(3));
}

async fn of_many_that_reach_for_the_lead_one_gets_it(database: Database) {
    let first = migrated(&database, &shop()).await;
    let config = config(&database);
    let mut stores = join_all((0..5).map(|_| async { Store::open(&config, shop()).await.unwrap() })).await;
    stores.push(first);
    for round in 0..5 {
        let names: Vec<String> = (0..stores.len()).map(|number| format!("{round}/{number}")).collect();
        let all = stores.iter().zip(&names).map(|(store, name)| lead(store, name, round * 100));
        let got: Vec<_> = join_all(all).await.into_iter().flatten().collect();
        assert_eq!(got, [round + 1], "round {round}");
    }
}

fn is_fenced<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) {
    match result {
        Err(error @ Error::Fenced) => {
            assert_eq!(error.to_string(), "the lease under which this was to be stored has ended");
        }
        result => panic!("{what}: {result:?}"),
    }
}

async fn a_stale_leader_can_commit_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    let stale = store.lead(SYNC, "a", LEASE, at(0)).await.unwrap();
    ingest(&store, &[wallet("w", "bob")], at(0)).await;
    let fresh = store.lead(SYNC, "b", LEASE, at(40)).await.unwrap();
    let before = everything(&database).await;
    let progress = store.progress(Listing::Wallets).await.unwrap();
    let advance = Advance { progress: &progress, memory: Remembered::Keep };
    let run = round(Listing::Wallets, at(1), at(2));
    let state = SweepState { listing: Listing::Wallets, started_at: at(1), known_until: 1, state: "{}".to_owned() };
    let changed = [wallet("new", "eve"), listed(Wallet { is_blocked: true, ..wallet("w", "bob") })];
    let batch = |fence| Batch { fence, ..page(&changed, at(41)) };
    let kept = |fence| {
        let start = ImportStart { listing: Listing::Wallets, at: at(1), total: None };
        let checkpoint = Checkpoint { import_started: Some(start), ..Checkpoint::default() };
        Batch { fence, checkpoint, ..page::<Wallet>(&[], at(41)) }
    };
    let ids = || vec!["w".parse().unwrap()];
    let none = Some(Fence { resource: "nobody", epoch: 1 });
    for fence in [stale, none] {
        is_fenced("ingest", store.ingest(batch(fence), at(41)).await);
        is_fenced("checkpoint", store.ingest(kept(fence), at(41)).await);
        is_fenced("vanish", store.vanish::<Wallet>(ids(), at(41), fence, at(41)).await);
        is_fenced("finish", store.finish_pass(&run, Some(&advance), fence).await);
        is_fenced("save_sweep", store.save_sweep(&state, &[(0, vec![1])], fence, at(41)).await);
        is_fenced("end_sweep", store.end_sweep(Listing::Wallets, fence).await);
        is_fenced("stalled", store.note_stalled(Listing::Wallets, Some(at(1)), fence, at(41)).await);
        is_fenced("unauthorized", store.note_unauthorized(Listing::Wallets, true, fence, at(41)).await);
    }
    assert_eq!(everything(&database).await, before);
    assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), None);

    store.ingest(batch(fresh), at(41)).await.unwrap();
    store.ingest(kept(fresh), at(41)).await.unwrap();
    assert_eq!(store.vanish::<Wallet>(ids(), at(41), fresh, at(42)).await.unwrap(), 1);
    store.finish_pass(&run, Some(&advance), fresh).await.unwrap();
    store.save_sweep(&state, &[(0, vec![1])], fresh, at(41)).await.unwrap();
    store.end_sweep(Listing::Wallets, fresh).await.unwrap();
    assert!(store.note_stalled(Listing::Wallets, Some(at(1)), fresh, at(41)).await.unwrap());
    assert!(store.note_unauthorized(Listing::Wallets, true, fresh, at(41)).await.unwrap());
    let expected =
        ["wallet.created", "wallet.created", "wallet.blocked", "wallet.missing", "sync.stalled", "sync.unauthorized"];
    let mut told = kinds(&database).await;
    told[1..3].sort_by_key(|kind| kind == "wallet.blocked");
    assert_eq!(told, expected);
}

/// As many batches as will fit in before the other takes over: each is stored whole before that, or not at all.
async fn a_takeover_waits_for_what_the_leader_is_writing(database: Database) {
    let store = migrated(&database, &shop()).await;
    let other = Store::open(&config(&database), shop()).await.unwrap();
    let fence = store.lead(SYNC, "a", LEASE, at(0)).await.unwrap();
    let mut writer = tokio::task::JoinSet::new();
    writer.spawn({
        let store = store.clone();
        async move {
            for number in 0..200 {
                let records: Vec<_> =
                    (0..20).map(|row| wallet(&format!("{number}-{row}"), &format!("{number}"))).collect();
                match store.ingest(Batch { fence, ..page(&records, at(1)) }, at(1)).await {
                    Ok(_) => {}
                    Err(Error::Fenced) => return number,
                    Err(error) => panic!("{error:?}"),
                }
            }
            200
        }
    });
    while database.count("lumo_user_wallets", "1 = 1").await < 40 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lead(&other, "b", 60).await, Some(2));
    let stored = database.count("lumo_user_wallets", "1 = 1").await;
    let batches = writer.join_next().await.unwrap().unwrap();
    assert_eq!((stored, database.count("lumo_user_wallets", "1 = 1").await), (batches * 20, batches * 20));
}
