//! Every transaction of the store by its name, and what it is about.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use lumo_bridge::model::Listing;
use lumo_bridge::model::account::{Identity, Server};
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::draft::{Draft, repeated};
use lumo_bridge::model::event::EventType;
use lumo_bridge::model::id::{DeliveryId, WalletId};
use lumo_bridge::model::record::Wallet;
use lumo_bridge::model::sink::{Sink, Statement};
use lumo_bridge::model::subscriber::{Order, Statements, Subscriber};
use lumo_bridge::store::delivery::{EndpointNote, GroupCommit, LongestWaits, StateTransition};
use lumo_bridge::store::replay::{ReplayFilter, Types};
use lumo_bridge::store::retention::Cutoffs;
use lumo_bridge::store::{Advance, Error, Fence, HeldRemovals, Noting, Remembered, Run, Store, SweepState};
use lumo_bridge_entity::endpoint::State as Health;

use crate::database::Database;
use crate::store::backfill::{dated, import, imported};
use crate::store::fixture::{
    at, deliveries, draft, endpoint, ingest, migrated, page, publish, publish_in, round, subscriber, wallet,
};
use crate::store::leader::{Came, Leader, PROCESS};
use crate::store::rejects::reject;

/// Everything that waits is corrected.
const AT_ONCE: LongestWaits =
    LongestWaits { retry: TimeDelta::zero(), hold: TimeDelta::zero(), ack: Some(TimeDelta::zero()) };

