//! Simulates delivery as a whole (machines, tables, receivers, operators), in an order that a seed decides.
//!
//! It runs on SQLite, each seed in one thread. The actions of a process, and their results, are interleaved and stopped
//! at any point.
//!
//! What can happen here: events are published; receivers fail, are slow, send `Retry-After`, or refuse for good;
//! acknowledgements come early, late or never; endpoints filter events, and cannot evaluate `when` for some; a database
//! operation fails, or succeeds and its answer is lost; processes are killed, start, drain, run with two
//! configurations, and take endpoints from each other; other programs publish; clocks jump; commands pause, resume,
//! skip, retry and replay; endpoints change what they want, are removed and put back; old rows are removed. What cannot
//! happen: two transactions at once, and a database that loses what it has committed.

mod bridge;
mod endpoints;
mod file;
mod leads;
mod operator;
mod oracle;
mod receiver;
mod upkeep;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use world::World;

use crate::store::eye::Eye;

/// Random steps before all faults end.
const MOVES: usize = 1_000;
/// From this number of seeds on, each of the situations must have come up while there were faults.
const REPRESENTATIVE: u64 = 50;

/// What a run came through while there were faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Situation {
    Sent,
    Refused,
    TimedOut,
    /// A request was in flight when its process was killed.
    Killed,
    Probed,
    Died,
    /// A group commit that took effect, and whose answer was lost.
    CommitUnknown,
    TakenOver,
    SinkRan,
    Unacknowledged,
}

impl Situation {
    const ALL: [Self; 10] = [
        Self::Sent,
        Self::Refused,
        Self::TimedOut,
        Self::Killed,
        Self::Probed,
        Self::Died,
        Self::CommitUnknown,
        Self::TakenOver,
        Self::SinkRan,
        Self::Unacknowledged,
    ];
}

/// How often each situation came up.
type Situations = BTreeMap<Situation, u64>;

/// Runs one seed.
async fn run(seed: u64) -> Situations {
    let mut world = Box::pin(World::new(seed)).await;
    for _ in 0..MOVES {
        Box::pin(world.step()).await;
    }
    Box::pin(world.become_well()).await;
    Box::pin(world.go_on_well()).await;
    world.situations
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs seeds until there are none left. One that fails ends the test, which names it.
fn run_all(next: &AtomicU64, end: u64) -> Situations {
    let mut situations = Situations::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return situations;
        }
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(seed))));
        let Ok(met) = ended else {
            next.store(end, Ordering::Relaxed);
            panic!("seed {seed}: run it alone with LUMO_TEST_SEED={seed}");
        };
        add(&mut situations, met);
    }
}

fn add(all: &mut Situations, more: Situations) {
    for (situation, times) in more {
        *all.entry(situation).or_default() += times;
    }
}

/// As many at a time as there are cores. `LUMO_TEST_SEED` runs one seed, `LUMO_TEST_FIRST` and `LUMO_TEST_SEEDS` other
/// ones.
#[test]
fn whatever_happens_nothing_is_lost_and_the_order_is_kept() {
    let first = number("LUMO_TEST_SEED").or_else(|| number("LUMO_TEST_FIRST")).unwrap_or(1);
    let seeds = if number("LUMO_TEST_SEED").is_some() { 1 } else { number("LUMO_TEST_SEEDS").unwrap_or(100) };
    let next = AtomicU64::new(first);
    let mut situations = Situations::new();
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(|| run_all(&next, first + seeds))).collect();
        for thread in running {
            add(&mut situations, thread.join().expect("a seed failed"));
        }
    });
    println!("{situations:?}");
    let missed: Vec<_> = Situation::ALL.iter().filter(|situation| !situations.contains_key(situation)).collect();
    assert!(missed.is_empty() || seeds < REPRESENTATIVE, "it proves nothing of {missed:?}");
}

/// The oracle is told of each kind of harm that it looks for.
#[test]
fn harm_done_to_the_tables_is_noticed() {
    const FORGOTTEN: &str = "never accepted";
    let harms = [
        ("accounted for", "DELETE FROM lumo_delivery_attempts WHERE result = 'delivered'"),
        ("beyond the position", "UPDATE lumo_positions SET position = 0"),
        ("effect and record", "DELETE FROM ledger"),
        (FORGOTTEN, "CREATE TABLE elsewhere (id text)"),
    ];
    for (said, harm) in harms {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut world = runtime.block_on(async {
            let world = Box::pin(World::in_use()).await;
            Eye::open(&world.url()).await.execute(harm).await;
            world
        });
        if said == FORGOTTEN {
            world.receivers.values_mut().for_each(|receiver| receiver.events.clear());
        }
        let noticed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(world.check())));
        let panic = noticed.expect_err(harm);
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(text.contains(said), "{harm}: {text}");
    }
}
