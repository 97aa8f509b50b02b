//! From start to a clean end: signals, the time to drain, and panics that must not leave half a daemon.
//!
//! The first signal asks for an end: nothing new is taken, what is in hand is finished. When the time to drain is over,
//! or at a second signal, what is left is dropped; leases make that safe.

pub mod service_manager;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long what is in hand may take after the first signal.
pub const DRAIN: Duration = Duration::from_secs(10);
/// What becomes of requests and transactions that have not ended.
const GIVEN_UP: &str = "what is in hand is given up; callbacks among it are sent again";

/// The two tokens that everything long-running takes.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Take nothing new, finish what is in hand.
    pub soft: CancellationToken,
    /// Drop what is in hand.
    pub hard: CancellationToken,
}

impl Stop {
    /// Asks for an end when the guard is dropped: for a task whose end, by a panic too, must be everybody's.
    #[must_use]
    pub fn guard(&self) -> DropGuard {
        self.soft.clone().drop_guard()
    }
}

/// Turns signals into the two tokens, until the process ends.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn watch_signals(stop: &Stop, tasks: &TaskTracker) -> std::io::Result<()> {
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tasks.spawn(stop.hard.clone().run_until_cancelled_owned(turn(stop.clone(), terminate, interrupt)));
    Ok(())
}

/// The signals that ask for the configuration to be read again. Until this is called, SIGHUP ends the process.
///
/// # Errors
/// If the signal cannot be listened to.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

async fn turn(stop: Stop, mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        () = stop.soft.cancelled() => {}
    }
    stop.soft.cancel();
    tokio::select! {
        _ = terminate.recv() => tracing::warn!("second signal; {GIVEN_UP}"),
        _ = interrupt.recv() => tracing::warn!("second signal; {GIVEN_UP}"),
        () = tokio::time::sleep(DRAIN) => tracing::warn!("time to drain is over; {GIVEN_UP}"),
    }
    stop.hard.cancel();
}