/// What the transactions are about.
pub(super) struct Things {
    fence: Fence,
    sweep: SweepState,
    commit: GroupCommit,
    sink: Arc<Sink>,
    sink_commit: GroupCommit,
    bodies: Vec<Option<String>>,
    weak_epoch: i64,
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
pub(super) fn acts() -> [(&'static str, Act); 52] {
    acts! {
        "doctor.create" => |store, things| store.may_create_tables(None);
        "fitness" => |store, things| store.try_everything(at(30));
        "sink.try" => |store, things| async {
            store.try_sink(&things.sink, &draft("user:try", "try").body(1, None).unwrap()).await
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
        "sync.imported" => |store, things| store.end_import(Listing::Blocked, at(35), Some(things.fence));
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
        "watch.add" => |store, things| async { store.watch(&"42".parse().unwrap(), at(1000)).await };
        "watch.cut" => |store, things| store.cut_watches(at(34));
        "watch.remove" => |store, things| async { store.unwatch(&"gone".parse().unwrap(), None).await };
        "watch.forget" => |store, things| store.forget_watches(at(35));
        "process.beat" => |store, things| store.beat(77, 1, "{}", at(41));
        "process.forget" => |store, things| store.forget_processes(&[78]);
        "endpoint.backfill" => |store, things| store.backfill(&things.late, at(43));
        // What is known to be written is not written again.
        "sink.feed" => |store, things| async {
            if store.position(&endpoint("ledger")).await?.is_some_and(|row| row.commits > things.sink_commit.commits) {
                return Ok(());
            }
            store.run_sink(&things.sink, &things.sink_commit, &things.bodies, at(44)).await.map(drop)
        };
        "delivery.commit" => |store, things| async {
            if store.position(&endpoint("shop")).await?.is_some_and(|row| row.commits > things.commit.commits) {
                return Ok(());
            }
            store.commit_group(&things.commit, at(45)).await.map(drop)
        };
        "delivery.position" => |store, things| async { store.confirmed_position(&endpoint("shop")).await };
        "delivery.refresh" => |store, things| async {
            store.refresh(&endpoint("weak"), things.weak_epoch, 0, Some(AT_ONCE), at(46)).await
        };
        "delivery.retry" => |store, things| async {
            store.retry_deliveries(std::slice::from_ref(&things.dead), &Statements::default(), &Actor::API, at(50)).await
        };
        "delivery.skip" => |store, things| async {
            store.skip_deliveries(std::slice::from_ref(&things.waiting), "no", &Actor::API, at(51)).await
        };
        "endpoint.skip" => |store, things| async { store.skip_all_waiting(&endpoint("weak"), &Actor::API, at(51)).await };
        "endpoint.test" => |store, things| async { store.record_test(&endpoint("shop"), &Actor::API, at(51)).await };
        "retention.actions" => |store, things| store.forget_actions(at(1000));
        "retention.attempts" => |store, things| async {
            let mut walk = store.walk_attempts(at(1000)).await?;
            store.forget_attempts(&mut walk, at(1000)).await
        };
        "retention.events" => |store, things| async {
            let mut walk = store.walk_events(1, at(1000)).await?;
            let cutoffs = Cutoffs { events: Some(at(1000)), dead: Some(at(1000)), attempts: Some(at(1000)) };
            store.forget_events(&mut walk, &cutoffs).await
        };
        "retention.ranges" => |store, things| store.forget_ranges(2);
        "event.replay" => |store, things| async {
            let mut replay = store.begin_replay(ReplayFilter::default(), endpoint("late"), Types::Any, Actor::API).await?;
            store.replay(&mut replay, at(52)).await
        };
        "endpoint.state" => |store, things| async {
            store.set_endpoint_state(&endpoint("ledger"), Health::Paused, &Actor::API, at(53)).await
        };
        "delivery.give_up" => |store, things| async {
            store.give_up_lead(&endpoint("ledger"), PROCESS, at(54)).await
        };
        "delivery.lead" => |store, things| async {
            store.take_lead(&endpoint("late"), PROCESS, None, false, at(55)).await
        };
        "endpoint.introduce" => |store, things| store.introduce_endpoints(at(56));
        "endpoint.remove" => |store, things| store.remove_endpoints(PROCESS, at(57));
        "endpoint.reclaim" => |store, things| async {
            store.reclaim_endpoints(&store.endpoints().await?).await
        };
        "endpoint.register" => |store, things| store.register_endpoints(PROCESS, at(58));
        "account.admit" => |store, things| async {
            store.admit(&identity("own"), Noting::All { fence: Some(things.fence) }, at(60)).await
        };
        "lease.lead" => |store, things| store.lead("sync", "me", chrono::TimeDelta::seconds(90), at(55));
        "lease.resign" => |store, things| store.resign(things.fence, "me", at(56));
        "lease.depose" => |store, things| async {
            let seen = store.holder("sync").await?.expect("there is a lease");
            store.depose("sync", &seen, at(57)).await
        };
        "lease.relieve" => |store, things| async {
            let seen = store.holder("sync").await?.expect("there is a lease");
            store.relieve(("sync", &seen), &identity("own"), "me", chrono::TimeDelta::seconds(90), at(58)).await
        };
        "account.adopt" => |store, things| store.adopt(&identity("other"), &Actor::API, at(61));
    }
}

fn identity(company: &str) -> Identity {
    let server = Server::of(&"https://b2b.lumowallet.io".parse().unwrap());
    Identity { company: company.parse().unwrap(), server }
}

fn run(number: i64) -> Run {
    round(Listing::Blocked, at(number), at(number + 1))
}

pub(super) fn subscribers() -> Vec<Subscriber> {
    let late = Subscriber { history: Some(at(-1000)), ..subscriber("late", &["deposit.*"], Order::None) };
    let to = |name: &str| subscriber(name, &["*"], Order::None);
    vec![to("shop"), to("weak"), to("ledger"), late]
}

pub(super) async fn prepare(database: &Database) -> Things {
    let mut known = subscribers();
    known.push(subscriber("old", &["*"], Order::None));
    let store = migrated(database, &known).await;
    imported(database).await;
    import(&store, vec![dated("old", "user", -20)]).await;
    database.execute("CREATE TABLE ledger (event_id varchar(128))").await;
    publish_in(&store, &["user:a", "user:b", "user:c", "user:d", "user:e"], at(0)).await;
    // Nobody wants it.
    let kind = EventType::SyncStalled;
    let unwanted = Draft { id: repeated("company", kind, "again", 2, "generation"), kind, ..draft("again", "again") };
    publish(&store, &[unwanted], at(0)).await;
    ingest(&store, &[wallet("gone", "goner")], at(0)).await;
    let range = "VALUES ('late', 'sync.stalled', 1, 1, 'wanted')";
    let columns = format!("endpoint, {}, from_seq, through_seq, state", database.quote("type"));
    database.execute(&format!("INSERT INTO lumo_subscriptions ({columns}) {range}")).await;
    store.beat(78, 1, "{}", at(0)).await.unwrap();
    const DAY: i64 = 24 * 60 * 60;
    for (user, until) in [("long", 9 * DAY), ("gone", 1000), ("over", -9 * DAY)] {
        store.watch(&user.parse().unwrap(), at(until)).await.unwrap();
    }

    let mut leader = Leader::of(&store, "shop", at(1)).await;
    leader.pass(2, at(1), |_| Came::Delivered).await;
    leader.pass(1, at(1), |_| Came::Dead).await;
    let dead = deliveries(&store).await.into_iter().find(|row| row.state.as_str() == "dead").unwrap().id;
    let items: Vec<_> = leader.look().await.iter().map(|next| next.item(Came::Dead, at(4))).collect();
    let position = items.last().unwrap().seq;
    let transition = Some(StateTransition { from: Health::Active, to: Health::Failing });
    let note = |transition| EndpointNote {
        state: Health::Failing,
        consecutive_failures: 5,
        last_success_at: None,
        last_error: Some("no".to_owned()),
        hold_until: Some(at(11)),
        transition,
    };
    let commit = GroupCommit { note: Some(note(transition)), ..leader.group(items, position) };

    let mut leader = Leader::of(&store, "weak", at(1)).await;
    leader.pass(2, at(1), |_| Came::RetryAt(at(1000))).await;
    leader.note = Some(note(transition));
    leader.commit(Vec::new(), 2, at(2)).await;
    store.give_up_lead(&endpoint("weak"), PROCESS, at(2)).await.unwrap();
    let rows = deliveries(&store).await;
    let waiting = rows.iter().find(|row| row.id.endpoint == endpoint("weak") && row.seq == 4).unwrap().id.clone();
    let weak = store.position(&endpoint("weak")).await.unwrap().unwrap();
    database.execute("UPDATE lumo_positions SET revision = revision + 1 WHERE endpoint = 'weak'").await;

    let leader = Leader::of(&store, "ledger", at(3)).await;
    let next = leader.look().await.remove(0);
    let sink_commit = leader.group(vec![next.item(Came::Delivered, at(4))], next.event.seq);
    let bodies = vec![Some(next.event.body)];
    let statement = Statement::parse("INSERT INTO ledger (event_id) VALUES (:event_id)").unwrap();
    let sink = Arc::new(Sink { statement, timeout: Duration::from_secs(5) });

    let fence = store.lead("sync", "me", chrono::TimeDelta::seconds(90), at(0)).await.unwrap().unwrap();
    store.finish_pass(&run(1), None, Some(fence)).await.unwrap();
    let sweep = SweepState { listing: Listing::Deposits, started_at: at(5), known_until: 1, state: "{}".to_owned() };
    store.save_sweep(&sweep, &[(0, vec![1])], None, at(6)).await.unwrap();
    store.close().await;
    Things {
        fence,
        sweep: SweepState { state: "{\"a\":1}".to_owned(), ..sweep },
        commit,
        sink,
        sink_commit,
        bodies,
        weak_epoch: weak.epoch,
        dead,
        waiting,
        late: subscribers().pop().unwrap(),
        wallet: "gone".parse().unwrap(),
    }
}
