//! Who delivers to an endpoint: one process at a time, and whoever no longer does writes nothing.

use std::collections::HashSet;
use std::fs::File;

use lumo_bridge::store::Store;
use lumo_bridge::store::delivery::{GroupCommit, Written};
use tokio::task::JoinSet;

use super::fixture::{at, config, endpoint, migrated, publish_in, shop};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, eventually};

on_each_database!(
    of_many_that_reach_for_an_endpoint_one_gets_it,
    a_lead_is_taken_only_from_the_process_that_has_it,
    a_stale_leader_writes_nothing,
    what_a_leader_had_under_way_is_due_at_its_time,
    whoever_gives_up_a_lead_lets_go_of_what_is_under_way,
    processes_are_seen_and_forgotten,
    a_process_is_known_to_live_while_it_holds_its_lock,
);

async fn of_many_that_reach_for_an_endpoint_one_gets_it(database: Database) {
    let first = migrated(&database, &shop()).await;
    let second = Store::open(&config(&database), shop()).await.unwrap();
    let mut tasks = JoinSet::new();
    for process in 1..=8 {
        let store = if process % 2 == 0 { first.clone() } else { second.clone() };
        tasks.spawn(async move {
            let taken = store.take_lead(&endpoint("shop"), process, None, false, at(1)).await.unwrap();
            taken.map(|position| (process, position.epoch))
        });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let [(process, epoch)] = taken.as_slice() else { panic!("{taken:?} lead at once") };
    assert_eq!(first.endpoint(&endpoint("shop")).await.unwrap().unwrap().process, Some(*process));
    assert_eq!(first.position(&endpoint("shop")).await.unwrap().unwrap().epoch, *epoch);
}

async fn a_lead_is_taken_only_from_the_process_that_has_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let shop = endpoint("shop");
    let take = async |process, from| store.take_lead(&shop, process, from, false, at(1)).await.unwrap();
    let first = take(1, None).await.unwrap();
    assert_eq!(take(2, None).await, None, "somebody leads");
    assert_eq!(take(2, Some(3)).await, None, "somebody else took it from that one");
    let second = take(2, Some(1)).await.unwrap();
    assert_eq!((second.epoch, second.position), (first.epoch + 1, first.position));
    assert_eq!(take(3, Some(1)).await, None);
    assert_eq!(store.take_lead(&endpoint("nobody"), 1, None, false, at(1)).await.unwrap(), None);
}

async fn a_stale_leader_writes_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let stale = store.take_lead(&endpoint("shop"), 1, None, false, at(1)).await.unwrap().unwrap();
    let mut leader = Leader::after(&store, "shop", Some(1), at(2)).await;
    let before = store.position(&endpoint("shop")).await.unwrap();
    let commit = GroupCommit {
        endpoint: endpoint("shop"),
        epoch: stale.epoch,
        revision: stale.revision,
        commits: stale.commits,
        position: 1,
        items: Vec::new(),
        note: None,
        asks_acks: false,
    };
    assert_eq!(store.commit_group(&commit, at(3)).await.unwrap(), Written::Lost);
    assert_eq!(store.position(&endpoint("shop")).await.unwrap(), before);
    assert!(store.refresh(&endpoint("shop"), stale.epoch, 0, None, at(3)).await.unwrap().is_none());
    assert_eq!(leader.deliver(at(4)).await.len(), 1);
}

