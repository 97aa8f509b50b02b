//! The operator's hand: what failed, died or was given up is tried again, with the whole schedule before it.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::delivery::{Reach, State};
use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::pattern::Patterns;
use lumo_bridge::model::subscriber::Statements;
use lumo_bridge::store::Store;
use lumo_bridge::store::query::DeliveryFilter;
use lumo_bridge::store::retry::Retried;
use lumo_bridge_entity::endpoint;

use super::fixture::{ALL, at, deliveries, delivery, draft, endpoint, migrated, publish, publish_in, shop};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_failed_died_or_was_given_up_begins_anew,
    a_retry_leaves_alone_what_is_delivered_under_way_or_not_sent_yet,
    a_retry_of_nothing_says_so,
    what_a_range_gave_up_can_be_tried_again,
    those_of_one_user_go_out_in_their_order,
    a_retry_at_an_endpoint_that_is_away_waits_for_it,
    a_statement_gets_again_only_what_its_events_name,
);

const DUE: Retried = Retried::Due { reach: Reach::Called };

async fn retry(store: &Store, id: &DeliveryId, seconds: i64) -> Retried {
    store.retry_deliveries(std::slice::from_ref(id), &Statements::default(), &Actor::API, at(seconds)).await.unwrap()[0]
}

async fn what_failed_died_or_was_given_up_begins_anew(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["retrying", "dead", "skipped"], at(0)).await;
    let rows = deliveries(&store).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    store.skip_deliveries(&[rows[2].id.clone()], "by hand", &Actor::API, at(1)).await.unwrap();
    leader.pass(9, at(2), |next| if next.event.seq == 1 { Came::RetryAt(at(900)) } else { Came::Dead }).await;
    let mut queued = store.appended();
    queued.mark_unchanged();
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(store.retry_deliveries(&ids, &Statements::default(), &Actor::API, at(10)).await.unwrap(), [DUE; 3]);
    assert!(queued.has_changed().unwrap(), "the dispatchers were not woken");
    let sent = leader.pass(9, at(10), |_| Came::RetryAt(at(950))).await;
    let sent: Vec<_> = sent.iter().map(|next| (next.event.seq, next.attempts)).collect();
    assert_eq!(sent, [(1, 1), (2, 1), (3, 0)], "attempts count on");
    for id in &ids {
        let row = delivery(&store, id).await;
        assert_eq!((row.state, row.tries), (State::Retrying, 1), "the schedule begins anew");
    }
}

async fn a_retry_leaves_alone_what_is_delivered_under_way_or_not_sent_yet(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["delivered", "sending", "answered", "filtered", "blocked"], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader
        .pass(9, at(2), |next| match next.event.seq {
            1 => Came::Delivered,
            2 => Came::Sending(at(900)),
            3 => Came::Answered(at(900)),
            4 => Came::Filtered,
            _ => Came::RetryAt(at(900)),
        })
        .await;
    publish_in(&store, &["blocked"], at(3)).await;
    leader.pass(9, at(4), |_| Came::Delivered).await;
    publish_in(&store, &["beyond"], at(5)).await;
    let before = deliveries(&store).await;
    for (row, state) in before.iter().zip([
        State::Delivered,
        State::Sending,
        State::AwaitingAck,
        State::Filtered,
        State::Retrying,
        State::Pending,
        State::Pending,
    ]) {
        assert_eq!(row.state, state);
        if state != State::Retrying {
            assert_eq!(retry(&store, &row.id, 10).await, Retried::Unchanged(state));
        }
    }
    assert_eq!(deliveries(&store).await, before);
}

async fn a_retry_of_nothing_says_so(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a"], at(0)).await;
    let known = deliveries(&store).await.remove(0).id;
    for strange in [
        DeliveryId { event: draft("b", "b").id, ..known.clone() },
        DeliveryId { endpoint: endpoint("nobody"), ..known.clone() },
    ] {
        let both = store
            .retry_deliveries(&[strange, known.clone()], &Statements::default(), &Actor::API, at(1))
            .await
            .unwrap();
        assert_eq!(both, [Retried::Unknown, Retried::Unchanged(State::Pending)]);
    }
}

