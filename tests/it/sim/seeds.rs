//! Many seeds, as many at a time as there are cores.
//!
//! Among the other tests, the same seeds run each time. `LUMO_TEST_SEEDS` asks for so many others, chosen at random or from
//! `LUMO_TEST_FIRST` on; `LUMO_TEST_SEED` replays one. The seed that fails is printed with what happened.

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
    // As a task, which may wake itself without a look at the system's events in between.
    let task = runtime.spawn(Box::pin(simulate(seed)));
    runtime.block_on(task).expect("the simulation panicked").map_err(|failure| failure.to_string())
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
                failures.lock().unwrap().push(failure);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(worker);
        }
    });
    let failures = failures.into_inner().unwrap();
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

/// What a seed found once.
fn keeps_its_promises(seed: u64) {
    run(seed).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_removal_that_hid_a_row_from_the_count_is_no_breach() {
    keeps_its_promises(5098);
}

#[test]
fn a_sweep_that_began_before_a_surplus_does_not_explain_it() {
    keeps_its_promises(1_003_533);
}

#[test]
fn a_list_without_an_end_that_stays_takes_no_more_requests_than_it_may() {
    [2_001_903, 2_005_572, 6_078_512].into_iter().for_each(keeps_its_promises);
}

#[test]
fn a_blocked_wallet_that_the_plain_list_hides_does_not_stand_in_for_another() {
    [4_003_636, 9_059_729].into_iter().for_each(keeps_its_promises);
}

#[test]
fn a_list_of_two_rows_that_grows_teaches_no_page_size() {
    keeps_its_promises(4_012_853);
}

#[test]
fn one_row_beside_a_total_of_one_is_not_the_whole_list() {
    [2_003_360, 5_009_304].into_iter().for_each(keeps_its_promises);
}

#[test]
fn a_wallet_that_is_unblocked_while_its_user_is_asked_for_has_not_gone() {
    keeps_its_promises(7_020_357);
}

#[test]
fn a_wallet_that_was_seen_since_it_was_asked_for_in_vain_is_not_gone_the_second_time() {
    keeps_its_promises(8_011_507);
}

#[test]
fn a_total_that_is_the_number_of_rows_on_the_page_is_not_the_end() {
    [1_027_119, 1_042_235, 1_010_296].into_iter().for_each(keeps_its_promises);
}

#[test]
fn an_end_where_it_was_before_is_no_end_where_the_server_gives_as_many_rows() {
    keeps_its_promises(6_035_230);
}

#[test]
fn the_only_row_beside_a_torn_total_teaches_no_page_size() {
    [1_034_588, 1_016_214, 1_002_855, 1_012_083].into_iter().for_each(keeps_its_promises);
}
