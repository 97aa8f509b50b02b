//! What an expression says of a body, and which texts are expressions.

use proptest::prelude::*;

use super::*;

const BODY: &str = r#"{"id":"evt_1","type":"deposit.created","sequence":17,"origin":"live","company_id":null,
    "data":{"object":{"external_id":"42","status":"confirmed","amount":"12345678901234567890.000000000000000001",
        "last_usdt_balance":"0.10","currency":"USDT","note":"7"},
    "changes":{"amount":{"from":"1e1","to":"10.0"},"status":{"from":null,"to":"confirmed"}},
    "upstream":{"fee":0.30000000000000004,"tags":["a","b",3],"big":1e400,"paid":true,"deep":{"er":[[1]]}}}}"#;

fn judged(source: &str) -> Result<bool, String> {
    let condition = Condition::parse(source).map_err(|error| error.to_string())?;
    condition.holds(BODY).map_err(|error| error.to_string())
}

#[test]
fn amounts_are_compared_to_the_last_digit() {
    for (source, expected) in [
        ("data.object.amount > 12345678901234567890", true),
        ("data.object.amount > 12345678901234567890.000000000000000001", false),
        ("data.object.amount >= 12345678901234567890.000000000000000001", true),
        ("data.object.amount == 12345678901234567890.0000000000000000010", true),
        ("data.object.last_usdt_balance == 0.1", true),
        ("data.object.last_usdt_balance > -0.1", true),
        ("data.changes.amount.from == data.changes.amount.to", true),
        ("data.upstream.fee == 0.3", false),
        ("data.upstream.fee == 0.30000000000000004", true),
        ("0.3 < data.upstream.fee <= 0.31", true),
        ("0.3 < data.upstream.fee < 0.30000000000000004", false),
        ("sequence in [16, 17.0]", true),
        ("1e3 == 1000 and 2.50 == 2.5", true),
    ] {
        assert_eq!(judged(source), Ok(expected), "{source}");
    }
}

