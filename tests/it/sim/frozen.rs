//! Seeds that found something once, frozen as plans: what a seed means changes with whatever else is drawn.
//!
//! A file in `plans` holds one plan or several, a line of JSON for each fact: the server and the company, then call by call
//! what happened before each request and what became of it. To freeze a seed:
//!
//! ```console
//! LUMO_TEST_FREEZE=a_sentence=5098,5099 cargo test --test it -- sim::frozen::a_frozen
//! ```

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bridge::Call;
use super::driver::Driver;
use super::oracle::Breaches;
use super::quirks::Plan;
use super::seeds::on_its_own;
use super::server::Logged;
use super::server::chance::Lot;
use super::server::database::Strike;

/// One fact of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Plan(Box<Plan>),
    /// Where the rows are that were there in the beginning, if their order is not that of time: wallets, deposits.
    Ranks(Vec<i64>, Vec<i64>),
    Call(#[serde(with = "call")] Call),
    Request(Lot),
    DiesAtMilestone(u32),
    DatabaseFails(Strike),
    /// Seconds that the server's clock is ahead of ours from here on.
    Skew(i64),
    /// Seconds until the next call.
    Rest(i64),
    /// From here on the company stands still.
    Settle,
}

/// A call, and what happens in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) call: Option<Call>,
    pub(crate) requests: VecDeque<Lot>,
    pub(crate) dies_at: Vec<u32>,
    pub(crate) strikes: Vec<Strike>,
    pub(crate) skew: Option<i64>,
    pub(crate) rest: i64,
    /// Whether the company stands still.
    pub(crate) is_calm: bool,
}

/// Everything that one run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) plan: Plan,
    pub(crate) ranks: [Vec<i64>; 2],
    pub(crate) steps: Vec<Step>,
}

/// A run, to be compared with another.
#[derive(Debug, PartialEq)]
struct Ran {
    log: Vec<Logged>,
    steps: Vec<String>,
    breaches: Option<Breaches>,
}

impl Frozen {
    fn all(lines: impl IntoIterator<Item = Line>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut is_calm = false;
        for line in lines {
            if let Line::Plan(plan) = line {
                is_calm = false;
                all.push(Self { plan: *plan, ranks: [Vec::new(), Vec::new()], steps: Vec::new() });
                continue;
            }
            let frozen = all.last_mut().expect("a plan begins with the line `plan`");
            match (line, frozen.steps.last_mut()) {
                (Line::Ranks(wallets, deposits), _) => frozen.ranks = [wallets, deposits],
                (Line::Call(call), _) => frozen.steps.push(Step { call: Some(call), is_calm, ..Step::default() }),
                (Line::Settle, _) => is_calm = true,
                (Line::Request(lot), Some(step)) => step.requests.push_back(lot),
                (Line::DiesAtMilestone(milestone), Some(step)) => step.dies_at.push(milestone),
                (Line::DatabaseFails(strike), Some(step)) => step.strikes.push(strike),
                (Line::Skew(seconds), Some(step)) => step.skew = Some(seconds),
                (Line::Rest(seconds), Some(step)) => step.rest = seconds,
                (line, _) => panic!("{line:?} belongs to a call"),
            }
        }
        all
    }
}

/// A line as it stands in the file: without what is as it always is.
fn text(line: &Line) -> String {
    let mut value = serde_json::to_value(line).unwrap();
    let is_usual = |value: &Value| {
        value.is_null()
            || *value == Value::Bool(false)
            || value.as_i64() == Some(0)
            || *value == Value::Array(Vec::new())
    };
    if let (Line::Request(_), Some(lot)) = (line, value.get_mut("request").and_then(Value::as_object_mut)) {
        lot.retain(|_, value| !is_usual(value));
    }
    value.to_string()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sim/plans")
}

fn read(sentence: &str) -> Vec<Frozen> {
    let path = folder().join(sentence).with_extension("jsonl");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Frozen::all(text.lines().map(line))
}

/// The run of a seed, and what was decided in it.
fn record(seed: u64) -> (Ran, Vec<Line>) {
    on_its_own(async move {
        let mut driver = Driver::new(seed).await;
        let mut lines = vec![Line::Plan(Box::new(driver.plan.clone()))];
        let [wallets, deposits] = driver.ranks();
        if !wallets.is_empty() || !deposits.is_empty() {
            lines.push(Line::Ranks(wallets, deposits));
        }
        let breaches = driver.run().await.err();
        let mut live = driver.bridge.server.live();
        lines.append(&mut live.chance.record);
        (Ran { log: live.log.clone(), steps: driver.steps().to_vec(), breaches }, lines)
    })
}

fn replay(frozen: Frozen) -> Ran {
    on_its_own(async move {
        let mut driver = Driver::frozen(&frozen).await;
        let breaches = driver.replay(&frozen.steps).await.err();
        let log = driver.bridge.server.live().log.clone();
        Ran { log, steps: driver.steps().to_vec(), breaches }
    })
}

/// The plan of a seed as text, which makes the same run as the seed.
fn freeze(seed: u64) -> String {
    let (ran, lines) = record(seed);
    let text = lines.iter().fold(String::new(), |all, line| all + &text(line) + "\n");
    let read = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let [frozen] = <[Frozen; 1]>::try_from(Frozen::all(read)).expect("one plan");
    let replayed = replay(frozen);
    let parted = ran.log.iter().zip(&replayed.log).position(|(one, other)| one != other);
    assert_eq!(parted, None, "seed {seed}: request {:?}", parted.map(|at| (&ran.log[at], &replayed.log[at])));
    assert_eq!(ran, replayed, "seed {seed}");
    text
}

