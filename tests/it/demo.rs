//! The demonstration: however often it is run, nothing is lost in it.

use lumo_simulator::World;
use serde_json::Value;

use crate::database::Database;
use crate::world::{PATIENCE, Stage};

/// How often it is run; more of them where there is time.
fn demos() -> usize {
    std::env::var("LUMO_TEST_DEMOS").map_or(3, |text| text.parse().expect("LUMO_TEST_DEMOS is no number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_demonstration_ends_with_nothing_lost_every_time() {
    let stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    for run in 1..=demos() {
        // Many changes in a short time, most of them far from where new rows join.
        let demo = stage.start(&["demo", "--for", "3s", "--pace", "20", "--json"]);
        let finished = demo.finished(PATIENCE).await;
        assert_eq!(finished.status.code(), Some(0), "run {run}: {finished:?}");
        let verdict: Value = serde_json::from_str(&finished.stdout).expect("one JSON document");
        assert_eq!(verdict["differences"], Value::Array(Vec::new()), "run {run}: {verdict}");
        assert!(verdict["changes"].as_u64() > Some(0), "run {run}: {verdict}");
        assert_eq!(verdict["delivered"], verdict["events"], "run {run}: {verdict}");
    }
    let text = stage.command(&["demo", "--until-delivered", "60", "--pace", "50"]).await;
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    for words in ["catching up: every list is read once more", "✓ nothing lost, nothing twice, everything in order"] {
        assert!(text.stdout.contains(words), "{words} is not said: {}", text.stdout);
    }
    assert_credits_what_it_shows(&text.stdout);
}

/// The sum at the end is that of the callbacks that were printed, to the last digit.
fn assert_credits_what_it_shows(text: &str) {
    let settled = text.lines().filter(|line| line.contains("callback  deposit.settled") && line.contains("✓ verified"));
    let amounts: Vec<&str> =
        settled.map(|line| line.split_once(" USDT ").unwrap().0.rsplit(' ').next().unwrap()).collect();
    let sentence = text.lines().find_map(|line| line.trim().strip_prefix("credited ")).expect("a sentence");
    let (count, rest) = sentence.split_once(" deposit").unwrap_or_else(|| panic!("{sentence}: {text}"));
    let sum = rest.split_once(", ").and_then(|(_, rest)| rest.strip_suffix(" USDT: each once, on deposit.settled"));
    assert_eq!(count.parse(), Ok(amounts.len()), "{sentence}: {text}");
    assert_eq!(sum.map(units), Some(amounts.iter().copied().map(units).sum()), "{sentence}: {text}");
}

/// A decimal of at most 18 digits after the point, in units of the last one.
fn units(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<18}").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
