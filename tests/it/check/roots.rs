//! A machine without CA certificates: plain http needs none, and https says what to install.

use lumo_simulator::World;
use serde_json::json;
use tempfile::TempDir;

use super::{assert_found, found, healthy};
use crate::database::Database;
use crate::world::{Stage, seed};

const SENTENCE: &str = "this machine has no CA certificates, without which https trusts nobody; install the package \
                        `ca-certificates`, or name a file of certificates in the variable SSL_CERT_FILE";

/// Takes the certificates of the system away from the program.
fn take_certificates(stage: &mut Stage, place: &TempDir) {
    let none = place.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    stage.variables = vec![("SSL_CERT_FILE", none), ("SSL_CERT_DIR", place.path().to_owned())];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ca_certificates_plain_http_works() {
    let place = tempfile::tempdir().unwrap();
    let world = World::live(seed());
    world.seed(5, 10);
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    take_certificates(&mut stage, &place);
    stage.announce_history();
    stage.settings.set("telemetry.traces", json!("http://127.0.0.1:9/v1/traces"));
    found(&stage, &["--send-test"], 0).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    stage.assert_mirrored().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ca_certificates_https_names_what_to_install() {
    let place = tempfile::tempdir().unwrap();
    for (key, subject) in [
        ("lumo.base_url", Some("API key")),
        ("callbacks.endpoints.shop.url", Some("endpoint shop")),
        ("telemetry.traces", None),
    ] {
        let mut stage = healthy().await;
        take_certificates(&mut stage, &place);
        stage.settings.set(key, json!("https://127.0.0.1:9/"));
        let finished = stage.command(&["run"]).await;
        assert!(!finished.status.success(), "{finished:?}");
        assert_eq!(finished.stderr.matches(SENTENCE).count(), 1, "{key}: {}", finished.stderr);
        if let Some(subject) = subject {
            assert_found(&found(&stage, &[], 1).await, subject, "fail", SENTENCE, "");
            let text = stage.command(&["check"]).await.stdout;
            assert_eq!(text.matches(SENTENCE).count(), 1, "{key}: {text}");
        }
    }
}
