//! The schema's way up and down on each database, and what a program says that does not find it.

use futures_util::future::join_all;
use lumo_bridge::model::actor::Actor;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Config, Error, Store, schema};
use lumo_bridge_entity::{
    account, ack, attempt, blocks, deposit, deposit_status, endpoint, event, exception, lease, meta, operator_action,
    position, process, progress, reject, run, seen, stream, subscription, sweep, wallet, watch,
};
use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::database::{Database, on_each_database};
use crate::store::fixture::{at, config, draft, endpoint as name, ingest, migrated, publish, shop, subscriber, wallet};
use crate::store::leader::{Came, Leader, PROCESS};

on_each_database!(
    an_empty_database_gets_tables_that_every_entity_reads,
    the_way_up_and_down_can_be_gone_again,
    going_up_twice_is_harmless,
    many_may_migrate_at_once,
    what_is_not_delivered_is_in_the_view,
    missing_tables_are_named_with_the_command_that_makes_them,
    tables_older_than_the_program_are_called_out_of_date,
    tables_of_a_newer_program_are_left_alone,
);

/// Our tables and views, those of the migrations' history left out.
async fn ours(database: &Database) -> Vec<String> {
    let sql = if database.is_sqlite() {
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name LIKE 'lumo%'"
    } else {
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'lumo%' \
         AND table_schema NOT IN ('pg_catalog', 'mysql') AND table_catalog IN ('def', current_database())"
    };
    let sql = match database.backend() {
        sea_orm::DbBackend::MySql => {
            sql.split(" AND table_schema").next().unwrap().to_owned() + " AND table_schema = DATABASE()"
        }
        _ => sql.to_owned(),
    };
    let rows = database.rows(&sql).await;
    let mut names: Vec<_> = rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
    names.retain(|name| name != "lumo_migrations");
    names.sort();
    names
}

/// How many steps there are.
const STEPS: usize = 1;

/// Our tables and views.
pub(crate) const TABLES: [&str; 25] = [
    "lumo_account",
    "lumo_acks",
    "lumo_deliveries",
    "lumo_delivery_attempts",
    "lumo_deposit_statuses",
    "lumo_endpoints",
    "lumo_events",
    "lumo_exceptions",
    "lumo_leases",
    "lumo_meta",
    "lumo_operator_actions",
    "lumo_positions",
    "lumo_processes",
    "lumo_rejects",
    "lumo_streams",
    "lumo_subscriptions",
    "lumo_sweep_seen",
    "lumo_sweeps",
    "lumo_sync_blocks",
    "lumo_sync_runs",
    "lumo_sync_state",
    "lumo_undelivered",
    "lumo_user_deposits",
    "lumo_user_wallets",
    "lumo_watches",
];

async fn an_empty_database_gets_tables_that_every_entity_reads(database: Database) {
    assert_eq!(schema::up(&config(&database)).await.unwrap(), STEPS);
    assert_eq!(ours(&database).await, TABLES);

    let connection = database.connection();
    macro_rules! empty {
        ($($entity:ident),+) => {
            $(assert!($entity::Entity::find().all(connection).await.unwrap().is_empty(), stringify!($entity));)+
        };
    }
    empty!(
        account,
        ack,
        attempt,
        blocks,
        deposit,
        deposit_status,
        endpoint,
        event,
        exception,
        lease,
        operator_action,
        position,
        process,
        progress
    );
    empty!(reject, run, seen, subscription, sweep, wallet, watch);
    let mut counters = stream::Entity::find().all(connection).await.unwrap();
    counters.sort_by(|a, b| a.stream.cmp(&b.stream));
    let counter = |name: &str| stream::Model { stream: name.to_owned(), last_seq: 0 };
    assert_eq!(counters, [stream::ALL, stream::DEPOSITS, stream::WALLETS].map(counter));
    let facts = meta::Entity::find().all(connection).await.unwrap();
    assert!(matches!(facts.as_slice(), [fact] if fact.name == meta::GENERATION && fact.value.len() == 16), "{facts:?}");

    // What nothing writes yet.
    let row = lease::Model {
        resource: "sync".to_owned(),
        owner: "host/1".to_owned(),
        epoch: i64::MAX,
        expires_at: at(0) + chrono::TimeDelta::microseconds(1),
        process: Some(i64::from(u32::MAX)),
    };
    lease::Entity::insert(lease::ActiveModel::from(row.clone())).exec_without_returning(connection).await.unwrap();
    assert_eq!(lease::Entity::find().all(connection).await.unwrap(), [row]);
    let row = ack::ActiveModel { event_id: Set("evt_1".parse().unwrap()), endpoint: Set("shop".parse().unwrap()) };
    ack::Entity::insert(row).exec_without_returning(connection).await.unwrap();
    assert_eq!(ack::Entity::find().all(connection).await.unwrap().len(), 1);
}

