//! Every plausible server: whatever the published reference leaves open, the tables equal what that server shows, and
//! every change is told once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use lumo_bridge_entity::run::Outcome;
use lumo_simulator::{Quirks, Total, World};

use crate::database::Database;
use crate::world::{Announced, Parts, Stage, awkward_changes, random_changes, seed};

/// Changes that happen while a listing is being read.
const MID_PASS: usize = 30;

macro_rules! on_each_preset {
    ($($preset:ident),+ $(,)?) => {
        $(
            mod $preset {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn a_silent_import_is_followed_by_every_change() {
                    Box::pin(super::keeps_in_step(stringify!($preset), super::History::Silent)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn an_announced_import_is_followed_by_every_change() {
                    Box::pin(super::keeps_in_step(stringify!($preset), super::History::Announced)).await;
                }
            }
        )+

        #[test]
        fn every_preset_is_tested() {
            let presets: Vec<&str> = Quirks::presets().into_iter().map(|(name, _)| name).collect();
            assert_eq!(presets, [$(stringify!($preset)),+]);
        }
    };
}

on_each_preset!(
    plain,
    clamps_at_25,
    refuses_over_50,
    newest_first,
    scattered,
    hides_blocked,
    hides_replaced,
    stringly,
    nested,
    hostile,
    extra_fields,
);

#[derive(Clone, Copy, PartialEq)]
enum History {
    Silent,
    Announced,
}

async fn keeps_in_step(preset: &str, history: History) {
    let quirks = Quirks::preset(preset).expect("the preset is there");
    let proves_the_end = quirks.total != Total::Missing;
    let world = World::live(seed());
    world.seed(60, 300);
    let mut stage = Stage::with(Database::sqlite().await, world.clone(), quirks, Duration::ZERO).await;
    if history == History::Announced {
        stage.announce_history();
    }
    let parts = stage.parts_with_standing_clock().await;

    sync(&parts, proves_the_end).await;
    stage.assert_mirrored().await;
    let announced = match history {
        History::Announced => Announced::default(),
        History::Silent => {
            assert_eq!(stage.events().await.len(), 0, "a silent import says nothing");
            stage.announced().await
        }
    };

    random_changes(&world, 40);
    awkward_changes(&world);
    let left = AtomicUsize::new(MID_PASS);
    for listing in Listing::ALL {
        let change = |_: &_| {
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                world.random_step();
            }
        };
        parts.pass_observed(listing, &change).await.expect("pass failed");
    }
    assert!(left.into_inner() < MID_PASS, "nothing changed during the passes");

    // What happened during those passes is found by the next ones; that a block was lifted is believed the second time.
    sync(&parts, proves_the_end).await;
    parts.clock.advance(TimeDelta::seconds(31));
    sync(&parts, proves_the_end).await;
    stage.assert_mirrored().await;
    let events = stage.events().await.len();
    sync(&parts, proves_the_end).await;
    assert_eq!(stage.events().await.len(), events, "a pass over what is known says nothing");

    let delivering = parts.deliver().await;
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&announced).await;
    assert_eq!(stage.receiver.duplicates(), 0);
}

/// One pass over each listing. Where the server tells no total the end is never proved, and no pass claims that it was.
async fn sync(parts: &Parts, proves_the_end: bool) {
    let expected = if proves_the_end { Outcome::Complete } else { Outcome::Incomplete };
    for listing in Listing::ALL {
        let report = parts.pass(listing).await.expect("pass failed");
        assert_eq!(report.outcome, expected, "{listing}: {:?}", report.doubt);
    }
}
