//! The bucket by hand: what goes when, and what each answer does to it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How many requests go out at once.
fn drain(throttle: &mut Throttle, now: Instant) -> usize {
    std::iter::repeat_with(|| throttle.take(now)).take_while(Result::is_ok).count()
}

fn slow_down(throttle: &mut Throttle, wait: Option<Duration>, now: Instant) {
    let feedback = Feedback::Throttled { retry_after: wait, jitter: 0.0 };
    throttle.learn(Priority::Fresh, None, feedback, now, now);
}

#[test]
fn a_second_s_worth_may_go_at_once_and_no_more() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    assert_eq!(drain(&mut throttle, start), 20);
    assert_eq!(throttle.take(start), Err(start + Duration::from_millis(50)));
    assert_eq!(drain(&mut throttle, start + SECOND / 2), 10);
    assert_eq!(drain(&mut throttle, start + 100 * SECOND), 20);
}

#[test]
fn a_rate_below_one_a_second_still_lets_requests_through() {
    let start = Instant::now();
    let mut throttle = Throttle::new(5.0 / 3600.0, start);
    assert_eq!(drain(&mut throttle, start), 1);
    let wait = throttle.take(start).unwrap_err() - start;
    assert!(wait > 719 * SECOND && wait < 721 * SECOND, "{wait:?}");
    slow_down(&mut throttle, None, start);
    assert!((throttle.rate - 5.0 / 3600.0).abs() < 1e-9);
}

#[test]
fn retry_after_closes_the_gate_and_reopens_it_for_one() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    slow_down(&mut throttle, Some(30 * SECOND), start);
    assert_eq!(throttle.take(start + SECOND), Err(start + 30 * SECOND));
    // A shorter wait, asked for later, does not open it early.
    slow_down(&mut throttle, Some(SECOND), start + SECOND);
    assert_eq!(throttle.take(start + 10 * SECOND), Err(start + 30 * SECOND));
    assert_eq!(drain(&mut throttle, start + 30 * SECOND), 1);
}

#[test]
fn the_rate_of_a_server_that_answers_halves_down_to_the_floor() {
    let now = Instant::now();
    let mut throttle = Throttle::new(20.0, now);
    for expected in [10.0, 5.0, 2.5, 1.25, 0.625, 0.3125, 0.2, 0.2] {
        slow_down(&mut throttle, None, now);
        assert!((throttle.rate - expected).abs() < 1e-9, "{} is not {expected}", throttle.rate);
        for _ in 0..ANSWERS_OF_A_SERVER_THAT_IS_THERE {
            throttle.learn(Priority::Fresh, None, Feedback::Clean, now, now);
        }
    }
}

#[test]
fn a_server_that_answers_nothing_is_met_with_half_the_ceiling_once_it_may_be_asked_again() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(20.0, now);
    for _ in 0..60 {
        slow_down(&mut throttle, Some(SECOND), now);
        assert_eq!(throttle.take(now), Err(now + SECOND));
        now += SECOND + SECOND / 10;
        assert_eq!(throttle.take(now), Ok(()));
    }
    assert!(throttle.speed(now).rate >= 10.0, "{:?}", throttle.speed(now));
    assert!(throttle.speed(now + 58 * SECOND).rate >= 20.0, "{:?}", throttle.speed(now));
}

#[test]
fn without_retry_after_the_waits_double_to_four_seconds_and_begin_anew_after_some_answers() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(20.0, now);
    let mut pushed_back = |throttle: &mut Throttle, jitter| {
        let feedback = Feedback::Throttled { retry_after: None, jitter };
        throttle.learn(Priority::Fresh, None, feedback, now, now);
        let wait = throttle.speed(now).wait;
        now += wait;
        wait.as_millis()
    };
    let waits: Vec<u128> = [1.0, 1.0, 0.5, 1.0, 1.0, 0.25].map(|jitter| pushed_back(&mut throttle, jitter)).to_vec();
    assert_eq!(waits, [500, 1_000, 1_000, 4_000, 4_000, 1_000]);
    for _ in 0..ANSWERS_OF_A_SERVER_THAT_IS_THERE {
        throttle.learn(Priority::Fresh, None, Feedback::Clean, now, now);
    }
    let feedback = Feedback::Throttled { retry_after: Some(Duration::ZERO), jitter: 1.0 };
    throttle.learn(Priority::Fresh, None, feedback, now, now);
    assert_eq!(throttle.speed(now).wait.as_millis(), 500, "to wait for no time at all is not meant");
}

#[test]
fn requests_that_went_out_together_halve_the_rate_once() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    for answered in 1..=4 {
        let feedback = Feedback::Throttled { retry_after: None, jitter: 0.0 };
        throttle.learn(Priority::Fresh, None, feedback, start, start + answered * SECOND);
    }
    assert!((10.0..12.0).contains(&throttle.rate), "{}", throttle.rate);
}

