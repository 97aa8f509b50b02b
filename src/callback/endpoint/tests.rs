//! Tests how endpoints are compiled, and every problem that compiling reports.

use serde_json::{Value, json};

use super::*;
use crate::callback::config::OrderBy;
use crate::callback::fixture::{OTHER_SECRET, SECRET, config, defaults, endpoint, now};
use crate::model::subscriber::Order;

const URL: &str = "https://example.com/hooks";

fn problems(name: &str, config: &EndpointConfig) -> Vec<String> {
    let error = Endpoint::compile(name, config, &defaults()).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

fn keys(more: Value) -> Vec<String> {
    let lines = problems("shop", &config(URL, more));
    lines.iter().map(|line| line.split(": ").next().unwrap().replace("callbacks.endpoints.shop.", "")).collect()
}

#[test]
fn what_an_endpoint_leaves_out_is_the_default() {
    let endpoint = endpoint(URL, json!({ "concurrency": 2, "retry": { "schedule": ["1m"] } }));
    assert_eq!(endpoint.name().as_str(), "shop");
    assert_eq!(endpoint.origin(), "https://example.com");
    assert_eq!((endpoint.timeout(), endpoint.concurrency()), (Duration::from_secs(5), 2));
    assert_eq!((endpoint.ordering().by, endpoint.rate()), (OrderBy::User, None));
    assert_eq!(endpoint.policy().schedule, [Duration::from_secs(60)]);
    assert_eq!(endpoint.policy().retry_after_cap, Duration::from_secs(12 * 3600));
    assert!(endpoint.wants(EventType::DepositCreated) && !endpoint.wants(EventType::SyncStalled));
}

#[test]
fn what_the_log_sees_of_an_endpoint_takes_no_secret() {
    let unset = json!([{ "env": "LUMO_BRIDGE_TEST_NEVER_SET" }]);
    let bearer = json!({ "bearer": { "file": "/no/such/token" } });
    let shop = config(URL, json!({ "secrets": unset, "auth": bearer, "timeout": "3s", "ordering": { "by": "none" } }));
    assert_eq!(problems("shop", &shop).len(), 2);
    let subscriber = Endpoint::read_subscriber("shop", &shop, &defaults()).unwrap();
    assert_eq!((subscriber.endpoint.as_str(), subscriber.lease), ("shop", Duration::from_secs(21)));
    assert_eq!(subscriber.order, Order::None);
    assert!(subscriber.wants(EventType::DepositCreated) && !subscriber.wants(EventType::SyncStalled));

    let whole = config(URL, json!({}));
    let [read, compiled] = [
        Endpoint::read_subscriber("shop", &whole, &defaults()).unwrap(),
        Endpoint::compile("shop", &whole, &defaults()).unwrap().subscriber().clone(),
    ];
    assert_eq!(format!("{read:?}"), format!("{compiled:?}"));
    let wrong = Endpoint::read_subscriber("shop", &config(URL, json!({ "events": ["deposit.create"] })), &defaults());
    assert!(wrong.unwrap_err().to_string().starts_with("callbacks.endpoints.shop.events[0]: "));
}

#[test]
fn every_problem_is_told_at_once_with_its_key() {
    let more = json!({
        "events": ["deposit.create", "invoice.*"],
        "secrets": [{ "value": "hidden" }, { "env": "LUMO_BRIDGE_TEST_NEVER_SET" }],
        "headers": { "webhook-id": "1", "Host": "a", "a b": "c", "X-A": "line\nbreak" },
        "auth": { "bearer": { "value": "a" }, "basic": { "username": "a", "password": { "value": "b" } } },
        "body": "{{ nope",
        "timeout": "0s",
        "concurrency": 0,
        "retry": { "jitter": 1.5 },
    });
    let mut found = keys(more);
    found.sort();
    let expected = [
        "auth",
        "body",
        "concurrency",
        "events[0]",
        "events[1]",
        "headers.Host",
        "headers.X-A",
        "headers.a b",
        "headers.webhook-id",
        "retry.jitter",
        "secrets[0]",
        "secrets[1]",
        "timeout",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_problem_says_what_to_do_and_shows_no_secret() {
    let example = |url: &str| problems("shop", &config(url, json!({})));
    for (url, expected) in [
        ("hidden", "url: is not a url; write for example `https://example.com/hooks`"),
        ("ftp://hidden/", "url: is neither an http:// nor an https:// url"),
        ("https://user:hidden@example.com/", "url: has credentials in the url; take them out and use `auth.basic`"),
        ("https://example.com/#hidden", "url: has a fragment"),
    ] {
        let [line] = example(url).try_into().unwrap();
        assert!(line.starts_with(&format!("callbacks.endpoints.shop.{expected}")), "{line}");
        assert!(!line.contains("hidden"), "{line}");
    }
    let misspelled = problems("shop", &config(URL, json!({ "events": ["wallet.block"] })));
    let expected =
        "callbacks.endpoints.shop.events[0]: `wallet.block` matches no event; did you mean `wallet.blocked`?";
    assert_eq!(misspelled, [expected]);
}

#[test]
fn contradictions_are_refused() {
    for (more, key) in [
        (json!({ "secrets": [] }), "secrets"),
        (json!({ "secrets": [{ "value": SECRET }, { "value": OTHER_SECRET }, { "value": SECRET }] }), "secrets[2]"),
        (json!({ "auth": {} }), "auth"),
        (json!({ "headers": { "Authorization": "b" } }), "headers.Authorization"),
        (json!({ "auth": { "bearer": { "value": "a\nb" } } }), "auth.bearer"),
        (json!({ "headers": { "X-A": "1", "x-a": "2" } }), "headers.x-a"),
        (json!({ "headers": { "X-A": "{{ id }}", "x-a": "2" } }), "headers.x-a"),
        (json!({ "headers": { "X-A": "{{ id" } }), "headers.X-A"),
        (json!({ "headers": { "Content-Type": "text/{{ id }}" } }), "headers.Content-Type"),
        (json!({ "url": "https://{{ data.host }}/" }), "url"),
        (json!({ "events": ["deposit.*", "!*"] }), "events"),
        (json!({ "timeout": "10m" }), "timeout"),
    ] {
        assert_eq!(keys(more), [key]);
    }
    let colon = json!({ "auth": { "basic": { "username": "a:b", "password": { "value": "c" } } } });
    assert_eq!(keys(colon), ["auth.basic.username"]);
}

#[test]
fn a_default_that_is_wrong_is_named_as_such() {
    let defaults = Defaults { timeout: Span(Duration::ZERO), ..defaults() };
    let error = Endpoint::compile("shop", &config(URL, json!({})), &defaults).unwrap_err();
    assert_eq!(error.to_string(), "callbacks.defaults.timeout: must be more than 0s and at most 5m");
    assert!(Endpoint::compile("shop", &config(URL, json!({ "timeout": "1s" })), &defaults).is_ok());
}

#[test]
fn a_name_is_plain() {
    for name in ["", "-a", "Shop", "a b", "a.b", "é", &"a".repeat(65)] {
        let [line] = problems(name, &config(URL, json!({}))).try_into().unwrap();
        assert!(line.starts_with(&format!("callbacks.endpoints: `{name}` is no name; ")), "{line}");
    }
    for name in ["a", "0", "shop_eu-1", &"a".repeat(64)] {
        assert!(Endpoint::compile(name, &config(URL, json!({})), &defaults()).is_ok(), "{name}");
    }
}

#[test]
fn that_no_secret_signs_any_more_is_told_under_its_key() {
    let until = |end: &str| endpoint(URL, json!({ "secrets": [{ "value": SECRET, "not_after": end }] }));
    let ended = until("2026-05-04T10:11:12Z");
    let expected = "callbacks.endpoints.shop.secrets: every signing secret has ended, \
                    the last one at 2026-05-04T10:11:12Z; nothing is sent unsigned; add the next secret";
    assert_eq!(ended.check_signing(now()).unwrap_err().to_string(), expected);
    assert_eq!(ended.signs_until(), Some(now()));
    assert!(until("2026-05-04T10:11:13Z").check_signing(now()).is_ok());
    assert_eq!(endpoint(URL, json!({})).signs_until(), None);
}

#[test]
fn an_extra_signature_has_a_header_of_its_own() {
    let extra = |header: &str| json!({ "style": "stripe", "header": header, "secret": { "value": "a" } });
    let plain = json!({ "style": "github", "secret": { "value": "a" } });
    let unset = json!({ "style": "github", "secret": { "env": "LUMO_BRIDGE_TEST_NEVER_SET" } });
    for (more, key) in [
        (json!({ "extra_signatures": [plain, plain] }), "extra_signatures[1]"),
        (json!({ "extra_signatures": [extra("webhook-signature")] }), "extra_signatures[0].header"),
        (json!({ "extra_signatures": [extra("Authorization")] }), "extra_signatures[0].header"),
        (json!({ "extra_signatures": [extra("Content-Type")] }), "extra_signatures[0].header"),
        (json!({ "extra_signatures": [extra("a b")] }), "extra_signatures[0].header"),
        (
            json!({ "extra_signatures": [plain], "headers": { "X-Hub-Signature-256": "b" } }),
            "extra_signatures[0].header",
        ),
        (json!({ "extra_signatures": [unset] }), "extra_signatures[0].secret"),
    ] {
        assert_eq!(keys(more), [key]);
    }
}
