//! The deterministic simulation of the sync engine: the real engine over a real SQLite file, an upstream that is a model, a
//! clock set by hand and one seed that decides everything else.
//!
//! The model remembers everything that it ever was; after every step of the engine an oracle compares the tables with it.
#![expect(clippy::large_futures, reason = "each runs alone on its thread")]

mod bridge;
mod broken;
mod churn;
mod driver;
mod frozen;
mod model;
mod oracle;
mod quirks;
mod scenarios;
mod seeds;
mod server;
mod upset;
