//! The waiting, on a clock that jumps to whatever is waited for.

use std::cell::Cell;
use std::time::Duration;

use super::*;

mod drawn;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn requests_are_spread_over_time() {
    let pace = Pace::new(200.0, 4);
    let start = Instant::now();
    for _ in 0..240 {
        pace.enter(Priority::Fresh).await.settle(None, Feedback::Clean);
    }
    assert!(start.elapsed() >= Duration::from_millis(195), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_allowed() {
    let pace = Pace::new(1000.0, 2);
    let first = pace.enter(Priority::Fresh).await;
    let _second = pace.enter(Priority::Fresh).await;
    assert!(tokio::time::timeout(SHORT, pace.enter(Priority::Fresh)).await.is_err());
    first.settle(None, Feedback::Clean);
    assert!(tokio::time::timeout(LONG, pace.enter(Priority::Fresh)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_throttled_request_holds_up_all_others() {
    let pace = Pace::new(100.0, 8);
    let start = Instant::now();
    pace.enter(Priority::Fresh).await.settle(None, throttled(Some(10 * SHORT)));
    let (..) = tokio::join!(pace.enter(Priority::Fresh), pace.enter(Priority::Fresh));
    assert!(start.elapsed() >= 10 * SHORT);
    assert!((50.0..51.0).contains(&pace.speed().rate), "{:?}", pace.speed());
}

fn throttled(retry_after: Option<Duration>) -> Feedback {
    Feedback::Throttled { retry_after, jitter: 0.5 }
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_of_refusals_the_rate_is_half_in_five_seconds_and_whole_in_a_minute() {
    for retry_after in [Some(Duration::from_secs(1)), None] {
        let pace = Pace::new(20.0, 4);
        let start = Instant::now();
        let storm = Duration::from_secs(60);
        let (refused, answered) = (Cell::new(0), Cell::new(0));
        let last_refusal = Cell::new(start);
        let worker = async || loop {
            let permit = pace.enter(Priority::Fresh).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if start.elapsed() < storm {
                permit.settle(None, throttled(retry_after));
                refused.set(refused.get() + 1);
                last_refusal.set(Instant::now());
            } else {
                permit.settle(None, Feedback::Clean);
                answered.set(answered.get() + 1);
            }
        };
        let watch = async {
            tokio::time::sleep(storm).await;
            let speed = async |seconds| {
                tokio::time::sleep_until(last_refusal.get() + Duration::from_secs(seconds)).await;
                pace.speed()
            };
            assert!(speed(5).await.rate >= 10.0, "{retry_after:?}: {:?}", pace.speed());
            let by_then = answered.get();
            speed(6).await;
            assert!(answered.get() - by_then >= 10, "{retry_after:?}: {} in a second", answered.get() - by_then);
            let whole = speed(60).await;
            assert!(whole.rate >= 20.0 && whole.wait.is_zero(), "{retry_after:?}: {whole:?}");
        };
        tokio::select! {
            _ = futures_util::future::join_all((0..8).map(|_| worker())) => {}
            () = watch => {}
        }
        assert!(refused.get() <= 4 * 60, "{retry_after:?}: {} requests were refused", refused.get());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_nothing() {
    let pace = Pace::new(4.0, 1);
    for _ in 0..4 {
        pace.enter(Priority::Fresh).await.settle(None, Feedback::Clean);
    }
    for _ in 0..50 {
        let given_up = tokio::time::timeout(Duration::from_millis(1), pace.enter(Priority::Fresh)).await;
        drop(given_up);
    }
    assert!(tokio::time::timeout(LONG, pace.enter(Priority::Fresh)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fills_its_slots_leaves_one_to_others() {
    let pace = Pace::new(1000.0, 4);
    let mut sweeps = Vec::new();
    for _ in 0..3 {
        sweeps.push(pace.enter(Priority::Sweep).await);
    }
    assert!(tokio::time::timeout(SHORT, pace.enter(Priority::Sweep)).await.is_err());
    let start = Instant::now();
    let fresh = pace.enter(Priority::Fresh).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    // Now everything is taken; what ends lets the others go, and no sweep that waits is in their way.
    let (_sweep, hot) = tokio::join!(
        biased;
        async { tokio::time::timeout(SHORT, pace.enter(Priority::Sweep)).await.is_ok() },
        async {
            drop(fresh);
            pace.enter(Priority::Recent).await
        }
    );
    hot.settle(None, Feedback::Clean);
    assert_eq!(start.elapsed(), SHORT);
}

#[tokio::test(start_paused = true)]
async fn a_given_up_sweep_is_in_nobody_s_way() {
    let pace = Pace::new(2.0, 1);
    pace.set_sweep_budget(0.5);
    for _ in 0..20 {
        drop(tokio::time::timeout(SHORT, pace.enter(Priority::Sweep)).await);
    }
    let start = Instant::now();
    for _ in 0..10 {
        pace.enter(Priority::Fresh).await.settle(None, Feedback::Clean);
    }
    assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
}

/// How many requests of the two kinds go out in `seconds` if there always are some of both.
async fn race(pace: &Pace, seconds: u64) -> (u32, u32) {
    let answer = Duration::from_millis(30);
    let run = async |priority| {
        let count = std::cell::Cell::new(0);
        let one = async || loop {
            let permit = pace.enter(priority).await;
            tokio::time::sleep(answer).await;
            permit.settle(None, Feedback::Clean);
            count.set(count.get() + 1);
        };
        let many = futures_util::future::join_all((0..8).map(|_| one()));
        drop(tokio::time::timeout(Duration::from_secs(seconds), many).await);
        count.get()
    };
    tokio::join!(run(Priority::Fresh), run(Priority::Sweep))
}

#[tokio::test(start_paused = true)]
async fn a_sweep_gets_its_share_and_no_more_however_many_others_wait() {
    for (rate, concurrency, share) in [
        (20.0, 4, 0.25),
        (20.0, 1, 0.25),
        (2.0, 4, 0.1),
        (2.0, 1, 0.5),
        (100.0, 2, 0.01),
        (20.0, 8, 1.0),
        (1.0, 1, 1.0),
    ] {
        let pace = Pace::new(rate, concurrency);
        pace.set_sweep_budget(share);
        let seconds = 200;
        let (fresh, sweep) = race(&pace, seconds).await;
        let (fresh, sweep) = (f64::from(fresh), f64::from(sweep));
        let case = format!("{rate}/s, {concurrency} at once, {share}: {fresh} and {sweep}");
        let total = fresh + sweep;
        let allowed = (1.0 / 0.032 * f64::from(concurrency as u32)).min(rate) * 200.0;
        assert!(total >= 0.93 * allowed && total <= 1.01 * rate * 200.0 + rate.max(1.0), "{case}");
        let due = share.min(0.5);
        assert!(
            sweep >= 0.93 * due * total - 2.0 && sweep <= share * rate * 200.0 + (rate * share).max(1.0) + 1.0,
            "{case}"
        );
        assert!(fresh >= 0.93 * (1.0 - due) * total - 1.0, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_now_and_then_do_not_notice_a_sweep() {
    for share in [0.1, 0.25, 0.5, 1.0] {
        let pace = Pace::new(10.0, 4);
        pace.set_sweep_budget(share);
        let sweep = async {
            let one = async || loop {
                let permit = pace.enter(Priority::Sweep).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                permit.settle(None, Feedback::Clean);
            };
            futures_util::future::join_all((0..8).map(|_| one())).await
        };
        let now_and_then = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(730)).await;
                let start = Instant::now();
                pace.enter(Priority::Recent).await.settle(None, Feedback::Clean);
                assert_eq!(start.elapsed(), Duration::ZERO, "{share}");
            }
        };
        tokio::select! {
            _ = sweep => {}
            () = now_and_then => {}
        }
    }
}
