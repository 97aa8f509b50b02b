//! Giving up: what is skipped is not sent, what came behind it goes on, and what is on its way is left alone.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::delivery::State;
use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::subscriber::{Order, Statements};
use lumo_bridge::store::Store;
use lumo_bridge::store::skip::Skipped;

use super::fixture::{at, deliveries, delivery, draft, endpoint, migrated, publish, publish_in, shop, subscriber};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_waits_or_failed_is_given_up_and_what_is_behind_it_goes_on,
    what_is_not_reached_yet_is_given_up_ahead,
    what_is_finished_or_under_way_is_left_alone,
    what_is_dead_is_put_away,
    a_leader_that_does_not_look_is_not_waited_for_long,
    everything_that_waits_for_an_endpoint_is_given_up,
    ranges_are_cut_where_the_endpoint_is,
);

const CERTAIN: Skipped = Skipped::Skipped { is_certain: true };

async fn skip(store: &Store, database: &Database, id: &DeliveryId, seconds: i64) -> Skipped {
    // Nobody is there who could have it on its way.
    database.execute("UPDATE lumo_endpoints SET process = NULL").await;
    store.skip_deliveries(std::slice::from_ref(id), "by hand", &Actor::API, at(seconds)).await.unwrap()[0]
}

async fn what_waits_or_failed_is_given_up_and_what_is_behind_it_goes_on(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> = (0..4).map(|number| draft("user:a", &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(9, at(1), |_| Came::RetryAt(at(900))).await;
    let rows = deliveries(&store).await;
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>()[..2], [State::Retrying, State::Pending]);
    assert_eq!(skip(&store, &database, &rows[1].id, 2).await, CERTAIN);
    assert_eq!(leader.deliver(at(3)).await, [], "the first one still goes first");
    assert_eq!(skip(&store, &database, &rows[0].id, 4).await, CERTAIN);
    assert_eq!(leader.deliver(at(5)).await, [drafts[2].id.clone(), drafts[3].id.clone()]);
    for row in &rows[..2] {
        let row = delivery(&store, &row.id).await;
        assert_eq!((row.state, row.last_error.as_deref()), (State::Skipped, Some("by hand")));
    }
    assert_eq!(database.count("lumo_exceptions", "lane IS NOT NULL").await, 0);
}

async fn what_is_not_reached_yet_is_given_up_ahead(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a", "b"], at(0)).await;
    let rows = deliveries(&store).await;
    assert_eq!(skip(&store, &database, &rows[1].id, 1).await, CERTAIN);
    assert_eq!(delivery(&store, &rows[1].id).await.state, State::Skipped);
    let mut leader = Leader::of(&store, "shop", at(2)).await;
    assert_eq!(leader.deliver(at(2)).await, [rows[0].id.event.clone()]);
    assert_eq!(delivery(&store, &rows[1].id).await.attempts, 0);
}

async fn what_is_finished_or_under_way_is_left_alone(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a", "b", "c", "d"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader
        .pass(9, at(1), |next| match next.event.seq {
            1 => Came::Delivered,
            2 => Came::Superseded,
            3 => Came::Sending(at(900)),
            _ => Came::Filtered,
        })
        .await;
    let before = deliveries(&store).await;
    let states = [State::Delivered, State::Superseded, State::Sending, State::Filtered];
    for (row, state) in before.iter().zip(states) {
        assert_eq!(skip(&store, &database, &row.id, 2).await, Skipped::Unchanged(state));
    }
    assert_eq!(deliveries(&store).await.iter().map(|row| row.state).collect::<Vec<_>>(), states);
    let strange = DeliveryId { event: draft("x", "x").id, endpoint: endpoint("shop") };
    assert_eq!(skip(&store, &database, &strange, 3).await, Skipped::Unknown);
    assert_eq!(skip(&store, &database, &DeliveryId { endpoint: endpoint("x"), ..strange }, 3).await, Skipped::Unknown);
}

async fn what_is_dead_is_put_away(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a", "b"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.deliver_as(Came::Dead, at(1)).await;
    let rows = deliveries(&store).await;
    assert_eq!(database.count("lumo_deliveries", "state = 'dead'").await, 2);
    // A leader is there that does not look; nothing of it can be on its way all the same.
    let ids = std::slice::from_ref(&rows[0].id);
    let skipped = store.skip_deliveries(ids, "booked by hand", &Actor::API, at(2)).await.unwrap();
    assert_eq!(skipped, [Skipped::PutAway]);
    let row = delivery(&store, &rows[0].id).await;
    assert_eq!((row.state, row.last_error.as_deref()), (State::Skipped, Some("booked by hand")));
    assert_eq!(row.attempts, 1, "what was tried is not forgotten");
    assert_eq!(delivery(&store, &rows[1].id).await.state, State::Dead);
    let dead = store.undelivered().await.unwrap().into_iter().filter(|count| count.state == State::Dead);
    assert_eq!(dead.map(|count| count.deliveries).sum::<i64>(), 1);
    let skips = "SELECT COUNT(*) FROM lumo_operator_actions WHERE action = 'skip' AND reason = 'booked by hand'";
    assert_eq!(database.number(skips).await, 1);
    assert_eq!(leader.deliver(at(3)).await, [], "neither is sent");
    let again = store.skip_deliveries(ids, "again", &Actor::API, at(4)).await.unwrap();
    assert_eq!(again, [Skipped::Unchanged(State::Skipped)]);
    assert_eq!(database.number(skips).await, 1);
    store.retry_deliveries(ids, &Statements::default(), &Actor::API, at(5)).await.unwrap();
    assert_eq!(leader.deliver(at(6)).await, [rows[0].id.event.clone()], "it can be brought back");
}

async fn a_leader_that_does_not_look_is_not_waited_for_long(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a"], at(0)).await;
    let id = deliveries(&store).await.remove(0).id;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let skipped = store.skip_deliveries(std::slice::from_ref(&id), "by hand", &Actor::API, at(2)).await.unwrap();
    assert_eq!(skipped, [Skipped::Skipped { is_certain: false }], "it may have it in hand");
    assert_eq!(leader.deliver(at(3)).await, []);
    let position = store.position(&endpoint("shop")).await.unwrap().unwrap();
    assert!(store.until_seen(&endpoint("shop"), position.revision).await.unwrap(), "it has looked now");
}

async fn everything_that_waits_for_an_endpoint_is_given_up(database: Database) {
    let orders = [("lanes", Order::User), ("line", Order::Endpoint), ("none", Order::None), ("other", Order::User)];
    let subscribers = orders.map(|(name, order)| subscriber(name, &["*"], order));
    let store = migrated(&database, &subscribers).await;
    let streams: Vec<String> = (0..700).map(|number| format!("user:{}", number % 7)).collect();
    publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    for (name, order) in &orders[..3] {
        let mut leader = Leader::of(&store, name, at(1)).await;
        // One is under way, one has failed; as many as their lanes allow.
        leader
            .pass(350, at(1), |next| match next.event.seq {
                1 => Came::Sending(at(900)),
                2 => Came::RetryAt(at(900)),
                _ => Came::Delivered,
            })
            .await;
        let waiting = deliveries(&store).await;
        let waiting = waiting.iter().filter(|row| row.id.endpoint == endpoint(name));
        let waiting = waiting.filter(|row| matches!(row.state, State::Pending | State::Retrying)).count();
        assert!(waiting >= 350, "{name}: {waiting}");
        assert_eq!(
            store.skip_all_waiting(&endpoint(name), &Actor::API, at(9)).await.unwrap(),
            waiting as u64,
            "{name}"
        );
        let sql = format!(
            "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = '{name}' AND state = 'skipped' \
                           AND last_error = 'skipped as its endpoint was resumed'"
        );
        assert_eq!(database.number(&sql).await, waiting as i64, "{name}");
        assert_eq!(store.skip_all_waiting(&endpoint(name), &Actor::API, at(9)).await.unwrap(), 0, "{name}");

        // What comes later goes out, though not before what is under way where there is an order.
        publish_in(&store, &[&format!("user:new-{name}")], at(10)).await;
        let sent = leader.deliver(at(11)).await.len();
        assert_eq!(sent, usize::from(*order != Order::Endpoint), "{name}");
        leader.deliver(at(901)).await;
        let left = format!("endpoint = '{name}' AND state NOT IN ('delivered', 'skipped')");
        assert_eq!(database.count("lumo_deliveries", &left).await, 0, "{name}");
    }
    assert_eq!(database.count("lumo_deliveries", "endpoint = 'other' AND state = 'pending'").await, 703);
}

async fn ranges_are_cut_where_the_endpoint_is(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["deposit.created"], Order::User)]).await;
    publish_in(&store, &["a", "b", "c"], at(0)).await;
    Leader::of(&store, "shop", at(1)).await.pass(1, at(1), |_| Came::Delivered).await;
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(2)).await.unwrap(), 2);
    let ranges = async || {
        let rows = database.rows("SELECT from_seq, through_seq, state FROM lumo_subscriptions ORDER BY from_seq").await;
        let range = |row: Vec<Option<String>>| {
            row.into_iter().map(|cell| cell.unwrap_or_default()).collect::<Vec<_>>().join(" ")
        };
        rows.into_iter().map(range).collect::<Vec<_>>()
    };
    let cut = ["1 1 wanted", "2 3 skipped", "4  wanted"];
    assert_eq!(ranges().await, cut);
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(3)).await.unwrap(), 0);
    assert_eq!(ranges().await, cut, "nothing waits, so nothing is cut");
    publish_in(&store, &["d"], at(4)).await;
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(5)).await.unwrap(), 1);
    assert_eq!(ranges().await, ["1 1 wanted", "2 3 skipped", "4 4 skipped", "5  wanted"]);
}
