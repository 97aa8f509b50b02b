//! A secret that is rotated while ten thousand events wait.

use std::ops::Range;

use lumo_bridge::model::draft::{Draft, Origin, once};
use lumo_bridge::model::event::EventType;
use lumo_simulator::receiver::{Secret, Signed, verify};
use lumo_simulator::{Received, Receiver, ReceiverConfig, World};
use serde_json::json;
use serde_json::value::RawValue;

use crate::database::Database;
use crate::world::{PATIENCE, Parts, SECRET, Stage};

const NEXT: &str = "whsec_dGhlIG5leHQgc2VjcmV0IG9mIHRoZSB0ZXN0cw==";
const EVENTS: usize = 10_000;

/// Events of as many users, published without a listing that would have to be read.
async fn publish(parts: &Parts, users: Range<usize>) {
    let now = parts.clock.now();
    let draft = |user: usize| Draft {
        id: once("company", EventType::WalletCreated, &user.to_string()),
        kind: EventType::WalletCreated,
        stream: format!("user:{user}"),
        object_kind: "wallet",
        object_id: user.to_string(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: RawValue::from_string("{}".to_owned()).unwrap(),
        changes: None,
        upstream: None,
    };
    let drafts: &[Draft] = &users.map(draft).collect::<Vec<_>>();
    parts.store.tx("test", |tx| async move { tx.publish(drafts.to_vec(), now).await }).await.expect("not published");
}

fn is_signed_by(request: &Received, secret: &str) -> bool {
    let header = |name: &str| request.header(name).expect("a signed request");
    let signed = Signed {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: &request.body,
    };
    verify(&signed, &[Secret::parse(secret).unwrap()], request.at).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_with_ten_thousand_events_waiting() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    let secrets = vec![SECRET.to_owned(), NEXT.to_owned()];
    stage.receiver = Receiver::start(ReceiverConfig::local(secrets)).await.expect("receiver not started");
    stage.settings.endpoint("shop", &stage.receiver.url("/shop"), &["*"]);
    let parts = stage.parts().await;
    for thousand in 0..EVENTS / 1000 {
        publish(&parts, thousand * 1000..(thousand + 1) * 1000).await;
    }
    parts.store.close().await;

    let (old, new) = (json!({ "value": SECRET }), json!({ "value": NEXT }));
    let mut signed = Vec::new();
    for (secrets, until) in
        [(json!([old.clone()]), EVENTS / 4), (json!([new.clone(), old]), EVENTS / 2), (json!([new]), EVENTS)]
    {
        stage.settings.set("callbacks.endpoints.shop.secrets", secrets);
        let bridge = stage.daemon();
        assert!(stage.receiver.wait_for(until, PATIENCE).await, "callbacks have stopped");
        bridge.stop().await;
        signed.push(stage.receiver.count());
    }
    let received = stage.receiver.received();
    assert!(signed[1] < EVENTS, "nothing was left for the last secret alone");
    for (at, request) in received.iter().enumerate() {
        let (by_old, by_new) = (at < signed[1], at >= signed[0]);
        assert_eq!(is_signed_by(request, SECRET), by_old, "request {at} of {signed:?}");
        assert_eq!(is_signed_by(request, NEXT), by_new, "request {at} of {signed:?}");
        assert!(request.succeeded(), "a receiver that knows both refused request {at}: {}", request.verdict);
    }
    assert_eq!((received.len(), stage.receiver.distinct()), (EVENTS, EVENTS), "each was sent once");
    let delivered = stage.database.count("lumo_deliveries", "state = 'delivered'").await;
    assert_eq!(usize::try_from(delivered).unwrap(), EVENTS);
}