async fn what_a_leader_had_under_way_is_due_at_its_time(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a"], at(0)).await;
    let mut first = Leader::of(&store, "shop", at(1)).await;
    assert_eq!(first.pass(9, at(1), |_| Came::Sending(at(31))).await.len(), 1);
    // Whether it lives is not known: its request may still be under way.
    assert!(store.take_lead(&endpoint("shop"), 8, Some(PROCESS), false, at(2)).await.unwrap().is_some());
    let mut second = Leader::after(&store, "shop", Some(8), at(2)).await;
    drop(first);
    assert_eq!(
        database.count("lumo_exceptions", "state = 'sending'").await,
        1,
        "the process before is dead, so what it had under way is due"
    );
    let sent = second.pass(9, at(2), |_| Came::RetryAt(at(50))).await;
    assert_eq!(
        (sent.len(), sent[0].event.seq, sent[0].attempts),
        (1, 1, 0),
        "an attempt without an end is not counted"
    );
    assert!(second.pass(9, at(3), |_| Came::Delivered).await.is_empty(), "and its lane waits");

    publish_in(&store, &["user:b"], at(3)).await;
    assert_eq!(second.pass(9, at(3), |_| Came::Sending(at(33))).await.len(), 1);
    let third = store.take_lead(&endpoint("shop"), 9, Some(PROCESS), false, at(4)).await.unwrap().unwrap();
    let due = store.due(&endpoint("shop"), 9, at(32)).await.unwrap();
    assert!(due.rows.is_empty() && due.next_at == Some(at(33)), "nobody knows that it is dead: {due:?}");
    assert_eq!(store.due(&endpoint("shop"), 9, at(33)).await.unwrap().rows.len(), 1);
    assert!(third.epoch > 3);
}

async fn whoever_gives_up_a_lead_lets_go_of_what_is_under_way(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::Sending(at(500))).await;
    store.give_up_lead(&endpoint("shop"), 99, at(2)).await.unwrap();
    let row = store.endpoint(&endpoint("shop")).await.unwrap().unwrap();
    assert_eq!(row.process, Some(PROCESS), "it was not that one's");
    store.give_up_lead(&endpoint("shop"), PROCESS, at(3)).await.unwrap();
    assert_eq!(store.endpoint(&endpoint("shop")).await.unwrap().unwrap().process, None);
    let mut next = Leader::of(&store, "shop", at(3)).await;
    let sent = next.pass(9, at(3), |_| Came::Delivered).await;
    assert_eq!((sent.len(), sent[0].attempts), (1, 0));
}

async fn processes_are_seen_and_forgotten(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (process, beat) in [(1, 1), (2, 1), (1, 2)] {
        store.beat(process, beat, "{}", at(beat)).await.unwrap();
    }
    let seen: Vec<_> = store.processes().await.unwrap().into_iter().map(|row| (row.process, row.beat)).collect();
    assert_eq!(seen, [(1, 2), (2, 1)]);
    store.forget_processes(&[1, 3]).await.unwrap();
    assert_eq!(store.processes().await.unwrap().len(), 1);
}

async fn a_process_is_known_to_live_while_it_holds_its_lock(database: Database) {
    let store = migrated(&database, &shop()).await;
    let config = config(&database);
    assert!(!store.knows_living(None).await.unwrap());
    let daemon = Store::open(&config, shop()).await.unwrap();
    let mut locks = Box::pin(daemon.hold_process_lock(&config)).await.unwrap();
    daemon.beat(daemon.new_process(), 1, "{}", at(0)).await.unwrap();
    assert!(store.knows_living(None).await.unwrap());
    locks.admit_others();
    assert!(store.knows_living(None).await.unwrap());
    drop(locks);
    daemon.close().await;
    eventually!(PATIENCE, "its lock is gone", !store.knows_living(None).await.unwrap());
}

/// To see whether the file is locked takes its lock for a moment.
#[tokio::test]
async fn a_look_at_the_lock_keeps_no_process_from_noticing_that_it_is_alone() {
    let database = Database::sqlite().await;
    let store = migrated(&database, &shop()).await;
    let config = config(&database);
    let looking = File::create(format!("{}-courier", database.url().trim_start_matches("sqlite://"))).unwrap();
    looking.try_lock().unwrap();
    let seen = async move { drop(looking) };
    let (locks, ()) = tokio::join!(Box::pin(store.hold_process_lock(&config)), seen);
    let dead = 7 << 32;
    assert_eq!(locks.unwrap().dead(&[dead], at(0)).await.unwrap(), HashSet::from([dead]));
}