#[test]
fn what_people_write_is_judged() {
    for (source, expected) in [
        (r#"data.object.status in ["confirmed"] and data.object.amount >= 10"#, true),
        ("data.object.status not in ['new', 'pending']", true),
        ("type == 'wallet.blocked' or data.object.currency | lower == 'usdt'", true),
        ("not (type == 'deposit.created')", false),
        ("type != 'deposit.created' or data.object.currency == 'TRX' or origin == 'live'", true),
        ("data.object.tx_hash is defined", false),
        ("data.object.tx_hash is not defined and data.object.tx_hash is undefined", true),
        ("data.nothing.at.all is defined", false),
        ("data.object.tx_hash | default('none') == 'none'", true),
        ("data.object.status | default('none') | upper == 'CONFIRMED'", true),
        ("data.changes.status.from is none and data.changes.status.to is not none", true),
        ("company_id == none", true),
        ("data['object']['status'] == 'confirmed'", true),
        ("data.upstream.tags[1] == 'b'", true),
        ("data.upstream.tags[7] is defined", false),
        ("data.upstream.paid", true),
        ("data.upstream.paid == false", false),
        ("'firm' in data.object.status", true),
        ("data.object.external_id is startingwith '4' and data.object.external_id is endingwith('2')", true),
        ("'a' < 'b' != false", false),
        ("true", true),
    ] {
        let expected = if source.contains("!= false") {
            Err("a text and true or false cannot be compared".to_owned())
        } else {
            Ok(expected)
        };
        assert_eq!(judged(source), expected, "{source}");
    }
}

#[test]
fn what_is_not_there_or_of_another_kind_is_no_false() {
    for (source, expected) in [
        (
            "data.object.amonut > 1",
            "`data.object.amonut` is not there; ask with `is defined`, or name what counts instead with `default`",
        ),
        (
            "data.object.status.more == 1",
            "`data.object.status.more` is not there; ask with `is defined`, or name what counts instead with `default`",
        ),
        ("data.object.amount == '12.5'", "a number and a text cannot be compared"),
        ("data.object.note > 5", "a text and a number cannot be compared"),
        ("data.upstream.tags == ['a']", "a list and a list cannot be compared"),
        ("data.object == data.object", "an object and an object cannot be compared"),
        ("data.upstream.deep.er == 1", "a list and a number cannot be compared"),
        ("'a' in data.upstream.tags", "a text and a number cannot be compared"),
        ("data.object.status in 5", "`in` looks into a list or a text, and a number is neither"),
        ("5 in data.object.status", "a number is no text"),
        ("data.object.amount", "a number is neither true nor false"),
        ("not data.object.status", "a text is neither true nor false"),
        ("data.object.amount and true", "a number is neither true nor false"),
        ("data.object.amount | lower == 'x'", "a number is no text"),
        ("true < false", "true or false and true or false cannot be compared"),
        (
            "data.upstream.big > 1",
            "`data.upstream.big` is a number that cannot be compared exactly: it has more than 35 digits before the point or 30 after it",
        ),
    ] {
        assert_eq!(judged(source), Err(expected.to_owned()), "{source}");
    }
    let condition = Condition::parse("type == 'a'").unwrap();
    assert!(matches!(condition.holds("no body"), Err(Failure::Body(_))));
    let odd = r#"{"data":{"object":{"amount":"ten"}}}"#;
    let error = Condition::parse("data.object.amount > 1").unwrap().holds(odd).unwrap_err().to_string();
    assert_eq!(error, "`data.object.amount` is a number that cannot be compared exactly: it is not a decimal number");
}

#[test]
fn what_is_no_expression_is_refused_in_a_sentence() {
    let not_available = "is not available; there are `and`, `or`, `not`, comparisons";
    let chain = vec!["true"; 900].join(" or ");
    let words = "1,".repeat(1_200);
    let members = vec!["data"; 51].join(" == ");
    for (source, expected) in [
        ("", "the expression is wrong: "),
        ("data.object.amount >", "the expression is wrong: unexpected end of input, expected expression"),
        ("{{ type }}", "it is an expression, and no template: write it without `{{` and `}}`"),
        ("{'a': 1} == 2", "`{}` is not available"),
        ("type == 'a' b", "the expression is wrong: unexpected input after expression; write for example `data."),
        ("data.object.amount = 10", "the expression is wrong: unexpected input after expression; compare with `==`"),
        (
            "type == 'a=b' AND sequence > 1",
            "the expression is wrong: unexpected input after expression; write `and`, `or` and `not`",
        ),
        ("dta.object.amount > 1", "an event has no member `dta`; did you mean `data`?"),
        ("x > 1", "an event has no member `x`; there are id, type, "),
        ("data.object.amount + 1 > 2", "arithmetic is not available"),
        ("-data.object.amount < 0", "arithmetic is not available"),
        ("'a' ~ 'b' == 'ab'", "`~` is not available"),
        ("1 if true else 2", "`if` is not available"),
        ("range(9)", "a call is not available"),
        ("data.object.keys()", "a call is not available"),
        ("type[1:] == 'a'", "`[:]` is not available"),
        ("data.object.amount | float > 1", "the filter `float` is not available"),
        ("type | default('a', true) == 'a'", "the filter `default` is not available"),
        ("type is string", "`is string` is not available"),
        ("(type == 'a') is defined", "`is defined`, `default` and `.` follow the name of a member"),
        ("data[type] == 1", "`[]` takes a name in quotes or the number of an item, from 0"),
        ("data.object.amount > 0x10", "the number `0x10` is not a decimal number"),
        ("data.object.amount > 1e99", "the number `1e99` has more than 35 digits"),
        (&chain, "the expression is longer than 4096 bytes"),
        (&words[..2_200], "the expression has more than 1000 words"),
        (&members, "the expression names more than 50 members"),
        (&"(".repeat(400), "the expression is wrong: "),
        (&"not ".repeat(900), "the expression is wrong: "),
        (&"-".repeat(900), "the expression is wrong: "),
    ] {
        let error = Condition::parse(source).expect_err(source).to_string();
        assert!(error.starts_with(expected), "{}: {error}", source.get(..60).unwrap_or(source));
        assert!(!expected.ends_with("not available") || error.contains(not_available), "{error}");
    }
    assert!(Condition::parse(&vec!["true"; 400].join(" or ")).unwrap().holds(BODY).unwrap());
    assert!(Condition::parse(&format!("{}true{}", "(".repeat(50), ")".repeat(50))).unwrap().holds(BODY).unwrap());
}

#[test]
fn what_a_type_lacks_is_found_whatever_the_values_are() {
    for (source, expected) in [
        ("data.object.status == 'never' and data.object.amonut > 1", vec!["data.object.amonut"]),
        (
            "data.object.status == 'confirmed' or data.object.fee > data.object.tax",
            vec!["data.object.fee", "data.object.tax"],
        ),
        ("type == 'wallet.blocked' and data.object.block_reason == 'fraud'", vec![]),
        ("type != 'wallet.blocked' or data.object.block_reason == 'fraud'", vec![]),
        ("type == 'deposit.created' and data.object.block_reason == 'fraud'", vec!["data.object.block_reason"]),
        ("data.object.fee is defined and data.object.fee > 1", vec![]),
        ("data.object.fee is undefined or data.object.fee > 1", vec![]),
        ("data.object.fee | default(0) > data.object.tax", vec!["data.object.tax"]),
        ("data.object.fee in [data.object.tax]", vec!["data.object.fee", "data.object.tax"]),
    ] {
        assert_eq!(Condition::parse(source).unwrap().lacking(BODY).unwrap(), expected, "{source}");
    }
}

fn digits() -> impl Strategy<Value = String> {
    ("-?", "[0-9]{1,30}", proptest::option::of("[0-9]{1,25}")).prop_map(|(sign, whole, fraction)| match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    })
}

proptest! {
    #[test]
    fn any_two_numbers_are_in_their_order(left in digits(), right in digits()) {
        use std::str::FromStr as _;
        let order = bigdecimal::BigDecimal::from_str(&left).unwrap().cmp(&bigdecimal::BigDecimal::from_str(&right).unwrap());
        let body = format!(r#"{{"data":{{"object":{{"amount":"{left}"}},"upstream":{{"n":{}}}}}}}"#, json_number(&right));
        for (sign, expected) in [("<", order.is_lt()), ("==", order.is_eq()), (">", order.is_gt()), ("<=", order.is_le())] {
            for other in [right.as_str(), "data.upstream.n"] {
                let source = format!("data.object.amount {sign} {other}");
                prop_assert_eq!(Condition::parse(&source).unwrap().holds(&body).unwrap(), expected, "{}", source);
            }
        }
    }

    #[test]
    fn nothing_that_is_written_ends_the_process(source in "[a-z0-9 .()\\[\\]'|=<>!,-]{0,120}") {
        if let Ok(condition) = Condition::parse(&source) {
            condition.holds(BODY).ok();
            condition.lacking(BODY).ok();
        }
    }
}

/// JSON has no zeros in front.
fn json_number(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0');
    let zero = if digits.is_empty() || digits.starts_with('.') { "0" } else { "" };
    format!("{sign}{zero}{digits}")
}
