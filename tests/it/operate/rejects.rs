//! An item that cannot be read, as the operator sees it: everything else goes on, and it is named wherever one looks.

use lumo_simulator::World;
use serde_json::Value;

use super::{json, until_told};
use crate::admin::Client;
use crate::database::Database;
use crate::world::{Stage, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_cannot_be_read_is_listed_and_hinders_nothing() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.add_endpoint("ops", "/ops", &["sync.item_rejected"]);
    stage.world.add_wallet("ann");
    stage.world.add_wallet("tab\there");
    let id = stage.world.wallet_of("tab\there").unwrap().id.to_string();

    for _ in 0..2 {
        let synced = stage.command(&["sync", "wallets"]).await;
        assert_eq!(synced.status.code(), Some(0), "{synced:?}");
        let words = "items that cannot be read: 1; `lumo-bridge sync rejects` lists them";
        assert!(synced.stdout.contains(words), "{}", synced.stdout);
        assert!(!synced.stdout.contains("not complete"), "{}", synced.stdout);
    }
    assert_eq!(stage.database.count("lumo_user_wallets", "external_id = 'ann'").await, 1);

    let listed = stage.command(&["sync", "rejects"]).await;
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    for word in ["LISTING", "wallets", &id, "externalId contains a control character", "SINCE"] {
        assert!(listed.stdout.contains(word), "{word:?} is not in {}", listed.stdout);
    }
    let listed = json(&stage.command(&["sync", "rejects", "--json"]).await);
    let [reject] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&reject["listing"], &reject["id"]), (&"wallets".into(), &id.as_str().into()));
    assert!(reject["raw"].as_str().unwrap().contains(r"tab\there"), "{reject}");
    assert!(reject["first_seen_at"].is_string() && reject["reason"].is_string(), "{reject}");

    let status = stage.command(&["status"]).await;
    assert!(status.stdout.contains("wallets: 1 item cannot be read and is kept aside"), "{}", status.stdout);
    assert!(status.stdout.contains("`lumo-bridge sync rejects` says why"), "{}", status.stdout);
    let status = json(&stage.command(&["status", "--json"]).await);
    let of = |name: &str| status["listings"].as_array().unwrap().iter().find(|row| row["listing"] == name).cloned();
    assert_eq!((&of("wallets").unwrap()["rejects"], &of("deposits").unwrap()["rejects"]), (&1.into(), &0.into()));
    assert_eq!(of("wallets").unwrap()["last_error"], Value::Null);

    stage.settings.set("server.listen", "127.0.0.1:0".into());
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_read_again().await;
    let object = until_told(&stage, "sync.item_rejected").await;
    assert_eq!((&object["id"], &object["listing"]), (&id.as_str().into(), &"wallets".into()));
    assert!(object["reason"].as_str().unwrap().contains("externalId contains a control character"), "{object}");
    let answered = client.read("/api/rejects?limit=1").await;
    assert_eq!((&answered["data"][0]["id"], &answered["next"]), (&id.as_str().into(), &Value::Null));
    let refused = client.get("/api/rejects?listing=walets").await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let metrics = client.text("/metrics").await;
    assert!(metrics.contains("lumo_bridge_sync_rejects{listing=\"wallets\"} 1\n"), "{metrics}");
    assert!(metrics.contains("lumo_bridge_sync_rejects{listing=\"deposits\"} 0\n"), "{metrics}");
    assert_eq!(client.get("/readyz").await.status, 200);
    let log = bridge.log();
    assert!(!log.contains("cannot be read"), "it was logged when it was first seen: {log}");
    bridge.stop().await;
    assert_eq!(stage.database.count("lumo_events", "object_kind = 'reject'").await, 1);
    let told = stage.receiver.received().iter().filter(|request| request.path == "/ops").count();
    assert_eq!(told, 1, "it is told once, however often it is listed");
}
