//! The store on each of the three databases: what it promises to everything above it, looked at from outside and in plain
//! SQL. Time is an argument everywhere, so nothing here waits for a clock.

mod ack;
pub(crate) mod actions;
mod ahead;
mod backfill;
mod commit;
mod deliveries;
mod endpoints;
mod events;
pub(crate) mod failures;
pub(crate) mod fixture;
mod hours;
mod ingest;
mod innodb;
mod lanes;
mod lead;
pub(crate) mod leader;
mod leading;
mod lists;
mod log;
mod meet;
mod notifier;
mod portable;
mod prune;
mod race;
mod rejects;
mod replay;
mod retry;
mod rows;
mod skip;
mod standing;
mod supersede;
mod sweep;
mod values;
mod vanish;
