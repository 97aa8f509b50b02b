//! The receiver over real sockets.
//!
//! Requests are signed here by a few lines of their own; that the scheme is the right one is shown by the literal vector
//! beside the verification.

use super::*;
use crate::wire::{self, Reply};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw==";
const KEY: &[u8] = b"secret of the tests";
const SOON: Duration = Duration::from_secs(5);

fn sign(id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

async fn start() -> Receiver {
    Receiver::start(ReceiverConfig::local(vec![SECRET.to_owned()])).await.unwrap()
}

async fn deliver(receiver: &Receiver, id: &str, body: &str) -> Reply {
    let now = clock::now().timestamp();
    let (timestamp, signature) = (now.to_string(), sign(id, now, body));
    let headers = [
        ("Webhook-Id", id),
        ("webhook-timestamp", &timestamp),
        ("webhook-signature", &signature),
        ("lumo-attempt", "2"),
    ];
    wire::send(receiver.addr(), "POST", "/hooks/a?x=1", &headers, body).await
}

fn event(id: &str, sequence: u64) -> String {
    format!(r#"{{"id":"{id}","type":"deposit.created","stream":"user:1","sequence":{sequence},"data":{{}}}}"#)
}

#[tokio::test]
async fn a_signed_request_is_verified_and_recorded_whole() {
    let receiver = start().await;
    let mut watching = receiver.subscribe();
    let body = event("evt_1", 17);
    assert_eq!(deliver(&receiver, "evt_1", &body).await.status, 200);

    let request = receiver.received().pop().unwrap();
    assert_eq!(request.verdict, Verdict::Verified);
    assert_eq!((request.path.as_str(), request.answered, request.attempt), ("/hooks/a", 200, Some(2)));
    assert_eq!((request.id.as_deref(), request.event_type.as_deref()), (Some("evt_1"), Some("deposit.created")));
    assert_eq!((request.stream.as_deref(), request.sequence), (Some("user:1"), Some(17)));
    assert_eq!((request.body.as_slice(), request.header("webhook-id")), (body.as_bytes(), Some("evt_1")));
    assert_eq!(request.json().unwrap()["id"], "evt_1");
    assert_eq!(watching.recv().await.unwrap(), request);
}

#[tokio::test]
async fn what_does_not_verify_is_recorded_and_refused() {
    let receiver = start().await;
    let bare = wire::send(receiver.addr(), "PUT", "/", &[], "not json").await;
    assert_eq!(bare.status, 401);
    let headers = [("webhook-id", "evt_1"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,AAAA")];
    assert_eq!(wire::send(receiver.addr(), "POST", "/", &headers, "{}").await.status, 401);
    let verdicts: Vec<Verdict> = receiver.received().iter().map(|request| request.verdict.clone()).collect();
    assert_eq!(verdicts, [Verdict::Invalid(Invalid::MissingHeader("webhook-id")), Verdict::Invalid(Invalid::TooOld)]);
    assert_eq!(verdicts[0].to_string(), "invalid: no webhook-id header");
}

#[tokio::test]
async fn without_secrets_nothing_is_checked_and_a_bad_one_is_refused() {
    let receiver = Receiver::start(ReceiverConfig::local(Vec::new())).await.unwrap();
    assert_eq!(wire::send(receiver.addr(), "POST", "/", &[], "").await.status, 200);
    assert_eq!(receiver.received()[0].verdict, Verdict::Unchecked);
    let error = Receiver::start(ReceiverConfig::local(vec!["secret".to_owned()])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn answers_follow_the_policy() {
    let receiver = start().await;
    receiver.fail_next(2, 503);
    receiver.answer_with(204);
    for expected in [503, 503, 204] {
        assert_eq!(deliver(&receiver, "evt_1", &event("evt_1", 1)).await.status, expected);
    }
    assert_eq!((receiver.count(), receiver.distinct(), receiver.duplicates()), (3, 1, 2));

    receiver.script(|request| match request.sequence {
        Some(2) => Answer::status(429).with_header("retry-after", "3").after(Duration::from_millis(40)),
        _ => Answer { body: b"thanks".to_vec(), ..Answer::default() },
    });
    let begun = std::time::Instant::now();
    let throttled = deliver(&receiver, "evt_2", &event("evt_2", 2)).await;
    assert!(begun.elapsed() >= Duration::from_millis(40));
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("3")));
    assert_eq!(deliver(&receiver, "evt_3", &event("evt_3", 3)).await.body, "thanks");
    receiver.unscript();
    assert_eq!(deliver(&receiver, "evt_2", &event("evt_2", 2)).await.status, 204);

    let report = receiver.order_violations();
    assert_eq!((report.inversions.len(), report.gaps.len()), (1, 1));
    assert_eq!((report.inversions[0].previous, report.inversions[0].sequence), (3, 2));
    receiver.clear();
    assert_eq!(receiver.count(), 0);
    assert_eq!(receiver.order_violations(), OrderReport::default());
}

#[tokio::test]
async fn waiting_ends_with_the_arrival_or_with_the_time() {
    let receiver = start().await;
    assert!(receiver.wait_for(0, Duration::ZERO).await);
    assert!(!receiver.wait_for(1, Duration::from_millis(20)).await);
    let (first, second) = (event("evt_1", 1), event("evt_2", 2));
    let sending = async {
        deliver(&receiver, "evt_1", &first).await;
        deliver(&receiver, "evt_2", &second).await;
    };
    let (arrived, ()) = tokio::join!(receiver.wait_for(2, SOON), sending);
    assert!(arrived);
    assert!(receiver.wait_until(SOON, |received| received.iter().all(|request| request.succeeded())).await);
    receiver.shutdown().await;
}
