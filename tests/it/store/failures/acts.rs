//! Every transaction of the store by its name, and what it is about.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lumo_bridge::model::Listing;
use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::id::{DeliveryId, WalletId};
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::retry::{Policy, Verdict};
use lumo_bridge::model::sink::{Sink, Statement};
use lumo_bridge::model::subscriber::{Order, Subscriber};
use lumo_bridge::store::replay::ReplayFilter;
use lumo_bridge::store::{
    Advance, Claimed, Config, Cutoffs, Error, Fence, HeldRemovals, Lease, Remembered, Run, Settlement, Store,
    SweepState, Turn,
};
use lumo_bridge_entity::delivery::State;
use lumo_bridge_entity::endpoint::State as Health;
use lumo_bridge_entity::run::Outcome;

use crate::database::Database;
use crate::store::backfill::{dated, import, imported};
use crate::store::fixture::{
    LEASE, at, claim, config, deliveries, draft, endpoint, ingest, migrated, page, publish, publish_in, settle,
    settled, subscriber, wallet,
};
use crate::store::rejects::reject;

/// More than there are faults and statements to a transaction of one delivery.
const STREAMS: usize = 80;

/// What the transactions are about.
pub(super) struct Things {
    config: Config,
    fence: Fence,
    sweep: SweepState,
    settlements: Vec<Settlement>,
    leases: Mutex<Vec<Lease>>,
    sink: Arc<Sink>,
    fed: Claimed,
    dead: DeliveryId,
    waiting: DeliveryId,
    late: Subscriber,
    wallet: WalletId,
}

pub(super) type Act = fn(Store, Arc<Things>) -> BoxFuture<'static, Result<(), Error>>;

macro_rules! acts {
    ($($name:literal => |$store:ident, $things:ident| $body:expr;)+) => {
        [$(($name, |$store, $things| Box::pin(async move { let _ = &$things; ($body).await.map(drop) }) as _)),+]
    };
}

