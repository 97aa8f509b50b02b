//! What waits for what: a user's events for one another, and nobody for anybody else.

use chrono::TimeDelta;
use lumo_simulator::{Answer, World};
use serde_json::json;

use super::announced_users;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

on_each_database!(
    a_failing_delivery_holds_its_user_and_no_other_until_max_hold,
    one_endpoint_down_does_not_hold_another,
    a_redirect_is_a_failure_and_is_not_followed,
);

async fn a_failing_delivery_holds_its_user_and_no_other_until_max_hold(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.ordering", json!({ "by": "user", "max_hold": "60s" }));
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["40s", "40s", "40s"], "jitter": 0.0 }));
    // The first event of the first user cannot be taken.
    stage.receiver.script(|request| {
        let is_it = request.stream.as_deref() == Some("user:user 0") && request.sequence == Some(1);
        Answer::status(if is_it { 500 } else { 200 })
    });
    let parts = announced_users(&mut stage, 2).await;
    for _ in 0..3 {
        for user in ["user 0", "user 1"] {
            stage.world.add_deposit_for(user, "1.5").unwrap();
        }
        parts.sync().await;
    }
    let delivering = parts.deliver().await;
    let of = |user: &str| {
        let stream = format!("user:{user}");
        let received = stage.receiver.received();
        let requests = received.iter().filter(|request| request.stream.as_deref() == Some(stream.as_str()));
        requests.map(|request| request.sequence.unwrap()).collect::<Vec<_>>()
    };
    let settled = async |delivered: i64, attempts: i64| {
        let sql = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
        stage.database.until_at_least(delivered, PATIENCE, sql).await;
        let sql = "SELECT COUNT(*) FROM lumo_delivery_attempts WHERE status = 500";
        stage.database.until_at_least(attempts, PATIENCE, sql).await;
    };
    settled(4, 1).await;
    assert_eq!(of("user 1"), [1, 2, 3, 4], "another user is not held");
    assert_eq!(of("user 0"), [1], "the user's next event waits");

    // It fails again within max_hold, and the rest goes on waiting.
    parts.clock.advance(TimeDelta::seconds(40));
    settled(4, 2).await;
    assert_eq!(of("user 0"), [1, 1]);

    // A minute after its first failure it is passed, and those behind it keep their order.
    parts.clock.advance(TimeDelta::seconds(20));
    settled(7, 2).await;
    assert_eq!(of("user 0"), [1, 1, 2, 3, 4]);
    stage.receiver.unscript();
    parts.clock.advance(TimeDelta::seconds(20));
    settled(8, 2).await;
    assert_eq!(of("user 0"), [1, 1, 2, 3, 4, 1], "what was passed is delivered late, with its own sequence");
    delivering.stop().await;
}

async fn one_endpoint_down_does_not_hold_another(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    // One that nobody listens on, and one that never answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.settings.endpoint("gone", &format!("http://{closed}/"), &["*"]);
    stage.add_endpoint("stuck", "/stuck", &["*"]);
    stage.receiver.script(|request| match request.path.as_str() {
        "/stuck" => Answer::status(200).after(PATIENCE),
        _ => Answer::status(200),
    });
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    let parts = announced_users(&mut stage, 100).await;
    let delivering = parts.deliver().await;
    let shop = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'shop' AND state = 'delivered'";
    stage.database.until_at_least(100, std::time::Duration::from_secs(30), shop).await;
    let unreachable = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'gone' AND last_error IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, unreachable).await;
    for endpoint in ["gone", "stuck"] {
        let delivered = format!("endpoint = '{endpoint}' AND state = 'delivered'");
        assert_eq!(stage.database.count("lumo_deliveries", &delivered).await, 0);
        assert_eq!(stage.database.count("lumo_undelivered", &format!("endpoint = '{endpoint}'")).await, 100);
    }
    drop(delivering);
}

async fn a_redirect_is_a_failure_and_is_not_followed(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    let elsewhere = stage.receiver.url("/elsewhere");
    let codes = [301_u16, 302, 303, 307, 308];
    stage.receiver.script(move |request| {
        let user: usize = request.stream.as_deref().unwrap_or("0").rsplit(' ').next().unwrap().parse().unwrap();
        Answer::status(codes[user]).with_header("location", &elsewhere)
    });
    let parts = announced_users(&mut stage, codes.len()).await;
    let delivering = parts.deliver().await;
    let refused = "SELECT COUNT(*) FROM lumo_deliveries WHERE last_status BETWEEN 301 AND 308";
    stage.database.until_at_least(5, PATIENCE, refused).await;
    delivering.stop().await;
    assert_eq!(stage.receiver.count(), codes.len());
    assert!(stage.receiver.received().iter().all(|request| request.path == "/shop"), "a redirect was followed");
}
