//! The oracle can fail: a server that lies and tables that were tampered with are found out, each by the promise that breaks.
//!
//! Without these, a simulation that finds nothing would prove nothing.

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::bridge::Call;
use super::driver::Driver;
use super::quirks::{Order, Plan};
use super::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

async fn driver(plan: Plan) -> Driver {
    let rng = StdRng::seed_from_u64;
    Driver::with(plan, rng(1), rng(2), rng(3)).await
}

/// A driver after a pass over a few rows that were read as they are.
async fn read(rows: usize) -> Driver {
    let mut driver = driver(Plan::calm(Order::Newest, rows)).await;
    driver.judged(PASS).await.expect("nothing was wrong yet");
    driver.bridge.pass_time(TimeDelta::seconds(10));
    driver
}

/// What the oracle says after this was done to the tables.
async fn after(sql: &str) -> Vec<String> {
    let mut driver = read(40).await;
    driver.bridge.kill();
    driver.oracle.tables.execute(sql).await;
    breaches(&mut driver, PASS).await
}

async fn breaches(driver: &mut Driver, call: Call) -> Vec<String> {
    driver.judged(call).await.err().unwrap_or_default()
}

#[track_caller]
fn assert_found(breaches: &[String], words: &str) {
    assert!(breaches.iter().any(|breach| breach.contains(words)), "not found out: {words}; found: {breaches:#?}");
}

#[tokio::test]
async fn a_row_that_is_left_out_of_every_page_is_missed() {
    let mut driver = driver(Plan::calm(Order::Newest, 120)).await;
    driver.bridge.server.script(|_, _| Act::Omit(50));
    assert_found(&breaches(&mut driver, PASS).await, "d51 is listed in deposits since 0 and not stored");
}

#[tokio::test]
async fn pages_of_another_part_of_the_list_are_missed() {
    // The first page is another list's: it begins with the second row of this one.
    let mut driver = driver(Plan::calm(Order::Newest, 120)).await;
    driver.bridge.server.script(|_, asked| Act::Shift(u64::from(asked.offset == 0)));
    assert_found(&breaches(&mut driver, PASS).await, "d120 is listed in deposits since 0 and not stored");
}

#[tokio::test]
async fn a_row_as_it_never_was_is_noticed() {
    let mut driver = read(40).await;
    driver.bridge.server.script(|_, _| Act::Invent);
    assert_found(&breaches(&mut driver, PASS).await, "is stored as it never was");
}

#[tokio::test]
async fn a_row_that_is_only_hidden_from_those_who_look_for_it_is_not_to_be_called_missing() {
    let mut driver = read(40).await;
    driver.bridge.server.script(|_, _| Act::Omit(20));
    let mut found = Vec::new();
    for _ in 0..6 {
        found.extend(breaches(&mut driver, Call::Sweep(DEPOSITS, 1_000)).await);
        found.extend(breaches(&mut driver, Call::Tick(DEPOSITS)).await);
        driver.bridge.pass_time(TimeDelta::seconds(31));
    }
    assert_found(&found, "d21 is called missing and was not");
}

#[tokio::test]
async fn a_row_that_was_deleted_is_noticed() {
    let gone = "DELETE FROM lumo_user_deposits WHERE id = 'd7'";
    let mut driver = read(400).await;
    driver.bridge.kill();
    driver.oracle.tables.execute(gone).await;
    driver.bridge.server.script(|_, _| Act::Omit(6));
    assert_found(&breaches(&mut driver, Call::Tick(DEPOSITS)).await, "d7 is listed in deposits since 0 and not stored");
}

#[tokio::test]
async fn a_row_that_was_never_listed_is_noticed() {
    let copy = "CREATE TABLE copy AS SELECT * FROM lumo_user_deposits WHERE id = 'd7';
                UPDATE copy SET id = 'd700', row_no = 700;";
    let insert = "INSERT INTO lumo_user_deposits SELECT * FROM copy; DROP TABLE copy;";
    assert_found(&after(&format!("{copy}{insert}")).await, "d700 is stored and never was");
}

#[tokio::test]
async fn a_mark_that_is_too_far_ahead_is_noticed() {
    let mut driver = driver(Plan::calm(Order::Newest, 400)).await;
    driver.bridge.server.script(|_, asked| if asked.number == 4 { Act::Die } else { Act::Answer });
    driver.judged(PASS).await.expect("nothing was promised yet");
    driver.bridge.pass_time(TimeDelta::seconds(10));
    let later = "UPDATE lumo_sync_state SET proved_through = '2027-01-01T00:00:00.000000+00:00'";
    driver.oracle.tables.execute(later).await;
    driver.bridge.server.script(|_, _| Act::Die);
    assert_found(&breaches(&mut driver, PASS).await, "not stored");
}

#[tokio::test]
async fn a_mark_that_goes_back_is_noticed() {
    let earlier = "UPDATE lumo_sync_state SET complete_through = NULL";
    let mut driver = read(40).await;
    driver.bridge.kill();
    driver.oracle.tables.execute(earlier).await;
    driver.bridge.server.script(|_, _| Act::Die);
    assert_found(&breaches(&mut driver, PASS).await, "went back");
}

#[tokio::test]
async fn a_change_without_its_event_is_noticed() {
    let silent = "UPDATE lumo_user_deposits SET version = version + 1 WHERE id = 'd7'";
    assert_found(&after(silent).await, "d7 has version 2");
}

#[tokio::test]
async fn news_in_silence_are_noticed() {
    let later = "UPDATE lumo_user_deposits SET first_seen_at = '2027-01-01T00:00:00.000000+00:00' WHERE id = 'd7'";
    assert_found(&after(later).await, "d7 is news and was stored in silence");
}

#[tokio::test]
async fn an_event_that_is_told_twice_and_one_that_is_gone_are_noticed() {
    let mut driver = read(40).await;
    driver.bridge.server.live().world.burst(DEPOSITS, 3);
    driver.bridge.kill();
    // An event that nobody saw appear, and one in its place.
    let double = "CREATE TRIGGER twice AFTER INSERT ON lumo_events WHEN NEW.id NOT LIKE 'x%' BEGIN
                  INSERT INTO lumo_events SELECT 'x' || NEW.id, NEW.seq + 1000, NEW.\"type\", NEW.stream, NEW.stream_seq + 1000,
                  NEW.object_kind, NEW.object_id, NEW.external_id, NEW.occurred_at, NEW.detected_at, NEW.origin,
                  NEW.audience, NEW.body; END";
    driver.oracle.tables.execute(double).await;
    let found = breaches(&mut driver, PASS).await;
    assert_found(&found, "is told twice");
    assert_found(&found, "have a hole");
}

#[tokio::test]
async fn a_table_that_is_not_what_the_world_has_become_is_noticed() {
    let mut driver = read(40).await;
    driver.bridge.kill();
    let wrong = "CREATE TRIGGER wrong AFTER UPDATE ON lumo_user_deposits WHEN NEW.missing_since IS NULL BEGIN
                 UPDATE lumo_user_deposits SET missing_since = NEW.first_seen_at WHERE id = NEW.id; END";
    driver.oracle.tables.execute(wrong).await;
    driver.bridge.server.live().world.change(super::model::Kind::Deposit, 3, |state| state.content += 1);
    assert_found(&breaches(&mut driver, PASS).await, "d4 is called missing and was not");
}