/// Each transaction by its name. Those that change what others need come last.
pub(super) fn acts() -> [(&'static str, Act); 38] {
    acts! {
        "doctor.create" => |store, things| store.may_create_tables(None);
        "fitness" => |store, things| store.try_everything(at(30));
        "sink.try" => |store, things| async {
            store.try_sink(&things.sink, &draft("user:try", "try").body(1).unwrap()).await
        };
        "sweep.load" => |store, things| store.sweep(Listing::Deposits);
        "sweep.save" => |store, things| store.save_sweep(&things.sweep, &[(1, vec![3])], Some(things.fence), at(31));
        "sweep.end" => |store, things| store.end_sweep(Listing::Deposits, Some(things.fence));
        "sync.page" => |store, things| store.ingest(page(&[wallet("new", "someone")], at(30)), at(30));
        "sync.reject" => |store, things| async {
            let rejects = [reject("odd", "a")];
            store.keep_rejects(Listing::Deposits, &rejects, Some(things.fence), at(32)).await
        };
        "sync.forget_rejects" => |store, things| store.forget_rejects(Listing::Deposits, at(33), Some(things.fence));
        "sync.vanish" => |store, things| {
            store.vanish::<Wallet>(vec![things.wallet.clone()], at(40), Some(things.fence), at(40))
        };
        "sync.finish" => |store, things| async {
            let progress = store.progress(Listing::Blocked).await?;
            let advance = Advance { progress: &progress, memory: Remembered::Keep };
            store.finish_pass(&run(7), Some(&advance), Some(things.fence)).await
        };
        "sync.remember" => |store, things| async {
            let progress = store.progress(Listing::Deposits).await?;
            let advance = Advance { progress: &progress, memory: Remembered::Replace("{}".to_owned()) };
            store.remember(&advance, Some(things.fence)).await
        };
        "sync.note" => |store, things| store.note_stalled(Listing::Deposits, Some(at(5)), Some(things.fence), at(41));
        "sync.removals" => |store, things| async {
            let held = HeldRemovals { rows: 3, why: Some("many".to_owned()), is_news: true, accepted_at: None };
            store.note_removals(Listing::Deposits, &held, Some(things.fence), at(42)).await
        };
        "blocks.replace" => |store, things| store.replace_blocks(Listing::Deposits, &[(1, vec![1])], Some(things.fence));
        "blocks.update" => |store, things| store.update_blocks(Listing::Deposits, &[(1, vec![2])], Some(things.fence));
        "speed.note" => |store, things| store.note_speed("{}");
        "run.forget" => |store, things| store.forget_runs(at(1000));
        "endpoint.register" => |store, things| store.register_endpoints(at(42));
        "endpoint.backfill" => |store, things| store.backfill(&things.late, at(43));
        "sink.feed" => |store, things| async {
            store.feed(&things.sink, &endpoint("ledger"), &things.fed, None, at(44)).await
        };
        "delivery.settle" => |store, things| store.settle(&things.settlements, at(45));
        "delivery.claim" => |store, things| async { store.claim(&endpoint("shop"), 3, LEASE, at(46)).await };
        "delivery.probe" => |store, things| async {
            store.claim_probe(&endpoint("weak"), true, LEASE, at(47)).await
        };
        "delivery.release" => |store, things| {
            let lease = things.leases.lock().unwrap().pop().expect("there are not enough leases");
            async move { store.release(vec![lease], at(48)).await }
        };
        "delivery.take_back" => |store, things| async {
            let mut roll = store.enroll(&things.config).await?;
            roll.take_back(&[endpoint("late")], true, at(49)).await
        };
        "delivery.retry" => |store, things| store.retry_delivery(&things.dead, at(50));
        "delivery.skip" => |store, things| store.skip_delivery(&things.waiting, "no", at(51));
        "event.replay" => |store, things| async {
            let mut replay = store.begin_replay(ReplayFilter::default(), endpoint("shop"), Order::None).await?;
            store.replay(&mut replay, at(52)).await
        };
        "prune.deliveries" => |store, things| async {
            let mut walk = store.walk_deliveries(at(1000)).await?;
            store.prune_deliveries(&mut walk, &cutoffs()).await
        };
        "prune.attempts" => |store, things| async {
            let mut walk = store.walk_deliveries(at(1000)).await?;
            store.prune_attempts(&mut walk, at(1000)).await
        };
        "prune.events" => |store, things| async {
            let mut walk = store.walk_events(0, at(1000)).await?;
            store.prune_events(&mut walk, at(1000)).await
        };
        "endpoint.probe" => |store, things| async { store.probe_endpoint_at(&endpoint("weak"), at(99)).await };
        "endpoint.state" => |store, things| async {
            store.set_endpoint_state(&endpoint("ledger"), Health::Paused, at(53)).await
        };
        "endpoint.turn" => |store, things| async {
            let (shop, from, to) = (endpoint("shop"), Health::Active, Health::Failing);
            let turn = Turn { endpoint: &shop, from, to, hold_until: None, error: Some("no") };
            store.turn_endpoint(turn, at(54)).await
        };
        "lease.lead" => |store, things| store.lead("sync", "me", chrono::TimeDelta::seconds(90), at(55));
        "lease.resign" => |store, things| store.resign(things.fence, "me", at(56));
        "lease.depose" => |store, things| async {
            let seen = store.holder("sync").await?.expect("there is a lease");
            store.depose("sync", &seen, at(57)).await
        };
    }
}

fn run(number: i64) -> Run {
    Run {
        listing: Listing::Blocked,
        started_at: at(number),
        finished_at: at(number + 1),
        outcome: Outcome::Complete,
        requests: 1,
        rows: 1,
        appeared: 0,
        changed: 0,
        rejected: 0,
        error: None,
    }
}

fn cutoffs() -> Cutoffs {
    Cutoffs { delivered: Some(at(1000)), dead: Some(at(1000)), attempts: Some(at(1000)) }
}

pub(super) fn subscribers() -> Vec<Subscriber> {
    let late = Subscriber { history: Some(at(-1000)), ..subscriber("late", &["deposit.*"], Order::None) };
    let to = |name: &str| subscriber(name, &["*"], Order::None);
    vec![to("shop"), to("weak"), to("ledger"), late]
}

pub(super) async fn prepare(database: &Database) -> Things {
    let store = migrated(database, &subscribers()).await;
    imported(database).await;
    import(&store, vec![dated("old", "user", -20)]).await;
    database.execute("CREATE TABLE ledger (event_id varchar(128))").await;
    let streams: Vec<String> = (0..STREAMS).map(|number| format!("user:{number}")).collect();
    publish_in(&store, &streams.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let kind = EventType::DepositUpdated;
    let again = Draft { id: repeated("company", kind, "again", 2, "generation"), kind, ..draft("again", "again") };
    publish(&store, &[again], at(0)).await;
    ingest(&store, &[wallet("gone", "goner")], at(0)).await;

    settle(&store, claim(&store, "shop", 2, at(1)).await, "shop", Verdict::Done, at(1)).await;
    let dying = claim(&store, "shop", 1, at(1)).await;
    let dead = dying[0].lease.delivery().clone();
    settle(&store, dying, "shop", Verdict::Dead, at(1)).await;
    settle(&store, claim(&store, "weak", 2, at(1)).await, "weak", Verdict::RetryAt(at(1000)), at(1)).await;
    let weak = endpoint("weak");
    let (from, to) = (Health::Active, Health::Failing);
    let turn = Turn { endpoint: &weak, from, to, hold_until: Some(at(11)), error: Some("no") };
    assert!(store.turn_endpoint(turn, at(2)).await.unwrap());
    let rows = deliveries(&store).await;
    let waits = |row: &&lumo_bridge_entity::delivery::Model| row.endpoint == weak && row.state == State::Pending;
    let waiting = rows.iter().find(waits).unwrap().id.clone();

    // What a process claims that shows that it lives can be taken back once it is gone.
    let roll = store.enroll(&config(database)).await.unwrap();
    let long = Duration::from_secs(3600);
    let settlements = store.claim(&endpoint("shop"), 2, long, at(3)).await.unwrap();
    let settlements = settlements.into_iter().map(|one| settled(one, "shop", Verdict::Done, at(4))).collect();
    let leases = store.claim(&endpoint("shop"), STREAMS / 2, long, at(3)).await.unwrap();
    let leases = Mutex::new(leases.into_iter().map(|one| one.lease).collect());
    let fed = store.claim(&endpoint("ledger"), 1, long, at(3)).await.unwrap().remove(0);
    assert_eq!(store.claim(&endpoint("late"), 1, long, at(3)).await.unwrap().len(), 1);
    let policy = Policy { schedule: vec![long], jitter: 0.0, retry_after_cap: long };
    let statement = Statement::parse("INSERT INTO ledger (event_id) VALUES (:event_id)").unwrap();
    let sink = Arc::new(Sink { statement, timeout: Duration::from_secs(5), policy, max_hold: long });

    let fence = store.lead("sync", "me", chrono::TimeDelta::seconds(90), at(0)).await.unwrap().unwrap();
    store.finish_pass(&run(1), None, Some(fence)).await.unwrap();
    let sweep = SweepState { listing: Listing::Deposits, started_at: at(5), known_until: 1, state: "{}".to_owned() };
    store.save_sweep(&sweep, &[(0, vec![1])], None, at(6)).await.unwrap();
    drop(roll);
    store.close().await;
    Things {
        config: config(database),
        fence,
        sweep: SweepState { state: "{\"a\":1}".to_owned(), ..sweep },
        settlements,
        leases,
        sink,
        fed,
        dead,
        waiting,
        late: subscribers().pop().unwrap(),
        wallet: "gone".parse().unwrap(),
    }
}
