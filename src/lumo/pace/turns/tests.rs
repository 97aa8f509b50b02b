//! Whatever comes in whatever order: the limits hold, shares are kept, nobody is forgotten.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Come(Priority),
    GiveUp(Priority),
    /// Whoever may go goes.
    Look,
    Answer(usize, Feedback),
    Pass(u64),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Fresh), Just(Priority::Recent), Just(Priority::Sweep)]
}

fn step() -> impl Strategy<Value = Step> {
    let feedback = prop_oneof![
        8 => Just(Feedback::Clean),
        1 => Just(Feedback::Unclear),
        1 => (prop::option::of(0_u64..5), 0.0..1.0).prop_map(|(seconds, jitter)| {
            Feedback::Throttled { retry_after: seconds.map(Duration::from_secs), jitter }
        }),
    ];
    prop_oneof![
        4 => priority().prop_map(Step::Come),
        1 => priority().prop_map(Step::GiveUp),
        4 => Just(Step::Look),
        4 => (0_usize..64, feedback).prop_map(|(index, feedback)| Step::Answer(index, feedback)),
        4 => (1_u64..2_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn no_limit_is_ever_passed(
        steps in prop::collection::vec(step(), 1..400),
        rate in 0.5_f64..50.0,
        slots in 1_usize..6,
        percent in 1_u8..=100,
    ) {
        let start = Instant::now();
        let mut now = start;
        let share = f64::from(percent) / 100.0;
        let mut turns = Turns::new(rate, slots, now);
        turns.set_sweep_budget(share, now);
        let (mut sent, mut swept) = (0.0, 0.0);
        let mut flying: Vec<(Priority, Instant)> = Vec::new();
        let mut lines = [0_usize; 2];
        for step in steps {
            match step {
                Step::Come(priority) => {
                    turns.join(priority);
                    lines[usize::from(priority.is_sweep())] += 1;
                }
                Step::GiveUp(priority) => {
                    let line = &mut lines[usize::from(priority.is_sweep())];
                    if *line > 0 {
                        *line -= 1;
                        turns.leave(priority);
                    }
                }
                Step::Look => {
                    for priority in [Priority::Sweep, Priority::Recent] {
                        let line = &mut lines[usize::from(priority.is_sweep())];
                        if *line > 0 && turns.admit(priority, now).is_ok() {
                            *line -= 1;
                            turns.leave(priority);
                            flying.push((priority, now));
                            sent += 1.0;
                            swept += f64::from(u8::from(priority.is_sweep()));
                        }
                    }
                }
                Step::Answer(index, feedback) if !flying.is_empty() => {
                    let (priority, asked_at) = flying.swap_remove(index % flying.len());
                    turns.learn(priority, Some(Listing::Wallets), feedback, asked_at, now);
                    turns.end(priority);
                }
                Step::Answer(..) => {}
                Step::Pass(millis) => now += Duration::from_millis(millis),
            }
            let seconds = (now - start).as_secs_f64();
            let sweeps = flying.iter().filter(|(priority, _)| priority.is_sweep()).count();
            prop_assert!(flying.len() <= slots && sweeps <= (slots - 1).max(1));
            prop_assert!(sent <= rate.max(1.0) + seconds * rate + 1e-6);
            prop_assert!(swept <= (rate * share).max(1.0) + 1.0 + seconds * rate * share + 1e-6 || percent == 100);
        }
        // In the end everyone who still waits goes, if whoever is told to wait does so.
        for (priority, asked_at) in flying {
            turns.learn(priority, None, Feedback::Clean, asked_at, now);
            turns.end(priority);
        }
        let mut looks = 0;
        while lines != [0, 0] {
            looks += 1;
            prop_assert!(looks < 20_000, "{lines:?} {turns:?}");
            let mut next: Option<Instant> = None;
            for priority in [Priority::Fresh, Priority::Sweep] {
                let line = &mut lines[usize::from(priority.is_sweep())];
                if *line == 0 {
                    continue;
                }
                match turns.admit(priority, now) {
                    Ok(()) => {
                        *line -= 1;
                        turns.leave(priority);
                        turns.end(priority);
                        next = Some(now);
                    }
                    Err(Wait::At(time)) => {
                        prop_assert!(time > now);
                        next = Some(next.map_or(time, |next| next.min(time)));
                    }
                    Err(Wait::Change) => {}
                }
            }
            prop_assert!(next.is_some(), "both wait for each other: {turns:?}");
            now = next.unwrap_or(now).max(now);
        }
    }
}
