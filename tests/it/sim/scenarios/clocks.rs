//! Clocks that are wrong.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;
use lumo_bridge::store::{Advance, Remembered};

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::{Act, Failure};

const DEPOSITS: Listing = Listing::Deposits;

/// How far a clock that shows this time is ahead of the world's.
fn skew(scene: &Scene, shows: &str) -> TimeDelta {
    let server = scene.server();
    let live = server.live();
    shows.parse::<DateTime<Utc>>().unwrap() - live.world.time(live.world.now())
}

/// What a clock leaves in the tables that was a day ahead once.
#[tokio::test]
async fn a_watermark_that_is_yet_to_come_hides_no_trouble() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    let store = scene.0.bridge.store().clone();
    let mut progress = store.progress(DEPOSITS).await.unwrap();
    progress.complete_through = progress.complete_through.map(|time| time + TimeDelta::days(1));
    store.remember(&Advance { progress: &progress, memory: Remembered::Keep }, None).await.unwrap();
    scene.script(|_, _, _| Act::Fail(Failure::Status500));
    for minute in 0..12 {
        let stalled = store.progress(DEPOSITS).await.unwrap().stalled_since;
        assert_eq!(stalled.is_some(), minute > 5, "minute {minute}");
        scene.0.timeless_failing(Call::Tick(DEPOSITS)).await;
        scene.rest(60);
    }
    assert_eq!(scene.events("sync.stalled").await, 1);
}

#[tokio::test]
async fn a_silent_first_import_stays_silent_and_misses_no_news_whatever_the_server_s_clock_shows() {
    for shows in ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "9999-12-31T00:00:00Z"] {
        let mut scene = Scene::new(Plan::calm(Order::Oldest, 150)).await;
        let skew = skew(&scene, shows);
        scene.server().live().clock_skew = skew;
        scene.script(|world, nth, _| {
            if nth == 4 {
                world.add(DEPOSITS, Place::Tail, None);
            }
            Act::Answer
        });
        scene.done(Call::Pass(DEPOSITS)).await;
        assert_eq!(scene.deposits().await, 151, "{shows}");
        assert_eq!(scene.events("deposit.created").await, 1, "{shows}: one joined while the list was read");
    }
}
