//! Wake-ups that cross processes, on PostgreSQL: one store stands for each process, and only a call can wake the other.

use std::time::Duration;

use lumo_bridge::model::actor::Actor;
use lumo_bridge::store::{ProcessLocks, Store};
use lumo_bridge_entity::endpoint::State;
use tokio::sync::watch;

use super::fixture::{at, config, draft, endpoint, migrated, publish, shop};
use crate::database::Database;

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does nothing but listen, and hears by now.
struct Listening {
    woken: watch::Receiver<()>,
    _locks: ProcessLocks,
}

impl Listening {
    async fn begin(database: &Database) -> Self {
        let store = Store::open(&config(database), shop()).await.unwrap();
        let mut woken = store.appended();
        let locks = store.hold_process_lock(&config(database)).await.unwrap();
        // It looks once as it begins.
        tokio::time::timeout(PATIENCE, woken.changed()).await.expect("not listening").unwrap();
        Self { woken, _locks: locks }
    }

    async fn is_woken(&mut self, what: &str) {
        let changed = tokio::time::timeout(PATIENCE, self.woken.changed()).await;
        changed.unwrap_or_else(|_| panic!("not woken by {what}")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_queues_wakes_another() {
    let database = Database::postgres().await;
    let store = migrated(&database, &shop()).await;
    let mut other = Listening::begin(&database).await;
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    other.is_woken("an event").await;
    assert!(store.set_endpoint_state(&endpoint("shop"), State::Active, &Actor::API, at(1)).await.unwrap().is_some());
    other.is_woken("an endpoint that is called again").await;
    // A command ends at once, and is heard all the same.
    let command = Store::open(&config(&database), shop()).await.unwrap();
    publish(&command, &[draft("user:a", "2")], at(2)).await;
    command.close().await;
    other.is_woken("a process that ended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_lost_is_made_again() {
    let database = Database::postgres().await;
    let store = migrated(&database, &shop()).await;
    let mut other = Listening::begin(&database).await;
    let kill = "SELECT CASE WHEN pg_terminate_backend(pid) THEN 1 ELSE 0 END FROM pg_stat_activity \
                WHERE datname = current_database() AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(database.value(kill).await, "1");
    other.is_woken("the new session, as something may have gone unheard").await;
    publish(&store, &[draft("user:a", "1")], at(0)).await;
    other.is_woken("an event after that").await;
}
