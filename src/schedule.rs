//! Runs a job whenever a crontab line says so, one run at a time.
//!
//! A run that takes longer than the time between two ticks makes the ticks in between fall away; they are counted and
//! logged, never caught up on. The wait looks at the clock again at least once a minute, so neither a clock that is set
//! nor a machine that slept makes it oversleep. Cancelling ends the wait; a job that runs is left to its own token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::clock::Clock;
use crate::setting::CronLine;

/// Longest sleep without a look at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Missed ticks are counted up to here; after a long sleep of the machine the exact number means nothing.
const MOST_MISSED: usize = 1_000;

/// When the first run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// At once.
    Now,
    /// When the line says so.
    WhenDue,
}

/// Runs `job` to its end at every due time of `line`, until `stop` is cancelled. `name` is for the log.
///
/// Dropping the future drops a running job with it; `stop` does not.
pub async fn run<Run: Future<Output = ()>>(
    name: &'static str,
    line: &CronLine,
    first: First,
    clock: &Clock,
    stop: &CancellationToken,
    mut job: impl FnMut() -> Run,
) {
    let mut due = match first {
        First::Now => Some(clock.now()),
        First::WhenDue => line.after(clock.now()),
    };
    while let Some(tick) = until_due(due, line, clock, stop).await {
        job().await;
        let now = clock.now();
        let missed = line.due_after(tick).take_while(|missed| *missed <= now).take(MOST_MISSED).count();
        if missed > 0 {
            debug!(job = name, missed, "ticks missed");
        }
        due = line.after(now);
    }
}

/// Waits for the time that is due and returns it; `None` once stopped. Cancel safe.
async fn until_due(
    due: Option<DateTime<Utc>>,
    line: &CronLine,
    clock: &Clock,
    stop: &CancellationToken,
) -> Option<DateTime<Utc>> {
    let mut due = due;
    loop {
        let now = clock.now();
        // If the clock was set back, the line may be due before the time that was worked out.
        let at = if due.is_some_and(|due| due <= now) { due } else { line.after(now).into_iter().chain(due).min() };
        let wait = at.map_or(LONGEST_SLEEP, |at| (at - now).to_std().unwrap_or_default().min(LONGEST_SLEEP));
        if stop.is_cancelled() {
            return None;
        }
        if at.is_some_and(|at| at <= now) {
            return at;
        }
        due = at;
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests;
