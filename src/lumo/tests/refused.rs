//! Answers that are no success: how each is sorted, what of it is told, what it does to the pace.

use super::*;
use crate::chain::Chain;

async fn refusal(status: usize, headers: &[(&str, &str)], body: &str) -> (Error, f64) {
    let server = answering(status, headers, body).await;
    let client = client(&server.url());
    (client.list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap_err(), client.speed().rate)
}

/// Half of what the tests allow, and what has grown since.
fn is_half(rate: f64) -> bool {
    (50.0..60.0).contains(&rate)
}

#[tokio::test]
async fn each_status_is_sorted_by_what_to_do_about_it() {
    let json = r#"{"message":"because"}"#;
    let (error, _) = refusal(401, &[], json).await;
    assert!(matches!(error, Error::Unauthorized));
    let (error, _) = refusal(404, &[], json).await;
    assert!(matches!(&error, Error::NotFound { message } if message == "because"));
    for status in [304, 400, 403, 405, 409, 410, 413, 418, 422] {
        let (error, rate) = refusal(status, &[], json).await;
        let Error::Refused { status: said, message } = &error else { panic!("{status}: {error:?}") };
        assert_eq!(usize::from(*said), status);
        assert!(status == 304 || message == "because", "{message}");
        assert!(!error.is_transient() && rate > 99.0);
    }
    for status in [408, 425, 500, 502, 504, 599] {
        let (error, rate) = refusal(status, &[], json).await;
        let Error::Unavailable { outage: Outage::Answered { status: said, message }, .. } = &error else {
            panic!("{status}: {error:?}")
        };
        assert_eq!((usize::from(*said), message.as_str()), (status, "because"));
        assert!(error.is_transient() && rate > 99.0);
    }
    assert!(refusal(403, &[], "").await.0.hint().is_some());
}

#[tokio::test]
async fn a_throttled_client_halves_its_rate() {
    for (status, value, expected) in [
        (429, "0", Some(Duration::ZERO)),
        (429, "7", Some(Duration::from_secs(7))),
        (503, "86400", Some(Duration::from_secs(900))),
        (429, "Fri, 02 Jan 2026 03:04:35 GMT", Some(Duration::from_secs(30))),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", Some(Duration::ZERO)),
        (429, "soon", None),
    ] {
        let headers = [("retry-after", value), ("date", "Fri, 02 Jan 2026 03:04:05 GMT")];
        let (error, rate) = refusal(status, &headers, "").await;
        assert!(matches!(error, Error::Throttled { retry_after, .. } if retry_after == expected), "{value}: {error:?}");
        assert!(is_half(rate), "{value}: {rate}");
    }
    let told = async |seconds| refusal(429, &[("retry-after", seconds)], "").await.0.to_string();
    assert_eq!(told("899").await, "Lumo asks for fewer requests");
    assert!(told("86400").await.ends_with("it is left alone for 15"));
    let (error, rate) = refusal(503, &[], "").await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(is_half(rate), "{rate}");
}

#[tokio::test]
async fn retry_after_holds_up_the_next_request() {
    let server = answering(429, &[("retry-after", "1")], "").await;
    let client = client(&server.url());
    let start = std::time::Instant::now();
    for _ in 0..2 {
        assert!(client.clone().list_wallets(Priority::Fresh, &query(1, 0)).await.is_err());
    }
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let mut elsewhere = Server::new_async().await;
    let never = elsewhere.mock("GET", Matcher::Any).expect(0).create_async().await;
    for status in [301, 302, 307, 308] {
        let (error, _) = refusal(status, &[("location", &elsewhere.url())], "").await;
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("base_url")));
    }
    never.assert_async().await;
}

#[tokio::test]
async fn an_error_shows_neither_key_nor_query_nor_a_whole_body() {
    let body = format!("no {KEY} {}", "x".repeat(1_000_000));
    let (error, _) = refusal(400, &[], &body).await;
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("[redacted]") && !shown.contains(KEY) && shown.len() < 1000, "{shown}");

    // Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let secretive = ListQuery { external_id: Some("somebody".parse().unwrap()), ..query(1, 0) };
    let error = client(&address).list_wallets(Priority::Fresh, &secretive).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { outage: Outage::Connect, .. }), "{error:?}");
    let named = format!("Lumo is unavailable: no connection: {address} cannot be reached: ");
    assert!(Chain(&error).to_string().starts_with(&named), "{error:?}");
    let shown = format!("{} {error:?}", Chain(&error));
    assert!(!shown.contains("somebody") && !shown.contains(KEY), "{shown}");
}
