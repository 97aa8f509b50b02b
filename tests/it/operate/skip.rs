//! `delivery skip` and `endpoint resume --skip-held`.

use lumo_simulator::World;
use serde_json::json;

use super::{assert_refused, json};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

on_each_database!(what_is_skipped_is_not_sent_and_what_came_behind_it_is);

/// Three events of one user wait for an endpoint that is paused.
async fn waiting(database: Database) -> Stage {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.world.add_wallet("bob");
    let parts = stage.parts().await;
    parts.sync().await;
    for _ in 0..2 {
        stage.world.add_deposit_for("bob", "1").unwrap();
        parts.sync().await;
    }
    parts.store.close().await;
    let paused = stage.command(&["endpoint", "pause", "shop"]).await;
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    stage
}

async fn what_is_skipped_is_not_sent_and_what_came_behind_it_is(database: Database) {
    let stage = waiting(database).await;
    let ids = stage.database.rows("SELECT event_id FROM lumo_deliveries ORDER BY seq").await;
    let ids: Vec<String> = ids.into_iter().flatten().flatten().map(|event| format!("{event}@shop")).collect();
    let skip = ["delivery", "skip", &ids[0], &ids[1], "--reason", "booked by hand"];
    let skipped = stage.command(&[&skip[..], &["--json"]].concat()).await;
    assert_eq!(skipped.status.code(), Some(0), "{skipped:?}");
    let one = |id: &str| json!({ "id": id, "result": "skipped", "message": "skipped" });
    assert_eq!(json(&skipped), json!([one(&ids[0]), one(&ids[1])]));
    let again = stage.command(&skip).await;
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert!(again.stdout.contains("skipped already; nothing was changed"), "{}", again.stdout);

    let resumed = stage.command(&["endpoint", "resume", "shop", "--json"]).await;
    assert_eq!(json(&resumed), json!({ "name": "shop", "state": "active" }));
    let bridge = stage.daemon();
    let sql = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
    stage.database.until_at_least(1, PATIENCE, sql).await;
    bridge.stop().await;
    let sequences: Vec<_> = stage.receiver.received().iter().map(|request| request.sequence).collect();
    assert_eq!(sequences, [Some(3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_resumed_without_what_it_missed() {
    let stage = waiting(Database::sqlite().await).await;
    let counted = stage.command(&["endpoint", "resume", "shop", "--skip-held"]).await;
    assert_refused(
        &counted,
        2,
        &["this gives up 3 callbacks for shop, the oldest of", "nothing was changed", "`--yes`"],
    );
    assert_eq!(stage.database.count("lumo_deliveries", "state = 'skipped'").await, 0);
    assert_eq!(stage.database.count("lumo_endpoints", "state = 'paused'").await, 1, "it is not resumed either");
    let resumed = stage.command(&["endpoint", "resume", "shop", "--skip-held", "--yes"]).await;
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    assert!(resumed.stderr.contains("deliveries to shop that were skipped: 3"), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("shop is active"), "{}", resumed.stderr);
    let why = "state = 'skipped' AND last_error = 'skipped as its endpoint was resumed'";
    assert_eq!(stage.database.count("lumo_deliveries", why).await, 3);
    let again = stage.command(&["endpoint", "resume", "shop", "--skip-held", "--json"]).await;
    assert_eq!(json(&again), json!({ "name": "shop", "state": "active", "skipped": 0 }));

    let refused = stage.command(&["endpoint", "resume", "shp", "--skip-held"]).await;
    assert_refused(&refused, 1, &["no such endpoint: shp", "did you mean `shop`?"]);
    let unknown = stage.command(&["delivery", "skip", "evt_strange@shop", "--reason", "x"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(unknown.stdout.contains("no such delivery"), "{}", unknown.stdout);
    assert_refused(&stage.command(&["delivery", "skip", "evt_strange@shop"]).await, 2, &["--reason <TEXT>"]);
    let nameless = stage.command(&["delivery", "skip", "evt_strange", "--reason", "x"]).await;
    assert_refused(&nameless, 2, &["is no delivery; write an event and an endpoint, as in `evt_…@shop`"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_given_up_with_the_rest_once_its_endpoint_is_not_configured() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("callbacks.endpoints.shop.ack", json!({ "mode": "row", "within": "10m" }));
    stage.world.add_wallet("bob");
    stage.world.add_deposit_for("bob", "1").unwrap();
    let bridge = stage.daemon();
    let answered = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'awaiting_ack'";
    stage.database.until_at_least(1, PATIENCE, answered).await;
    stage.database.until_at_least(2, PATIENCE, "SELECT COUNT(*) FROM lumo_deliveries").await;
    bridge.stop().await;

    stage.settings.remove("callbacks.endpoints.shop");
    stage.add_endpoint("crm", "/crm", &["sync.*"]);
    let bridge = stage.daemon();
    let removed = "SELECT COUNT(*) FROM lumo_endpoints WHERE removed_at IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, removed).await;
    let said = async |arguments: &[&str]| {
        let finished = stage.command(arguments).await;
        let text = format!("{} {}", finished.stdout, finished.stderr);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let status = said(&["status"]).await;
    assert!(status.contains("shop is not configured any more; 2 callbacks wait for it"), "{status}");
    assert!(status.contains("`lumo-bridge endpoint resume shop --skip-held --yes` gives them up"), "{status}");
    assert_eq!(stage.database.number(answered).await, 0, "nobody waits for its row");
    let listed = said(&["delivery", "list", "--state", "held"]).await;
    let why = "it was answered, and the receiver's row in `lumo_acks` is looked for once shop is configured again";
    assert!(listed.contains(why), "{listed}");
    let counted = said(&["endpoint", "resume", "shop", "--skip-held"]).await;
    let hint = "say `--yes` to give them up, or put the endpoint back into the configuration to send them";
    assert!(counted.contains("this gives up 2 callbacks for shop") && counted.contains(hint), "{counted}");
    let resumed = said(&["endpoint", "resume", "shop", "--skip-held", "--yes"]).await;
    assert!(resumed.contains("deliveries to shop that were skipped: 2"), "{resumed}");
    let status = said(&["status"]).await;
    assert!(!status.contains("not configured any more"), "{status}");
    bridge.stop().await;
}
