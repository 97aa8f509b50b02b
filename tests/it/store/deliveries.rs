//! Deliveries as they are listed: in every state that there is, they are what the views say.

use std::collections::BTreeMap;

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::delivery::State;
use lumo_bridge::model::draft::Draft;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::query::{DeliveryFilter, DeliveryRow};
use lumo_bridge::store::replay::{ReplayFilter, Types};
use lumo_bridge::store::skip::Skipped;
use lumo_bridge_entity::endpoint;

use super::fixture::{ALL, at, deliveries, draft, endpoint, migrated, publish, subscriber};
use super::leader::{Came, Leader, PROCESS};
use crate::database::{Cell, Database, on_each_database};

on_each_database!(
    lists_say_what_the_views_say,
    a_list_is_paged_without_gaps,
    the_filters_combine,
    what_waits_says_which_one_goes_first,
    counts_are_those_of_the_lists,
);

/// An event of a user, of this type.
fn event(user: &str, object: &str, kind: EventType, seconds: i64) -> Draft {
    Draft {
        kind,
        external_id: Some(user.parse().unwrap()),
        detected_at: at(seconds),
        ..draft(&format!("user:{user}"), object)
    }
}

fn created(user: &str, object: &str, seconds: i64) -> Draft {
    event(user, object, EventType::DepositCreated, seconds)
}

async fn replay(store: &Store, filter: ReplayFilter, name: &str, seconds: i64) {
    let mut replay = store.begin_replay(filter, endpoint(name), Types::Any, Actor::API).await.unwrap();
    while store.replay(&mut replay, at(seconds)).await.unwrap().is_some() {}
}

/// Deliveries in every state, at endpoints in every state.
async fn everything(database: &Database) -> Store {
    let all = |name| subscriber(name, &["*"], Order::User);
    let picky = subscriber("picky", &["wallet.*"], Order::Endpoint);
    let archive = subscriber("archive", &["sync.*"], Order::None);
    let subscribers = [all("shop"), all("paused"), all("gone"), all("failing"), picky, archive];
    let store = migrated(database, &subscribers).await;
    let users = ["delivered", "retrying", "dead", "answered", "sending", "filtered", "superseded", "old"];
    let drafts: Vec<_> = users.iter().map(|user| created(user, user, 1)).collect();
    publish(&store, &drafts, at(1)).await;
    let mut shop = Leader::of(&store, "shop", at(2)).await;
    shop.pass(99, at(3), |next| match next.event.stream.trim_start_matches("user:") {
        "retrying" => Came::RetryAt(at(900)),
        "dead" => Came::Dead,
        "answered" => Came::Answered(at(800)),
        "sending" => Came::Sending(at(700)),
        "filtered" => Came::Filtered,
        "superseded" => Came::Superseded,
        _ => Came::Delivered,
    })
    .await;
    for name in ["paused", "gone", "failing"] {
        let mut leader = Leader::of(&store, name, at(3)).await;
        leader
            .pass(3, at(4), |next| match next.event.seq % 2 {
                0 => Came::RetryAt(at(900)),
                _ => Came::Sending(at(500)),
            })
            .await;
    }
    // One more behind the one that is retried, and a wallet for the picky one, which is away from it.
    let more = [created("retrying", "behind", 5), event("w", "wallet", EventType::WalletBlocked, 5)];
    publish(&store, &more, at(5)).await;
    shop.pass(99, at(6), |_| Came::Delivered).await;
    // What nobody has reached, one of it given up ahead of the position.
    publish(&store, &[created("x", "later", 7), created("y", "latest", 8)], at(8)).await;
    let ahead = DeliveryId { event: created("x", "later", 7).id, endpoint: endpoint("shop") };
    database.execute("UPDATE lumo_endpoints SET process = NULL").await;
    let skipped = store.skip_deliveries(std::slice::from_ref(&ahead), "by hand", &Actor::API, at(9)).await.unwrap();
    assert_eq!(skipped, [Skipped::Skipped { is_certain: true }]);
    // Endpoints that are not called; from one of them, what waits was taken.
    store.set_endpoint_state(&endpoint("paused"), endpoint::State::Paused, &Actor::API, at(9)).await.unwrap();
    database.execute("UPDATE lumo_endpoints SET state = 'failing' WHERE name = 'failing'").await;
    store.skip_all_waiting(&endpoint("failing"), &Actor::API, at(10)).await.unwrap();
    publish(&store, &[created("z", "after", 11)], at(11)).await;
    let left: Vec<_> = subscribers.iter().filter(|known| known.endpoint.as_str() != "gone").cloned().collect();
    store.with_subscribers(left).register_endpoints(PROCESS, at(12)).await.unwrap();
    // What no range wants, delivered and not; and what was delivered is sent again.
    let named = |names: &[usize]| names.iter().map(|at| drafts[*at].id.clone()).collect();
    replay(&store, ReplayFilter { ids: named(&[0, 1, 2]), ..ReplayFilter::default() }, "archive", 13).await;
    let mut archive = Leader::of(&store, "archive", at(14)).await;
    archive.pass(2, at(14), |next| if next.event.seq == 1 { Came::Delivered } else { Came::Dead }).await;
    replay(&store, ReplayFilter { ids: named(&[0]), ..ReplayFilter::default() }, "shop", 15).await;
    // Attempts are not kept for ever.
    database.execute("DELETE FROM lumo_delivery_attempts WHERE endpoint = 'shop' AND seq = 8").await;
    store
}

