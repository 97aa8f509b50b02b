//! Machine and tables together, on SQLite, in one thread and in an order that a seed decides: what one process does is stopped
//! between any two of its actions, and so is what comes of them.
//!
//! What can happen here: events are published; receivers fail, are slow, ask for quiet, refuse for good; acknowledgements come
//! early, late or never; endpoints leave events out, and cannot judge some; an operation on the database fails, or happens and
//! its answer is lost; processes are killed, start, drain, run with two configurations, and take endpoints from each other;
//! others publish; clocks jump; commands pause, resume, skip, retry, replay; endpoints change what they want, are removed and
//! put back; old rows are removed. What cannot: two transactions at once, a database that forgets what it has committed.

mod bridge;
mod leads;
mod operator;
mod oracle;
mod receiver;
mod upkeep;
mod world;

use world::World;

/// Moves before everything is well again.
const MOVES: usize = 250;

/// Runs one seed.
async fn run(seed: u64) {
    let mut world = Box::pin(World::new(seed)).await;
    for _ in 0..MOVES {
        Box::pin(world.step()).await;
    }
    Box::pin(world.become_well()).await;
    Box::pin(world.go_on_well()).await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `LUMO_TEST_SEED` runs one seed, `LUMO_TEST_FIRST` and `LUMO_TEST_SEEDS` other ones.
#[test]
fn whatever_happens_nothing_is_lost_and_the_order_is_kept() {
    let first = number("LUMO_TEST_SEED").or_else(|| number("LUMO_TEST_FIRST")).unwrap_or(1);
    let seeds = if number("LUMO_TEST_SEED").is_some() { 1 } else { number("LUMO_TEST_SEEDS").unwrap_or(100) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in first..first + seeds {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run(seed))));
        assert!(ended.is_ok(), "seed {seed}: run it alone with LUMO_TEST_SEED={seed}");
    }
}
