//! The waiting, on a clock that jumps to whatever is waited for.

use std::time::Duration;

use super::*;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn requests_are_spread_over_time() {
    let pace = Pace::new(200.0, 4);
    let start = Instant::now();
    for _ in 0..240 {
        pace.enter(Lane::Fresh).await.settle(None, Feedback::Clean);
    }
    assert!(start.elapsed() >= Duration::from_millis(195), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_allowed() {
    let pace = Pace::new(1000.0, 2);
    let first = pace.enter(Lane::Fresh).await;
    let _second = pace.enter(Lane::Fresh).await;
    assert!(tokio::time::timeout(SHORT, pace.enter(Lane::Fresh)).await.is_err());
    first.settle(None, Feedback::Clean);
    assert!(tokio::time::timeout(LONG, pace.enter(Lane::Fresh)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_throttled_request_holds_up_all_others() {
    let pace = Pace::new(100.0, 8);
    let start = Instant::now();
    pace.enter(Lane::Fresh).await.settle(None, Feedback::Throttled(Some(10 * SHORT)));
    let (..) = tokio::join!(pace.enter(Lane::Fresh), pace.enter(Lane::Fresh));
    assert!(start.elapsed() >= 10 * SHORT);
    assert!((pace.current_rate() - 50.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_nothing() {
    let pace = Pace::new(4.0, 1);
    for _ in 0..4 {
        pace.enter(Lane::Fresh).await.settle(None, Feedback::Clean);
    }
    for _ in 0..50 {
        let given_up = tokio::time::timeout(Duration::from_millis(1), pace.enter(Lane::Fresh)).await;
        drop(given_up);
    }
    assert!(tokio::time::timeout(LONG, pace.enter(Lane::Fresh)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fills_its_slots_leaves_one_to_others() {
    let pace = Pace::new(1000.0, 4);
    let mut sweeps = Vec::new();
    for _ in 0..3 {
        sweeps.push(pace.enter(Lane::Sweep).await);
    }
    assert!(tokio::time::timeout(SHORT, pace.enter(Lane::Sweep)).await.is_err());
    let start = Instant::now();
    let fresh = pace.enter(Lane::Fresh).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    // Now everything is taken; what ends lets the others go, and no sweep that waits is in their way.
    let (_sweep, hot) = tokio::join!(
        biased;
        async { tokio::time::timeout(SHORT, pace.enter(Lane::Sweep)).await.is_ok() },
        async {
            drop(fresh);
            pace.enter(Lane::Hot).await
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
        drop(tokio::time::timeout(SHORT, pace.enter(Lane::Sweep)).await);
    }
    let start = Instant::now();
    for _ in 0..10 {
        pace.enter(Lane::Fresh).await.settle(None, Feedback::Clean);
    }
    assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
}

/// How many requests of the two kinds go out in `seconds` if there always are some of both.
async fn race(pace: &Pace, seconds: u64) -> (u32, u32) {
    let answer = Duration::from_millis(30);
    let run = async |lane| {
        let count = std::cell::Cell::new(0);
        let one = async || loop {
            let permit = pace.enter(lane).await;
            tokio::time::sleep(answer).await;
            permit.settle(None, Feedback::Clean);
            count.set(count.get() + 1);
        };
        let many = futures_util::future::join_all((0..8).map(|_| one()));
        drop(tokio::time::timeout(Duration::from_secs(seconds), many).await);
        count.get()
    };
    tokio::join!(run(Lane::Fresh), run(Lane::Sweep))
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
                let permit = pace.enter(Lane::Sweep).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                permit.settle(None, Feedback::Clean);
            };
            futures_util::future::join_all((0..8).map(|_| one())).await
        };
        let now_and_then = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(730)).await;
                let start = Instant::now();
                pace.enter(Lane::Hot).await.settle(None, Feedback::Clean);
                assert_eq!(start.elapsed(), Duration::ZERO, "{share}");
            }
        };
        tokio::select! {
            _ = sweep => {}
            () = now_and_then => {}
        }
    }
}