#[test]
fn tokens_come_as_fast_as_the_growing_rate_lets_them() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    slow_down(&mut throttle, None, start);
    assert_eq!(drain(&mut throttle, start), 1);
    let mut sent = 0;
    for tenths in 1..=250 {
        sent += drain(&mut throttle, start + tenths * SECOND / 10);
    }
    // From 10/s to 20/s in 25 s.
    assert!((370..=375).contains(&sent), "{sent}");
    assert!((throttle.rate - 20.0).abs() < 1e-9, "{}", throttle.rate);
}

/// As many pages of one kind as a block of answers has, each asked for on its own. Returns how often the rate fell.
fn answers(throttle: &mut Throttle, priority: Priority, millis: u64, count: usize, now: &mut Instant) -> usize {
    let mut falls = 0;
    for _ in 0..count {
        let asked_at = *now;
        *now += Duration::from_millis(millis);
        let before = throttle.speed(*now).rate;
        throttle.learn(priority, Some(Listing::Deposits), Feedback::Clean, asked_at, *now);
        if throttle.rate < before {
            assert!((throttle.rate - before / 2.0).abs() < 1e-9, "{before} to {}", throttle.rate);
            falls += 1;
        }
    }
    falls
}

#[test]
fn the_rate_halves_once_for_each_doubling_of_latency() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    for (millis, count, falls, why) in [
        (100, 400, 0, "usual"),
        (190, 400, 0, "less than double"),
        (500, 16, 1, "double"),
        (500, 16, 0, "no more than before"),
        (1_200, 16, 1, "double again"),
    ] {
        assert_eq!(answers(&mut throttle, Priority::Fresh, millis, count, &mut now), falls, "{why}");
    }
}

#[test]
fn slow_answers_that_were_under_way_together_halve_the_rate_once() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    answers(&mut throttle, Priority::Fresh, 100, 100, &mut now);
    let together = now;
    for answered in 0..100 {
        let now = together + SECOND + answered * Duration::from_millis(1);
        for priority in [Priority::Fresh, Priority::Sweep] {
            throttle.learn(priority, Some(Listing::Deposits), Feedback::Clean, together, now);
        }
    }
    assert!((32.0..37.0).contains(&throttle.rate), "{}", throttle.rate);
}

#[test]
fn one_slow_server_is_noticed_once_by_all_lanes() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    let mut falls = 0;
    for millis in [100, 300] {
        for _ in 0..6 {
            for priority in [Priority::Fresh, Priority::Recent, Priority::Sweep] {
                falls += answers(&mut throttle, priority, millis, 8, &mut now);
            }
        }
    }
    assert_eq!(falls, 1);
}

#[test]
fn neither_noise_below_the_floor_nor_a_change_of_question_is_a_doubling() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    for millis in [1, 90, 2, 99, 3, 60] {
        answers(&mut throttle, Priority::Fresh, millis, 50, &mut now);
        answers(&mut throttle, Priority::Sweep, 2_000, 50, &mut now);
        // Quick ones in between.
        for _ in 0..20 {
            answers(&mut throttle, Priority::Recent, 900, 7, &mut now);
            answers(&mut throttle, Priority::Recent, 10, 1, &mut now);
        }
        throttle.learn(Priority::Fresh, None, Feedback::Clean, now, now + 60 * SECOND);
    }
    assert!((throttle.rate - 64.0).abs() < 1e-9, "{}", throttle.rate);
}

#[test]
fn the_sweep_has_a_bucket_of_its_own_and_leaves_a_token_to_others() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    let sweeps = |throttle: &mut Throttle, now| {
        std::iter::repeat_with(|| throttle.take_for_sweep(true, now)).take_while(Result::is_ok).count()
    };
    throttle.set_sweep_budget(0.25, start);
    assert_eq!(sweeps(&mut throttle, start), 5);
    assert_eq!(throttle.take_for_sweep(true, start), Err(start + SECOND / 5));
    assert_eq!(drain(&mut throttle, start), 15);
    assert_eq!(sweeps(&mut throttle, start + SECOND), 5);
    throttle.set_sweep_budget(1.0, start + SECOND);
    assert_eq!(sweeps(&mut throttle, start + 2 * SECOND), 19);
    assert_eq!(drain(&mut throttle, start + 2 * SECOND), 1);
    // The rate of the moment counts, not the ceiling.
    slow_down(&mut throttle, None, start + 2 * SECOND);
    throttle.set_sweep_budget(0.5, start + 2 * SECOND);
    assert_eq!(sweeps(&mut throttle, start + 4 * SECOND), 6);
}
