//! How soon changes are in the tables that nothing upstream points at.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lumo_bridge::clock::Clock;
use lumo_simulator::{Operation, Order, Quirks, World};

use super::daemon::Daemon;
use super::scene::Scene;

const PATIENT: Duration = Duration::from_secs(900);
/// Restarts that are tried.
const RESTARTS: usize = 5;

/// One deposit of each user is new for long; then all of them are confirmed.
pub(crate) async fn deposits() -> String {
    let world = World::new(7);
    world.seed(1_000, 100_000);
    let deposits = world.snapshot().deposits;
    let mut users = HashSet::new();
    // Of each user another one of the first, so that they lie everywhere in the list.
    let step = deposits.len() / 1_000;
    let chosen: Vec<_> = (0..deposits.len())
        .map(|place| &deposits[(place * (step + 1)) % deposits.len()])
        .filter(|deposit| users.insert(deposit.external_id.clone()))
        .map(|deposit| deposit.id)
        .collect();
    chosen.iter().for_each(|id| drop(world.set_deposit_status(*id, "new").unwrap()));
    let scene = Scene::new(world.clone(), Quirks { order: Order::Newest, ..Quirks::default() }).await;
    scene.import().await;
    let daemon = Daemon::start(&scene);
    tokio::time::sleep(Duration::from_secs(45)).await;
    let changed = Clock::system().now();
    chosen.iter().for_each(|id| drop(world.set_deposit_status(*id, "confirmed").unwrap()));
    let new = world.snapshot().deposits.iter().filter(|deposit| &*deposit.status == "new").count();
    let sql = "SELECT count(*) FROM lumo_user_deposits WHERE status = 'new'";
    scene.until(sql, i64::try_from(new).unwrap(), PATIENT).await;
    drop(daemon);
    let times = scene.changed_at("lumo_user_deposits").await;
    let times = chosen.iter().map(|id| times[&id.to_string()]).collect();
    format!("{} of {} users", after(times, changed), chosen.len())
}

/// Every wallet is blocked; then some are not.
pub(crate) async fn unblocks() -> String {
    let world = World::new(7);
    world.seed(4_600, 0);
    let wallets = world.snapshot().wallets;
    wallets.iter().for_each(|wallet| drop(world.block(wallet.id, "review").unwrap()));
    let scene = Scene::new(world.clone(), Quirks { order: Order::Newest, ..Quirks::default() }).await;
    scene.import().await;
    let daemon = Daemon::start(&scene);
    tokio::time::sleep(Duration::from_secs(45)).await;
    let chosen: Vec<_> = wallets.iter().step_by(9).take(500).map(|wallet| wallet.id).collect();
    let before = scene.number("SELECT count(*) FROM lumo_user_wallets WHERE is_blocked").await;
    let asked = scene.simulator.requests().of(Operation::ListBlockedWallets);
    chosen.iter().for_each(|id| drop(world.unblock(*id).unwrap()));
    while scene.simulator.requests().of(Operation::ListBlockedWallets) == asked {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = Clock::system().now();
    let sql = "SELECT count(*) FROM lumo_user_wallets WHERE is_blocked";
    scene.until(sql, before - i64::try_from(chosen.len()).unwrap(), PATIENT).await;
    drop(daemon);
    let times = scene.changed_at("lumo_user_wallets").await;
    after(chosen.iter().map(|id| times[&id.to_string()]).collect(), seen)
}

/// The bridge is killed and started, and a deposit joins somewhere in the list.
pub(crate) async fn after_a_restart() -> String {
    let world = World::new(7);
    world.seed(1_000, 100_000);
    let scene = Scene::new(world.clone(), Quirks { order: Order::Scattered, ..Quirks::default() }).await;
    scene.import().await;
    drop(Daemon::start(&scene));
    let mut longest = Duration::ZERO;
    for number in 0..RESTARTS {
        let daemon = Daemon::start(&scene);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let deposit = world.add_deposit_for(&format!("restart {number}"), "1").unwrap();
        let joined = Instant::now();
        scene.until(&format!("SELECT count(*) FROM lumo_user_deposits WHERE id = '{}'", deposit.id), 1, PATIENT).await;
        longest = longest.max(joined.elapsed());
        drop(daemon);
    }
    format!("stored after {:.1} s at most ({RESTARTS} restarts)", longest.as_secs_f64())
}

fn after(mut times: Vec<DateTime<Utc>>, from: DateTime<Utc>) -> String {
    times.sort();
    let seconds = |at: DateTime<Utc>| (at - from).as_seconds_f64();
    let (median, last) = (seconds(times[times.len() / 2]), seconds(*times.last().unwrap()));
    format!("p50 {median:.1} s, all {} after {last:.1} s", times.len())
}
