//! The address that the daemon listens on: free, its own, or taken by another program.

use std::net::TcpListener;

use serde_json::json;

use super::{assert_found, found, healthy};
use crate::admin::client::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_where_the_daemon_would_is_found() {
    let mut stage = healthy().await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    assert_found(&found(&stage, &[], 0).await, "server", "ok", "is free", "");

    let mut bridge = stage.daemon();
    let address = Client::of(&mut bridge).await.base.replace("http://", "");
    stage.settings.set("server.listen", json!(address));
    let words = format!("a daemon runs and answers on {address}");
    assert_found(&found(&stage, &[], 0).await, "server", "ok", &words, "");

    // For another database it is a stranger.
    let mut other = healthy().await;
    other.settings.set("server.listen", json!(address));
    let words = format!("a lumo-bridge answers on {address}, but none runs with this database");
    assert_found(&found(&other, &[], 0).await, "server", "warn", &words, "set `server.listen` to another address");
    bridge.stop().await;

    // It takes connections and says nothing.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    stage.settings.set("server.listen", json!(address));
    let words = format!("{address} is taken by a program that does not answer as lumo-bridge does");
    assert_found(&found(&stage, &[], 1).await, "server", "fail", &words, "set `server.listen` to another address");
}
