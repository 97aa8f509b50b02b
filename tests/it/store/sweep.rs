//! The rolling sweep's state and bitmap: kept, resumed, forgotten, and never ahead of the rows.

use lumo_bridge::model::Listing;
use lumo_bridge::model::record::Wallet;
use lumo_bridge::store::{Batch, Checkpoint, Ending, ImportStart, SweepState};

use super::fixture::{at, migrated, page, shop, wallet};
use crate::database::{Database, on_each_database};

on_each_database!(
    a_sweep_is_found_as_it_was_left,
    a_new_sweep_forgets_what_the_one_before_it_met,
    the_sweeps_of_two_listings_do_not_meet,
    a_checkpoint_is_stored_with_its_rows_or_not_at_all,
    a_checkpoint_without_news_is_stored_too,
);

fn state(listing: Listing, started: i64, state: &str) -> SweepState {
    SweepState { listing, started_at: at(started), known_until: i64::MAX, state: state.to_owned() }
}

/// A chunk of the size that is used, with every byte in it.
fn chunk(seed: u8) -> Vec<u8> {
    (0..8192_usize).map(|index| u8::try_from(index % 256).unwrap().wrapping_add(seed)).collect()
}

async fn a_sweep_is_found_as_it_was_left(database: Database) {
    let store = migrated(&database, &shop()).await;
    assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), None);
    let mut sweep = state(Listing::Wallets, 1, r#"{"offset":"👩‍💻"}"#);
    store.save_sweep(&sweep, &[(1, chunk(1)), (0, chunk(0))], None, at(1)).await.unwrap();
    let found = store.sweep(Listing::Wallets).await.unwrap();
    assert_eq!(found, Some((sweep.clone(), vec![(0, chunk(0)), (1, chunk(1))])));

    sweep.state = "{}".repeat(100_000);
    store.save_sweep(&sweep, &[(1, chunk(7)), (300, vec![])], None, at(2)).await.unwrap();
    let found = store.sweep(Listing::Wallets).await.unwrap();
    assert_eq!(found, Some((sweep, vec![(0, chunk(0)), (1, chunk(7)), (300, vec![])])));

    store.end_sweep(Listing::Wallets, None).await.unwrap();
    store.end_sweep(Listing::Wallets, None).await.unwrap();
    assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), None);
    assert_eq!(database.count("lumo_sweep_seen", "1 = 1").await, 0);
}

async fn a_new_sweep_forgets_what_the_one_before_it_met(database: Database) {
    let store = migrated(&database, &shop()).await;
    // Finer than the databases keep it: that must not look like another sweep.
    let fine = at(1) + chrono::TimeDelta::nanoseconds(1_999);
    let first = SweepState { started_at: fine, ..state(Listing::Deposits, 1, "1") };
    store.save_sweep(&first, &[(0, chunk(0)), (1, chunk(1))], None, at(1)).await.unwrap();
    store.save_sweep(&first, &[(2, chunk(2))], None, at(1)).await.unwrap();
    assert_eq!(database.count("lumo_sweep_seen", "1 = 1").await, 3);

    let second = state(Listing::Deposits, 2, "2");
    store.save_sweep(&second, &[(1, chunk(9))], None, at(2)).await.unwrap();
    assert_eq!(store.sweep(Listing::Deposits).await.unwrap(), Some((second, vec![(1, chunk(9))])));
}

async fn the_sweeps_of_two_listings_do_not_meet(database: Database) {
    let store = migrated(&database, &shop()).await;
    for listing in Listing::ALL {
        store.save_sweep(&state(listing, 1, listing.as_str()), &[(0, vec![1])], None, at(1)).await.unwrap();
    }
    store.end_sweep(Listing::Blocked, None).await.unwrap();
    assert_eq!(store.sweep(Listing::Blocked).await.unwrap(), None);
    for listing in [Listing::Wallets, Listing::Deposits] {
        let expected = (state(listing, 1, listing.as_str()), vec![(0, vec![1])]);
        assert_eq!(store.sweep(listing).await.unwrap(), Some(expected));
    }
}

async fn a_checkpoint_is_stored_with_its_rows_or_not_at_all(database: Database) {
    let store = migrated(&database, &shop()).await;
    let sweep = state(Listing::Wallets, 1, "here");
    let checkpoint = Checkpoint {
        import_started: Some(ImportStart { listing: Listing::Wallets, at: at(1), total: Some(2) }),
        sweep: Some(sweep.clone()),
        seen: vec![(0, chunk(0))],
        ..Checkpoint::default()
    };
    let batch = |records: &[Wallet]| Batch { checkpoint: checkpoint.clone(), ..page(records, at(1)) };

    let broken = Wallet { raw: "{".into(), ..wallet("w2", "eve") };
    assert!(store.ingest(batch(&[wallet("w1", "bob"), broken]), at(1)).await.is_err());
    let undone = Batch { ending: Ending::RollBack, ..batch(&[wallet("w1", "bob")]) };
    assert_eq!(store.ingest(undone, at(1)).await.unwrap().appeared, 1);
    assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), None);
    assert_eq!(database.count("lumo_sync_state", "1 = 1").await, 0);
    assert_eq!(database.count("lumo_user_wallets", "1 = 1").await, 0);

    store.ingest(batch(&[wallet("w1", "bob")]), at(1)).await.unwrap();
    assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), Some((sweep, vec![(0, chunk(0))])));
    let progress = store.progress(Listing::Wallets).await.unwrap();
    assert_eq!((progress.import_started_at, progress.last_total), (Some(at(1)), Some(2)));
    assert_eq!(database.count("lumo_user_wallets", "1 = 1").await, 1);
}

async fn a_checkpoint_without_news_is_stored_too(database: Database) {
    let store = migrated(&database, &shop()).await;
    super::fixture::ingest(&store, &[wallet("w", "bob")], at(1)).await;
    let sweep = state(Listing::Wallets, 1, "here");
    for records in [vec![wallet("w", "bob")], vec![]] {
        let checkpoint = Checkpoint { sweep: Some(sweep.clone()), ..Checkpoint::default() };
        store.ingest(Batch { checkpoint, ..page(&records, at(2)) }, at(2)).await.unwrap();
        assert_eq!(store.sweep(Listing::Wallets).await.unwrap(), Some((sweep.clone(), vec![])));
        store.end_sweep(Listing::Wallets, None).await.unwrap();
    }
    assert_eq!(database.count("lumo_events", "1 = 1").await, 1);
}
