//! The bucket by hand: what goes when, and what each answer does to it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How many requests go out at once.
fn drain(throttle: &mut Throttle, now: Instant) -> usize {
    std::iter::repeat_with(|| throttle.take(now)).take_while(Result::is_ok).count()
}

fn slow_down(throttle: &mut Throttle, wait: Option<Duration>, now: Instant) {
    throttle.learn(Lane::Fresh, None, Feedback::Throttled(wait), now, now);
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
    assert!((throttle.rate() - 5.0 / 3600.0).abs() < 1e-9);
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
fn the_rate_halves_down_to_the_floor() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(20.0, now);
    for expected in [10.0, 5.0, 2.5, 1.25, 0.625, 0.3125, 0.2, 0.2] {
        now += SECOND;
        slow_down(&mut throttle, None, now);
        assert!((throttle.rate() - expected).abs() < 1e-9, "{} is not {expected}", throttle.rate());
    }
}

#[test]
fn requests_that_went_out_together_halve_the_rate_once() {
    let start = Instant::now();
    let mut throttle = Throttle::new(20.0, start);
    for answered in 1..=4 {
        throttle.learn(Lane::Fresh, None, Feedback::Throttled(None), start, start + answered * SECOND);
    }
    assert!((throttle.rate() - 10.0).abs() < 1e-9);
}

#[test]
fn twenty_clean_answers_in_a_row_add_a_step_up_to_the_ceiling() {
    let now = Instant::now();
    let mut throttle = Throttle::new(2.0, now);
    slow_down(&mut throttle, None, now);
    for feedback in [Feedback::Clean; 19].into_iter().chain([Feedback::Unclear]).chain([Feedback::Clean; 19]) {
        throttle.learn(Lane::Fresh, None, feedback, now, now);
    }
    assert!((throttle.rate() - 1.0).abs() < 1e-9);
    throttle.learn(Lane::Fresh, None, Feedback::Clean, now, now);
    assert!((throttle.rate() - 1.5).abs() < 1e-9);
    for _ in 0..100 {
        throttle.learn(Lane::Fresh, None, Feedback::Clean, now, now);
    }
    assert!((throttle.rate() - 2.0).abs() < 1e-9);
}

/// As many pages of one kind as a block of answers has, each asked for on its own.
fn answers(throttle: &mut Throttle, lane: Lane, millis: u64, count: usize, now: &mut Instant) {
    for _ in 0..count {
        let asked_at = *now;
        *now += Duration::from_millis(millis);
        throttle.learn(lane, Some(Listing::Deposits), Feedback::Clean, asked_at, *now);
    }
}

#[test]
fn the_rate_halves_once_for_each_doubling_of_latency() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    answers(&mut throttle, Lane::Fresh, 100, 400, &mut now);
    assert!((throttle.rate() - 64.0).abs() < 1e-9);
    answers(&mut throttle, Lane::Fresh, 190, 400, &mut now);
    assert!((throttle.rate() - 64.0).abs() < 1e-9, "less than double: {}", throttle.rate());
    answers(&mut throttle, Lane::Fresh, 500, 16, &mut now);
    assert!((throttle.rate() - 32.0).abs() < 1e-9, "double: {}", throttle.rate());
    answers(&mut throttle, Lane::Fresh, 500, 16, &mut now);
    assert!((31.0..34.0).contains(&throttle.rate()), "no more than before: {}", throttle.rate());
    answers(&mut throttle, Lane::Fresh, 1_200, 16, &mut now);
    assert!((15.0..18.0).contains(&throttle.rate()), "double again: {}", throttle.rate());
}

#[test]
fn slow_answers_that_were_under_way_together_halve_the_rate_once() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    answers(&mut throttle, Lane::Fresh, 100, 100, &mut now);
    let together = now;
    for answered in 0..100 {
        let now = together + SECOND + answered * Duration::from_millis(1);
        for lane in [Lane::Fresh, Lane::Sweep] {
            throttle.learn(lane, Some(Listing::Deposits), Feedback::Clean, together, now);
        }
    }
    assert!((32.0..37.0).contains(&throttle.rate()), "{}", throttle.rate());
}

#[test]
fn one_slow_server_is_noticed_once_by_all_lanes() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    for millis in [100, 300] {
        for _ in 0..6 {
            for lane in [Lane::Fresh, Lane::Hot, Lane::Sweep] {
                answers(&mut throttle, lane, millis, 8, &mut now);
            }
        }
    }
    assert!((32.0..36.0).contains(&throttle.rate()), "{}", throttle.rate());
}

#[test]
fn neither_noise_below_the_floor_nor_a_change_of_question_is_a_doubling() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(64.0, now);
    for millis in [1, 90, 2, 99, 3, 60] {
        answers(&mut throttle, Lane::Fresh, millis, 50, &mut now);
        answers(&mut throttle, Lane::Sweep, 2_000, 50, &mut now);
        // Quick ones in between.
        for _ in 0..20 {
            answers(&mut throttle, Lane::Hot, 900, 7, &mut now);
            answers(&mut throttle, Lane::Hot, 10, 1, &mut now);
        }
        throttle.learn(Lane::Fresh, None, Feedback::Clean, now, now + 60 * SECOND);
    }
    assert!((throttle.rate() - 64.0).abs() < 1e-9, "{}", throttle.rate());
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
