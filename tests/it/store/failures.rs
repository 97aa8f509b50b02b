//! A transaction that ends in any way but a commit leaves nothing behind: every transaction of the store, failed at its
//! statements in every way that databases have.
//!
//! After each failure a second connection sees what it saw before, nobody was woken, no transaction is left open, and the store
//! says that it cannot write until it can.

mod acts;
pub(crate) mod faults;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Error, Need, Store};
use sea_orm::DbBackend;

use super::fixture::{config, subscriber};
use super::innodb::under_way;
use crate::database::{Database, on_each_database};
use crate::schema::TABLES;
use crate::world::eventually;
use acts::{acts, prepare, subscribers};
use faults::{KINDS, Kind, Saboteur};

on_each_database!(a_transaction_that_fails_leaves_nothing_behind);

const PATIENCE: Duration = Duration::from_secs(30);

/// Our tables and the one of the sink. A view stores nothing.
fn tables() -> Vec<&'static str> {
    let is_table = |name: &&str| !["lumo_deliveries", "lumo_undelivered"].contains(name);
    TABLES.into_iter().filter(is_table).chain(["ledger"]).collect()
}

/// A query whose answer changes with whatever is stored.
async fn everything(database: &Database) -> String {
    match database.backend() {
        DbBackend::MySql => format!("CHECKSUM TABLE {}", tables().join(", ")),
        DbBackend::Postgres => {
            let hash = |table: &str| {
                format!("(SELECT COALESCE(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM {table} t)")
            };
            format!("SELECT {}", tables().into_iter().map(hash).collect::<Vec<_>>().join(" || "))
        }
        _ => {
            let mut contents = Vec::new();
            for table in tables() {
                let columns = database.rows(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
                let columns: Vec<_> =
                    columns.into_iter().map(|row| format!("quote({})", row[0].as_deref().unwrap())).collect();
                let row = columns.join(" || ',' || ");
                contents.push(format!("(SELECT COALESCE(group_concat({row}, ';'), '') FROM {table})"));
            }
            format!("SELECT {}", contents.join(" || '#' || "))
        }
    }
}

/// Fails if a transaction is left open, which would hold locks.
async fn assert_nothing_is_open(database: &Database, what: &str) {
    let what = format!("no transaction is open after {what}");
    match database.backend() {
        DbBackend::Sqlite => database.execute("BEGIN IMMEDIATE; ROLLBACK").await,
        DbBackend::Postgres => {
            let open = "SELECT COUNT(*) FROM pg_stat_activity \
                        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            eventually!(PATIENCE, what, database.number(open).await == 0);
        }
        _ => eventually!(PATIENCE, what, under_way(database).await.is_empty()),
    }
}

async fn a_transaction_that_fails_leaves_nothing_behind(database: Database) {
    let things = Arc::new(prepare(&database).await);
    let everything = everything(&database).await;
    let mut subscribers = subscribers();
    subscribers.push(subscriber("fresh", &["*"], Order::None));
    for (name, act) in acts() {
        if name == "doctor.create" && database.backend() == DbBackend::MySql {
            // It makes no table there.
            continue;
        }
        let saboteur = Saboteur::default();
        let config = config(&database);
        let store =
            Store::open_failing(Need::Everything, &config, subscribers.clone(), saboteur.failpoint()).await.unwrap();
        let mut appended = store.appended();
        // That a process is gone may take the server a moment.
        eventually!(PATIENCE, format!("{name} does something"), {
            saboteur.set(name, None, true);
            drop(act(store.clone(), Arc::clone(&things)).await);
            saboteur.plan.lock().unwrap().steps > 0
        });
        let (steps, has_commit) = {
            let plan = saboteur.plan.lock().unwrap();
            (plan.steps, plan.has_commit)
        };
        let before = database.rows(&everything).await;

        for kind in KINDS {
            for number in BTreeSet::from([1, 2.min(steps), steps.div_ceil(2), steps]) {
                let what = format!("{kind:?} at step {number} of {steps} of {name}");
                let commits = has_commit && number == steps && kind == Kind::AnswerLost;
                if commits {
                    // That one comes last.
                    continue;
                }
                saboteur.set(name, Some((number, kind.fault(database.backend()))), false);
                let acting = act(store.clone(), Arc::clone(&things));
                if kind == Kind::Cancelled {
                    let struck = async { tokio::time::timeout(PATIENCE, saboteur.struck.notified()).await };
                    tokio::select! {
                        result = acting => panic!("{what}: ended with {result:?}"),
                        struck = struck => struck.unwrap_or_else(|_| panic!("{what}: never struck")),
                    }
                } else {
                    let result = acting.await;
                    let hides = name.starts_with("sink.") || name.starts_with("doctor.");
                    assert!(result.is_err() || hides, "{what}: {result:?}");
                    let told = store.write_trouble().is_some();
                    assert!(
                        told || !has_commit || !kind.is_outage(database.backend()),
                        "{what}: {result:?} is not told"
                    );
                }
                assert!(saboteur.plan.lock().unwrap().struck > 0, "{what}: did not happen");
                assert_nothing_is_open(&database, &what).await;
                assert!(database.rows(&everything).await == before, "{what}: something is stored");
                assert!(!appended.has_changed().unwrap(), "{what}: somebody was woken");
            }
        }
        let mut is_known = true;
        if has_commit {
            // The database has committed, and nobody knows: the store must not look well.
            saboteur.set(name, Some((steps, Kind::AnswerLost.fault(database.backend()))), false);
            let result = act(store.clone(), Arc::clone(&things)).await;
            assert!(result.is_err() || name == "sink.feed", "{name}: {result:?}");
            assert!(store.write_trouble().is_some(), "{name}");
            is_known = database.rows(&everything).await == before;
            assert_nothing_is_open(&database, name).await;
        }
        // The store goes on as if nothing had been.
        saboteur.set(name, None, false);
        appended.mark_unchanged();
        let result = act(store.clone(), Arc::clone(&things)).await;
        let is_led_by_another = matches!(result, Err(Error::Fenced));
        assert!(result.is_ok() || is_led_by_another, "{name}: {result:?}");
        assert!(!is_known || store.write_trouble().is_none() || database.rows(&everything).await == before, "{name}");
        store.close().await;
    }
}

#[test]
fn every_transaction_of_the_store_is_failed() {
    let mut named = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            for call in [".tx(\"", ".tx_ending(\""] {
                named.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    let failed: BTreeSet<String> = acts().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(failed, named);
}