/// The names of the steps, and which of them are applied.
async fn applied(config: &Config) -> Vec<bool> {
    schema::status(config).await.unwrap().into_iter().map(|step| step.applied).collect()
}

async fn generation(database: &Database) -> String {
    database.value("SELECT value FROM lumo_meta").await
}

async fn the_way_up_and_down_can_be_gone_again(database: Database) {
    let config = config(&database);
    assert_eq!(applied(&config).await, [false; STEPS]);
    assert_eq!(ours(&database).await, Vec::<String>::new(), "looking at the status made something");

    assert_eq!(schema::up(&config).await.unwrap(), STEPS);
    assert_eq!(applied(&config).await, [true; STEPS]);
    let first = generation(&database).await;

    assert_eq!(schema::down(&config, 9).await.unwrap(), STEPS);
    assert_eq!(ours(&database).await, Vec::<String>::new());
    assert_eq!(applied(&config).await, [false; STEPS]);
    assert_eq!(schema::down(&config, 1).await.unwrap(), 0, "there is nothing to take back");

    assert_eq!(schema::up(&config).await.unwrap(), STEPS);
    assert_eq!(ours(&database).await, TABLES);
    assert_ne!(generation(&database).await, first, "tables built anew must not reuse event ids");
}

async fn going_up_twice_is_harmless(database: Database) {
    let store = migrated(&database, &shop()).await;
    ingest(&store, &[wallet("w", "bob")], at(1)).await;
    let first = generation(&database).await;

    assert_eq!(schema::up(&config(&database)).await.unwrap(), 0);

    assert_eq!(generation(&database).await, first);
    assert_eq!(database.count("lumo_events", "seq = 1").await, 1);
    assert_eq!(publish(&store, &[draft("user:bob", "d")], at(2)).await, 1);
    assert_eq!(database.count("lumo_events", "seq = 2 AND stream_seq = 2").await, 1, "a counter was set back");
}

