//! One exchange at a time: what goes out, what each kind of answer becomes.

mod broken;
mod refused;

use std::time::Duration;

use mockito::{Matcher, Server, ServerGuard};
use serde_json::json;

use super::*;

const KEY: &str = "lb2b_0123456789abcdef0123456789abcdef";
const WALLET: &str = r#"{"id":"w/1","companyId":"c","externalId":"u","address":"T","isBlocked":true,"blockReason":"r",
    "lastUsdtBalance":1.50,"lastTrxBalance":0,"createdAt":"2026-01-02T03:04:05Z"}"#;

/// As shipped.
pub(super) fn deposit_fields() -> DepositFields {
    use ::config::{FileFormat, Format, Value, ValueKind};
    let table = FileFormat::Yaml.parse(None, include_str!("../../config/default.yaml")).unwrap();
    let mut lumo = Value::new(None, ValueKind::Table(table)).into_table().unwrap().remove("lumo").unwrap().into_table();
    lumo.as_mut().unwrap().remove("deposit_fields").unwrap().try_deserialize().unwrap()
}

/// A client that gives up after `timeout`.
fn impatient_client(base_url: &str, timeout: &str) -> Client {
    // Whichever test comes first installs it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let config: Config = serde_json::from_value(json!({
        "base_url": base_url,
        "settled_statuses": [],
        "api_key": { "value": KEY },
        "timeout": timeout,
        "page_size": 100,
        "concurrency": 4,
        "rate": "100/s",
        "deposit_fields": deposit_fields(),
    }))
    .unwrap();
    Client::new(&config, Secret::from(KEY.to_owned())).unwrap()
}

fn client(base_url: &str) -> Client {
    impatient_client(base_url, "30s")
}

fn query(limit: u32, offset: u64) -> ListQuery {
    ListQuery { limit, offset, external_id: None, status: None }
}

/// A server that answers every listing of wallets in one way.
async fn answering(status: usize, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> ServerGuard {
    let mut server = Server::new_async().await;
    let mut mock = server.mock("GET", "/user-wallets").match_query(Matcher::Any).with_status(status).with_body(body);
    for (name, value) in headers {
        mock = mock.with_header(*name, value);
    }
    mock.create_async().await;
    server
}

#[tokio::test]
async fn a_listing_is_asked_for_and_read() {
    let mut server = Server::new_async().await;
    let mock = server
        .mock("GET", "/user-wallets?limit=100&offset=200")
        .match_header("x-api-key", KEY)
        .match_header("accept", "application/json")
        .match_header("user-agent", concat!("lumo-bridge/", env!("CARGO_PKG_VERSION")))
        .with_header("date", "Fri, 02 Jan 2026 03:04:05 GMT")
        .with_body(format!("{{\"wallets\":[{WALLET},{{\"id\":\"broken\"}},{WALLET}],\"total\":201}}"))
        .create_async()
        .await;
    let page = client(&server.url()).list_wallets(Priority::Fresh, &query(100, 200)).await.unwrap();
    mock.assert_async().await;
    assert_eq!((page.items.len(), page.rejects.len(), page.returned, page.total), (1, 1, 3, Some(201)));
    assert_eq!(&*page.items[0].raw, WALLET);
    assert_eq!(page.served_at.map(|time| time.timestamp()), Some(1_767_323_045));
}

#[tokio::test]
async fn a_listing_without_total_or_date_is_read() {
    let server = answering(200, &[("date", "lately")], "{\"wallets\":[]}").await;
    let page = client(&server.url()).list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap();
    assert_eq!((page.returned, page.total, page.served_at), (0, None, None));
}

#[tokio::test]
async fn filters_are_encoded_so_that_every_server_reads_them() {
    let mut server = Server::new_async().await;
    let external_id: ExternalId = "ж a+b/c&d=%2F?#".parse().unwrap();
    let encoded = "externalId=%D0%B6%20a%2Bb%2Fc%26d%3D%252F%3F%23";
    let blocked = server
        .mock("GET", format!("/user-wallets/blocked?{encoded}&limit=7&offset=0").as_str())
        .with_body("{\"wallets\":[],\"total\":0}")
        .create_async()
        .await;
    let deposits = server
        .mock("GET", format!("/user-wallets/deposits?{encoded}&status=new&limit=7&offset=0").as_str())
        .with_body("{\"deposits\":[{\"id\":1}],\"total\":1}")
        .create_async()
        .await;
    let client = client(&server.url());
    let query = ListQuery { external_id: Some(external_id), status: Some("new".to_owned()), ..query(7, 0) };
    assert_eq!(client.list_blocked(Priority::Fresh, &query).await.unwrap().returned, 0);
    assert_eq!(client.list_deposits(Priority::Fresh, &query).await.unwrap().items[0].id.as_str(), "1");
    blocked.assert_async().await;
    deposits.assert_async().await;
}

#[tokio::test]
async fn writes_send_json_and_return_the_wallet() {
    let mut server = Server::new_async().await;
    let mut expect = |path: &str, body: serde_json::Value| {
        server
            .mock("POST", path)
            .match_header("content-type", "application/json")
            .match_body(Matcher::Json(body))
            .with_status(201)
            .with_body(WALLET)
            .create()
    };
    // Below a path of its own, as the vendor's mock is.
    let mocks = [
        expect("/_mock/apis/user-wallets", json!({"externalId": "a \"b\""})),
        expect("/_mock/apis/user-wallets/w%2F1%20%25/block", json!({"reason": "fraud"})),
        expect("/_mock/apis/user-wallets/w%2F1%20%25/replace", json!({"reason": ""})),
    ];
    let client = client(&format!("{}/_mock/apis/", server.url()));
    let id: WalletId = "w/1 %".parse().unwrap();
    let created = client.create_wallet(&"a \"b\"".parse().unwrap()).await.unwrap();
    assert_eq!((&*created.raw, created.last_usdt_balance), (WALLET, "1.5".parse().ok()));
    assert!(client.block_wallet(&id, "fraud").await.unwrap().is_blocked);
    assert!(client.replace_wallet(&id, "").await.is_ok());
    for mock in mocks {
        mock.assert();
    }
}

#[tokio::test]
async fn an_id_cannot_climb_out_of_its_path() {
    let server = Server::new_async().await;
    for id in [".", ".."] {
        let error = client(&server.url()).block_wallet(&id.parse().unwrap(), "r").await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_without_showing_it() {
    let usable = client("http://127.0.0.1:9");
    assert!(!format!("{usable:?}").contains(KEY));

    let mut config: serde_json::Value =
        json!({ "base_url": "http://127.0.0.1:9", "settled_statuses": [], "api_key": { "value": "k" } });
    for (key, value) in [("timeout", json!("1s")), ("page_size", json!(1)), ("concurrency", json!(1))] {
        config[key] = value;
    }
    config["rate"] = json!("5/h");
    config["deposit_fields"] = json!(deposit_fields());
    let config: Config = serde_json::from_value(config).unwrap();
    let error = Client::new(&config, Secret::from("s3cret\nkey".to_owned())).unwrap_err();
    assert!(matches!(error, Error::Setup { .. }));
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
