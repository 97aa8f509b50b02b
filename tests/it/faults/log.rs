//! The log of a long trouble: a line as it begins, and no pair of lines for each failure; and of what has an endpoint wait.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::clock::Clock;
use lumo_simulator::{Answer, World};
use serde_json::json;

use crate::database::Database;
use crate::world::{PATIENCE, Stage, eventually, seed};

fn lines(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_one_request_in_ten_is_one_line() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.announce_history();
    for user in 0..200 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    let requests = AtomicU32::new(0);
    stage.receiver.script(move |_| {
        let number = requests.fetch_add(1, Ordering::Relaxed);
        Answer::status(if number % 10 == 3 { 500 } else { 200 })
    });
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_delivered().await;
    let refused = stage.receiver.received().iter().filter(|request| request.answered == 500).count();
    assert!(refused >= 20, "{refused}");
    let log = bridge.log();
    assert_eq!(lines(&log, "delivery failed; further failures"), 1, "{log}");
    assert_eq!(lines(&log, " WARN delivery failed"), 1, "{log}");
    assert_eq!(lines(&log, "deliveries succeed"), 0, "{log}");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_away_is_one_line_for_each_listing() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.settings.set("lumo.base_url", json!(format!("http://{closed}")));
    let bridge = stage.daemon();
    let rounds = "SELECT MIN(rounds) FROM (SELECT COUNT(*) AS rounds FROM lumo_sync_runs GROUP BY listing) counted";
    let listings = "SELECT COUNT(DISTINCT listing) FROM lumo_sync_runs WHERE outcome = 'failed'";
    stage.database.until_at_least(3, PATIENCE, listings).await;
    stage.database.until_at_least(4, PATIENCE, rounds).await;
    eventually!(PATIENCE, "each listing is named", lines(&bridge.log(), "ERROR pass failed") == 3);
    let log = bridge.log();
    assert_eq!(lines(&log, "page not read; trying again"), 0, "{log}");
    // A slow machine may need more than a minute for so many rounds.
    let others = lines(&log, "ERROR") - 3;
    assert_eq!(others, lines(&log, "passes fail"), "nothing but summaries: {log}");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_only_endpoint_is_one_error_that_says_what_to_do() {
    const LINE: &str = "ERROR no endpoint takes callbacks";
    const END: &str = "INFO callbacks are taken again";
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.announce_history();
    for user in 0..20 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    stage.receiver.script(|_| Answer::status(500));
    let bridge = stage.daemon();
    stage.until_imported().await;
    // That is after half a minute of failing.
    eventually!(PATIENCE, "it is said", lines(&bridge.log(), LINE) == 1);
    let log = bridge.log();
    let line = log.lines().find(|line| line.contains(LINE)).unwrap();
    assert!(line.contains("lumo-bridge endpoint test NAME"), "{line}");
    assert!(line.contains("endpoints=shop") && line.contains("500"), "{line}");
    let probes = stage.receiver.received().len() + 2;
    eventually!(PATIENCE, "it is probed again", stage.receiver.received().len() >= probes);
    assert_eq!((lines(&bridge.log(), LINE), lines(&bridge.log(), END)), (1, 0), "{}", bridge.log());

    stage.receiver.script(|_| Answer::status(200));
    stage.until_delivered().await;
    eventually!(PATIENCE, "its end is said", lines(&bridge.log(), END) == 1);
    assert_eq!(lines(&bridge.log(), LINE), 1, "{}", bridge.log());
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_an_endpoint_wait_is_a_line_with_who_did_it_and_until_when() {
    const PAUSED: &str =
        "INFO an operator has paused the endpoint; what is for it is held until `lumo-bridge endpoint resume`";
    const RESUMED: &str = "INFO an operator has resumed the endpoint; what waits for it goes out";
    const HELD: &str = "INFO the endpoint asks for quiet by `Retry-After`; nothing is sent to it until then";
    let stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let mut bridge = stage.daemon();
    stage.until_imported().await;
    for (command, line) in [("pause", PAUSED), ("resume", RESUMED)] {
        assert_eq!(stage.command(&["endpoint", command, "shop"]).await.status.code(), Some(0));
        bridge.until_logged(line, PATIENCE).await;
        let log = bridge.log();
        let said = log.lines().find(|text| text.contains(line)).unwrap();
        assert!(said.contains("endpoint=shop") && said.contains("by=\"cli:"), "{said}");
    }

    // Two answers ask for it.
    stage.receiver.script(|_| Answer::status(503).with_header("retry-after", "7200"));
    stage.world.add_wallet("ann");
    stage.world.add_wallet("bob");
    bridge.until_logged(HELD, PATIENCE).await;
    let log = bridge.log();
    let said = log.lines().find(|text| text.contains(HELD)).unwrap();
    assert!(said.contains("endpoint=shop") && said.contains("503"), "{said}");
    let until = said.split("until=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let left = until.parse::<DateTime<Utc>>().unwrap() - Clock::system().now();
    assert!((TimeDelta::minutes(115)..=TimeDelta::minutes(121)).contains(&left), "{said}");

    // A process that starts later says why nothing is sent.
    assert_eq!(stage.command(&["endpoint", "pause", "shop"]).await.status.code(), Some(0));
    eventually!(PATIENCE, "it is paused", lines(&bridge.log(), PAUSED) == 2);
    let log = bridge.log();
    assert_eq!((lines(&log, HELD), lines(&log, RESUMED)), (1, 1), "{log}");
    bridge.stop().await;
    let mut bridge = stage.daemon();
    bridge.until_logged(PAUSED, PATIENCE).await;
    bridge.stop().await;
}
