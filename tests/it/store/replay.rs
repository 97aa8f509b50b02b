//! Replaying: stored events are queued once more, in their order and behind what waits already.

use lumo_bridge::model::draft::Draft;
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::pattern::Patterns;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::replay::{ReplayFilter, Replayed};
use lumo_bridge_entity::delivery::{Reason, State};

use super::fixture::{at, claim, deliveries, draft, endpoint, migrated, publish, settle, shop, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(
    what_was_delivered_is_queued_again_in_the_order_of_the_events,
    what_is_on_its_way_is_left_out_and_counted,
    the_filters_combine,
    a_replayed_delivery_waits_for_what_its_lane_has,
    a_rehearsal_stores_nothing,
    what_is_published_meanwhile_is_no_part_of_a_replay,
);

/// Replays to the end; also says how many transactions that took.
async fn replay(store: &Store, filter: ReplayFilter, name: &str, seconds: i64) -> (Replayed, usize) {
    let mut replay = store.begin_replay(filter, endpoint(name), Order::User).await.unwrap();
    let (mut sum, mut batches) = (Replayed::default(), 0);
    while let Some(batch) = store.replay(&mut replay, at(seconds)).await.unwrap() {
        sum.queued += batch.queued;
        sum.unfinished += batch.unfinished;
        batches += 1;
    }
    (sum, batches)
}

fn counts(queued: u64, unfinished: u64) -> Replayed {
    Replayed { queued, unfinished }
}

async fn deliver_all(store: &Store, name: &str, seconds: i64) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        let claimed = claim(store, name, 500, at(seconds)).await;
        if claimed.is_empty() {
            return order;
        }
        order.extend(claimed.iter().map(|claimed| claimed.event_id.as_str().to_owned()));
        settle(store, claimed, name, Verdict::Done, at(seconds)).await;
    }
}

