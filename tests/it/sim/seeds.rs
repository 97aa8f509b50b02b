//! Many seeds, as many at a time as there are cores.
//!
//! Among the other tests, the same seeds run each time. `LUMO_TEST_SEEDS` asks for so many others, chosen at random or from
//! `LUMO_TEST_FIRST` on; `LUMO_TEST_SEED` replays one. The seed that fails is printed with what happened. With `LUMO_TEST_EVERY`
//! the others are run all the same, and each that fails is printed in brief.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::driver::simulate;
use super::server::Logged;

/// The seeds that a run of all tests covers: as many as fit into a minute beside other tests.
const SEEDS: Range<u64> = 20_000..21_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable} is no number: {error}")))
}

/// Runs one seed on a runtime of its own.
fn run(seed: u64) -> Result<Vec<Logged>, String> {
    on_its_own(async move { simulate(seed).await.map_err(|failure| failure.to_string()) })
}

/// Runs a simulation on a runtime of its own.
pub(crate) fn on_its_own<T: Send + 'static>(simulation: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    // As a task, which may wake itself without a look at the system's events in between.
    let task = runtime.spawn(Box::pin(simulation));
    runtime.block_on(task).expect("the simulation panicked")
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_made_up() {
    if let Some(seed) = number("LUMO_TEST_SEED") {
        let log = run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{} requests", log.len());
        return;
    }
    let (first, seeds) = match number("LUMO_TEST_SEEDS") {
        None => (SEEDS.start, SEEDS.end - SEEDS.start),
        Some(seeds) => (number("LUMO_TEST_FIRST").unwrap_or_else(|| u64::from(rand::random::<u32>())), seeds),
    };
    println!("seeds {first} to {}", first + seeds - 1);
    let every = std::env::var_os("LUMO_TEST_EVERY").is_some();
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let worker = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            if let Err(failure) = run(seed) {
                if every {
                    let brief: Vec<&str> = failure.lines().take_while(|line| !line.starts_with("Plan")).collect();
                    println!("{}", brief.join("\n"));
                }
                failures.lock().unwrap().push(failure);
                stop.store(!every, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(worker);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(!every || failures.is_empty(), "{} seeds fail", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=12 {
        let (one, other) = (run(seed), run(seed));
        match (one, other) {
            (Ok(one), Ok(other)) => {
                let parted = one.iter().zip(&other).position(|(one, other)| one != other);
                assert_eq!((parted, one.len()), (None, other.len()), "seed {seed}");
            }
            (one, other) => assert_eq!(one, other, "seed {seed}"),
        }
    }
}
