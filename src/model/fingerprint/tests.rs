//! Spelling never counts, content always does: by example and by property.

use proptest::prelude::*;

use super::*;

/// Whether two items differ in no other top-level member than the `ignored` ones.
fn same_except(old_raw: &str, new_raw: &str, ignored: &[&str]) -> bool {
    match (Members::parse(old_raw), Members::parse(new_raw)) {
        (Ok(old), Ok(new)) => old.changed(&new).iter().all(|key| ignored.contains(key)),
        _ => old_raw == new_raw,
    }
}

#[test]
fn spelling_does_not_count() {
    let plain = r#"{"id":"a/b","amount":1.1,"wallet":{"id":"ж","tags":[1,2]}}"#;
    for other in [
        r#"{"amount":1.1,"wallet":{"id":"ж","tags":[1,2]},"id":"a/b"}"#,
        r#"{"id":"a/b","amount":1.10,"wallet":{"id":"ж","tags":[1,2]}}"#,
        r#"{"id":"a/b","amount":11e-1,"wallet":{"tags":[1,2.0],"id":"ж"}}"#,
        r#"{"id":"a\/b","am\u006funt":110.0E-2,"wallet":{"id":"\u0436","tags":[1,2]}}"#,
        "{ \"id\" : \"a/b\",\r\n\t\"amount\" : 1.1, \"wallet\" : { \"id\":\"ж\", \"tags\":[ 1 , 2 ] } }",
        r#"{"id":"first","id":"a/b","amount":1.1,"wallet":{"id":"ж","tags":[1,2]}}"#,
    ] {
        assert_eq!(fingerprint(other), fingerprint(plain), "{other}");
        assert!(same_except(plain, other, &[]), "{other}");
    }
}

#[test]
fn content_counts() {
    let texts = [
        r#"{"a":"1"}"#,
        r#"{"a":1}"#,
        r#"{"a":-1}"#,
        r#"{"a":0}"#,
        r#"{"a":"0"}"#,
        r#"{"a":null}"#,
        r#"{"a":"null"}"#,
        r#"{"a":true}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":[[]]}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[2,1]}"#,
        r#"{"a":[12]}"#,
        r#"{"a":["1","2"]}"#,
        r#"{"a":["1,2"]}"#,
        r#"{"b":1}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":1e36}"#,
        r#"{"a":1e37}"#,
        r#"{"a":0.30000000000000004}"#,
        r#"{"a":0.3}"#,
        r#"{"a":"\ud800"}"#,
        "{}",
        "[]",
        "",
        "<html>",
    ];
    for (index, one) in texts.iter().enumerate() {
        for other in texts.iter().skip(index + 1) {
            assert_ne!(fingerprint(one), fingerprint(other), "{one} {other}");
        }
    }
}

#[test]
fn a_change_of_ignored_members_only_is_told_apart() {
    let old = r#"{"id":"a","lastUsdtBalance":1.0,"isBlocked":false}"#;
    let ignored = ["lastUsdtBalance", "lastTrxBalance"];
    assert!(same_except(old, r#"{"id":"a","lastUsdtBalance":2,"isBlocked":false}"#, &ignored));
    assert!(same_except(old, r#"{"id":"a","lastTrxBalance":2,"isBlocked":false}"#, &ignored));
    assert!(!same_except(old, r#"{"id":"a","lastUsdtBalance":2,"isBlocked":true}"#, &ignored));
    assert!(!same_except(old, "no object", &ignored));
}

#[test]
fn changed_keys_are_listed_once_and_sorted() {
    let old = Members::parse(r#"{"c":1,"a":1,"b":1.0}"#).unwrap();
    let new = Members::parse(r#"{"d":1,"b":1,"c":2}"#).unwrap();
    assert_eq!(old.changed(&new), ["a", "c", "d"]);
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(Members::parse(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(Members::parse(&nested(MAX_DEPTH)).err(), Some(Malformed::TooDeep));
    assert_eq!(Members::parse(&nested(1_000_000)).err(), Some(Malformed::TooDeep));
    assert!(Members::parse(r#"{"a":["[[[[\"[["]}"#).is_ok());
    // It is no object, but a fingerprint it has.
    assert_ne!(fingerprint(&nested(1_000_000)), fingerprint(&nested(1_000_001)));
}

/// A JSON value that can be spelled in more than one way.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    /// Digits and how many of them stand after the point.
    Number(i64, u32),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The same value again, spelled by the whims of `seed`.
fn spell(value: &Json, seed: &mut u64) -> String {
    let mut pick = |choices: u64| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % choices
    };
    let space = [" ", "", "\n\t", "  "][usize::try_from(pick(4)).unwrap()];
    match value {
        Json::Null => "null".to_owned(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(digits, scale) => match pick(3) {
            0 => format!("{digits}e-{scale}"),
            1 => format!("{digits}.00E-{scale}"),
            _ => format!("{digits}000e-{}", scale + 3),
        },
        Json::Text(text) if pick(2) == 0 => serde_json::to_string(text).unwrap(),
        Json::Text(text) => {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{escaped}\"")
        }
        Json::List(elements) => {
            let elements: Vec<String> = elements.iter().map(|element| spell(element, seed)).collect();
            format!("[{space}{}{space}]", elements.join(&format!("{space},")))
        }
        Json::Object(members) => {
            let turn = usize::try_from(pick(8)).unwrap() % members.len().max(1);
            let mut members = members.clone();
            members.rotate_left(turn);
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| {
                    let key = spell(&Json::Text(key.clone()), seed);
                    format!("{key}{space}:{space}{}", spell(value, seed))
                })
                .collect();
            format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
        }
    }
}

fn object(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    prop::collection::btree_map(any::<String>(), value, 0..6)
        .prop_map(|members| Json::Object(members.into_iter().collect()))
}

fn json() -> impl Strategy<Value = Json> {
    // The last digit is never 0, so that two different pairs are two different numbers.
    let number = (any::<i32>(), 0_u32..12).prop_map(|(digits, scale)| Json::Number(i64::from(digits) * 10 + 1, scale));
    let leaf =
        prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::Bool), number, any::<String>().prop_map(Json::Text)];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List), object(inner)]
    })
}

proptest! {
    #[test]
    fn any_spelling_gives_the_same_fingerprint(value in object(json()), mut a: u64, mut b: u64) {
        let (one, other) = (spell(&value, &mut a), spell(&value, &mut b));
        prop_assert_eq!(fingerprint(&one), fingerprint(&other), "{} {}", one, other);
        prop_assert!(same_except(&one, &other, &[]));
    }

    #[test]
    fn any_other_value_gives_another_fingerprint(value in json(), other in json(), mut seed: u64) {
        prop_assume!(value != other);
        let item = |value| Json::Object(vec![("id".to_owned(), Json::Text("1".to_owned())), ("x".to_owned(), value)]);
        let (one, other) = (spell(&item(value), &mut seed), spell(&item(other), &mut seed));
        prop_assert_ne!(fingerprint(&one), fingerprint(&other), "{} {}", one, other);
        prop_assert!(!same_except(&one, &other, &["id"]));
        prop_assert!(same_except(&one, &other, &["x"]));
    }

    #[test]
    fn no_text_is_too_odd(text: String) {
        prop_assert_eq!(fingerprint(&text), fingerprint(&text));
    }
}
