//! How fast the bridge delivers, as shares of what the same client and the same receiver do without it, taken in the same run.
//!
//! `cargo bench --bench deliver` measures on SQLite, and on the databases of `LUMO_BENCH_POSTGRES_URL` and
//! `LUMO_BENCH_MARIADB_URL` where these are set; their `lumo_` tables are dropped before and afterwards. Behind `--`, names of
//! [`WORKS`] choose what is measured, names of databases where, and a number how many percent of the events. Bridge, receiver and
//! database share the machine's cores; the receiver is a thread of this process, which is otherwise idle while the bridge works.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot be made has no result to give"
)]

mod deliver {
    pub(crate) mod drain;
    pub(crate) mod history;
    pub(crate) mod many;
    pub(crate) mod moment;
    pub(crate) mod process;
    pub(crate) mod receiver;
    pub(crate) mod scene;
    pub(crate) mod table;
    pub(crate) mod trouble;
}

use crate::deliver::scene::Database;
use crate::deliver::table::{Cell, Size, markdown};
use crate::deliver::{drain, many, moment, trouble};

/// What can be measured.
const WORKS: [&str; 10] = ["drain", "ten", "slow", "latency", "idle", "kill", "bad", "neighbours", "million", "memory"];

async fn measure(work: &str, database: &Database, size: Size) -> Vec<Cell> {
    match work {
        "drain" => drain::at_once(database, size).await,
        "ten" => many::ten(database, size).await,
        "idle" => many::idle(database, size).await,
        "slow" => drain::slow(database, size).await,
        "latency" => moment::latency(database, size).await,
        "kill" => trouble::kill(database, size).await,
        "bad" => trouble::bad(database, size).await,
        "neighbours" => moment::neighbours(database, size).await,
        "million" => drain::after_a_million(database, size).await,
        _ => drain::memory(database, size).await,
    }
}

/// The databases that there are.
fn databases() -> Vec<Database> {
    let server = |name, variable| std::env::var(variable).ok().map(|url| Database { name, url: Some(url) });
    let mut databases = vec![Database { name: "SQLite", url: None }];
    databases.extend(server("PostgreSQL", "LUMO_BENCH_POSTGRES_URL"));
    databases.extend(server("MariaDB", "LUMO_BENCH_MARIADB_URL"));
    databases
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    // Cargo adds a word of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let percent = words.iter().find_map(|word| word.parse().ok()).unwrap_or(100);
    let chosen = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mut databases = databases();
    if databases.iter().any(|database| chosen(database.name)) {
        databases.retain(|database| chosen(database.name));
    }
    let any = WORKS.iter().any(|work| chosen(work));
    let mut columns = Vec::new();
    for database in &databases {
        let mut cells = Vec::new();
        for work in WORKS.iter().filter(|work| !any || chosen(work)) {
            for cell in Box::pin(measure(work, database, Size { percent })).await {
                eprintln!("{}: {cell}", database.name);
                cells.push(cell);
            }
        }
        columns.push((database.name, cells));
    }
    println!("{}", markdown(&columns));
}
