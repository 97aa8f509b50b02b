//! Tells the service manager that started the process how it is, by the protocol of `sd_notify(3)`: ready, reloading, stopping,
//! and, for its watchdog, alive.
//!
//! Nothing is sent where the environment names no `NOTIFY_SOCKET`. A message that cannot be sent is logged, and holds the
//! daemon up for a second at most.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Stop;
use crate::chain::Chain;

/// A service manager takes a message at once, unless it hangs itself.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The daemon has started: its HTTP answers, and the tables are those of this program.
pub async fn ready() {
    send(vec![NotifyState::Ready]).await;
}

/// The configuration is being read again. [`reloaded`] must follow.
pub async fn reloading() {
    let mut message = vec![NotifyState::Reloading];
    // A `notify-reload` unit waits for the `READY=1` that is younger than this.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => message.push(now),
        Err(error) => tracing::warn!(error = %Chain(&error), "monotonic clock not read"),
    }
    send(message).await;
}

/// A configuration is in force again, the new one or the one before; `status` says which.
pub async fn reloaded(status: &'static str) {
    send(vec![NotifyState::Ready, NotifyState::Status(status)]).await;
}

/// The end has begun.
pub async fn stopping() {
    send(vec![NotifyState::Stopping]).await;
}

/// Sends a sign of life twice in each period of the watchdog, if there is one, until `stop.hard` is cancelled. It comes from a
/// task like all others, so none is sent once the runtime no longer gives tasks their turn.
#[expect(clippy::disallowed_methods, reason = "nothing waits for it: a process that has ended needs no sign of life")]
pub fn keep_alive(stop: &Stop) {
    let Some(period) = sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero()) else {
        return;
    };
    let pings = async move {
        let mut turns = interval(period);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            send(vec![NotifyState::Watchdog]).await;
        }
    };
    drop(tokio::spawn(stop.hard.clone().run_until_cancelled_owned(pings)));
}

async fn send(message: Vec<NotifyState<'static>>) {
    if let Err(error) = try_send(message).await {
        tracing::warn!(error = %Chain(&error), "service manager not told");
    }
}

async fn try_send(message: Vec<NotifyState<'static>>) -> io::Result<()> {
    // Waits as long as the receiver's queue is full, so not on a thread of the runtime.
    timeout(SEND_TIMEOUT, spawn_blocking(move || sd_notify::notify(&message))).await??
}
