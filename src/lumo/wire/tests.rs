//! The wire by table: plausible shapes, odd values, broken answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::lumo::tests::deposit_fields;
use crate::model::Amount;

fn fields() -> Fields {
    Fields::compile(&deposit_fields())
}

/// A page of which a hundred were asked for.
fn wallets(body: &[u8], served_at: Option<DateTime<Utc>>) -> Result<Page<Wallet>, Error> {
    super::wallets(body.to_vec(), served_at, 100)
}

/// The same of deposits.
fn deposits(body: &[u8], served_at: Option<DateTime<Utc>>, fields: &Fields) -> Result<Page<Deposit>, Error> {
    super::deposits(body.to_vec(), served_at, 100, fields)
}

fn wallet_json() -> serde_json::Value {
    json!({
        "id": "7a1e3d6c-4c1b-4b06-8d3f-6a8f0c5d2e11",
        "companyId": "c0ffee00-0000-4000-8000-000000000001",
        "externalId": "user 1/ж",
        "address": "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE",
        "isBlocked": false,
        "blockReason": null,
        "lastUsdtBalance": 12.50,
        "lastTrxBalance": 0,
        "createdAt": "2026-01-02T03:04:05.123456Z",
    })
}

/// [`wallet_json`] with one member replaced by `value`, spelled as given, or taken out.
fn wallet_with(key: &str, value: Option<&str>) -> String {
    let mut wallet = wallet_json();
    let members = wallet.as_object_mut().unwrap();
    members.remove(key);
    let mut text = serde_json::to_string(members).unwrap();
    if let Some(value) = value {
        text.pop();
        text.push_str(&format!(",\"{key}\":{value}}}"));
    }
    text
}

fn wallet_page(items: &[&str]) -> Page<Wallet> {
    wallets(format!("{{\"wallets\":[{}]}}", items.join(",")).as_bytes(), None).unwrap()
}

fn one_deposit(item: &str) -> Deposit {
    let body = format!("{{\"deposits\":[{item}],\"total\":1}}");
    let mut page = deposits(body.as_bytes(), None, &fields()).unwrap();
    assert_eq!(page.rejects, []);
    page.items.pop().unwrap()
}

#[test]
fn a_wallet_is_read_by_its_published_fields() {
    let text = wallet_json().to_string();
    let wallet = wallet_page(&[&text]).items.pop().unwrap();
    assert_eq!(wallet.external_id.as_str(), "user 1/ж");
    assert!(!wallet.is_blocked);
    assert_eq!(wallet.block_reason, None);
    assert_eq!(wallet.last_usdt_balance.as_ref().map(Amount::as_str), Some("12.5"));
    assert_eq!(wallet.created_at.timestamp_micros(), 1_767_323_045_123_456);
    assert_eq!(*wallet.raw, text);
    assert_eq!(wallet.fingerprint, crate::model::fingerprint::fingerprint(&text));
}

