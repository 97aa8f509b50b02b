//! Replaying: stored events are sent once more, in their order and behind what waits already.

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::draft::Draft;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::pattern::Patterns;
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::Store;
use lumo_bridge::store::replay::{ReplayFilter, Replayed, Types};
use lumo_bridge_entity::exception::Reason;

use super::fixture::{at, draft, endpoint, migrated, publish, shop, subscriber};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_was_delivered_is_sent_again_in_the_order_of_the_events,
    what_is_on_its_way_is_left_out_and_counted,
    the_filters_combine,
    a_replayed_event_waits_for_what_its_lane_has,
    a_replay_wants_an_acknowledgement_of_its_own,
    a_rehearsal_stores_nothing,
    what_is_published_meanwhile_is_no_part_of_a_replay,
    types_that_the_endpoint_does_not_want_are_left_out_and_counted,
);

/// Replays events of any type to the end; also says in how many batches.
async fn replay(store: &Store, filter: ReplayFilter, name: &str, seconds: i64) -> (Replayed, usize) {
    replay_of(Types::Any, store, filter, name, seconds).await
}

async fn replay_of(types: Types, store: &Store, filter: ReplayFilter, name: &str, seconds: i64) -> (Replayed, usize) {
    let mut replay = store.begin_replay(filter, endpoint(name), types, Actor::API).await.unwrap();
    let (mut sum, mut batches) = (Replayed::default(), 0);
    while let Some(batch) = store.replay(&mut replay, at(seconds)).await.unwrap() {
        sum.queued += batch.queued;
        sum.unfinished += batch.unfinished;
        sum.unwanted += batch.unwanted;
        batches += 1;
    }
    (sum, batches)
}

fn counts(queued: u64, unfinished: u64) -> Replayed {
    Replayed { queued, unfinished, unwanted: 0 }
}

/// Wants none of what the tests publish.
fn archive() -> Subscriber {
    subscriber("archive", &["bridge.test"], Order::User)
}

