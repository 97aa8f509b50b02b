//! Invents what the rows of a world hold: ids, addresses, hashes, amounts, names and reasons.
//!
//! Everything comes from the one generator it is handed, so a seed decides all of it. The data is meant to be awkward
//! where real data is: names with quotes, slashes and other alphabets, amounts that binary fractions cannot hold.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use uuid::Uuid;

use crate::amount::Amount;
use crate::tron;

/// The deposit statuses that a world uses by itself. Only `new` is published; the rest are plausible.
pub const STATUSES: [&str; 4] = ["new", "processing", "confirmed", "failed"];

const AWKWARD_AMOUNTS: [&str; 10] = [
    "0.000001",
    "0.1",
    "0.3",
    "1",
    "100",
    "12.500000",
    "1234567.123456",
    "99999.999999",
    "16777217.000001",
    "123456789012.123456",
];

const BLOCK_REASONS: [&str; 6] = [
    "chargeback",
    "sanctions screening",
    "requested by the user",
    "too many failed withdrawals",
    "подозрительная активность",
    "reported as \"stolen\" / case 42%",
];

pub(crate) fn uuid(rng: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

pub(crate) fn address(rng: &mut StdRng) -> Arc<str> {
    tron::address(rng.random()).into()
}

pub(crate) fn tx_hash(rng: &mut StdRng) -> Arc<str> {
    HEXLOWER.encode(&rng.random::<[u8; 32]>()).into()
}

/// A key as the platform makes them.
pub(crate) fn api_key(rng: &mut StdRng) -> String {
    format!("lb2b_{}", HEXLOWER.encode(&rng.random::<[u8; 16]>()))
}

/// More than nothing, with at most six decimals; trailing zeros happen.
pub(crate) fn amount(rng: &mut StdRng) -> Amount {
    if rng.random_ratio(1, 12)
        && let Some(awkward) = AWKWARD_AMOUNTS.choose(rng)
    {
        return Amount::literal(*awkward);
    }
    let ceiling = 10_u64.pow(rng.random_range(1..=6));
    let whole = rng.random_range(1..=ceiling);
    let decimals = rng.random_range(0..=6_u32);
    Amount::literal(match decimals {
        0 => whole.to_string(),
        _ => {
            let fraction = rng.random_range(0..10_u32.pow(decimals));
            let width = usize::try_from(decimals).unwrap_or_default();
            format!("{whole}.{fraction:0width$}")
        }
    })
}

pub(crate) fn block_reason(rng: &mut StdRng) -> &'static str {
    BLOCK_REASONS.choose(rng).copied().unwrap_or("fraud")
}

/// The status of a deposit that has been there for a while: confirmed, mostly.
pub(crate) fn settled_status(rng: &mut StdRng) -> &'static str {
    match rng.random_range(0..100) {
        0..=3 => "processing",
        4..=8 => "failed",
        _ => "confirmed",
    }
}

/// The external id of the n-th user. Most are plain; every ninth is of a kind that breaks careless clients. No two
/// numbers share one.
pub(crate) fn external_id(number: u64) -> String {
    if !number.is_multiple_of(9) {
        return format!("user-{number:06}");
    }
    match (number / 9) % 11 {
        0 => format!("пользователь-{number}"),
        1 => format!("用户 {number} 🦊"),
        2 => format!("o'neil \"the\" <{number}>"),
        3 => format!("acme/eu/{number}?x=1&y=2#z"),
        4 => format!("100% of {number}%2F"),
        5 => format!("a+b c={number}"),
        6 => format!("{:x<200}", format!("long-{number}-")),
        7 => format!("USER-{:06}", number - 1), // differs from a neighbour by case only
        8 => format!("cafe\u{301} {number}"),
        9 => format!(" {number} "),
        _ => format!("C:\\users\\{number};--"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn amounts_are_number_literals_with_at_most_six_decimals() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..5_000 {
            let amount = amount(&mut rng);
            assert_eq!(amount.as_str().parse(), Ok(amount.clone()));
            assert!(amount.as_str().split_once('.').is_none_or(|(_, decimals)| (1..=6).contains(&decimals.len())));
        }
    }

    #[test]
    fn external_ids_are_distinct_and_the_longest_has_200_characters() {
        let ids: HashSet<String> = (0..5_000).map(external_id).collect();
        assert_eq!(ids.len(), 5_000);
        assert_eq!(ids.iter().map(|id| id.chars().count()).max(), Some(200));
        assert!(ids.iter().any(|id| id.contains('🦊')));
    }
}