fn shown(row: &DeliveryRow) -> Vec<Cell> {
    let number = |number: i64| Some(number.to_string());
    vec![
        Some(row.id.event.to_string()),
        number(row.seq),
        Some(row.id.endpoint.to_string()),
        Some(row.state.to_string()),
        number(row.attempts.into()),
        number(row.next_attempt_at.is_some().into()),
        number(row.delivered_at.is_some().into()),
        row.last_status.map(|status| status.to_string()),
        row.last_error.clone(),
        Some(row.reason.as_str().to_owned()),
    ]
}

async fn list(store: &Store, filter: DeliveryFilter) -> Vec<DeliveryRow> {
    store.list_deliveries(&DeliveryFilter { limit: ALL, ..filter }).await.unwrap()
}

async fn lists_say_what_the_views_say(database: Database) {
    let store = everything(&database).await;
    let columns = "event_id, seq, endpoint, state, attempts, CASE WHEN next_attempt_at IS NULL THEN 0 ELSE 1 END AS due, \
                   CASE WHEN delivered_at IS NULL THEN 0 ELSE 1 END AS delivered, last_status, last_error, reason";
    let sql = format!("SELECT {columns} FROM lumo_deliveries ORDER BY seq DESC, endpoint");
    let view = database.rows(&sql).await;
    let all = list(&store, DeliveryFilter::default()).await;
    assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), view);
    let states: Vec<&str> = State::ALL.into_iter().map(State::as_str).collect();
    for state in State::ALL {
        let of_state: Vec<_> = all.iter().filter(|row| row.state == state).cloned().collect();
        assert!(!of_state.is_empty(), "no delivery is {state}");
        let listed = list(&store, DeliveryFilter { state: Some(state), ..DeliveryFilter::default() }).await;
        assert_eq!(listed, of_state, "{state}");
    }
    assert!(all.iter().all(|row| states.contains(&row.state.as_str())));

    let sql = "SELECT event_id, endpoint FROM lumo_undelivered WHERE state <> 'skipped' ORDER BY seq DESC, endpoint";
    let undelivered = database.rows(sql).await;
    let listed = list(&store, DeliveryFilter { undelivered: true, ..DeliveryFilter::default() }).await;
    let names = |row: &DeliveryRow| vec![Some(row.id.event.to_string()), Some(row.id.endpoint.to_string())];
    assert_eq!(listed.iter().map(names).collect::<Vec<_>>(), undelivered);

    for row in &all {
        assert_eq!(store.delivery(&row.id).await.unwrap().as_ref(), Some(row));
    }
    let sync = DeliveryId { event: all[0].id.event.clone(), endpoint: endpoint("archive") };
    assert_eq!(store.delivery(&sync).await.unwrap(), None, "it never was to receive it");
}

async fn a_list_is_paged_without_gaps(database: Database) {
    let store = everything(&database).await;
    let whole = |state, undelivered| DeliveryFilter { state, undelivered, limit: ALL, ..DeliveryFilter::default() };
    for filter in [whole(None, false), whole(None, true), whole(Some(State::Held), false)] {
        let all = store.list_deliveries(&filter).await.unwrap();
        for limit in [1, 3] {
            let (mut paged, mut before) = (Vec::new(), None);
            loop {
                let filter = DeliveryFilter { before, limit, ..filter.clone() };
                let page = store.list_deliveries(&filter).await.unwrap();
                let Some(last) = page.last() else { break };
                before = Some((last.seq, last.id.endpoint.clone()));
                paged.extend(page);
            }
            assert_eq!(paged, all, "in pages of {limit}");
        }
    }
}

