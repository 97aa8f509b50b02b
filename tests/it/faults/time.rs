//! Clocks that are stepped, with deliveries under way.

use std::time::Duration;

use chrono::TimeDelta;
use lumo_simulator::{Answer, World};

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, seed};

on_each_database!(a_clock_that_jumps_ahead_loses_nothing, a_clock_that_goes_back_loses_nothing);

/// Less than a receiver tolerates in a timestamp, and more than a lease lasts.
const JUMP: TimeDelta = TimeDelta::minutes(4);

fn company(users: usize) -> World {
    let world = World::live(seed());
    for user in 0..users {
        world.add_wallet(&format!("user {user}"));
        world.add_deposit_for(&format!("user {user}"), "1").expect("a deposit");
    }
    world
}

/// By the calendar every request seems to have been under way for too long.
async fn a_clock_that_jumps_ahead_loses_nothing(database: Database) {
    let mut stage = Stage::new(database, company(20)).await;
    stage.announce_history();
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(400)));
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    assert!(stage.receiver.wait_for(5, PATIENCE).await);
    parts.clock.advance(JUMP);
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0, "its own requests are its own");
}

/// What was due is due again when the clock has come back to where it was; what is new need not wait for that.
async fn a_clock_that_goes_back_loses_nothing(database: Database) {
    let mut stage = Stage::new(database, company(20)).await;
    stage.announce_history();
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(400)));
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    assert!(stage.receiver.wait_for(5, PATIENCE).await);
    parts.clock.advance(-JUMP);
    stage.world.add_wallet("somebody new");
    parts.sync().await;
    let newcomer = "user:somebody new";
    eventually!(PATIENCE, "what is new is told", {
        stage.receiver.received().iter().any(|request| request.stream.as_deref() == Some(newcomer))
    });
    parts.clock.advance(JUMP);
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0, "no lease has ended");
}
