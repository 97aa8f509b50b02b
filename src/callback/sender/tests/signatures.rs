//! Which signatures go out, and when none may.

use super::*;

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

/// How the request of an attempt at this time is signed.
async fn signed_at(time: &str, more: Value) -> Captured {
    let (url, requests) = saying(OK);
    let attempt = sender(&[]).send(&endpoint(&url, more), &callback(&event_id()), at(time)).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "{attempt:?}");
    Captured::parse(&requests.recv().unwrap()).unwrap()
}

#[tokio::test]
async fn a_secret_signs_until_it_ends() {
    let rotating = json!({ "secrets": [
        { "value": SECRET, "not_after": "2026-05-04T10:00:00Z" },
        { "value": OTHER_SECRET, "not_after": "2026-06-01T00:00:00Z" },
    ] });
    let [old, new] = secrets();
    for (time, count) in [("2026-05-04T09:59:59Z", 2), ("2026-05-04T10:00:00Z", 1)] {
        let captured = signed_at(time, rotating.clone()).await;
        assert_eq!(captured.header("webhook-signature").unwrap().split(' ').count(), count, "{time}");
        let is_of = |secret: &SigningSecret| {
            verify(std::slice::from_ref(secret), &captured.signed(), at(time).timestamp(), TOLERANCE).is_ok()
        };
        assert_eq!((is_of(&old), is_of(&new)), (count == 2, true), "{time}");
    }
}

#[tokio::test]
async fn nothing_goes_out_unsigned() {
    let mut server = mockito::Server::new_async().await;
    let mock = server.mock("POST", "/").expect(0).create_async().await;
    let more = json!({ "secrets": [{ "value": SECRET, "not_after": "2026-05-04T10:00:00Z" }] });
    let attempt = attempt(&server.url(), more).await;
    assert_eq!(unreachable(&attempt), Some(Unreachable::Request));
    let text = "every signing secret has ended, the last one at 2026-05-04T10:00:00Z; nothing is sent unsigned";
    assert_eq!(attempt.error.as_deref(), Some(text));
    mock.assert_async().await;
}
