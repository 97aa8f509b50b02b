//! Which members of listed items look like what a column of a deposit should hold.
//!
//! Lumo does not publish what a deposit looks like, so a column may stay empty only because its member has a name that the
//! configuration does not know. A member is suggested if its value has the column's shape in most items, and its name has
//! a word that people use for such things.

use std::collections::BTreeMap;

use super::Amount;
use super::fingerprint::{Members, decode_string};

/// Most members that are suggested for a column.
const MAX_SUGGESTIONS: usize = 3;
/// Objects within objects are looked into this deep.
const MAX_LEVELS: usize = 4;
/// Most members of one item that are looked at.
const MAX_MEMBERS: usize = 500;

/// What the values of a column look like, and words that the names of such members have.
struct Likeness {
    column: &'static str,
    has_shape: fn(&str) -> bool,
    words: &'static [&'static str],
    /// Words of members that mean something else.
    not: &'static [&'static str],
}

const LIKENESSES: &[Likeness] = &[
    likeness("tx_hash", is_hash, &["tx", "txid", "hash", "transaction", "txn"], &["block", "parent"]),
    likeness("from_address", is_address, &["from", "sender", "source", "payer", "origin"], &[]),
    likeness(
        "address",
        is_address,
        &["to", "address", "recipient", "receiver", "destination", "wallet", "deposit"],
        &["from", "sender", "source", "payer", "contract"],
    ),
    likeness("amount", is_amount, &["amount", "value", "sum", "quantity", "qty", "usdt"], &["fee", "balance", "block"]),
    likeness("currency", is_ticker, &["currency", "token", "asset", "symbol", "coin", "ticker"], &[]),
    likeness("confirmations", is_whole, &["confirmations", "confirmation", "confirms", "confs"], &["required", "min"]),
    likeness("block_number", is_whole, &["block", "height"], &["timestamp", "time"]),
    likeness(
        "created_at",
        is_time,
        &["created", "time", "timestamp", "date", "detected", "received", "creation"],
        &["updated", "modified", "changed"],
    ),
    likeness("updated_at", is_time, &["updated", "modified", "changed", "confirmed", "settled"], &[]),
    likeness("wallet_id", is_id, &["wallet"], &["address"]),
    likeness("external_id", is_id, &["external", "user", "customer", "client", "account"], &["wallet", "address"]),
    likeness("company_id", is_id, &["company", "merchant", "organisation", "organization", "tenant"], &[]),
    likeness("status", is_word, &["status", "state", "stage", "phase"], &[]),
];

const fn likeness(
    column: &'static str,
    has_shape: fn(&str) -> bool,
    words: &'static [&'static str],
    not: &'static [&'static str],
) -> Likeness {
    Likeness { column, has_shape, words, not }
}

/// The dotted paths of members that look like the column, best first. `known` are paths that the configuration gives to
/// other columns.
#[must_use]
pub fn lookalikes(column: &str, items: &[String], known: &[&str]) -> Vec<String> {
    let Some(likeness) = LIKENESSES.iter().find(|likeness| likeness.column == column) else { return Vec::new() };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let Ok(members) = Members::parse(item) else { continue };
        let mut paths = Vec::new();
        collect(&members, "", MAX_LEVELS, &mut paths);
        for (path, value) in paths {
            if (likeness.has_shape)(&value) && likeness.words_of(&path) > 0 && !known.contains(&path.as_str()) {
                *seen.entry(path).or_default() += 1;
            }
        }
    }
    let mut found: Vec<String> =
        seen.into_iter().filter(|(_, times)| 2 * times > items.len()).map(|(path, _)| path).collect();
    found.sort_by_key(|path| (usize::MAX - likeness.words_of(path), path.len()));
    found.truncate(MAX_SUGGESTIONS);
    found
}

impl Likeness {
    /// How many words of a path speak for the column.
    fn words_of(&self, path: &str) -> usize {
        let words = words(path);
        if words.iter().any(|word| self.not.contains(&word.as_str())) {
            return 0;
        }
        words.iter().filter(|word| self.words.contains(&word.as_str())).count()
    }
}