async fn the_filters_combine(database: Database) {
    let store = everything(&database).await;
    let all = list(&store, DeliveryFilter::default()).await;
    let user = |user: &str| Some(user.parse().unwrap());
    let kind = |kind: EventType| Some(kind.as_str().to_owned());
    let none = DeliveryFilter::default;
    for filter in [
        DeliveryFilter { endpoint: Some(endpoint("shop")), ..none() },
        DeliveryFilter { endpoint: Some(endpoint("nobody")), ..none() },
        DeliveryFilter { external_id: user("retrying"), ..none() },
        DeliveryFilter { kind: kind(EventType::WalletBlocked), undelivered: true, ..none() },
        DeliveryFilter { event: Some(created("later", "later", 7).id), ..none() },
        DeliveryFilter { since: Some(at(5)), endpoint: Some(endpoint("shop")), ..none() },
        DeliveryFilter { until: Some(at(5)), ..none() },
        DeliveryFilter { waiting: true, ..none() },
        DeliveryFilter { waiting: true, endpoint: Some(endpoint("shop")), until: Some(at(5)), ..none() },
        DeliveryFilter { until: Some(at(5)), state: Some(State::Retrying), ..none() },
        DeliveryFilter { since: Some(at(5)), external_id: user("retrying"), state: Some(State::Pending), ..none() },
    ] {
        let takes = |row: &&DeliveryRow| {
            filter.endpoint.as_ref().is_none_or(|name| row.id.endpoint == *name)
                && filter.external_id.as_ref().is_none_or(|user| row.external_id.as_ref() == Some(user))
                && filter.kind.as_ref().is_none_or(|kind| row.kind == *kind)
                && filter.event.as_ref().is_none_or(|event| row.id.event == *event)
                && filter.state.is_none_or(|state| row.state == state)
                && (!filter.undelivered || row.state.is_still_to_deliver())
                && (!filter.waiting || !row.state.is_final())
                // Every event was noticed a second before it has its number, so to say.
                && filter.since.is_none_or(|_| row.seq > 8)
                && filter.until.is_none_or(|_| row.seq <= 8)
        };
        let expected: Vec<_> = all.iter().filter(takes).cloned().collect();
        assert_eq!(list(&store, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn what_waits_says_which_one_goes_first(database: Database) {
    let store = everything(&database).await;
    let of = |user: &str| DeliveryFilter {
        endpoint: Some(endpoint("shop")),
        external_id: Some(user.parse().unwrap()),
        ..DeliveryFilter::default()
    };
    let rows = list(&store, of("retrying")).await;
    let first = created("retrying", "retrying", 1).id;
    let told: Vec<_> = rows.iter().map(|row| (row.state, row.is_behind.clone())).collect();
    assert_eq!(told, [(State::Pending, Some(first)), (State::Retrying, None)]);
    let rows = list(&store, of("y")).await;
    assert_eq!((rows[0].state, &rows[0].is_behind), (State::Pending, &None), "nothing of this user is in its way");
    // What has not been read yet waits for what the lane has, too.
    publish(&store, &[created("retrying", "more", 20)], at(20)).await;
    let rows = list(&store, of("retrying")).await;
    assert_eq!(rows[0].is_behind, Some(created("retrying", "behind", 5).id));
}

async fn counts_are_those_of_the_lists(database: Database) {
    let store = everything(&database).await;
    let mut expected: BTreeMap<(String, &str), i64> = BTreeMap::new();
    let given_up = "skipped as its endpoint was resumed";
    for row in deliveries(&store).await {
        let by_range = row.state == State::Skipped && row.last_error.as_deref() == Some(given_up) && row.attempts == 0;
        let is_over = matches!(row.state, State::Delivered | State::Filtered | State::Superseded);
        if !by_range && !is_over {
            *expected.entry((row.id.endpoint.to_string(), row.state.as_str())).or_default() += 1;
        }
    }
    let counts = store.undelivered().await.unwrap();
    let counted: BTreeMap<_, _> =
        counts.iter().map(|count| ((count.endpoint.to_string(), count.state.as_str()), count.deliveries)).collect();
    assert_eq!(counted, expected);
    let oldest = |name: &str, state| {
        counts.iter().find(|count| count.endpoint == endpoint(name) && count.state == state).unwrap().oldest
    };
    assert_eq!(oldest("shop", State::Retrying), Some(at(1)), "since the event was noticed, not since it failed");
    assert_eq!(oldest("archive", State::Pending), Some(at(13)), "a replay waits since it was asked for");
    assert_eq!(oldest("picky", State::Pending), Some(at(5)));
    assert_eq!(oldest("shop", State::Dead), None, "what is dead does not wait");
}
