//! Tests which signatures a request carries, and when it must not be sent.

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

/// Computed with `printf '%s' BODY | openssl dgst -sha256 -hmac hush-hush` and with the time and a dot before the body
/// and the key `whsec_stripe_test`.
#[tokio::test]
async fn other_styles_sign_beside_the_standard_one() {
    let github = "sha256=7a07085ea4b00c6592bca23cc5ef341bd9dec77d268b138bd10938c6d91c0933";
    let stripe = "t=1777889472,v1=749ff85d75ff773928e77cf35516f435afb09640901120ddb524b373eaa898ba";
    let (hush, test) = (json!({ "value": "hush-hush" }), json!({ "value": "whsec_stripe_test" }));
    let usual = json!({ "extra_signatures": [
        { "style": "github", "secret": hush },
        { "style": "stripe", "secret": test },
        { "style": "github", "header": "X-Signature", "secret": hush },
    ] });
    let captured = sent(usual).await;
    for (header, value) in [
        ("x-hub-signature-256", github),
        ("stripe-signature", stripe),
        ("x-signature", github),
        ("webhook-signature", "v1,2jw4+HGO/9vKICG/L0eh1qIGwXgiztQKxnl3T9s7hd0="),
    ] {
        assert_eq!(captured.header(header), Some(value), "{header}");
    }
}

/// Computed with `printf '%s' 'amount=12.5' | openssl dgst -sha256 -hmac hush-hush`.
#[tokio::test]
async fn other_styles_sign_what_is_sent() {
    let more = json!({
        "body": "amount={{ data.object.amount }}",
        "headers": { "Content-Type": "text/plain" },
        "extra_signatures": [{ "style": "github", "secret": { "value": "hush-hush" } }],
    });
    assert_eq!(
        sent(more).await.header("x-hub-signature-256"),
        Some("sha256=d8af428822227c25a57a23d1d2b327f9cca2fa7271e0e4b7e9f015d6f2764246")
    );
}
