//! Each fault as it looks on the wire, and what it does to the world.
//!
//! A fault must strike exactly the requests it was meant for, and leave the answers around it whole.

use std::collections::HashSet;
use std::time::Instant;

use super::*;

async fn struck(fault: Fault) -> (Fixture, Reply) {
    let fixture = Fixture::seeded(Quirks::default()).await;
    fixture.simulator.faults().inject_on(Operation::ListDeposits, 1, fault);
    assert_eq!(fixture.get("/user-wallets").await.status, 200, "another operation is spared");
    let reply = fixture.get("/user-wallets/deposits?limit=10").await;
    let after = fixture.get("/user-wallets/deposits?limit=10").await;
    assert_eq!(count(&after.json(), "deposits"), 10, "it strikes once");
    assert_eq!(fixture.simulator.faults().injected(), 1);
    (fixture, reply)
}

#[tokio::test]
async fn statuses_come_with_their_hint() {
    let (_, reply) = struck(Fault::Status { code: 503, retry_after: None }).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, None));
    let (_, reply) = struck(Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(7)) }).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    let date = Fault::Status { code: 503, retry_after: Some(RetryAfter::Date { seconds: 60 }) };
    let (_, reply) = struck(date).await;
    let at = chrono::DateTime::parse_from_rfc2822(reply.header("retry-after").unwrap()).unwrap();
    let ahead = (at.to_utc() - crate::clock::now()).num_seconds();
    assert!((50..=60).contains(&ahead), "{ahead}");
}

#[tokio::test]
async fn html_comes_with_an_error_or_without() {
    for (fault, status) in [(Fault::HtmlPage, 200), (Fault::HtmlStatus { code: 502 }, 502)] {
        let (_, reply) = struck(fault).await;
        assert_eq!(reply.status, status);
        assert!(reply.header("content-type").unwrap().starts_with("text/html"));
        assert!(reply.body.starts_with("<!doctype html>"));
    }
}

#[tokio::test]
async fn a_cut_body_is_shorter_than_promised() {
    let (_, reply) = struck(Fault::CutBody).await;
    let promised: usize = reply.header("content-length").unwrap().parse().unwrap();
    assert_eq!(reply.status, 200);
    assert!(!reply.body.is_empty() && reply.body.len() < promised);
}

#[tokio::test]
async fn cut_json_is_complete_http() {
    let (_, reply) = struck(Fault::CutJson).await;
    let promised: usize = reply.header("content-length").unwrap().parse().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, promised));
    assert!(serde_json::from_str::<Value>(&reply.body).is_err());
}

#[tokio::test]
async fn a_disconnected_request_has_no_answer_but_took_effect() {
    let (_, reply) = struck(Fault::Disconnect).await;
    assert_eq!(reply.status, 0);

    let fixture = Fixture::start(Quirks::default()).await;
    fixture.simulator.faults().inject(1, Fault::Disconnect);
    let lost = fixture.send("POST", "/user-wallets", r#"{"externalId": "42"}"#).await;
    assert_eq!(lost.status, 0);
    assert!(fixture.world.wallet_of("42").is_some());
    fixture.simulator.faults().inject(1, Fault::Status { code: 500, retry_after: None });
    assert_eq!(fixture.send("POST", "/user-wallets", r#"{"externalId": "43"}"#).await.status, 500);
    assert!(fixture.world.wallet_of("43").is_none(), "an error status takes none");
}

#[tokio::test]
async fn a_hang_ends_with_the_right_answer() {
    let begun = Instant::now();
    let time = Duration::from_millis(80);
    let (_, reply) = struck(Fault::Hang { time }).await;
    assert!(begun.elapsed() >= time);
    assert_eq!(count(&reply.json(), "deposits"), 10);
}

#[tokio::test]
async fn a_hanging_request_does_not_hold_up_shutdown() {
    let fixture = Fixture::start(Quirks::default()).await;
    fixture.simulator.faults().inject(1, Fault::Hang { time: Duration::from_secs(600) });
    let addr = fixture.simulator.addr();
    let hanging = wire::send(addr, "GET", "/user-wallets", &[], "");
    let stop = async {
        while fixture.simulator.faults().injected() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(Duration::from_secs(5), fixture.simulator.shutdown()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(hanging, stop);
    assert_eq!(reply.status, 0);
}

#[tokio::test]
async fn single_items_can_be_broken() {
    let (_, reply) = struck(Fault::NumericId).await;
    let page = reply.json();
    let items = page["deposits"].as_array().unwrap();
    assert_eq!(items.iter().filter(|item| item["id"].is_number()).count(), 1);

    let (_, reply) = struck(Fault::MissingId).await;
    let page = reply.json();
    let items = page["deposits"].as_array().unwrap();
    assert_eq!((items.len(), items.iter().filter(|item| item.get("id").is_none()).count()), (10, 1));

    let (_, reply) = struck(Fault::DuplicateId).await;
    let page = reply.json();
    let ids: HashSet<_> = page["deposits"].as_array().unwrap().iter().map(|item| item["id"].as_str()).collect();
    assert_eq!((count(&page, "deposits"), ids.len()), (10, 9));
}

#[tokio::test]
async fn a_total_can_be_missing_and_a_body_huge() {
    let (_, reply) = struck(Fault::MissingTotal).await;
    assert_eq!((count(&reply.json(), "deposits"), reply.json().get("total")), (10, None));
    let (_, reply) = struck(Fault::Oversized { bytes: 3_000_000 }).await;
    assert_eq!((reply.body.len(), count(&reply.json(), "deposits")), (3_000_000, 10));
}
