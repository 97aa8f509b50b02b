//! The store on each of the three databases: what it promises to everything above it, looked at from outside and in plain
//! SQL. Time is an argument everywhere, so nothing here waits for a clock.

mod ack;
mod backfill;
mod bell;
mod claim;
mod courier;
mod crowd;
mod endpoints;
mod events;
mod failures;
pub(crate) mod fixture;
mod ingest;
mod lanes;
mod lead;
mod lists;
mod manual;
mod outbox;
mod portable;
mod prune;
mod race;
mod rejects;
mod replay;
mod rows;
mod settle;
mod sink;
mod skip;
mod standing;
mod supersede;
mod sweep;
mod turn;
mod turns;
mod values;
mod vanish;
