//! A server that goes wrong: nothing stored is lost, no doubtful pass is called complete, and the next good one makes it
//! all up.

mod access;
mod disk;
mod failover;
mod killed;
mod log;
mod manners;
mod memory;
mod pooler;
mod receivers;
mod secrets;
mod sessions;
mod switchover;
mod time;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use lumo_simulator::{Fault, Operation, RetryAfter, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(a_server_that_fails_at_random_is_followed_all_the_same);

/// How often a page is asked for before a pass gives up.
const TRIES: u32 = 4;

macro_rules! on_each_fault {
    ($($name:ident: $fault:expr),+ $(,)?) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_mid_pass_loses_nothing() {
                    Box::pin(super::loses_nothing($fault)).await;
                }
            }
        )+
    };
}

on_each_fault!(
    status_500: Fault::Status { code: 500, retry_after: None },
    status_429_with_seconds: Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(1)) },
    status_429_with_a_date: Fault::Status { code: 429, retry_after: Some(RetryAfter::Date { seconds: 1 }) },
    html_with_status_502: Fault::HtmlStatus { code: 502 },
    html_with_status_200: Fault::HtmlPage,
    a_body_cut_short: Fault::CutBody,
    json_cut_short: Fault::CutJson,
    a_closed_connection: Fault::Disconnect,
    an_answer_too_large: Fault::Oversized { bytes: 20 << 20 },
    an_item_without_an_id: Fault::MissingId,
    an_item_listed_twice: Fault::DuplicateId,
    a_missing_total: Fault::MissingTotal,
);

/// What comes of a pass that a fault hits.
#[derive(Debug, PartialEq)]
enum Effect {
    /// Each fault costs a try, and too many of them the pass.
    EndsThePass,
    /// The pass goes on, and proves nothing.
    Doubt,
    /// None.
    Nothing,
}

fn effect(fault: &Fault) -> Effect {
    match fault {
        Fault::MissingTotal => Effect::Doubt,
        // An item that cannot be read is kept aside, and the rest goes on.
        Fault::DuplicateId | Fault::MissingId => Effect::Nothing,
        _ => Effect::EndsThePass,
    }
}

async fn loses_nothing(fault: Fault) {
    let world = World::live(seed());
    world.seed(30, 150);
    let mut stage = Stage::new(Database::sqlite().await, world.clone()).await;
    stage.settings.set("lumo.page_size", json!(25));
    // One page at a time, so that the tries of one page are what a dose is spent on.
    stage.settings.set("lumo.concurrency", json!(1));
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    let announced = stage.announced().await;
    random_changes(&world, 40);

    // As many as a pass has patience for, and one more.
    let effect = effect(&fault);
    let doses = if effect == Effect::EndsThePass { vec![TRIES - 1, TRIES] } else { vec![1] };
    for dose in doses {
        let rows = stage.database.count("lumo_user_deposits", "1 = 1").await;
        let is_first = AtomicBool::new(true);
        let inject = |_: &_| {
            if is_first.swap(false, Ordering::Relaxed) {
                stage.simulator.faults().inject_on(Operation::ListDeposits, dose, fault.clone());
            }
        };
        let result = parts.pass_observed(Listing::Deposits, &inject).await;
        assert_eq!(stage.simulator.faults().waiting(), 0, "the faults struck in this pass");
        let complete = dose < TRIES && effect == Effect::EndsThePass || effect == Effect::Nothing;
        assert_eq!(result.is_err(), effect == Effect::EndsThePass && dose == TRIES, "{result:?}");
        let outcome = stage.database.value(LAST_OUTCOME).await;
        assert_eq!(outcome == "complete", complete, "{outcome} after {dose} times {fault:?}");
        assert!(stage.database.count("lumo_user_deposits", "1 = 1").await >= rows);
        let told = "SELECT COUNT(*) FROM lumo_sync_state WHERE listing = 'deposits' AND last_error IS NOT NULL";
        assert_eq!(stage.database.number(told).await == 0, complete, "the state tells what is wrong, and only then");
        random_changes(&world, 10);
    }

    parts.sync().await;
    // That a block was lifted is believed the second time.
    parts.clock.advance(TimeDelta::seconds(31));
    parts.sync().await;
    stage.assert_mirrored().await;
    assert_eq!(stage.database.value(LAST_OUTCOME).await, "complete");
    let delivering = parts.deliver().await;
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&announced).await;
}

/// An id is any text; a number is taken as its digits. So the item is a deposit like any other, and no doubt arises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_a_number_is_an_id() {
    let world = World::live(seed());
    world.seed(5, 20);
    let stage = Stage::new(Database::sqlite().await, world).await;
    let parts = stage.parts().await;
    parts.sync().await;
    stage.simulator.faults().inject_on(Operation::ListDeposits, 1, Fault::NumericId);
    parts.sync().await;
    assert_eq!(stage.simulator.faults().waiting(), 0);
    assert_eq!(stage.database.count("lumo_user_deposits", "1 = 1").await, 21);
    let numeric = "SELECT id FROM lumo_user_deposits WHERE id NOT LIKE '%-%'";
    assert!(stage.database.value(numeric).await.bytes().all(|byte| byte.is_ascii_digit()));
}

const LAST_OUTCOME: &str =
    "SELECT outcome FROM lumo_sync_runs WHERE listing = 'deposits' ORDER BY started_at DESC LIMIT 1";

async fn a_server_that_fails_at_random_is_followed_all_the_same(database: Database) {
    let seed = seed();
    let world = World::live(seed);
    world.seed(60, 300);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("lumo.page_size", json!(25));
    let faults = vec![
        Fault::Status { code: 503, retry_after: None },
        Fault::HtmlPage,
        Fault::CutBody,
        Fault::CutJson,
        Fault::Disconnect,
        Fault::Hang { time: Duration::from_millis(200) },
        Fault::MissingId,
        Fault::DuplicateId,
        Fault::MissingTotal,
    ];
    stage.simulator.faults().at_random(seed, 0.15, faults);
    let bridge = stage.daemon();
    for struck in [2, 4, 6, 8] {
        eventually!(PATIENCE, "some faults have struck", stage.simulator.faults().injected() >= struck);
        random_changes(&world, 30);
    }
    stage.simulator.faults().clear();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
}