async fn what_a_range_gave_up_can_be_tried_again(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a", "b"], at(0)).await;
    assert_eq!(store.skip_all_waiting(&endpoint("shop"), &Actor::API, at(1)).await.unwrap(), 2);
    let rows = deliveries(&store).await;
    let mut leader = Leader::of(&store, "shop", at(2)).await;
    assert_eq!(leader.deliver(at(2)).await, []);
    assert_eq!(retry(&store, &rows[1].id, 3).await, DUE);
    assert_eq!(leader.deliver(at(3)).await, [rows[1].id.event.clone()]);
    assert_eq!(delivery(&store, &rows[1].id).await.state, State::Delivered, "though no range wants it");
    assert_eq!(delivery(&store, &rows[0].id).await.state, State::Skipped);
    assert_eq!(retry(&store, &rows[1].id, 4).await, Retried::Unchanged(State::Delivered));
}

async fn those_of_one_user_go_out_in_their_order(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> = (0..4).map(|number| draft("user:a", &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.deliver_as(Came::Dead, at(1)).await;
    let dead = DeliveryFilter { state: Some(State::Dead), limit: ALL, ..DeliveryFilter::default() };
    let ids: Vec<_> = store.list_deliveries(&dead).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(store.retry_deliveries(&ids, &Statements::default(), &Actor::API, at(2)).await.unwrap(), [DUE; 4]);
    let first = leader.pass(9, at(2), |_| Came::RetryAt(at(900))).await;
    let first: Vec<_> = first.iter().map(|next| next.event.id.clone()).collect();
    assert_eq!(first, [drafts[0].id.clone()], "the others wait for it");
    assert_eq!(retry(&store, &deliveries(&store).await[0].id, 3).await, DUE);
    let order: Vec<_> = drafts.into_iter().map(|draft| draft.id).collect();
    assert_eq!(leader.deliver(at(3)).await, order);
}

async fn a_retry_at_an_endpoint_that_is_away_waits_for_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["a"], at(0)).await;
    Leader::of(&store, "shop", at(1)).await.deliver_as(Came::Dead, at(1)).await;
    let id = deliveries(&store).await.remove(0).id;
    store.set_endpoint_state(&endpoint("shop"), endpoint::State::Paused, &Actor::API, at(2)).await.unwrap();
    assert_eq!(retry(&store, &id, 3).await, Retried::Due { reach: Reach::Stopped });
    assert_eq!(delivery(&store, &id).await.state, State::Held);
}

async fn a_statement_gets_again_only_what_its_events_name(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish_in(&store, &["dead", "skipped", "retrying"], at(0)).await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.id).collect();
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    store.skip_deliveries(&ids[1..2], "by hand", &Actor::API, at(1)).await.unwrap();
    leader.pass(9, at(2), |next| if next.event.seq == 1 { Came::Dead } else { Came::RetryAt(at(900)) }).await;
    let named = deliveries(&store).await.remove(0).kind;
    let another = if named == "deposit.settled" { "deposit.created" } else { "deposit.settled" };
    let only =
        |kind: &str| -> Statements { [(endpoint("shop"), Patterns::parse([kind]).unwrap())].into_iter().collect() };
    let retry = async |statements: Statements, seconds| {
        store.retry_deliveries(&ids, &statements, &Actor::API, at(seconds)).await.unwrap()
    };
    let left_out = [Retried::Unwanted(State::Dead), Retried::Unwanted(State::Skipped), DUE];
    assert_eq!(retry(only(another), 3).await, left_out, "what is under way is run anyway");
    let states: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.state).collect();
    assert_eq!(states[..2], [State::Dead, State::Skipped]);
    assert_eq!(retry(only(&named), 4).await, [DUE, DUE, Retried::Unchanged(State::Pending)]);
}
