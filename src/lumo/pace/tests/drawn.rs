//! The way back to the whole rate, whatever happened before: refusals, silence, slow answers and restarts, drawn from seeds.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const SEEDS: std::ops::Range<u64> = 0..60;
const SECOND: Duration = Duration::from_secs(1);
/// How many requests may be under way, and how many are wanted at any time.
const CONCURRENCY: usize = 4;
const WANTED: usize = 8;

/// What becomes of requests.
#[derive(Clone, Copy, Debug)]
struct Mood {
    /// So many of a hundred are not answered, and given up after this time.
    silent: u32,
    patience: Duration,
    /// So many of a hundred answers are 429 or 503, with this `Retry-After`.
    refused: u32,
    retry_after: Option<Duration>,
    /// How long an answer takes.
    latency: Duration,
}

const CALM: Mood =
    Mood { silent: 0, patience: SECOND, refused: 0, retry_after: None, latency: Duration::from_millis(50) };
const STORM: Mood = Mood { refused: 100, retry_after: Some(SECOND), ..CALM };

impl Mood {
    fn drawn(rng: &mut StdRng) -> Self {
        let share = |rng: &mut StdRng| [0, 0, 5, 30, 100][rng.random_range(0..5)];
        let seconds = [None, Some(0), Some(1), Some(7), Some(30)][rng.random_range(0..5)];
        Self {
            silent: share(rng),
            patience: Duration::from_millis(rng.random_range(500..10_000)),
            refused: share(rng),
            retry_after: seconds.map(Duration::from_secs),
            latency: Duration::from_millis(rng.random_range(20..2_000)),
        }
    }
}

/// What one process lives through.
type Life = Vec<(Duration, Mood)>;

fn life(rng: &mut StdRng) -> Life {
    let phases = rng.random_range(1..5);
    (0..phases).map(|_| (Duration::from_secs(rng.random_range(1..60)), Mood::drawn(rng))).collect()
}

struct Upstream {
    mood: Cell<Mood>,
    rng: RefCell<StdRng>,
    /// Nothing may be asked before then.
    closed_until: Cell<Instant>,
    answered: Cell<u32>,
}

impl Upstream {
    fn new(rng: StdRng) -> Self {
        let (mood, closed_until) = (Cell::new(CALM), Cell::new(Instant::now()));
        Self { mood, rng: RefCell::new(rng), closed_until, answered: Cell::new(0) }
    }

    fn falls(&self, percent: u32) -> bool {
        self.rng.borrow_mut().random_range(0..100) < percent
    }

    /// Makes one request after the other, for ever.
    async fn ask(&self, pace: &Pace) {
        loop {
            let permit = pace.enter(Priority::Fresh).await;
            let early = self.closed_until.get().saturating_duration_since(Instant::now());
            assert!(early.is_zero(), "a request goes out {early:?} before the server wants one");
            let Mood { silent, patience, latency, .. } = self.mood.get();
            if self.falls(silent) {
                tokio::time::sleep(patience).await;
                permit.settle(Some(Listing::Deposits), Feedback::Unclear);
                continue;
            }
            tokio::time::sleep(latency).await;
            let Mood { refused, retry_after, .. } = self.mood.get();
            if self.falls(refused) {
                let jitter = self.rng.borrow_mut().random();
                permit.settle(Some(Listing::Deposits), Feedback::Throttled { retry_after, jitter });
                let opens_at = Instant::now() + retry_after.unwrap_or_default();
                self.closed_until.set(self.closed_until.get().max(opens_at));
            } else {
                permit.settle(Some(Listing::Deposits), Feedback::Clean);
                self.answered.set(self.answered.get() + 1);
            }
        }
    }

    /// Lets more requests wait for `pace` than it lets through, until the other future is over.
    async fn busy(&self, pace: &Pace, meanwhile: impl Future<Output = ()>) {
        let asking = futures_util::future::join_all((0..WANTED).map(|_| self.ask(pace)));
        tokio::select! {
            _ = asking => {}
            () = meanwhile => {}
        }
    }

    async fn live(&self, life: &[(Duration, Mood)]) {
        for (lasts, mood) in life {
            self.mood.set(*mood);
            tokio::time::sleep(*lasts).await;
        }
    }

    /// How many requests are answered a second, over ten of them.
    async fn measured(&self) -> f64 {
        let before = self.answered.get();
        tokio::time::sleep(10 * SECOND).await;
        f64::from(self.answered.get() - before) / 10.0
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happened_before_the_rate_is_whole_a_minute_after_the_last_refusal() {
    for seed in SEEDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let ceiling = [2.0, 5.0, 20.0, 60.0][rng.random_range(0..4)];
        let has_storm = rng.random_bool(0.5);
        let restarts = rng.random_range(0..3);
        let before: Vec<Life> = (0..restarts).map(|_| life(&mut rng)).collect();
        let last = life(&mut rng);
        let case = format!("seed {seed}, {ceiling}/s, storm: {has_storm}, {before:?}, {last:?}");
        let upstream = Upstream::new(rng);
        for life in &before {
            let pace = Pace::new(ceiling, CONCURRENCY);
            upstream.busy(&pace, upstream.live(life)).await;
            // The process that follows knows of no wait.
            upstream.closed_until.set(Instant::now());
        }
        let pace = Pace::new(ceiling, CONCURRENCY);
        let watch = async {
            upstream.live(&last).await;
            if has_storm {
                upstream.mood.set(STORM);
                // Until a wait of before is over, nothing is asked.
                tokio::time::sleep(pace.speed().wait + 60 * SECOND).await;
            }
            upstream.mood.set(CALM);
            // When the server may be asked again.
            let over = Instant::now() + pace.speed().wait;
            if has_storm {
                tokio::time::sleep_until(over + 4 * SECOND).await;
                let speed = pace.speed();
                assert!(speed.rate >= ceiling / 2.0 && speed.wait.is_zero(), "{speed:?} after five seconds: {case}");
                let measured = upstream.measured().await;
                assert!(measured >= 0.9 * ceiling / 2.0, "{measured}/s after five seconds: {case}");
            }
            tokio::time::sleep_until(over + 59 * SECOND).await;
            let speed = pace.speed();
            assert!(speed.rate >= 0.999 * ceiling && speed.wait.is_zero(), "{speed:?} after a minute: {case}");
            let measured = upstream.measured().await;
            assert!(measured >= 0.9 * ceiling, "{measured}/s after a minute: {case}");
        };
        upstream.busy(&pace, watch).await;
    }
}
