//! The schema's way up and down on each database, and what a program says that does not find it.

use futures_util::future::join_all;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Config, Error, Store, schema};
use lumo_bridge_entity::{
    ack, attempt, blocks, delivery, deposit, endpoint, event, lease, meta, progress, reject, run, seen, stream, sweep,
    wallet,
};
use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::database::{Database, on_each_database};
use crate::store::fixture::{
    at, claim, config, deposit, draft, ingest, migrated, publish, settle, shop, subscriber, wallet,
};

on_each_database!(
    an_empty_database_gets_tables_that_every_entity_reads,
    the_way_up_and_down_can_be_gone_again,
    going_up_twice_is_harmless,
    rows_of_the_first_tables_get_their_numbers,
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
const STEPS: usize = 5;

const TABLES: [&str; 17] = [
    "lumo_acks",
    "lumo_deliveries",
    "lumo_delivery_attempts",
    "lumo_endpoints",
    "lumo_events",
    "lumo_leases",
    "lumo_meta",
    "lumo_rejects",
    "lumo_streams",
    "lumo_sweep_seen",
    "lumo_sweeps",
    "lumo_sync_blocks",
    "lumo_sync_runs",
    "lumo_sync_state",
    "lumo_undelivered",
    "lumo_user_deposits",
    "lumo_user_wallets",
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
    empty!(ack, attempt, blocks, delivery, deposit, endpoint, event, lease, progress, reject, run, seen, sweep, wallet);
    let mut counters = stream::Entity::find().all(connection).await.unwrap();
    counters.sort_by(|a, b| a.stream.cmp(&b.stream));
    let counter = |name: &str| stream::Model { stream: name.to_owned(), last_seq: 0 };
    assert_eq!(counters, [stream::ALL, stream::DELIVERIES, stream::DEPOSITS, stream::WALLETS].map(counter));
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

/// The numbers of a table's rows, by id.
async fn numbers(database: &Database, table: &str) -> Vec<(String, i64)> {
    let rows = database.rows(&format!("SELECT id, row_no FROM {table} ORDER BY row_no")).await;
    rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap().parse().unwrap())).collect()
}

async fn counter(database: &Database, name: &str) -> i64 {
    database.number(&format!("SELECT last_seq FROM lumo_streams WHERE stream = '{name}'")).await
}

async fn rows_of_the_first_tables_get_their_numbers(database: Database) {
    let config = config(&database);
    let store = migrated(&database, &shop()).await;
    // Rows as the first tables held them, more than one of the same moment.
    for (now, ids) in [(at(2), ["b", "a", "c"]), (at(1), ["z", "y", "x"])] {
        ingest(&store, &ids.map(|id| wallet(id, id)), now).await;
    }
    ingest(&store, &[deposit("d")], at(1)).await;
    store.close().await;
    assert_eq!(schema::down(&config, 4).await.unwrap(), 4);
    let before = database.rows("SELECT id, raw, version FROM lumo_user_wallets ORDER BY id").await;
    assert_eq!(before.len(), 6, "the way down took rows with it");
    assert_eq!(database.count("lumo_streams", "stream = '*wallets' OR stream = '*deposits'").await, 0);
    assert_eq!(ours(&database).await.len(), TABLES.len() - 4);

    // Twice: on MySQL a step can be interrupted anywhere, and is run again from its start.
    for steps in [4, 1] {
        assert_eq!(schema::up(&config).await.unwrap(), steps);
        let expected = ["x", "y", "z", "a", "b", "c"].map(str::to_owned).into_iter().zip(1..).collect::<Vec<_>>();
        assert_eq!(numbers(&database, "lumo_user_wallets").await, expected);
        assert_eq!((counter(&database, "*wallets").await, counter(&database, "*deposits").await), (6, 1));
        database.execute("DELETE FROM lumo_migrations WHERE version LIKE '%_000002_%'").await;
    }
    assert_eq!(schema::up(&config).await.unwrap(), 1);
    assert_eq!(database.rows("SELECT id, raw, version FROM lumo_user_wallets ORDER BY id").await, before);

    // Numbers go on where they ended.
    let store = Store::open(&config, shop()).await.unwrap();
    ingest(&store, &[wallet("new", "new")], at(3)).await;
    assert_eq!(numbers(&database, "lumo_user_wallets").await.pop(), Some(("new".to_owned(), 7)));
    let twice = "UPDATE lumo_user_wallets SET row_no = 7 WHERE id = 'a'";
    assert!(database.try_execute(twice).await.is_err(), "two rows may have one number");
}

async fn many_may_migrate_at_once(database: Database) {
    let config = config(&database);
    let steps: Vec<_> = join_all((0..4).map(|_| schema::up(&config))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(steps.iter().sum::<usize>(), STEPS, "{steps:?}");
    assert_eq!(ours(&database).await, TABLES);
    assert_eq!(database.count("lumo_meta", "1 = 1").await, 1);
    assert_eq!(database.count("lumo_streams", "last_seq = 0").await, 4);
}

async fn what_is_not_delivered_is_in_the_view(database: Database) {
    let endpoints = [subscriber("crm", &["*"], Order::None), subscriber("shop", &["*"], Order::None)];
    let store = migrated(&database, &endpoints).await;
    publish(&store, &[draft("user:a", "1"), draft("user:b", "2"), draft("user:c", "3")], at(1)).await;
    let mut taken = claim(&store, "shop", 3, at(2)).await;
    settle(&store, vec![taken.remove(0)], "shop", Verdict::Done, at(3)).await;
    settle(&store, vec![taken.remove(0)], "shop", Verdict::RetryAt(at(9)), at(3)).await;
    settle(&store, taken, "shop", Verdict::Dead, at(3)).await;

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

    // A replay that got through settles the matter for its event and endpoint.
    let dead = "event_id = (SELECT id FROM lumo_events WHERE stream = 'user:c') AND endpoint = 'shop'";
    let columns = "event_id, endpoint, attempts, created_at";
    let replay = format!("SELECT 'dlv_replay', 'delivered', 'replay', {columns} FROM lumo_deliveries WHERE {dead}");
    database.execute(&format!("INSERT INTO lumo_deliveries (id, state, reason, {columns}) {replay}")).await;
    assert_eq!(database.count("lumo_undelivered", "endpoint = 'shop'").await, 1);

    let everything = claim(&store, "crm", 9, at(4)).await;
    settle(&store, everything, "crm", Verdict::Done, at(4)).await;
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
    assert_not_migrated("register", store.register_endpoints(at(0)).await);
    assert_not_migrated("claim", store.claim(&"shop".parse().unwrap(), 1, crate::store::fixture::LEASE, at(0)).await);
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
    for result in [schema::up(&config).await, schema::down(&config, 1).await] {
        let error = result.unwrap_err();
        assert!(lumo_bridge::chain::Chain(&error).to_string().contains("m29990101_000001_later"), "{error:?}");
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
                ingest(&store, &[wallet("w", "bob")], at(1)).await;
                assert_eq!(claim(&store, "shop", 9, at(1)).await.len(), 1, "{schema}");
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
