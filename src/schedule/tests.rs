//! Paused time and a manual clock that is moved along with it.

use std::cell::RefCell;

use chrono::TimeDelta;

use super::*;

const STEP: Duration = Duration::from_millis(100);

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-05-04T{time}Z").parse().unwrap()
}

fn times(times: &RefCell<Vec<DateTime<Utc>>>) -> Vec<String> {
    times.borrow().iter().map(|time| time.format("%H:%M:%S").to_string()).collect()
}

/// Lets `running` go on for a while, the clock following the paused time; where both fall together, the clock is first.
async fn pass(clock: &Clock, time: Duration, running: impl Future<Output = ()>) {
    tokio::pin!(running);
    let end = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < end {
        tokio::select! {
            biased;
            () = tokio::time::sleep(STEP) => clock.advance(TimeDelta::from_std(STEP).unwrap()),
            () = &mut running => return,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_whenever_it_is_due() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:03")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "*/10 * * * * *".parse().unwrap();
    let job = || async { runs.borrow_mut().push(clock.now()) };
    pass(&clock, Duration::from_secs(30), run("test", &line, First::WhenDue, &clock, &stop, job)).await;
    assert_eq!(times(&runs), ["10:00:10", "10:00:20", "10:00:30"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_run_may_begin_at_once() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:03")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "*/10 * * * * *".parse().unwrap();
    let job = || async { runs.borrow_mut().push(clock.now()) };
    pass(&clock, Duration::from_secs(10), run("test", &line, First::Now, &clock, &stop, job)).await;
    assert_eq!(times(&runs), ["10:00:03", "10:00:10"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_run_makes_ticks_fall_away_and_never_overlaps() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:03")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "*/10 * * * * *".parse().unwrap();
    let job = || async {
        runs.borrow_mut().push(clock.now());
        tokio::time::sleep(Duration::from_secs(25)).await;
        runs.borrow_mut().push(clock.now());
    };
    pass(&clock, Duration::from_secs(70), run("test", &line, First::WhenDue, &clock, &stop, job)).await;
    assert_eq!(times(&runs), ["10:00:10", "10:00:35", "10:00:40", "10:01:05", "10:01:10"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_runs_within_a_minute_of_waking_and_once() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:30")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "0 * * * *".parse().unwrap();
    let job = || async { runs.borrow_mut().push(clock.now()) };
    let running = run("test", &line, First::WhenDue, &clock, &stop, job);
    tokio::pin!(running);
    pass(&clock, Duration::from_secs(10), &mut running).await;
    clock.advance(TimeDelta::hours(5));
    pass(&clock, Duration::from_secs(60), &mut running).await;
    assert_eq!(times(&runs), ["15:01:30"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_stall_the_schedule() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:30")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "0 * * * *".parse().unwrap();
    let job = || async { runs.borrow_mut().push(clock.now()) };
    let running = run("test", &line, First::WhenDue, &clock, &stop, job);
    tokio::pin!(running);
    pass(&clock, Duration::from_secs(10), &mut running).await;
    clock.advance(TimeDelta::minutes(-125));
    pass(&clock, Duration::from_secs(300), &mut running).await;
    assert_eq!(times(&runs), ["08:00:00"]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_wait_but_not_the_run() {
    let (clock, stop, runs) = (Clock::manual(at("10:00:03")), CancellationToken::new(), RefCell::new(Vec::new()));
    let line: CronLine = "*/10 * * * * *".parse().unwrap();
    let job = || async {
        stop.cancel();
        tokio::time::sleep(Duration::from_secs(5)).await;
        runs.borrow_mut().push(clock.now());
    };
    pass(&clock, Duration::from_secs(60), run("test", &line, First::WhenDue, &clock, &stop, job)).await;
    assert_eq!(times(&runs), ["10:00:15"]);
    assert!(clock.now() < at("10:00:16"), "the schedule went on after it was stopped");
}

/// Compiles only if a schedule can be spawned.
#[tokio::test]
async fn a_schedule_can_be_spawned() {
    let (clock, stop) = (Clock::system(), CancellationToken::new());
    stop.cancel();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let line: CronLine = "@hourly".parse().unwrap();
        let runs = std::sync::atomic::AtomicUsize::new(0);
        let job = || async {
            tokio::task::yield_now().await;
            runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        run("test", &line, First::Now, &clock, &stop, job).await;
        runs.into_inner()
    });
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), 0);
}
