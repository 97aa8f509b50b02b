//! What a world promises, seen through its handle.
//!
//! How its rows look in JSON is tested where they are printed.

use std::collections::HashSet;

use super::*;

fn ids<'a>(wallets: impl IntoIterator<Item = &'a Wallet>) -> Vec<WalletId> {
    wallets.into_iter().map(|wallet| wallet.id).collect()
}

#[test]
fn one_seed_and_the_same_calls_make_the_same_world() {
    let make = |seed| {
        let world = World::new(seed);
        world.seed(200, 500);
        let steps: Vec<Step> = (0..100).map(|_| world.random_step()).collect();
        (world.snapshot(), steps, world.rotate_key())
    };
    assert_eq!(make(7), make(7));
    assert_ne!(make(7).0, make(8).0);
}

#[test]
fn a_seeded_world_has_as_many_rows_as_asked_for_and_some_of_each_kind() {
    let world = World::new(1);
    world.seed(1_000, 3_000);
    let Snapshot { wallets, deposits } = world.snapshot();
    assert_eq!((wallets.len(), deposits.len()), (1_000, 3_000));
    assert_eq!((world.wallet_count(), world.deposit_count()), (1_000, 3_000));
    assert!(wallets.iter().any(|wallet| wallet.is_blocked() && !wallet.is_replaced()));
    assert!(wallets.iter().any(Wallet::is_replaced));
    assert!(STATUSES.iter().all(|status| deposits.iter().any(|deposit| &*deposit.status == *status)));
    assert!(wallets.is_sorted_by(|a, b| a.created_at < b.created_at));
    assert!(deposits.is_sorted_by(|a, b| a.created_at < b.created_at));
    assert_eq!(ids(&wallets).into_iter().collect::<HashSet<_>>().len(), 1_000);
    assert!(wallets.iter().all(|wallet| wallet.id.0.get_version_num() == 4));
    assert!(deposits.iter().all(|deposit| deposit.tx_hash.len() == 64));
}

#[test]
fn a_live_world_has_its_history_behind_it() {
    let world = World::live(1);
    world.seed(10, 50);
    let last = world.snapshot().deposits.last().unwrap().created_at;
    let before = crate::clock::now();
    assert!(last <= before);
    assert!(world.add_deposit_for("someone", "1").unwrap().created_at >= before);
}

#[test]
fn a_user_keeps_one_current_wallet() {
    let world = World::new(1);
    let first = world.add_wallet("42");
    assert_eq!(world.add_wallet("42"), first);

    let second = world.replace(first.id, "lost key").unwrap();
    assert_ne!(second.id, first.id);
    assert_ne!(second.address, first.address);
    assert_eq!(second.external_id, first.external_id);
    assert_eq!(world.add_wallet("42"), second);
    assert_eq!(world.wallet_of("42"), Some(second.clone()));
    let old = world.wallet(first.id).unwrap();
    assert_eq!(old.replaced_by, Some(second.id));
    assert_eq!(old.block_reason.as_deref(), Some("lost key"));
    assert_eq!(world.replace(first.id, "again"), Err(WorldError::AlreadyReplaced(first.id)));
    assert_eq!(ids(&world.snapshot().wallets), [first.id, second.id]);
}

#[test]
fn blocking_and_unblocking_are_seen_at_once() {
    let world = World::new(1);
    let id = world.add_wallet("42").id;
    assert_eq!(world.random_wallet().map(|wallet| wallet.id), Some(id));
    assert_eq!(world.block(id, "fraud").unwrap().block_reason.as_deref(), Some("fraud"));
    assert_eq!(world.random_wallet(), None);
    assert!(!world.unblock(id).unwrap().is_blocked());
    assert!(world.random_wallet().is_some());
}

#[test]
fn a_deposit_moves_between_statuses_and_can_vanish() {
    let world = World::new(1);
    let deposit = world.add_deposit_for("42", "12.500000").unwrap();
    assert_eq!((deposit.amount.as_str(), &*deposit.status), ("12.500000", "new"));
    let confirmed = world.set_deposit_status(deposit.id, "confirmed").unwrap();
    assert!(confirmed.updated_at > confirmed.created_at);
    assert_eq!(confirmed.confirmed_at, Some(confirmed.updated_at));
    assert_eq!(world.set_deposit_status(deposit.id, "odd").unwrap().status.as_ref(), "odd");

    let window = Window { offset: 0, limit: 10 };
    let by_status =
        |status| world.deposit_page(Filter { external_id: None, status: Some(status) }, Order::Oldest, window);
    assert_eq!((by_status("new").total, by_status("confirmed").total, by_status("odd").total), (0, 0, 1));
    world.remove_deposit(deposit.id).unwrap();
    assert_eq!(by_status("odd").total, 0);
    assert_eq!(world.remove_deposit(deposit.id), Err(WorldError::UnknownDeposit(deposit.id)));
    assert_eq!(world.deposit_count(), 0);
}

#[test]
fn what_is_not_there_cannot_change() {
    let world = World::new(1);
    let id = world.add_wallet("42").id;
    world.remove_wallet(id).unwrap();
    assert_eq!(world.wallet_count(), 0);
    assert_eq!(world.block(id, "x"), Err(WorldError::UnknownWallet(id)));
    assert_eq!(world.add_deposit(id).unwrap_err(), WorldError::UnknownWallet(id));
    assert_eq!(world.add_deposit_for("42", "lots").unwrap_err().to_string(), "not a decimal amount: \"lots\"");
    assert_eq!(world.wallet_count(), 0, "a refused deposit makes no wallet");
}

#[test]
fn an_empty_world_comes_to_life() {
    let world = World::new(3);
    for _ in 0..500 {
        assert!(!world.random_step().to_string().is_empty());
    }
    assert!(world.wallet_count() > 5);
    assert!(world.deposit_count() > 100);
}

#[test]
fn a_large_world_is_paged_without_being_copied() {
    let world = World::new(1);
    world.seed(2_000, 20_000);
    for order in [Order::Oldest, Order::Newest, Order::Scattered] {
        let mut seen = HashSet::new();
        for offset in (0..20_000).step_by(1_000) {
            let page = world.deposit_page(Filter::default(), order, Window { offset, limit: 1_000 });
            assert_eq!((page.rows.len(), page.total), (1_000, 20_000));
            seen.extend(page.rows.iter().map(|deposit| deposit.id));
        }
        assert_eq!(seen.len(), 20_000);
    }
}