async fn what_was_delivered_is_queued_again_in_the_order_of_the_events(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> = (0..700).map(|number| draft(&format!("user:{}", number % 3), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let first = deliver_all(&store, "shop", 1).await;
    assert_eq!(first.len(), 700);

    // An endpoint that nobody has written to yet, and one that had everything.
    for name in ["archive", "shop"] {
        let mut queued = store.queued();
        queued.mark_unchanged();
        let (replayed, batches) = replay(&store, ReplayFilter::default(), name, 10).await;
        assert_eq!((replayed, batches), (counts(700, 0), 3), "{name}");
        assert!(queued.has_changed().unwrap(), "the delivery was not woken");
        let sql = format!(
            "SELECT e.seq, d.reason, d.attempts, d.state \
             FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id WHERE d.endpoint = '{name}' AND d.reason = 'replay' ORDER BY d.id"
        );
        let rows = database.rows(&sql).await;
        for (row, seq) in rows.iter().zip(1..) {
            let cells: Vec<_> = row.iter().flatten().cloned().collect();
            assert_eq!(cells, [&seq.to_string(), "replay", "0", "pending"]);
        }
        assert_eq!(rows.len(), 700);
        assert_eq!(deliver_all(&store, name, 11).await.len(), 700);
    }
    assert_eq!(database.count("lumo_events", "1 = 1").await, 700, "no event was made");
}

async fn what_is_on_its_way_is_left_out_and_counted(database: Database) {
    let store = migrated(&database, &shop()).await;
    let drafts: Vec<_> = (0..7).map(|number| draft(&format!("user:{number}"), &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let rows = deliveries(&store).await;
    let states = ["pending", "sending", "retrying", "held", "delivered", "dead", "skipped"];
    for (row, state) in rows.iter().zip(states) {
        let id = row.id.as_str();
        database.execute(&format!("UPDATE lumo_deliveries SET state = '{state}' WHERE id = '{id}'")).await;
    }
    assert_eq!(replay(&store, ReplayFilter::default(), "shop", 10).await.0, counts(3, 4));
    assert_eq!(replay(&store, ReplayFilter::default(), "shop", 11).await.0, counts(0, 7), "a repetition adds none");
    assert_eq!(replay(&store, ReplayFilter::default(), "other", 12).await.0, counts(7, 0), "each endpoint by itself");
    let replayed: Vec<_> = deliveries(&store).await.split_off(7);
    assert!(replayed.iter().all(|row| (row.reason, row.attempts) == (Reason::Replay, 0)));
    assert_eq!(replayed[0].event_id, rows[4].event_id);
}

async fn the_filters_combine(database: Database) {
    let store = migrated(&database, &[]).await;
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
    for (number, (filter, expected)) in [
        (all(), &[1, 2, 3, 4][..]),
        (ReplayFilter { ids: ids(&[4, 1, 4]), ..all() }, &[1, 4]),
        (ReplayFilter { external_id: bob.clone(), ..all() }, &[1, 2, 4]),
        (ReplayFilter { kinds: kinds(&["deposit.*"]), ..all() }, &[1, 3, 4]),
        (ReplayFilter { since: Some(at(20)), ..all() }, &[2, 3, 4]),
        (ReplayFilter { until: Some(at(20)), ..all() }, &[1]),
        (ReplayFilter { since: Some(at(20)), until: Some(at(40)), external_id: bob, ..all() }, &[2]),
        (ReplayFilter { kinds: kinds(&["!deposit.created"]), external_id: eve, ..all() }, &[]),
        (ReplayFilter { since: Some(chrono::DateTime::UNIX_EPOCH), ..all() }, &[1, 2, 3, 4]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("taker-{number}");
        assert_eq!(replay(&store, filter, &name, 60).await.0, counts(expected.len() as u64, 0), "{name}");
        let rows = deliveries(&store).await;
        let got: Vec<_> =
            rows.into_iter().filter(|row| row.endpoint == endpoint(&name)).map(|row| row.event_id).collect();
        assert_eq!(got, ids(expected), "{name}");
    }
    assert_eq!(store.unknown_events(&ids(&[1, 3])).await.unwrap(), []);
    let strange = "evt_strange".parse().unwrap();
    assert_eq!(store.unknown_events(&[strange, ids(&[1]).remove(0)]).await.unwrap()[0].as_str(), "evt_strange");
}

async fn a_replayed_delivery_waits_for_what_its_lane_has(database: Database) {
    let store = migrated(&database, &[subscriber("shop", &["*"], Order::User)]).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2")], at(0)).await;
    assert_eq!(deliver_all(&store, "shop", 1).await.len(), 2);
    publish(&store, &[draft("user:a", "3")], at(2)).await;
    let live = claim(&store, "shop", 9, at(3)).await;

    let (replayed, _) = replay(&store, ReplayFilter::default(), "shop", 4).await;
    assert_eq!(replayed, counts(2, 1));
    let due = claim(&store, "shop", 9, at(4)).await;
    let ids: Vec<_> = due.iter().map(|claimed| claimed.event_id.clone()).collect();
    assert_eq!(ids, [draft("user:b", "2").id], "a user's replayed event waits for the live one before it");
    assert_eq!(due[0].reason, Reason::Replay);
    settle(&store, live, "shop", Verdict::Done, at(5)).await;
    let due = claim(&store, "shop", 9, at(5)).await;
    assert_eq!(due[0].event_id, draft("user:a", "1").id);
    let body: serde_json::Value = serde_json::from_str(&due[0].body).unwrap();
    assert_eq!(body["sequence"], 1, "it is the same event, byte for byte");
    assert_eq!(due[0].attempts, 0, "it has the whole schedule before it");
}

async fn a_rehearsal_stores_nothing(database: Database) {
    let store = migrated(&database, &shop()).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2")], at(0)).await;
    settle(&store, claim(&store, "shop", 1, at(1)).await, "shop", Verdict::Done, at(1)).await;
    let before = deliveries(&store).await;
    let filter = ReplayFilter { since: Some(at(0)), ..ReplayFilter::default() };
    let mut replay = store.begin_replay(filter, endpoint("shop"), Order::User).await.unwrap();
    assert_eq!(store.rehearse(&mut replay).await.unwrap(), Some(counts(1, 1)));
    assert_eq!(store.rehearse(&mut replay).await.unwrap(), None);
    assert_eq!(deliveries(&store).await, before);
}

async fn what_is_published_meanwhile_is_no_part_of_a_replay(database: Database) {
    let store = migrated(&database, &[]).await;
    let drafts: Vec<_> = (0..301).map(|number| draft("user:a", &number.to_string())).collect();
    publish(&store, &drafts, at(0)).await;
    let mut replay = store.begin_replay(ReplayFilter::default(), endpoint("shop"), Order::None).await.unwrap();
    assert_eq!(store.replay(&mut replay, at(1)).await.unwrap(), Some(counts(300, 0)));
    publish(&store, &[draft("user:a", "later")], at(2)).await;
    assert_eq!(store.replay(&mut replay, at(3)).await.unwrap(), Some(counts(1, 0)));
    assert_eq!(store.replay(&mut replay, at(3)).await.unwrap(), None);
    assert!(deliveries(&store).await.iter().all(|row| row.state == State::Pending && row.lane.is_none()));
}
