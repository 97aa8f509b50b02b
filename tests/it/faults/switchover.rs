//! A planned switchover: the old primary becomes read-only and goes on answering, and the name leads to the replica that
//! was promoted.

use std::net::SocketAddr;
use std::time::Duration;

use lumo_simulator::World;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::admin::client::Client;
use crate::database::Database;
use crate::world::{Announced, Gate, PATIENCE, Stage, eventually, random_changes, seed, servers};

/// The merchant's user, who may not write to a server that is read-only.
const USER: &str = "shop";

/// How soon rows are stored once the name leads to the new server, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Rows that are not stored before that.
const LATER: usize = 20;
const STORED: &str = "SELECT COUNT(*) FROM lumo_user_deposits WHERE external_id LIKE 'later %'";

fn add_later_rows(world: &World) {
    for user in 0..LATER {
        world.add_deposit_for(&format!("later {user}"), "1.5").expect("a deposit");
    }
}

async fn until_read_only_is_said(client: &Client) {
    eventually!(PATIENCE, "it says that nothing can be written", {
        let problem = client.get("/readyz").await.body["problem"].as_str().unwrap_or_default().to_owned();
        problem.contains("database is read-only, for this user or altogether")
    });
}

/// What the stage itself asks goes to the new server from now on.
async fn goes_on(stage: &mut Stage, client: &Client, server: SocketAddr) {
    let moved = Instant::now();
    stage.database.move_to(server).await;
    stage.database.until_at_least(i64::try_from(LATER).unwrap(), PATIENCE, STORED).await;
    assert!(moved.elapsed() < SOON, "stored after {:?}", moved.elapsed());
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    stage.assert_told_once_and_in_order(&Announced::default()).await;
}

async fn operator(server: SocketAddr) -> DatabaseConnection {
    sea_orm::Database::connect(format!("mysql://root@{server}/mysql")).await.expect("the server does not answer")
}

async fn run(server: &DatabaseConnection, sql: &str) {
    server.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn text(server: &DatabaseConnection, sql: &str) -> String {
    let row = server.query_one_raw(Statement::from_string(server.get_database_backend(), sql)).await.expect(sql);
    row.expect(sql).try_get_by_index(0).expect(sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_switchover_of_mariadb_storing_goes_on_at_the_new_server() {
    let Some(old) = servers::mariadb(&["--server-id=1", "--log-bin=log", "--binlog-format=ROW"]).await else { return };
    let Some(new) = servers::mariadb(&["--server-id=2", "--log-bin=log", "--binlog-format=ROW"]).await else { return };
    let (primary, replica) = (operator(old.addr()).await, operator(new.addr()).await);
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; \
         START SLAVE",
        old.addr().port()
    );
    run(&replica, &follow).await;
    let world = World::live(seed());
    world.seed(10, 20);
    let mut stage = Stage::new(Database::on_mariadb(old.addr()).await, world.clone()).await;
    let name = stage.database.value("SELECT DATABASE()").await;
    run(&primary, &format!("CREATE USER {USER}@'%'; GRANT ALL ON {name}.* TO {USER}@'%'")).await;
    let mut url = Url::parse(stage.database.url()).unwrap();
    url.set_username(USER).unwrap();
    let (gate, url) = Gate::to_database(url.as_str()).await;
    stage.settings.set("database.url", json!(url));
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    stage.announce_history();
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_delivered().await;

    run(&primary, "SET GLOBAL read_only = 1").await;
    random_changes(&world, 20);
    add_later_rows(&world);
    until_read_only_is_said(&client).await;
    let last = text(&primary, "SELECT @@GLOBAL.gtid_binlog_pos").await;
    let reached = text(&replica, &format!("SELECT CAST(MASTER_GTID_WAIT('{last}', 100) AS CHAR)")).await;
    assert_eq!(reached, "0", "the replica does not follow");
    run(&replica, "STOP SLAVE").await;
    gate.lead_to(new.addr());
    goes_on(&mut stage, &client, new.addr()).await;
    eventually!(PATIENCE, "nobody is left at the old server", {
        let open = format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE user = '{USER}'");
        text(&primary, &open).await == "0"
    });
    bridge.stop().await;
}

/// The sessions end with the old primary. The next ones are to what the name still leads to, which is a follower now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_switchover_of_postgres_storing_goes_on_at_the_new_server() {
    let Some(mut pair) = servers::postgres_pair().await else { return };
    let world = World::live(seed());
    world.seed(10, 20);
    let mut stage = Stage::new(Database::on_postgres(pair.old_addr()).await, world.clone()).await;
    let name = stage.database.value("SELECT current_database()").await;
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    stage.settings.set("database.url", json!(url));
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    stage.announce_history();
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_delivered().await;

    pair.switch_over().await;
    random_changes(&world, 20);
    add_later_rows(&world);
    until_read_only_is_said(&client).await;
    gate.lead_to(pair.new_addr());
    goes_on(&mut stage, &client, pair.new_addr()).await;

    let old = format!("postgres://postgres@{}/{name}", pair.old_addr());
    let old = sea_orm::Database::connect(old).await.expect("the old primary does not answer");
    let open = format!(
        "SELECT CAST(COUNT(*) AS text) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'lumo-bridge'"
    );
    eventually!(PATIENCE, "nobody is left at the old server", text(&old, &open).await == "0");
    bridge.stop().await;
}