async fn many_may_migrate_at_once(database: Database) {
    let config = config(&database);
    let steps: Vec<_> = join_all((0..4).map(|_| schema::up(&config))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(steps.iter().sum::<usize>(), STEPS, "{steps:?}");
    assert_eq!(ours(&database).await, TABLES);
    assert_eq!(database.count("lumo_meta", "1 = 1").await, 1);
    assert_eq!(database.count("lumo_streams", "last_seq = 0").await, 3);
}

async fn what_is_not_delivered_is_in_the_view(database: Database) {
    let endpoints = [subscriber("crm", &["*"], Order::None), subscriber("shop", &["*"], Order::None)];
    let store = migrated(&database, &endpoints).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2"), draft("user:c", "3")], at(1)).await;
    let mut leader = Leader::of(&store, "shop", at(2)).await;
    leader
        .pass(3, at(3), |next| match next.event.seq {
            1 => Came::Delivered,
            2 => Came::RetryAt(at(9)),
            _ => Came::Dead,
        })
        .await;

    let kind = database.quote("type");
    let columns = format!("stream, stream_seq, {kind}, endpoint, state, attempts, last_status, last_error");
    let view = format!("SELECT {columns} FROM lumo_undelivered ORDER BY endpoint, stream");
    let rows: Vec<Vec<String>> = database
        .rows(&view)
        .await
        .into_iter()
        .map(|row| row.into_iter().map(|cell| cell.unwrap_or_default()).collect())
        .collect();
    let created = "deposit.created";
    assert_eq!(
        rows,
        [
            ["user:a", "1", created, "crm", "pending", "0", "", ""],
            ["user:b", "1", created, "crm", "pending", "0", "", ""],
            ["user:c", "1", created, "crm", "pending", "0", "", ""],
            ["user:b", "1", created, "shop", "retrying", "1", "500", "answered 500"],
            ["user:c", "1", created, "shop", "dead", "1", "500", "answered 500"],
        ]
    );
    assert_eq!(database.count("lumo_undelivered", "external_id IS NULL AND since IS NOT NULL").await, 5);

    // What got through on a second try settles the matter.
    leader.deliver(at(9)).await;
    assert_eq!(database.count("lumo_undelivered", "endpoint = 'shop'").await, 1);
    // Held by the state of its endpoint, without a write for each delivery.
    store.set_endpoint_state(&name("crm"), endpoint::State::Paused, &Actor::API, at(10)).await.unwrap();
    assert_eq!(database.count("lumo_undelivered", "endpoint = 'crm' AND state = 'held'").await, 3);
    Leader::of(&store, "crm", at(11)).await.deliver(at(11)).await;
    assert_eq!(database.count("lumo_undelivered", "endpoint = 'crm'").await, 0);
}

const NOT_MIGRATED: &str = "the lumo_ tables are missing or out of date; run `lumo-bridge migrate up`";

#[track_caller]
fn assert_not_migrated<T>(what: &str, result: Result<T, Error>) {
    match result {
        Err(error @ Error::NotMigrated) => assert_eq!(error.to_string(), NOT_MIGRATED, "{what}"),
        Err(error) => panic!("{what}: {}", lumo_bridge::chain::Chain(&error)),
        Ok(_) => panic!("{what}: there are no tables, and yet it works"),
    }
}

async fn missing_tables_are_named_with_the_command_that_makes_them(database: Database) {
    let store = Store::open(&config(&database), shop()).await.unwrap();
    assert_not_migrated("ping", store.ping().await);
    assert_not_migrated("endpoints", store.endpoints().await);
    assert_not_migrated("register", store.register_endpoints(PROCESS, at(0)).await);
    let page = crate::store::fixture::page(&[wallet("w", "bob")], at(0));
    assert_not_migrated("ingest", store.ingest(page, at(0)).await);

    schema::up(&config(&database)).await.unwrap();
    store.ping().await.unwrap();
}

async fn tables_older_than_the_program_are_called_out_of_date(database: Database) {
    let store = migrated(&database, &shop()).await;
    database.execute("ALTER TABLE lumo_endpoints DROP COLUMN since").await;
    assert_not_migrated("endpoints", store.endpoints().await);
}

async fn tables_of_a_newer_program_are_left_alone(database: Database) {
    let config = config(&database);
    schema::up(&config).await.unwrap();
    database.execute("INSERT INTO lumo_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    let status = schema::status(&config).await.map(|steps| steps.len());
    for result in [schema::up(&config).await, schema::down(&config, 1).await, status] {
        let error = result.unwrap_err();
        let expected = "the tables are of a newer lumo-bridge (step m29990101_000001_later); start that one";
        assert_eq!(lumo_bridge::chain::Chain(&error).to_string(), expected, "{error:?}");
    }
    assert_eq!(ours(&database).await, TABLES);
}

mod schemas {
    mod postgres {
        use super::super::*;

        async fn tables_in(database: &Database, schema: &str) -> Vec<String> {
            let sql = format!(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}' ORDER BY table_name"
            );
            database.rows(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
        }

        #[tokio::test]
        async fn a_schema_of_its_own_holds_everything() {
            let database = Database::postgres().await;
            // Names that need quoting, and one that differs from it by case only.
            for schema in ["bridge", "Bridge", "my bridge"] {
                let config = Config { schema: Some(schema.into()), ..config(&database) };
                assert_eq!(schema::up(&config).await.unwrap(), STEPS, "{schema}");
                let mut expected = TABLES.to_vec();
                expected.push("lumo_migrations");
                expected.sort_unstable();
                assert_eq!(tables_in(&database, schema).await, expected);

                let store = Store::open(&config, shop()).await.unwrap();
                store.register_endpoints(PROCESS, at(0)).await.unwrap();
                ingest(&store, &[wallet("w", "bob")], at(1)).await;
                assert_eq!(Leader::of(&store, "shop", at(1)).await.deliver(at(1)).await.len(), 1, "{schema}");
                assert_eq!(database.count(&format!("\"{schema}\".lumo_events"), "seq = 1").await, 1);
            }
            assert_eq!(tables_in(&database, "public").await, Vec::<String>::new());

            let config = Config { schema: Some("bridge".into()), ..config(&database) };
            assert_eq!(schema::down(&config, 9).await.unwrap(), STEPS);
            assert_eq!(tables_in(&database, "bridge").await, ["lumo_migrations"]);
            assert_eq!(tables_in(&database, "Bridge").await.len(), TABLES.len() + 1);
        }
    }
}
