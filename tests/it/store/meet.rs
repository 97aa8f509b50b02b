//! Two transactions that meet at a lock: both are begun while somebody else holds it, and whichever gets it first, what the
//! one did is never undone by the other, and whoever loses is told.

use std::future::Future;

use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::delivery::State;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::Store;
use lumo_bridge::store::delivery::{GroupCommit, Written};
use lumo_bridge::store::replay::{ReplayFilter, Replayed, Types};
use lumo_bridge::store::skip::Skipped;
use sea_orm::DbBackend;
use tokio_util::task::TaskTracker;

use super::fixture::{at, config, deliveries, draft, endpoint, migrated, publish, publish_in, shop, subscriber};
use super::innodb::under_way;
use super::leader::{Came, Leader, PROCESS};
use crate::database::Database;
use crate::world::{PATIENCE, eventually};

/// On the servers, in both orders: on SQLite there is one writer, and the simulation stops between any two transactions.
macro_rules! in_both_orders {
    ($($name:ident),+ $(,)?) => {
        in_both_orders!(@module postgres: $($name)+);
        in_both_orders!(@module mariadb: $($name)+);
    };
    (@module $kind:ident: $($name:ident)+) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    for is_first in [true, false] {
                        super::$name(crate::database::Database::$kind().await, is_first).await;
                    }
                }
            )+
        }
    };
}

in_both_orders!(
    a_group_commit_and_a_skip,
    a_group_commit_and_a_new_leader,
    a_group_commit_and_a_replay,
    an_event_and_a_range_that_is_opened,
);

const TURNSTILE: &str = "SELECT position FROM lumo_positions WHERE endpoint = 'shop' FOR UPDATE";
const LOG: &str = "SELECT last_seq FROM lumo_streams WHERE stream = '*' FOR UPDATE";

/// How many sessions of this database wait for a lock.
async fn waiting(database: &Database) -> usize {
    if database.backend() == DbBackend::Postgres {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        return database.rows(sql).await.len();
    }
    under_way(database).await.iter().filter(|one| one.waits).count()
}

/// Begins both while the lock is held: one waits in front of the other.
async fn meet<A: Send + 'static, B: Send + 'static>(
    database: &Database,
    lock: &str,
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
    is_first: bool,
) -> (A, B) {
    let tasks = TaskTracker::new();
    let held = database.hold(lock).await;
    let begin = async |number: usize| {
        eventually!(PATIENCE, "a transaction waits for the lock", waiting(database).await == number);
    };
    let (one, other) = if is_first {
        let one = tasks.spawn(one);
        begin(1).await;
        let other = tasks.spawn(other);
        begin(2).await;
        (one, other)
    } else {
        let other = tasks.spawn(other);
        begin(1).await;
        let one = tasks.spawn(one);
        begin(2).await;
        (one, other)
    };
    held.release().await;
    (one.await.unwrap(), other.await.unwrap())
}

async fn another(database: &Database) -> Store {
    Store::open(&config(database), shop()).await.unwrap()
}

/// A leader that has both events in hand, one as a row that is due and one of the log, and what it is about to write.
async fn about_to_write(store: &Store) -> GroupCommit {
    publish_in(store, &["user:a", "user:b"], at(0)).await;
    let mut leader = Leader::of(store, "shop", at(1)).await;
    leader.pass(1, at(1), |_| Came::RetryAt(at(2))).await;
    let position = store.position(&endpoint("shop")).await.unwrap().unwrap();
    let due = store.due(&endpoint("shop"), 9, at(2)).await.unwrap().rows;
    let rows = due.into_iter().map(|row| Leader::next_of(row).item(Came::Delivered, at(3)));
    let log = leader.look().await;
    GroupCommit {
        endpoint: endpoint("shop"),
        epoch: position.epoch,
        revision: position.revision,
        commits: position.commits,
        position: 2,
        items: rows.chain(log.iter().map(|next| next.item(Came::Delivered, at(3)))).collect(),
        note: None,
        asks_acks: false,
    }
}

async fn states(store: &Store) -> Vec<&'static str> {
    deliveries(store).await.into_iter().map(|row| row.state.as_str()).collect()
}

