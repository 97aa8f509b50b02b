//! Whose leases are whose: what a dead process held is due at once, what a living one holds is not.

use std::time::Duration;

use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge_entity::delivery::State;

use super::fixture::{at, claim, config, deliveries, endpoint, migrated, publish_in, subscriber};
use crate::database::{Database, on_each_database};
use crate::world::eventually;

on_each_database!(what_a_dead_process_held_is_due_and_what_a_living_one_holds_is_not);

const PATIENCE: Duration = Duration::from_secs(20);

async fn what_a_dead_process_held_is_due_and_what_a_living_one_holds_is_not(database: Database) {
    let shop = [subscriber("shop", &["*"], Order::None)];
    let names = [endpoint("shop")];
    let first = migrated(&database, &shop).await;
    let mut living = first.enroll(&config(&database)).await.unwrap();
    assert_eq!(living.take_back(&names, true, at(0)).await.unwrap(), 0);
    publish_in(&first, &["a", "b", "c"], at(0)).await;
    assert_eq!(claim(&first, "shop", 2, at(1)).await.len(), 2);

    let second = Store::open(&config(&database), shop.to_vec()).await.unwrap();
    let mut other = second.enroll(&config(&database)).await.unwrap();
    assert_eq!(other.take_back(&names, true, at(2)).await.unwrap(), 0, "it lives");
    assert_eq!(claim(&second, "shop", 9, at(2)).await.len(), 1);
    assert_eq!(living.take_back(&names, true, at(2)).await.unwrap(), 0, "so does the other");

    drop((living, other));
    first.close().await;
    second.close().await;
    let third = Store::open(&config(&database), shop.to_vec()).await.unwrap();
    let mut restarted = third.enroll(&config(&database)).await.unwrap();
    let mut taken = 0;
    eventually!(PATIENCE, "the database notices that they are gone", {
        taken += restarted.take_back(&names, true, at(3)).await.unwrap();
        taken == 3
    });
    let rows = deliveries(&third).await;
    assert!(rows.iter().all(|row| (row.state, row.attempts, row.next_attempt_at) == (State::Pending, 0, Some(at(3)))));
    assert_eq!(claim(&third, "shop", 9, at(3)).await.len(), 3);
    assert_eq!(restarted.take_back(&names, true, at(4)).await.unwrap(), 0, "one's own leases are one's own");
}

/// Whoever opens an SQLite file alone takes all leases for those of dead processes, once.
#[tokio::test]
async fn a_process_that_starts_while_another_one_looks_for_the_dead_is_not_taken_for_one() {
    let database = Database::sqlite().await;
    let shop = [subscriber("shop", &["*"], Order::None)];
    let names = [endpoint("shop")];
    let first = migrated(&database, &shop).await;
    let mut looking = first.enroll(&config(&database)).await.unwrap();
    publish_in(&first, &["a"], at(0)).await;

    let second = Store::open(&config(&database), shop.to_vec()).await.unwrap();
    let config = config(&database);
    let starting = async {
        let roll = second.enroll(&config).await.unwrap();
        (roll, claim(&second, "shop", 1, at(1)).await)
    };
    let mut starting = Box::pin(starting);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut starting).await;
    assert_eq!(looking.take_back(&names, true, at(2)).await.unwrap(), 0, "the other one lives");
    let (_roll, claimed) = match early {
        Ok(started) => started,
        Err(_) => starting.await,
    };
    assert_eq!(claimed.len(), 1);
    assert_eq!(looking.take_back(&names, true, at(3)).await.unwrap(), 0, "it still does");
}
