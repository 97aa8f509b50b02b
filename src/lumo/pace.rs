//! Keeps all requests of a client within what Lumo wants: so many in flight, so many a second, none while it asks for
//! peace.
//!
//! The decisions are made by [`throttle`]; this is the waiting around them. Permit first, then token, so those who wait
//! are served in the order in which they came, as far as the number in flight goes.

mod throttle;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub(super) use self::throttle::Feedback;
use self::throttle::Throttle;

#[derive(Debug)]
pub(super) struct Pace {
    in_flight: Semaphore,
    throttle: Mutex<Throttle>,
}

/// Leave to send one request; held until its answer is read.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pace: &'a Pace,
    asked_at: Instant,
    _slot: Option<SemaphorePermit<'a>>,
}

impl Pace {
    /// `ceiling` requests a second, `concurrency` at a time.
    pub(super) fn new(ceiling: f64, concurrency: usize) -> Self {
        Self {
            in_flight: Semaphore::new(concurrency.max(1)),
            throttle: Mutex::new(Throttle::new(ceiling, Instant::now())),
        }
    }

    /// Waits until one more request may be sent. Cancel safe: a wait that is given up takes nothing.
    pub(super) async fn enter(&self) -> Permit<'_> {
        // The semaphore is never closed, so there always is a slot.
        let slot = self.in_flight.acquire().await.ok();
        loop {
            let now = Instant::now();
            let taken = self.throttle().take(now);
            match taken {
                Ok(()) => return Permit { pace: self, asked_at: now, _slot: slot },
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Requests per second at present.
    pub(super) fn current_rate(&self) -> f64 {
        self.throttle().rate()
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Ends the request with what its answer said about the pace.
    pub(super) fn settle(self, feedback: Feedback) {
        self.pace.throttle().learn(feedback, self.asked_at, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn requests_are_spread_over_time() {
        let pace = Pace::new(200.0, 4);
        let start = Instant::now();
        for _ in 0..240 {
            pace.enter().await.settle(Feedback::Clean);
        }
        assert!(start.elapsed() >= Duration::from_millis(195), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn no_more_are_in_flight_than_allowed() {
        let pace = Pace::new(1000.0, 2);
        let first = pace.enter().await;
        let _second = pace.enter().await;
        assert!(tokio::time::timeout(SHORT, pace.enter()).await.is_err());
        first.settle(Feedback::Clean);
        assert!(tokio::time::timeout(LONG, pace.enter()).await.is_ok());
    }

    #[tokio::test]
    async fn one_throttled_request_holds_up_all_others() {
        let pace = Pace::new(100.0, 8);
        let start = Instant::now();
        pace.enter().await.settle(Feedback::Throttled(Some(10 * SHORT)));
        let (..) = tokio::join!(pace.enter(), pace.enter());
        assert!(start.elapsed() >= 10 * SHORT);
        assert!((pace.current_rate() - 50.0).abs() < 1e-9);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let pace = Pace::new(4.0, 1);
        for _ in 0..4 {
            pace.enter().await.settle(Feedback::Clean);
        }
        for _ in 0..50 {
            let given_up = tokio::time::timeout(Duration::from_millis(1), pace.enter()).await;
            drop(given_up);
        }
        assert!(tokio::time::timeout(LONG, pace.enter()).await.is_ok());
    }
}
