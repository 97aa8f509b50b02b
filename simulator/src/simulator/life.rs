//! Random changes at a steady pace, for demonstrations: somebody is using the company.
//!
//! The steps are the world's; this only calls for them. Nothing runs unless it was started.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::world::World;

/// No faster than this: a tick takes time too.
const FASTEST: Duration = Duration::from_micros(100);

/// Makes [`World::random_step`]s at a pace. Clones share it; dropping the last stops it.
#[derive(Clone)]
pub struct Life {
    world: World,
    running: Arc<Mutex<Option<Running>>>,
    tasks: TaskTracker,
}

struct Running {
    per_second: f64,
    _stops: DropGuard,
}

impl Life {
    pub(crate) fn of(world: World) -> Self {
        Self { world, running: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Makes that many changes a second from now on, instead of what it did before. Anything that is not more than zero
    /// stops it. Needs a Tokio runtime.
    pub fn start(&self, per_second: f64) {
        let period = Duration::try_from_secs_f64(per_second.recip());
        let Ok(period) = period.map(|period| period.max(FASTEST)) else {
            self.stop();
            return;
        };
        let token = CancellationToken::new();
        self.tasks.spawn(live(self.world.clone(), period, token.clone()));
        *self.running() = Some(Running { per_second, _stops: token.drop_guard() });
    }

    pub fn stop(&self) {
        *self.running() = None;
    }

    /// Stops it and waits for the last change to be made.
    pub(crate) async fn end(&self) {
        self.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The pace, while it runs.
    pub fn per_second(&self) -> Option<f64> {
        self.running().as_ref().map(|running| running.per_second)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn live(world: World, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => { world.random_step(); }
        }
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("per_second", &self.per_second()).finish_non_exhaustive()
    }
}