async fn what_was_delivered_is_sent_again_in_the_order_of_the_events(database: Database) {
    let store = migrated(&database, &[archive(), shop().remove(0)]).await;
    let drafts: Vec<_> = (0..700).map(|number| draft(&format!("user:{number}"), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut shop = Leader::of(&store, "shop", at(1)).await;
    assert_eq!(shop.deliver(at(1)).await.len(), 700);
    let mut archive = Leader::of(&store, "archive", at(1)).await;
    assert!(archive.deliver(at(1)).await.is_empty());

    // An endpoint that wants none of it, and one that had everything.
    for (name, leader, attempts) in [("archive", &mut archive, 0), ("shop", &mut shop, 1)] {
        let mut appended = store.appended();
        appended.mark_unchanged();
        let (replayed, batches) = replay(&store, ReplayFilter::default(), name, 10).await;
        assert_eq!((replayed, batches), (counts(700, 0), 3), "{name}");
        assert!(appended.has_changed().unwrap(), "the dispatchers were not woken");
        let shown = format!("endpoint = '{name}' AND state = 'pending' AND reason = 'replay'");
        assert_eq!(database.count("lumo_deliveries", &shown).await, 700);
        let sent = leader.pass(usize::MAX, at(11), |_| Came::Delivered).await;
        assert!(sent.iter().zip(1..).all(|(next, seq)| next.event.seq == seq), "{name}: not in order");
        assert!(sent.iter().all(|next| (next.reason, next.attempts) == (Reason::Replay, attempts)), "{name}");
        assert_eq!(sent.len(), 700, "{name}");
        assert_eq!(database.count("lumo_undelivered", &format!("endpoint = '{name}'")).await, 0);
        let delivered = format!("endpoint = '{name}' AND state = 'delivered'");
        assert_eq!(database.count("lumo_deliveries", &delivered).await, 700);
    }
    assert_eq!(database.count("lumo_exceptions", "endpoint = 'shop'").await, 0);
    assert_eq!(database.count("lumo_exceptions", "endpoint = 'archive' AND state = 'delivered'").await, 700);
    assert_eq!(database.count("lumo_events", "1 = 1").await, 700, "no event was made");
}

async fn what_is_on_its_way_is_left_out_and_counted(database: Database) {
    let store = migrated(&database, &[archive(), subscriber("shop", &["deposit.*"], Order::None)]).await;
    let drafts: Vec<_> = (0..7).map(|number| draft(&format!("user:{number}"), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let came = |seq| match seq {
        1 => Came::RetryAt(at(99)),
        2 => Came::Sending(at(99)),
        3 => Came::Answered(at(99)),
        4 => Came::Delivered,
        5 => Came::Dead,
        _ => Came::Filtered,
    };
    leader.pass(6, at(1), |next| came(next.event.seq)).await;
    // The last one is still ahead.
    let all = ReplayFilter { until: Some(at(1)), ..ReplayFilter::default() };
    assert_eq!(replay(&store, all.clone(), "shop", 10).await.0, counts(3, 4));
    assert_eq!(replay(&store, all.clone(), "shop", 11).await.0, counts(0, 7), "a repetition adds none");
    assert_eq!(replay(&store, all, "archive", 12).await.0, counts(7, 0), "each endpoint by itself");
    let replayed = database
        .rows("SELECT seq, attempts FROM lumo_exceptions WHERE endpoint = 'shop' AND reason = 'replay' ORDER BY seq")
        .await;
    let replayed: Vec<_> =
        replayed.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(replayed, ["4 1", "5 1", "6 1"], "attempts count on");
}

async fn the_filters_combine(database: Database) {
    let names: Vec<String> = (0..9).map(|number| format!("taker-{number}")).collect();
    let takers: Vec<_> = names.iter().map(|name| subscriber(name, &["bridge.test"], Order::User)).collect();
    let store = migrated(&database, &takers).await;
    let event = |user: &str, object: &str, kind: EventType, seconds: i64| Draft {
        kind,
        external_id: Some(user.parse().unwrap()),
        detected_at: at(seconds),
        ..draft(&format!("user:{user}"), object)
    };
    let drafts = [
        event("bob", "1", EventType::DepositCreated, 10),
        event("bob", "2", EventType::WalletBlocked, 20),
        event("eve", "3", EventType::DepositCreated, 30),
        event("bob", "4", EventType::DepositUpdated, 40),
    ];
    publish(&store, &drafts, at(50)).await;
    let (bob, eve) = (Some("bob".parse().unwrap()), Some("eve".parse().unwrap()));
    let kinds = |patterns: &[&str]| Some(Patterns::parse(patterns.iter().copied()).unwrap());
    let ids = |numbers: &[usize]| numbers.iter().map(|number| drafts[number - 1].id.clone()).collect::<Vec<_>>();
    let all = ReplayFilter::default;
    let cases = [
        (all(), &[1, 2, 3, 4][..]),
        (ReplayFilter { ids: ids(&[4, 1, 4]), ..all() }, &[1, 4]),
        (ReplayFilter { external_id: bob.clone(), ..all() }, &[1, 2, 4]),
        (ReplayFilter { kinds: kinds(&["deposit.*"]), ..all() }, &[1, 3, 4]),
        (ReplayFilter { since: Some(at(20)), ..all() }, &[2, 3, 4]),
        (ReplayFilter { until: Some(at(20)), ..all() }, &[1]),
        (ReplayFilter { since: Some(at(20)), until: Some(at(40)), external_id: bob, ..all() }, &[2]),
        (ReplayFilter { kinds: kinds(&["!deposit.created"]), external_id: eve, ..all() }, &[]),
        (ReplayFilter { since: Some(chrono::DateTime::UNIX_EPOCH), ..all() }, &[1, 2, 3, 4]),
    ];
    for (name, (filter, expected)) in names.iter().zip(cases) {
        assert_eq!(replay(&store, filter, name, 60).await.0, counts(expected.len() as u64, 0), "{name}");
        let sql = format!("SELECT seq FROM lumo_exceptions WHERE endpoint = '{name}' ORDER BY seq");
        let got: Vec<usize> =
            database.rows(&sql).await.into_iter().flatten().flatten().map(|seq| seq.parse().unwrap()).collect();
        assert_eq!(got, expected, "{name}");
    }
    assert_eq!(replay(&store, all(), "nobody", 61).await.0, counts(0, 0), "an endpoint that was never registered");
    assert_eq!(store.unknown_events(&ids(&[1, 3])).await.unwrap(), []);
    let strange = "evt_strange".parse().unwrap();
    assert_eq!(store.unknown_events(&[strange, ids(&[1]).remove(0)]).await.unwrap()[0].as_str(), "evt_strange");
}

async fn a_replayed_event_waits_for_what_its_lane_has(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2"), draft("user:a", "3")], at(0)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(2, at(1), |_| Came::Delivered).await;
    leader.pass(9, at(1), |_| Came::RetryAt(at(50))).await;
    assert_eq!(replay(&store, ReplayFilter::default(), "shop", 4).await.0, counts(2, 1));
    let sent = leader.pass(9, at(5), |_| Came::RetryAt(at(6))).await;
    assert_eq!(sent.iter().map(|next| next.event.seq).collect::<Vec<_>>(), [1, 2], "it comes first in the log");
    let body: serde_json::Value = serde_json::from_str(&sent[0].event.body).unwrap();
    assert_eq!(body["sequence"], 1, "it is the same event, byte for byte");
}

async fn a_replay_wants_an_acknowledgement_of_its_own(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2")], at(0)).await;
    database.execute("INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events").await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.asks_acks = true;
    assert_eq!(leader.pass(9, at(1), |_| Came::Answered(at(31))).await.len(), 2);
    let filter = ReplayFilter { ids: vec![draft("user:a", "1").id], ..ReplayFilter::default() };
    assert_eq!(replay(&store, filter, "shop", 2).await.0, counts(1, 0));
    assert_eq!(database.count("lumo_acks", "1 = 1").await, 1, "that of the other stays");
    assert_eq!(leader.pass(9, at(3), |_| Came::Answered(at(33))).await.len(), 1);
    assert_eq!(database.count("lumo_deliveries", "state = 'awaiting_ack'").await, 1);
}

async fn a_rehearsal_stores_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2")], at(0)).await;
    Leader::of(&store, "shop", at(1)).await.pass(1, at(1), |_| Came::Delivered).await;
    let before = store.position(&endpoint("shop")).await.unwrap();
    let filter = ReplayFilter { since: Some(at(0)), ..ReplayFilter::default() };
    let mut replay = store.begin_replay(filter, endpoint("shop"), Types::Any, Actor::API).await.unwrap();
    assert_eq!(store.rehearse(&mut replay).await.unwrap(), Some(counts(1, 1)));
    assert_eq!(store.rehearse(&mut replay).await.unwrap(), None);
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);
    assert_eq!(store.position(&endpoint("shop")).await.unwrap(), before);
}

async fn what_is_published_meanwhile_is_no_part_of_a_replay(database: Database) {
    let store = migrated(&database, &[archive()]).await;
    let drafts: Vec<_> = (0..301).map(|number| draft("user:a", &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut replay =
        store.begin_replay(ReplayFilter::default(), endpoint("archive"), Types::Any, Actor::API).await.unwrap();
    assert_eq!(store.replay(&mut replay, at(1)).await.unwrap(), Some(counts(300, 0)));
    publish(&store, &[draft("user:a", "later")], at(2)).await;
    assert_eq!(store.replay(&mut replay, at(3)).await.unwrap(), Some(counts(1, 0)));
    assert_eq!(store.replay(&mut replay, at(3)).await.unwrap(), None);
    assert_eq!(database.count("lumo_exceptions", "state = 'waiting'").await, 301);
}

async fn types_that_the_endpoint_does_not_want_are_left_out_and_counted(database: Database) {
    let ledger = subscriber("ledger", &["deposit.settled"], Order::User);
    let store = migrated(&database, std::slice::from_ref(&ledger)).await;
    let event = |object: usize, kind: EventType| Draft { kind, ..draft("user:a", &format!("{kind} {object}")) };
    let settled = [event(0, EventType::DepositSettled), event(1, EventType::DepositSettled)];
    // More than one batch of them, before and between what is wanted.
    let mut drafts: Vec<_> = (0..301).map(|object| event(object, EventType::DepositCreated)).collect();
    drafts.push(settled[0].clone());
    drafts.extend((0..40).map(|object| event(object, EventType::DepositStatusChanged)));
    drafts.push(settled[1].clone());
    publish(&store, &drafts, at(0)).await;
    let mut leader = Leader::of(&store, "ledger", at(1)).await;
    assert_eq!(leader.deliver(at(1)).await.len(), 2);

    let wanted = || Types::Wanted(ledger.patterns.clone());
    let of_deposits = || ReplayFilter { kinds: Patterns::parse(["deposit.*"]).ok(), ..ReplayFilter::default() };
    let expected = Replayed { queued: 2, unfinished: 0, unwanted: 341 };
    let mut rehearsal = store.begin_replay(of_deposits(), endpoint("ledger"), wanted(), Actor::API).await.unwrap();
    let mut counted = Replayed::default();
    while let Some(batch) = store.rehearse(&mut rehearsal).await.unwrap() {
        counted.queued += batch.queued;
        counted.unwanted += batch.unwanted;
    }
    assert_eq!(counted, expected, "a rehearsal counts the same");
    assert_eq!(database.count("lumo_exceptions", "1 = 1").await, 0);

    assert_eq!(replay_of(wanted(), &store, of_deposits(), "ledger", 2).await, (expected, 2));
    let sent: Vec<_> = leader.deliver(at(3)).await;
    assert_eq!(sent, [settled[0].id.clone(), settled[1].id.clone()]);
    let named = ReplayFilter { ids: vec![drafts[0].id.clone()], ..ReplayFilter::default() };
    let none = Replayed { queued: 0, unfinished: 0, unwanted: 1 };
    assert_eq!(replay_of(wanted(), &store, named.clone(), "ledger", 4).await.0, none);
    assert_eq!(leader.deliver(at(5)).await, []);
    let replays = "SELECT COUNT(*) FROM lumo_operator_actions WHERE action = 'replay'";
    assert_eq!(database.number(replays).await, 2, "what is left out is no action");
    assert_eq!(replay(&store, named, "ledger", 6).await.0, counts(1, 0), "who asks for any type gets it");
    assert_eq!(leader.deliver(at(7)).await, [drafts[0].id.clone()]);
}