/// The paths of plain values, with what they say.
fn collect(members: &Members<'_>, parent: &str, levels: usize, paths: &mut Vec<(String, String)>) {
    for (key, value) in members.iter() {
        // A path that has a dot in a name cannot be configured.
        if paths.len() >= MAX_MEMBERS || key.is_empty() || key.contains('.') || key.chars().any(char::is_control) {
            continue;
        }
        let path = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        match value.as_bytes().first() {
            Some(b'"') => paths.extend(decode_string(value).map(|said| (path, said.into_owned()))),
            Some(b'-' | b'0'..=b'9') => paths.push((path, value.to_owned())),
            Some(b'{') if levels > 1 => {
                if let Some(inner) = members.descend(key) {
                    collect(&inner, &path, levels - 1, paths);
                }
            }
            _ => {}
        }
    }
}

/// The words of a path, in lower case: `tx.blockNumber` has tx, block, number.
fn words(path: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for char in path.chars() {
        if !char.is_alphanumeric() || (was_lower && char.is_uppercase()) {
            words.push(String::new());
        }
        if char.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(char.to_lowercase());
        }
        was_lower = char.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_hash(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    digits.len() >= 40 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_address(value: &str) -> bool {
    (25..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_amount(value: &str) -> bool {
    value.parse::<Amount>().is_ok()
}

fn is_ticker(value: &str) -> bool {
    (2..=12).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_whole(value: &str) -> bool {
    !value.is_empty() && value.len() <= 18 && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_time(value: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(value).is_ok() || (is_whole(value) && (10..=13).contains(&value.len()))
}

fn is_id(value: &str) -> bool {
    (1..=128).contains(&value.len()) && !value.chars().any(|char| char.is_control() || char.is_whitespace())
}

fn is_word(value: &str) -> bool {
    (1..=32).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const ADDRESS: &str = "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE";

    fn item() -> String {
        serde_json::json!({
            "id": "d1", "note": "to be sent", "uid": 7,
            "chain": { "txn": { "hash": HASH, "blockHash": HASH, "height": 70_000_000, "at": { "time": 1_767_323_045 } } },
            "payment": { "sender": ADDRESS, "destination": ADDRESS, "sumUsdt": "12.50", "coin": "USDT" },
            "customer": { "ref": "u-1" }, "phase": "seen", "confs": 19,
        })
        .to_string()
    }

    #[test]
    fn members_are_found_by_the_shape_of_their_values_and_the_words_of_their_names() {
        let items = [item(), item(), r#"{"id":"d2"}"#.to_owned()];
        for (column, expected) in [
            ("tx_hash", &["chain.txn.hash"][..]),
            ("from_address", &["payment.sender"]),
            ("address", &["payment.destination"]),
            ("amount", &["payment.sumUsdt"]),
            ("currency", &["payment.coin"]),
            ("confirmations", &["confs"]),
            ("block_number", &["chain.txn.height"]),
            ("created_at", &["chain.txn.at.time"]),
            ("external_id", &["customer.ref"]),
            ("status", &["phase"]),
            ("updated_at", &[]),
            ("wallet_id", &[]),
            ("no_column", &[]),
        ] {
            assert_eq!(lookalikes(column, &items, &[]), expected, "{column}");
        }
    }

    #[test]
    fn what_is_rare_or_means_another_column_is_not_suggested() {
        let other = || r#"{"id":"d"}"#.to_owned();
        assert!(lookalikes("tx_hash", &[item(), other()], &[]).is_empty());
        assert!(lookalikes("tx_hash", &[item()], &["chain.txn.hash"]).is_empty());
        assert!(lookalikes("tx_hash", &["<html>".to_owned()], &[]).is_empty());
        assert!(lookalikes("tx_hash", &[], &[]).is_empty());
    }

    #[test]
    fn the_best_names_come_first_and_are_few() {
        let item = format!(
            r#"{{"a_hash":"{HASH}","tx":{{"hash":"{HASH}"}},"transactionHashHex":"{HASH}","hash2x":"{HASH}","hash":"{HASH}"}}"#
        );
        assert_eq!(lookalikes("tx_hash", &[item], &[]), ["tx.hash", "transactionHashHex", "hash"]);
    }

    proptest::proptest! {
        #[test]
        fn no_item_is_a_panic(item in "\\PC*", column in "[a-z_]{0,12}") {
            let found = lookalikes(&column, &[item], &[]);
            proptest::prop_assert!(found.len() <= MAX_SUGGESTIONS);
        }
    }
}