#[test]
fn a_wallet_may_have_odd_values_and_unknown_fields() {
    let read = |text: String| wallet_page(&[&text]).items.pop().unwrap();
    let exact = "123456789012.123456789012345678";
    assert_eq!(read(wallet_with("lastUsdtBalance", Some(exact))).last_usdt_balance.unwrap().as_str(), exact);
    assert_eq!(read(wallet_with("lastTrxBalance", Some("\"1e-6\""))).last_trx_balance.unwrap().as_str(), "0.000001");
    assert_eq!(read(wallet_with("blockReason", None)).block_reason, None);
    assert_eq!(read(wallet_with("blockReason", Some(r#""a\nb\u0000c""#))).block_reason.as_deref(), Some("a b c"));
    let unknown = r#"{"deep":[{"er":"\u0000"}]}"#;
    assert!(read(wallet_with("limits", Some(unknown))).raw.contains(unknown));
}

#[test]
fn a_wallet_that_breaks_the_reference_is_rejected_alone() {
    let good = wallet_json().to_string();
    for (key, value, problem) in [
        ("companyId", None, "is missing"),
        ("companyId", Some("{}"), "is not a string"),
        ("externalId", Some("\"\""), "is empty"),
        ("externalId", Some(r#""a\u0000""#), "contains a control character"),
        ("isBlocked", Some("\"no\""), "is not true or false"),
        ("isBlocked", None, "is missing"),
        ("createdAt", Some("\"soon\""), "is not an RFC 3339 time between 1970 and 9999"),
        ("createdAt", Some("\"2026-01-02\""), "is not an RFC 3339 time between 1970 and 9999"),
    ] {
        let bad = wallet_with(key, value);
        let other = wallet_with("id", Some("\"other\""));
        let page = wallet_page(&[&good, &bad, &other]);
        let ids: Vec<&str> = page.items.iter().map(|wallet| wallet.id.as_str()).collect();
        assert_eq!(ids, ["7a1e3d6c-4c1b-4b06-8d3f-6a8f0c5d2e11", "other"]);
        let id = "7a1e3d6c-4c1b-4b06-8d3f-6a8f0c5d2e11".to_owned();
        // The good one has the same id.
        let reject = Reject::new(1, Some(id), &bad, key.to_owned(), problem.to_owned()).apart();
        assert_eq!((page.rejects, page.returned), (vec![reject], 3), "{bad}");
    }
}

#[test]
fn a_block_is_known_whatever_else_is_wrong_with_the_wallet() {
    for (key, value, reason) in [
        ("blockReason", Some(r#""ticket \ud83d""#), Some("ticket \u{fffd}")),
        ("blockReason", Some(r#"{"code":7}"#), Some(r#"{"code":7}"#)),
        ("blockReason", Some("[]"), Some("[]")),
        ("blockReason", Some("4711"), Some("4711")),
        ("blockReason", None, None),
        ("address", Some("null"), None),
        ("address", Some(r#""T\u0000""#), None),
        ("lastUsdtBalance", Some("null"), None),
        ("lastUsdtBalance", Some("\"much\""), None),
        ("lastTrxBalance", Some("1e99"), None),
        ("lastTrxBalance", None, None),
        ("createdAt", Some("1767323045"), None),
        (r"note \ud83d", Some("1"), None),
    ] {
        let item = wallet_with(key, value).replace("\"isBlocked\":false", "\"isBlocked\":true");
        let page = wallet_page(&[&item]);
        assert_eq!(page.rejects, [], "{item}");
        let wallet = &page.items[0];
        assert!(wallet.is_blocked && *wallet.raw == item, "{item}");
        assert_eq!(wallet.block_reason.as_deref(), reason, "{item}");
        assert_eq!(wallet.address.is_none(), key == "address", "{item}");
        assert_eq!(wallet.last_usdt_balance.is_none(), key == "lastUsdtBalance", "never guessed: {item}");
        assert_eq!(wallet.last_trx_balance.is_none(), key == "lastTrxBalance", "never guessed: {item}");
    }
    for (value, is_blocked) in [("\"true\"", true), ("1", true), ("\"false\"", false), ("0", false)] {
        let wallet = wallet_page(&[&wallet_with("isBlocked", Some(value))]).items.pop().unwrap();
        assert_eq!(wallet.is_blocked, is_blocked, "{value}");
    }
}

#[test]
fn what_is_no_item_is_rejected_alone() {
    let good = wallet_json().to_string();
    let deep = format!("{{\"id\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(MAX_ITEM_BYTES));
    for (bad, problem) in [
        ("null", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        (&deep, "is nested deeper than 64 levels"),
        (&large, "is larger than 262144 bytes"),
    ] {
        let page = wallet_page(&[bad, &good]);
        assert_eq!(page.items.len(), 1);
        let [reject] = page.rejects.as_slice() else { panic!("{:?}", page.rejects) };
        assert_eq!((reject.field.as_str(), reject.problem.as_str()), ("item", problem));
        assert!(reject.raw.len() <= 16 * 1024 && bad.starts_with(&reject.raw), "{problem}");
    }
}

#[test]
fn bytes_that_are_not_utf8_cost_the_field_and_not_the_item() {
    let mut body = b"{\"deposits\":[{\"id\":\"a\xff\"},{\"id\":\"b\",\"txHash\":\"\xc3\",\"amount\":1}]}".to_vec();
    let page = deposits(&body, None, &fields()).unwrap();
    assert_eq!(page.rejects.iter().map(|reject| reject.field.as_str()).collect::<Vec<_>>(), ["id"]);
    let [deposit] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!((deposit.tx_hash.as_deref(), deposit.amount.as_ref().map(Amount::as_str)), (None, Some("1")));
    assert_eq!(&*deposit.raw, r#"{"id":"b","txHash":"\udcc3","amount":1}"#);
    let mut item = wallet_with("blockReason", Some("\"stolen ?\"")).replace("false", "true").into_bytes();
    *item.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xe9;
    let page = wallets(&[b"{\"wallets\":[", item.as_slice(), b"]}"].concat(), None).unwrap();
    assert_eq!(page.items[0].block_reason.as_deref(), Some("stolen \u{fffd}"));
    // An escape that was broken stays broken.
    assert!(deposits(b"{\"deposits\":[{\"id\":\"a\\\xff\"}]}", None, &fields()).is_err());
    // A replacement character that the server sent is none of ours.
    body = "{\"deposits\":[{\"id\":\"b\",\"note\":\"\u{fffd}\"}]}".into();
    assert_eq!(deposits(&body, None, &fields()).unwrap().rejects, []);
}

#[test]
fn an_id_counts_once_in_a_page() {
    let same = ["{\"id\":\"a\",\"amount\":1.0}", "{\"amount\":1,\"id\":\"a\"}"];
    let other = "{\"id\":\"a\",\"amount\":2}";
    let body = format!("{{\"deposits\":[{},{},{other}]}}", same[0], same[1]);
    let page = deposits(body.as_bytes(), None, &fields()).unwrap();
    assert_eq!(page.returned, 3);
    assert_eq!(page.items.iter().map(|deposit| &*deposit.raw).collect::<Vec<_>>(), [same[0]]);
    let [Reject { position: 2, key, id: Some(id), field, .. }] = page.rejects.as_slice() else {
        panic!("{:?}", page.rejects)
    };
    assert_eq!((id.as_str(), field.as_str()), ("a", "id"));
    assert!(key.starts_with('#'), "{key}: it is not kept under the id of the item that can be read");
}

#[test]
fn the_plausible_shapes_of_a_deposit_mean_the_same() {
    let flat = r#"{"id":"d1","companyId":"c1","walletId":"w1","externalId":"u1","address":"TTo","fromAddress":"TFrom",
        "txHash":"0xabc","amount":25.000001,"currency":"USDT","status":"new","confirmations":19,"blockNumber":70000000,
        "createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:05:05Z"}"#;
    let renamed = r#"{"id":"d1","companyId":"c1","userWalletId":"w1","externalId":"u1","toAddress":"TTo",
        "fromAddress":"TFrom","transactionHash":"0xabc","amountUsdt":"25.000001","token":"USDT","status":"new",
        "confirmations":"19","blockNumber":"70000000","createdAt":1767323045,"confirmedAt":1767323105000}"#;
    let nested = r#"{"id":"d1","company":{"id":"c1"},"wallet":{"id":"w1","externalId":"u1","address":"TTo"},
        "transaction":{"hash":"0xabc","from":"TFrom","confirmations":19,"blockNumber":70000000},
        "value":"25.0000010","asset":{"symbol":"USDT"},"status":"new",
        "created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T04:05:05+01:00"}"#;
    let chained = r#"{"id":"d1","companyId":"c1","walletId":"w1","externalId":"u1","status":"new","amount":"25.000001",
        "tx":{"hash":"0xabc","from":"TFrom","to":"TTo","token":"USDT","confirmations":19,"blockNumber":70000000,
        "timestamp":1767323045},"updatedAt":"2026-01-02T03:05:05Z"}"#;
    let expected = one_deposit(flat);
    assert_eq!(expected.wallet_id.as_ref().map(|id| id.as_str()), Some("w1"));
    assert_eq!(expected.amount.as_ref().map(Amount::as_str), Some("25.000001"));
    assert_eq!(expected.block_number, Some(70_000_000));
    assert!(expected.updated_at.is_some());
    for shape in [renamed, nested, chained] {
        let deposit = one_deposit(shape);
        assert_eq!(&*deposit.raw, shape);
        let spelled = Deposit { raw: expected.raw.clone(), fingerprint: expected.fingerprint, ..deposit };
        assert_eq!(spelled, expected);
    }
    let plain_asset = one_deposit(r#"{"id":"d1","asset":"USDT"}"#);
    assert_eq!(plain_asset.currency.as_deref(), Some("USDT"));
}

#[test]
fn a_deposit_needs_nothing_but_an_id() {
    let deposit = one_deposit(r#"{"id":4711}"#);
    assert_eq!((deposit.id.as_str(), deposit.status.as_str()), ("4711", "unknown"));
    assert_eq!((deposit.amount, deposit.wallet_id, deposit.created_at), (None, None, None));

    for (item, problem) in [
        ("{}", "is missing"),
        (r#"{"id":null}"#, "is not a string"),
        (r#"{"id":1.5}"#, "is not a string"),
        (r#"{"id":""}"#, "is empty"),
        (r#"{"id":{"$oid":"1"}}"#, "is not a string"),
        (r#"{"id":"a\u0000"}"#, "contains a control character"),
    ] {
        let page = deposits(format!("{{\"deposits\":[{item}]}}").as_bytes(), None, &fields()).unwrap();
        let reject = page.rejects.first().unwrap();
        assert_eq!((reject.field.as_str(), reject.problem.as_str()), ("id", problem), "{item}");
    }
}

#[test]
fn an_unreadable_fact_is_absent_and_an_unusable_one_passed_over() {
    let item = r#"{"id":"d","txHash":"a\u0000b","fromAddress":7,"from":"T","status":null,"state":"s",
        "amount":"1,5","value":2,"currency":{"name":"x"},"token":"","asset":"TRX","externalId":["u"],"blockNumber":1.5,
        "confirmations":true,"createdAt":"soon","updatedAt":"0001-01-01T00:00:00Z"}"#;
    let deposit = one_deposit(item);
    assert_eq!(deposit.tx_hash, None);
    assert_eq!(deposit.from_address.as_deref(), Some("T"));
    assert_eq!(deposit.status, "s");
    assert_eq!(deposit.amount, None, "a hit that makes no sense does not fall through to another meaning");
    assert_eq!(deposit.currency.as_deref(), Some("TRX"));
    assert_eq!((deposit.external_id, deposit.block_number, deposit.confirmations), (None, None, None));
    assert_eq!((deposit.created_at, deposit.updated_at), (None, None));
    assert_eq!(&*deposit.raw, item);
}

#[test]
fn a_total_is_a_hint() {
    for (total, expected) in [
        ("12", Some(12)),
        ("\"12\"", Some(12)),
        ("12.0", Some(12)),
        ("-1", None),
        ("1.5", None),
        ("null", None),
        ("\"many\"", None),
        ("{\"value\":12}", None),
        ("1e30", None),
    ] {
        let body = format!("{{\"total\":{total},\"wallets\":[],\"next\":[{{}}]}}");
        assert_eq!(wallets(body.as_bytes(), None).unwrap().total, expected, "{total}");
    }
    assert_eq!(wallets(b"{\"wallets\":null}", None).unwrap().total, None);
}

#[test]
fn an_answer_of_another_kind_says_where_and_what() {
    let many = format!("{{\"wallets\":[{}0]}}", "0,".repeat(10_000));
    for (body, path, problem) in [
        ("", "body", "is empty"),
        ("<!DOCTYPE html><html></html>", "body", "is HTML or XML, not JSON"),
        ("{\"wallets\":[{\"id\":\"s3cret", "body", "ends before its JSON does, line 1 column 25"),
        ("{\"wallets\":[s3cret]}", "body", "is not JSON, line 1 column 13"),
        ("{\"wallets\":[]} s3cret", "body", "is not JSON, line 1 column 16"),
        ("[]", "body", "is not a JSON object"),
        ("\"s3cret\"", "body", "is not a JSON object"),
        ("{}", "wallets", "is missing"),
        ("{\"data\":{\"wallets\":[]}}", "wallets", "is missing"),
        ("{\"wallets\":{}}", "wallets", "is not a list"),
        ("{\"wallets\":\"s3cret\"}", "wallets", "is not a list"),
        (&many, "wallets", "has more than 10000 items where 100 were asked for; ask for more with `lumo.page_size`"),
    ] {
        match wallets(body.as_bytes(), None) {
            Err(Error::Contract { path: at, problem: what }) => {
                assert_eq!((at.as_str(), what.as_str()), (path, problem))
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn a_single_wallet_is_an_answer_or_a_breach() {
    assert!(wallet(format!(" {} \n", wallet_json()).into_bytes()).is_ok());
    for (body, path) in [
        (b"".as_slice(), "body"),
        (b"\xff", "body"),
        (b"[]", "body"),
        (b"<html>", "body"),
        (b"{}", "id"),
        (wallet_with("isBlocked", Some("2")).as_bytes(), "isBlocked"),
    ] {
        assert!(matches!(wallet(body.to_vec()), Err(Error::Contract { path: at, .. }) if at == path), "{path}");
    }
}

/// Text that looks like an answer often enough to get past the envelope.
fn likely_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(r#"{"wallets":["#.to_owned()),
        Just(r#"{"deposits":["#.to_owned()),
        Just(wallet_json().to_string()),
        Just(r#"{"id":"#.to_owned()),
        Just(r#","wallet":{"id":"#.to_owned()),
        Just(r#""\ud800\u0000""#.to_owned()),
        Just("-1e999999999999999999".to_owned()),
        Just(r#""total":"#.to_owned()),
        "[\\[\\]{},:\"0-9.eE+-]{0,6}",
        any::<String>(),
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn no_body_is_too_odd(body in likely_body()) {
        let fields = fields();
        let pages = (wallets(&body, None), deposits(&body, None, &fields), wallet(body.clone()));
        drop(pages);
    }

    #[test]
    fn no_item_is_too_odd_and_none_is_lost(
        id in ".{0,8}", key in "(amount|txHash|wallet|createdAt|status|blockNumber)", number in "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,20})?",
        text: String, kind in 0..4,
    ) {
        let text = serde_json::to_string(&text).unwrap();
        let value = match kind {
            0 => number,
            1 => text,
            2 => format!("{{\"id\":{text},\"externalId\":{number}}}"),
            _ => format!("\"{number}\""),
        };
        let body = format!("{{\"deposits\":[{{\"id\":{},\"{key}\":{value}}}]}}", serde_json::to_string(&id).unwrap());
        let page = deposits(body.as_bytes(), None, &fields()).unwrap();
        prop_assert_eq!(page.items.len() + page.rejects.len(), 1);
        for deposit in page.items {
            let texts = [&deposit.tx_hash, &Some(deposit.status), &deposit.address];
            prop_assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')));
        }
    }
}
