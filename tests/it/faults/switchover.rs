//! A planned switchover of MariaDB: the old primary becomes read-only and goes on answering, and the name leads to the
//! replica that was promoted.

use std::net::SocketAddr;

use lumo_simulator::World;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use url::Url;

use crate::admin::client::Client;
use crate::database::Database;
use crate::world::{Announced, Gate, PATIENCE, Stage, eventually, random_changes, seed, servers};

/// The merchant's user, who may not write to a server that is read-only.
const USER: &str = "shop";

async fn operator(server: SocketAddr) -> DatabaseConnection {
    sea_orm::Database::connect(format!("mysql://root@{server}/mysql")).await.expect("the server does not answer")
}

async fn run(server: &DatabaseConnection, sql: &str) {
    server.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn text(server: &DatabaseConnection, sql: &str) -> String {
    let row = server.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await.expect(sql);
    row.expect(sql).try_get_by_index(0).expect(sql)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_switchover_storing_goes_on_at_the_new_server() {
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
    eventually!(PATIENCE, "it says that nothing can be written", {
        let problem = client.get("/readyz").await.body["problem"].as_str().unwrap_or_default().to_owned();
        problem.contains("database is read-only, for this user or altogether")
    });
    let last = text(&primary, "SELECT @@GLOBAL.gtid_binlog_pos").await;
    let reached = text(&replica, &format!("SELECT CAST(MASTER_GTID_WAIT('{last}', 100) AS CHAR)")).await;
    assert_eq!(reached, "0", "the replica does not follow");
    run(&replica, "STOP SLAVE").await;
    gate.lead_to(new.addr());

    // What the test asks goes to the new server from now on.
    stage.database.move_to(new.addr()).await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    eventually!(PATIENCE, "nobody is left at the old server", {
        let open = format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE user = '{USER}'");
        text(&primary, &open).await == "0"
    });
    bridge.stop().await;
}