async fn a_group_commit_and_a_skip(database: Database, is_first: bool) {
    let store = migrated(&database, &shop()).await;
    let commit = about_to_write(&store).await;
    let ids: Vec<_> = deliveries(&store).await.into_iter().map(|row| row.id).collect();
    let (leader, operator) = (store.clone(), another(&database).await);
    let write = async move { leader.commit_group(&commit, at(3)).await.unwrap() };
    let skip = async move { operator.skip_deliveries(&ids, "booked by hand", &Actor::API, at(3)).await.unwrap() };
    let (written, skipped) = Box::pin(meet(&database, TURNSTILE, write, skip, is_first)).await;
    let Written::Committed(committed) = written else { panic!("lost") };
    if is_first {
        assert_eq!(skipped, [Skipped::Unchanged(State::Delivered); 2]);
        assert_eq!(states(&store).await, ["delivered"; 2]);
    } else {
        assert!(skipped.iter().all(|came| matches!(came, Skipped::Skipped { .. })), "{skipped:?}");
        assert_eq!((committed.is_stale, committed.dropped), (true, vec![1, 2]));
        assert_eq!(states(&store).await, ["skipped"; 2]);
    }
}

async fn a_group_commit_and_a_new_leader(database: Database, is_first: bool) {
    let store = migrated(&database, &shop()).await;
    let commit = about_to_write(&store).await;
    let (leader, successor) = (store.clone(), another(&database).await);
    let write = async move { leader.commit_group(&commit, at(3)).await.unwrap() };
    let shop = endpoint("shop");
    let take =
        async move { successor.take_lead(&shop, PROCESS + 1, Some(PROCESS), true, at(3)).await.unwrap().unwrap() };
    let (written, taken) = meet(&database, TURNSTILE, write, take, is_first).await;
    assert_eq!(matches!(written, Written::Lost), !is_first, "{written:?}");
    assert_eq!(taken.position, if is_first { 2 } else { 1 }, "it goes on where the last commit ended");
    let expected = if is_first { ["delivered", "delivered"] } else { ["retrying", "pending"] };
    assert_eq!(states(&store).await, expected);
}

async fn a_group_commit_and_a_replay(database: Database, is_first: bool) {
    let store = migrated(&database, &shop()).await;
    let commit = about_to_write(&store).await;
    let (leader, operator) = (store.clone(), another(&database).await);
    let write = async move { leader.commit_group(&commit, at(3)).await.unwrap() };
    let replay = async move {
        let mut replay =
            operator.begin_replay(ReplayFilter::default(), endpoint("shop"), Types::Any, Actor::API).await.unwrap();
        operator.replay(&mut replay, at(3)).await.unwrap().unwrap()
    };
    let (written, replayed) = Box::pin(meet(&database, TURNSTILE, write, replay, is_first)).await;
    assert!(matches!(written, Written::Committed(_)), "{written:?}");
    // What has arrived is sent once more; what is on its way is not.
    let again = if is_first { 2 } else { 0 };
    assert_eq!(replayed, Replayed { queued: again, unfinished: 2 - again, unwanted: 0 });
    let mut leader = Leader::after(&store, "shop", Some(PROCESS), at(4)).await;
    assert_eq!(u64::try_from(leader.deliver(at(5)).await.len()).unwrap(), again);
    assert_eq!(states(&store).await, ["delivered"; 2]);
}

async fn an_event_and_a_range_that_is_opened(database: Database, is_first: bool) {
    let store = migrated(&database, &[subscriber("shop", &["wallet.blocked"], Order::User)]).await;
    let (publisher, other) = (store.clone(), another(&database).await);
    let wanted = other.with_subscribers(shop());
    let append = async move { publish(&publisher, &[draft("user:a", "1")], at(1)).await };
    let open = async move { wanted.register_endpoints(PROCESS, at(1)).await.unwrap() };
    meet(&database, LOG, append, open, is_first).await;
    let slice = store.read_log(&endpoint("shop"), 0, 9, 1 << 20).await.unwrap();
    assert_eq!(slice.events.len(), usize::from(!is_first), "it is wanted from its range's first number on");
    let kind = database.quote("type");
    let from = format!("SELECT from_seq FROM lumo_subscriptions WHERE {kind} = 'deposit.created'");
    assert_eq!(database.number(&from).await, if is_first { 2 } else { 1 });
}
