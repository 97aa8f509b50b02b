//! Verifies Standard Webhooks 1.0 signatures, from the specification alone.
//!
//! The signature is an HMAC-SHA256 over `id.timestamp.body`, as `v1,` and Base64; a header may carry several, separated by
//! spaces, and one that fits one of the secrets is enough. Signatures are compared in constant time. No IO, no clock.

use std::fmt;

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const PREFIX: &str = "whsec_";

/// How far a timestamp may be from now, in either direction.
const TOLERANCE_SECONDS: u64 = 5 * 60;

/// A signing secret. Its `Debug` keeps it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// The text is not `whsec_` and Base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSecret;

/// A request as far as its signature goes: three headers and the body, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`: Unix seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more, separated by spaces.
    pub signature: &'a str,
    pub body: &'a [u8],
}

/// Why a request is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    MissingHeader(&'static str),
    /// The timestamp is no number of seconds.
    BadTimestamp,
    /// More than five minutes in the past.
    TooOld,
    /// More than five minutes in the future.
    TooNew,
    /// No signature of version 1 among them.
    NoSignature,
    /// Signed, but with none of the secrets, or for another request.
    WrongSignature,
}

impl Secret {
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        match BASE64.decode(encoded.as_bytes()) {
            Ok(key) if !key.is_empty() => Ok(Self(key)),
            _ => Err(BadSecret),
        }
    }
}

/// Checks a request against all secrets that are in use.
pub fn verify(message: &Signed<'_>, secrets: &[Secret], now: DateTime<Utc>) -> Result<(), Invalid> {
    let sent_at: i64 = message.timestamp.parse().map_err(|_| Invalid::BadTimestamp)?;
    if sent_at.abs_diff(now.timestamp()) > TOLERANCE_SECONDS {
        return Err(if sent_at < now.timestamp() { Invalid::TooOld } else { Invalid::TooNew });
    }
    let offered: Vec<Vec<u8>> = message.signature.split_ascii_whitespace().filter_map(version_1).collect();
    if offered.is_empty() {
        return Err(Invalid::NoSignature);
    }
    let expected: Vec<Vec<u8>> = secrets.iter().filter_map(|secret| signature(message, secret)).collect();
    let fits = |offer: &Vec<u8>| expected.iter().any(|expected| bool::from(expected.ct_eq(offer)));
    if offered.iter().any(fits) { Ok(()) } else { Err(Invalid::WrongSignature) }
}

fn version_1(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.strip_prefix("v1,")?.as_bytes()).ok()
}

fn signature(message: &Signed<'_>, secret: &Secret) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
    for part in [message.id.as_bytes(), b".", message.timestamp.as_bytes(), b".", message.body] {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().to_vec())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret must be whsec_ and base64")
    }
}

impl std::error::Error for BadSecret {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingHeader(name) => write!(f, "no {name} header"),
            Self::BadTimestamp => f.write_str("timestamp is no number of seconds"),
            Self::TooOld => f.write_str("timestamp more than five minutes old"),
            Self::TooNew => f.write_str("timestamp more than five minutes ahead"),
            Self::NoSignature => f.write_str("no signature of version 1"),
            Self::WrongSignature => f.write_str("no signature fits"),
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED_AT: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn reference() -> Signed<'static> {
        Signed {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: "1614265330",
            signature: SIGNATURE,
            body: br#"{"test": 2432232314}"#,
        }
    }

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::parse(text).unwrap()).collect()
    }

    fn check(message: Signed<'_>, seconds_later: i64) -> Result<(), Invalid> {
        let now = DateTime::from_timestamp(SIGNED_AT + seconds_later, 0).unwrap();
        verify(&message, &secrets(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]), now)
    }

    #[test]
    fn the_reference_vector_verifies() {
        assert_eq!(check(reference(), 0), Ok(()));
    }

    #[test]
    fn one_fitting_signature_among_several_is_enough() {
        let several = format!("v1a,AAAA v1,AAAA v1,%%% {SIGNATURE}");
        assert_eq!(check(Signed { signature: &several, ..reference() }, 0), Ok(()));
        let now = DateTime::from_timestamp(SIGNED_AT, 0).unwrap();
        let rotated = secrets(&["whsec_c2VjcmV0", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        assert_eq!(verify(&reference(), &rotated, now), Ok(()));
    }

    #[test]
    fn a_wrong_secret_or_any_changed_part_is_noticed() {
        let now = DateTime::from_timestamp(SIGNED_AT, 0).unwrap();
        let wrong = secrets(&["whsec_c2VjcmV0"]);
        assert_eq!(verify(&reference(), &wrong, now), Err(Invalid::WrongSignature));
        assert_eq!(verify(&reference(), &[], now), Err(Invalid::WrongSignature));
        let changed = [
            Signed { body: br#"{"test": 2432232315}"#, ..reference() },
            Signed { id: "msg_other", ..reference() },
            Signed { timestamp: "1614265331", ..reference() },
        ];
        for message in changed {
            assert_eq!(check(message, 0), Err(Invalid::WrongSignature));
        }
    }

    #[test]
    fn timestamps_are_good_for_five_minutes() {
        assert_eq!(check(reference(), 300), Ok(()));
        assert_eq!(check(reference(), 301), Err(Invalid::TooOld));
        assert_eq!(check(reference(), -300), Ok(()));
        assert_eq!(check(reference(), -301), Err(Invalid::TooNew));
        assert_eq!(check(Signed { timestamp: "soon", ..reference() }, 0), Err(Invalid::BadTimestamp));
        assert_eq!(check(Signed { timestamp: "-9223372036854775808", ..reference() }, 0), Err(Invalid::TooOld));
    }

    #[test]
    fn other_versions_are_no_signature() {
        for signature in ["", "v2,AAAA", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            assert_eq!(check(Signed { signature, ..reference() }, 0), Err(Invalid::NoSignature));
        }
    }

    #[test]
    fn malformed_secrets_are_refused_and_good_ones_not_printed() {
        for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"] {
            assert_eq!(Secret::parse(text).unwrap_err(), BadSecret);
        }
        assert_eq!(format!("{:?}", Secret(vec![1])), "Secret(***)");
    }
}
