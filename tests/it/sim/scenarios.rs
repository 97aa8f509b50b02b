//! The situations that break careless code, each by itself: what happens is scripted, what must come of it is exact.
//!
//! The numbers are those of the list that the engine was designed against. The oracle of the seeds looks here as well, after
//! every step.

mod anchors;
mod asks;
mod changes;
mod clocks;
mod crashes;
mod failures;
mod few;
mod memory;
mod miscounts;
mod pages;
mod quiet;
mod rejects;
mod removals;
mod scale;
mod scene;
mod sentences;
mod sweeps;
mod totals;
mod untold;
mod users;
mod walks;
mod wallets;
