//! The order of a lane by example: when the next one goes.

use lumo_bridge::model::retry::Verdict;
use lumo_bridge::store::{Claimed, Store};

use super::fixture::{HOLD, at, claim, migrated, publish_in, settle, shop};
use crate::database::{Database, on_each_database};

on_each_database!(
    the_next_goes_when_the_one_before_it_ends,
    the_next_goes_when_the_hold_of_the_one_before_it_has_passed,
    what_comes_behind_a_failing_one_waits_for_its_hold,
);

/// The next in the lane of `user:a`, if it may go.
async fn next(store: &Store, seconds: i64) -> Option<Claimed> {
    let mut claimed = claim(store, "shop", 9, at(seconds)).await;
    assert!(claimed.len() < 2, "two of one lane at once");
    claimed.pop()
}

async fn the_next_goes_when_the_one_before_it_ends(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a"], at(0)).await;
    publish_in(&store, &["user:a"], at(1)).await;
    for (seconds, verdict) in [(10, Verdict::Done), (20, Verdict::Dead), (30, Verdict::Done), (40, Verdict::Done)] {
        let claimed = next(&store, seconds).await.unwrap();
        assert!(next(&store, seconds + 1).await.is_none(), "nobody passes what is under way");
        let mut queued = store.queued();
        queued.mark_unchanged();
        settle(&store, vec![claimed], "shop", verdict, at(seconds + 2)).await;
        assert_eq!(
            queued.has_changed().unwrap(),
            seconds < 40,
            "the delivery is woken for the next one, if there is one"
        );
    }
    assert!(next(&store, 99_999).await.is_none());
}

async fn the_next_goes_when_the_hold_of_the_one_before_it_has_passed(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a", "user:a", "user:a", "user:b"], at(0)).await;
    let mut both = claim(&store, "shop", 9, at(10)).await;
    assert_eq!(both.len(), 2, "one user's failing delivery holds no other user");
    settle(&store, vec![both.pop().unwrap()], "shop", Verdict::Done, at(10)).await;
    settle(&store, both, "shop", Verdict::RetryAt(at(1000)), at(10)).await;

    let passed = 10 + i64::try_from(HOLD.as_secs()).unwrap();
    assert!(next(&store, passed - 1).await.is_none());
    let second = next(&store, passed).await.unwrap();
    settle(&store, vec![second], "shop", Verdict::Done, at(passed + 1)).await;
    let third = next(&store, passed + 1).await.unwrap();
    settle(&store, vec![third], "shop", Verdict::Done, at(passed + 2)).await;
    let first = next(&store, 1000).await.unwrap();
    assert_eq!(first.attempts, 1);
}

async fn what_comes_behind_a_failing_one_waits_for_its_hold(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["user:a"], at(0)).await;
    let first = next(&store, 10).await.unwrap();
    settle(&store, vec![first], "shop", Verdict::RetryAt(at(1000)), at(10)).await;

    publish_in(&store, &["user:a"], at(20)).await;
    assert!(next(&store, 69).await.is_none());
    let second = next(&store, 70).await.unwrap();
    settle(&store, vec![second], "shop", Verdict::Done, at(70)).await;

    publish_in(&store, &["user:a"], at(80)).await;
    assert!(next(&store, 80).await.is_some(), "the hold has passed for whoever comes later as well");
}

mod neighbours {
    mod mariadb {
        use super::super::*;

        /// Rows of deliveries that the server has read; MySQL does not count them.
        async fn read(database: &Database) -> Option<i64> {
            let sql = "SELECT ROWS_READ FROM information_schema.TABLE_STATISTICS \
                       WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'lumo_deliveries'";
            let rows = database.try_rows(sql).await.ok()?;
            Some(rows.first().map_or(0, |row| row[0].as_deref().unwrap().parse().unwrap()))
        }

        #[tokio::test]
        async fn what_comes_next_is_found_however_much_waits() {
            let database = Database::mariadb().await;
            let store = migrated(&database, &shop()).await;
            let streams: Vec<String> = (0..3_000).map(|number| format!("user:{}", number % 200)).collect();
            publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
            let claimed = claim(&store, "shop", 100, at(10)).await;
            assert_eq!(claimed.len(), 100);
            if database.try_execute("SET GLOBAL userstat = 1").await.is_err() {
                return;
            }
            let before = read(&database).await.unwrap();
            settle(&store, claimed, "shop", Verdict::Done, at(11)).await;
            let rows = read(&database).await.unwrap() - before;
            assert!((100..2_000).contains(&rows), "{rows} rows were read to settle 100 of 3,000");
        }
    }
}