#[test]
fn a_frozen_seed_makes_the_same_run() {
    if let Ok(wanted) = std::env::var("LUMO_TEST_FREEZE") {
        let (sentence, seeds) = wanted.split_once('=').expect("LUMO_TEST_FREEZE=a_sentence=seed,seed");
        let texts: Vec<String> = seeds.split(',').map(|seed| freeze(seed.parse().expect("a seed"))).collect();
        fs::create_dir_all(folder()).unwrap();
        fs::write(folder().join(sentence).with_extension("jsonl"), texts.concat()).unwrap();
        return;
    }
    for seed in 1..=8 {
        freeze(seed);
    }
}

/// As if the engine asked half as often as it did when the plan was made, and then for more.
#[test]
fn a_plan_is_one_for_an_engine_that_asks_less_or_more() {
    for seed in 1..=4 {
        let (_, lines) = record(seed);
        let [mut frozen] = <[Frozen; 1]>::try_from(Frozen::all(lines)).expect("one plan");
        for step in &mut frozen.steps {
            let half = step.requests.len().div_ceil(2);
            let happened: Vec<_> = step.requests.drain(half..).collect();
            step.requests.extend(happened.into_iter().map(Lot::without_fate));
        }
        let ran = replay(frozen);
        assert_eq!(ran.breaches, None, "seed {seed}: {:#?}", ran.steps);
    }
}

/// Makes a test of each plan, with its sentence as the name.
macro_rules! plans {
    ($($sentence:ident),+ $(,)?) => {
        $(
            #[test]
            fn $sentence() {
                for frozen in read(stringify!($sentence)) {
                    let (seed, ran) = (frozen.plan.seed, replay(frozen));
                    assert_eq!(ran.breaches, None, "the plan of seed {seed}: {:#?}", ran.steps);
                }
            }
        )+

        #[test]
        fn every_plan_is_replayed() {
            let mut files: Vec<String> = fs::read_dir(folder())
                .unwrap()
                .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut tests = vec![$(stringify!($sentence)),+];
            tests.sort_unstable();
            assert_eq!(files, tests);
        }
    };
}

plans! {
    a_blocked_wallet_that_cannot_be_read_is_not_accepted_as_removed,
    a_blocked_wallet_that_the_plain_list_hides_does_not_stand_in_for_another,
    a_list_of_two_rows_that_grows_teaches_no_page_size,
    a_list_without_an_end_that_stays_takes_no_more_requests_than_it_may,
    a_removal_that_hid_a_row_from_the_count_is_no_breach,
    a_row_that_joins_while_removals_are_accepted_is_not_called_missing,
    a_sweep_that_began_before_a_surplus_does_not_explain_it,
    a_tail_of_a_list_that_is_little_longer_is_not_read_before_the_whole,
    a_tail_of_which_too_few_rows_are_known_to_be_met_is_read_whole_at_once,
    a_total_that_is_the_number_of_rows_on_the_page_is_not_the_end,
    a_wallet_that_is_unblocked_while_its_user_is_asked_for_has_not_gone,
    a_wallet_that_was_blocked_a_moment_ago_is_not_accepted_as_removed,
    a_wallet_that_was_seen_since_it_was_asked_for_in_vain_is_not_gone_the_second_time,
    an_end_where_it_was_before_is_no_end_where_the_server_gives_as_many_rows,
    an_unreadable_item_that_leaves_is_not_said_to_be_missing,
    one_row_beside_a_total_of_one_is_not_the_whole_list,
    rounds_over_a_list_whose_order_is_in_doubt_cost_no_more_than_others,
    rows_that_leave_by_the_dozen_are_all_marked_and_rounds_are_cheap_again,
    rows_that_move_while_the_list_is_read_twice_are_not_accepted_as_removed,
    the_only_row_beside_a_torn_total_teaches_no_page_size,
}

/// A call as text: `tick deposits`, `sweep wallets 7`.
mod call {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Call;

    pub(super) fn serialize<S: Serializer>(call: &Call, serializer: S) -> Result<S::Ok, S::Error> {
        match call {
            Call::Tick(listing) => serializer.collect_str(&format_args!("tick {listing}")),
            Call::Pass(listing) => serializer.collect_str(&format_args!("pass {listing}")),
            Call::Guest(listing) => serializer.collect_str(&format_args!("guest {listing}")),
            Call::Accept(listing) => serializer.collect_str(&format_args!("accept {listing}")),
            Call::Look(users) => serializer.collect_str(&format_args!("look {users}")),
            Call::Sweep(listing, pages) => serializer.collect_str(&format_args!("sweep {listing} {pages}")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Call, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words: Vec<&str> = text.split(' ').collect();
        let listing = |text: &str| text.parse().map_err(D::Error::custom);
        match words.as_slice() {
            ["tick", of] => Ok(Call::Tick(listing(of)?)),
            ["pass", of] => Ok(Call::Pass(listing(of)?)),
            ["guest", of] => Ok(Call::Guest(listing(of)?)),
            ["accept", of] => Ok(Call::Accept(listing(of)?)),
            ["look", users] => Ok(Call::Look(users.parse().map_err(D::Error::custom)?)),
            ["sweep", of, pages] => Ok(Call::Sweep(listing(of)?, pages.parse().map_err(D::Error::custom)?)),
            _ => Err(D::Error::custom("no call")),
        }
    }
}
