//! How soon a deposit is told, and how soon the bridge is back to normal: after a failed round, a burst of changes, a
//! restart, a throttled API, a kill, and what large pages take of memory. Figures of one run, with the settings that users have.
//!
//! `cargo bench --bench recovery` measures everything on SQLite files of its own, which takes about half an hour;
//! behind `--`, names of [`WORKS`] choose. The bridge is a process of its own; the simulator is in this one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot be made has no result to give"
)]

mod recovery {
    pub(crate) mod changes;
    pub(crate) mod daemon;
    pub(crate) mod rounds;
    pub(crate) mod scene;
    pub(crate) mod soon;
    pub(crate) mod trouble;
}

use lumo_simulator::Order;

use crate::recovery::{changes, rounds, soon, trouble};

/// What can be measured.
const WORKS: [&str; 10] = [
    "unwatched",
    "watched",
    "watched-scattered",
    "failed-round",
    "changes",
    "unblocks",
    "restart",
    "throttled",
    "takeover",
    "memory",
];

async fn measure(work: &str) -> (&'static str, String) {
    match work {
        "unwatched" => {
            ("new deposit among 100,000, newest first, until its callback", soon::deposits(Order::Newest, 0).await)
        }
        "watched" => ("the same, 50 watched users", soon::deposits(Order::Newest, 50).await),
        "watched-scattered" => ("the same in a scattered list", soon::deposits(Order::Scattered, 50).await),
        "failed-round" => {
            ("requests of the round after a failed one, 100,000 deposits", rounds::after_a_failed_one().await)
        }
        "changes" => ("1,000 old deposits of 1,000 users change at once: noticed after", changes::deposits().await),
        "unblocks" => ("500 unblocks in a list of 46 pages: noticed after", changes::unblocks().await),
        "restart" => ("new deposit right after a restart, scattered list of 100,000", changes::after_a_restart().await),
        "throttled" => ("after 60 s of 429 with `Retry-After: 1`", trouble::throttled().await),
        "takeover" => {
            ("`kill -9` of the process that reads, restarted at once: it reads after", trouble::takeover().await)
        }
        _ => ("resident memory at most, pages of 16 MiB", trouble::memory().await),
    }
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    // Cargo adds a word of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| work | figure |\n|---|---|");
    for work in WORKS.iter().filter(|work| words.is_empty() || words.iter().any(|word| word == *work)) {
        eprintln!("measuring {work}");
        let (name, figure) = Box::pin(measure(work)).await;
        println!("| {name} | {figure} |");
    }
}
