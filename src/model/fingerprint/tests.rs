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

/// They are stored in databases: another value here makes every row of every installation look changed.
#[test]
fn fingerprints_stay_what_they_were() {
    for (text, expected) in [
        ("{}", 1_389_868_326_933_519_382),
        (
            r#"{"id":"7a1e3d6c-4c1b-4b06-8d3f-6a8f0c5d2e11","companyId":"c0ffee00-0000-4000-8000-000000000001",
            "externalId":"user 1/ж","address":"TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE","isBlocked":false,"blockReason":null,
            "lastUsdtBalance":12.50,"lastTrxBalance":0,"createdAt":"2026-01-02T03:04:05.123456Z"}"#,
            -191_831_438_939_122_176,
        ),
        (
            r#"{"id":12345678901234567890123,"amount":1e-7,"big":1e400,"nested":{"b":[1,2.0,"x\n",{"c":-0}],"a":{}},
            "half":"\ud800","id2":true}"#,
            -9_205_057_340_393_033_558,
        ),
        ("[1]", 9_089_080_473_086_769_509),
        ("<html>", -7_543_931_420_758_498_145),
        ("", 3_244_421_341_483_603_138),
    ] {
        assert_eq!(fingerprint(text), expected, "{text}");
    }
}

#[test]
fn an_object_comes_apart_where_its_members_end() {
    let text = r#" { "a\"}" : "b\\" ,"c":[ {"]":"[\""} , 1 ],	"d":-1.5e3
        ,"e":{ "f" : {} , "g":[]},"ж":"]}","h":"\\\"","":null} "#;
    let members = Members::parse(text).unwrap();
    let expected = [
        ("", "null"),
        ("a\"}", r#""b\\""#),
        ("c", r#"[ {"]":"[\""} , 1 ]"#),
        ("d", "-1.5e3"),
        ("e", r#"{ "f" : {} , "g":[]}"#),
        ("h", r#""\\\"""#),
        ("ж", r#""]}""#),
    ];
    assert!(members.iter().eq(expected), "{members:?}");
    let inner = members.descend("e").unwrap();
    assert!(inner.iter().eq([("f", "{}"), ("g", "[]")]));
    assert!(members.descend("c").is_none() && members.descend("x").is_none());
}

#[test]
fn keys_sort_by_all_their_bytes() {
    let keys = ["", "\0", "a", "a\0", "abcdefg", "abcdefgh", "abcdefgh\0", "abcdefghi", "abcdefgi", "ж", "жжжжж"];
    let mut members: Vec<String> = keys.iter().map(|key| format!("{}:1", serde_json::json!(key))).collect();
    members.reverse();
    let text = format!("{{{}}}", members.join(","));
    let members = Members::parse(&text).unwrap();
    assert!(members.iter().map(|(key, _)| key).eq(keys));
    assert!(keys.iter().all(|key| members.get(key) == Some("1")));
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

    #[test]
    fn members_are_those_that_serde_json_sees(
        value in object(json()),
        mut seed: u64,
        at: prop::sample::Index,
        slip in prop::sample::select(vec!["", "\"", "\\", "{", "}", "[", "]", ",", ":", "1", "-", ".", "e", "\u{1}"]),
    ) {
        let text = spell(&value, &mut seed);
        let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
        let (before, after) = text.split_at(*at.get(&ends));
        let inserted = format!("{before}{slip}{after}");
        let replaced: String = before.chars().chain(slip.chars()).chain(after.chars().skip(1)).collect();
        for text in [inserted, replaced] {
            let seen = serde_json::from_str::<std::collections::BTreeMap<String, &serde_json::value::RawValue>>(&text);
            match (Members::parse(&text), seen) {
                (Ok(members), Ok(seen)) => {
                    prop_assert!(members.iter().eq(seen.iter().map(|(key, value)| (key.as_str(), value.get()))));
                }
                (parsed, seen) => {
                    // A key with half a surrogate pair is none to serde_json, and a name of nobody's here.
                    let has_odd_key = |members: &Members<'_>| members.iter().any(|(key, _)| key.starts_with('"'));
                    let is_odd = parsed.as_ref().map_or(true, has_odd_key);
                    prop_assert!(is_odd && seen.is_err(), "{} {:?} {:?}", text, parsed, seen);
                }
            }
        }
    }
}
