//! An exact decimal, kept as its digits.
//!
//! An [`Amount`] is read from the digits of the API's JSON and never passes through a float. It is held in one canonical
//! spelling (no exponent, no leading or trailing zeros), so equal amounts are equal texts. The columns are `numeric` on
//! PostgreSQL, `decimal(65,30)` on MySQL and MariaDB and text on SQLite, whose only other choice would be a float; the
//! bounds of the type are those of the narrowest of them, so what parses can be stored everywhere, digit for digit.

mod column;

use std::fmt;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use serde::{Deserialize, Serialize};

/// Most digits before the point.
const MAX_INTEGER_DIGITS: usize = 35;
/// Most digits after the point.
const MAX_FRACTION_DIGITS: usize = 30;

/// An exact decimal number in canonical spelling, for example `12.5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(String);

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// Not a decimal number.
    Syntax,
    /// More than 35 digits before the point or 30 after it.
    OutOfRange,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "is not a decimal number",
            Self::OutOfRange => "has more than 35 digits before the point or 30 after it",
        })
    }
}

impl std::error::Error for AmountError {}

impl Amount {
    /// The canonical digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The exact sum.
    ///
    /// # Errors
    /// If it has more digits than an amount may have.
    pub fn plus(&self, other: &Self) -> Result<Self, AmountError> {
        (self.to_big_decimal() + other.to_big_decimal()).to_plain_string().parse()
    }

    /// The same number for drivers that have a decimal type.
    fn to_big_decimal(&self) -> BigDecimal {
        // Canonical digits are valid for BigDecimal by construction; zero can only stand for a bug here, and the tests
        // compare every amount after a round trip.
        BigDecimal::from_str(&self.0).unwrap_or_default()
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads JSON's number grammar, a leading `+` and bare `.5` included: digits, an optional fraction, an optional
    /// exponent.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| exponent_error(exponent))?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountError::Syntax);
        }
        if exponent == 0 {
            return plain(negative, whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        }

        // The value is 0.DIGITS × 10^point with neither leading nor trailing zeros in DIGITS.
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self("0".to_owned()));
        }
        let leading = i64::try_from(digits.len() - significant.len()).map_err(|_| AmountError::OutOfRange)?;
        let whole_len = i64::try_from(whole.len()).map_err(|_| AmountError::OutOfRange)?;
        let point = whole_len - leading + i64::from(exponent);
        let significant = significant.trim_end_matches('0');
        let len = i64::try_from(significant.len()).map_err(|_| AmountError::OutOfRange)?;
        let in_range = point <= MAX_INTEGER_DIGITS as i64 && len - point <= MAX_FRACTION_DIGITS as i64;
        if !in_range {
            return Err(AmountError::OutOfRange);
        }

        let sign = if negative { "-" } else { "" };
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        Ok(Self(if point <= 0 {
            format!("{sign}0.{}{significant}", zeros(-point))
        } else if point >= len {
            format!("{sign}{significant}{}", zeros(point - len))
        } else {
            let (before, after) = significant.split_at(usize::try_from(point).unwrap_or(0));
            format!("{sign}{before}.{after}")
        }))
    }
}

/// The usual number: no exponent, so nothing moves. Both parts come without the zeros that say nothing.
fn plain(negative: bool, whole: &str, fraction: &str) -> Result<Amount, AmountError> {
    if whole.len() > MAX_INTEGER_DIGITS || fraction.len() > MAX_FRACTION_DIGITS {
        return Err(AmountError::OutOfRange);
    }
    let mut text = String::with_capacity(whole.len() + fraction.len() + 3);
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        text.push('-');
    }
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    Ok(Amount(text))
}

/// An exponent that is digits but does not fit is a number out of range, everything else is not a number.
fn exponent_error(exponent: &str) -> AmountError {
    let digits = exponent.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        AmountError::OutOfRange
    } else {
        AmountError::Syntax
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Amount {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, AmountError> {
        text.parse::<Amount>().map(String::from)
    }

    #[test]
    fn amounts_are_canonical_and_exact() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("0e999999", "0"),
            ("12.50", "12.5"),
            ("1.10", "1.1"),
            ("0.1", "0.1"),
            ("1e-6", "0.000001"),
            ("1E+3", "1000"),
            ("100", "100"),
            ("007", "7"),
            (".5", "0.5"),
            ("-5", "-5"),
            ("12.34e1", "123.4"),
            ("1234567e-3", "1234.567"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("123456789012.123456", "123456789012.123456"),
            ("1234567890123456789.123456789012345678", "1234567890123456789.123456789012345678"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-", ".", "1,5", "1.2.3", "0x10", "NaN", "1e", "1e+", "１", " 1", "--1"] {
            assert_eq!(canonical(text), Err(AmountError::Syntax), "{text}");
        }
        for text in ["1e36", "1e-31", "1e99999999999", "123456789012345678901234567890123456"] {
            assert_eq!(canonical(text), Err(AmountError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn a_sum_is_exact() {
        for (one, other, sum) in [
            ("12.5", "0.000000000000000001", "12.500000000000000001"),
            ("0.1", "0.2", "0.3"),
            ("12.5", "-12.50", "0"),
            (
                "99999999999999999999999999999999999",
                "-1e-30",
                "99999999999999999999999999999999998.999999999999999999999999999999",
            ),
        ] {
            let of = |text: &str| text.parse::<Amount>().unwrap();
            assert_eq!(of(one).plus(&of(other)).unwrap().as_str(), sum);
            assert_eq!(of(other).plus(&of(one)).unwrap().as_str(), sum);
        }
        let most: Amount = "99999999999999999999999999999999999".parse().unwrap();
        assert_eq!(most.plus(&most), Err(AmountError::OutOfRange));
    }

    #[test]
    fn every_amount_survives_the_driver_type() {
        for text in
            ["0", "0.0000001", "-0.000000000000000000000000000001", "99999999999999999999999999999999999", "12.5"]
        {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.to_big_decimal().to_plain_string(), text);
        }
    }
}
