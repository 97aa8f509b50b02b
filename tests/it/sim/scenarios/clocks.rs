//! Clocks that are wrong.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;

/// How far a clock that shows this time is ahead of the world's.
fn skew(scene: &Scene, shows: &str) -> TimeDelta {
    let server = scene.server();
    let live = server.live();
    shows.parse::<DateTime<Utc>>().unwrap() - live.world.time(live.world.now())
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
