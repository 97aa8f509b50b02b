//! Verifies a signature, and says precisely what is wrong with one.
//!
//! It is written for whoever builds a receiver. A signature that does not match is tried again under the mistakes that
//! are usually made, one at a time, and the mistake under which it matches is named. The age is looked at last: that a
//! captured request has grown old is worth knowing only if it was right to begin with.

use std::time::Duration;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hmac::Mac;

use super::{PREFIX, SigningSecret, mac};

/// How far the timestamp may be from now, as the specification's libraries have it.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// A request as it was received. A header that was missing is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: Option<&'a str>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`
    pub signature: Option<&'a str>,
    pub body: &'a [u8],
}

/// What a right signature tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which of the secrets signed, from 0.
    pub secret: usize,
    /// When, in Unix seconds.
    pub timestamp: i64,
}

/// What is wrong with a signed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the header `{0}` is missing")]
    MissingHeader(&'static str),
    #[error("`webhook-timestamp` is `{0}`, not a whole number of seconds")]
    Timestamp(String),
    #[error("`webhook-signature` has no part that begins with `v1,`")]
    NoV1Signature,
    #[error("the signature is of another secret, or the id, the timestamp or the body were changed after signing")]
    Mismatch,
    #[error("the signature does not match, but {0}")]
    Mistake(Hint),
    #[error("the signature is right, but {age} s old, which is more than {allowed} s")]
    TooOld { age: u64, allowed: u64 },
    #[error("the signature is right, but {ahead} s ahead of the clock, which is more than {allowed} s")]
    TooFarAhead { ahead: u64, allowed: u64 },
}

/// The mistake under which a signature would match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hint {
    #[error("it matches the body with a line break added at its end: what was received is not what was sent")]
    NewlineRemoved,
    #[error("it matches the body without the line break at its end: what was received is not what was sent")]
    NewlineAdded,
    #[error("it matches the same JSON with other white space: verify the bytes as received, before they are parsed")]
    Reserialised,
    #[error("it matches with the secret taken as raw text: the key is what follows `whsec_`, decoded from base64")]
    RawSecret,
    #[error("it matches when read as hexadecimal: a signature is base64")]
    Hexadecimal,
    #[error("it matches when read as unpadded or URL-safe base64: a signature is standard base64 with its padding")]
    OtherBase64,
}

/// Verifies against each of the secrets; one that matches is enough. `now` is in Unix seconds; `tolerance` is normally
/// [`TOLERANCE`].
///
/// # Errors
/// The first thing that is wrong, in the order of the variants of [`VerifyError`].
pub fn verify(
    secrets: &[SigningSecret],
    request: &Signed<'_>,
    now: i64,
    tolerance: Duration,
) -> Result<Verified, VerifyError> {
    let id = request.id.ok_or(VerifyError::MissingHeader("webhook-id"))?;
    let stamp = request.timestamp.ok_or(VerifyError::MissingHeader("webhook-timestamp"))?;
    let signature = request.signature.ok_or(VerifyError::MissingHeader("webhook-signature"))?;
    let timestamp: i64 = stamp.parse().map_err(|_| VerifyError::Timestamp(stamp.to_owned()))?;
    let signatures: Vec<_> = signature.split_ascii_whitespace().filter_map(|part| part.strip_prefix("v1,")).collect();
    if signatures.is_empty() {
        return Err(VerifyError::NoV1Signature);
    }

    let candidates = Candidates { id, stamp, signatures };
    let secret = secrets
        .iter()
        .position(|secret| candidates.match_by(&secret.key, request.body, standard))
        .ok_or_else(|| candidates.mistake(secrets, request.body).map_or(VerifyError::Mismatch, VerifyError::Mistake))?;

    let (allowed, off) = (tolerance.as_secs(), timestamp.abs_diff(now));
    if off <= allowed {
        Ok(Verified { secret, timestamp })
    } else if timestamp < now {
        Err(VerifyError::TooOld { age: off, allowed })
    } else {
        Err(VerifyError::TooFarAhead { ahead: off, allowed })
    }
}

/// The signatures of one request, without their `v1,`, and what is signed besides the body.
struct Candidates<'a> {
    id: &'a str,
    stamp: &'a str,
    signatures: Vec<&'a str>,
}

impl Candidates<'_> {
    /// Whether any signature, read by `decode`, is the key's. The comparison takes the same time wherever they differ.
    fn match_by(&self, key: &[u8], body: &[u8], decode: impl Fn(&str) -> Option<Vec<u8>>) -> bool {
        let mac = mac(key, self.id, self.stamp, body);
        self.signatures.iter().filter_map(|text| decode(text)).any(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    }

    fn mistake(&self, secrets: &[SigningSecret], body: &[u8]) -> Option<Hint> {
        secrets.iter().find_map(|secret| self.mistake_of(secret, body))
    }

    fn mistake_of(&self, secret: &SigningSecret, body: &[u8]) -> Option<Hint> {
        let signs = |body: &[u8]| self.match_by(&secret.key, body, standard);
        let text = secret.text();
        let raw = [text.as_str(), text.trim_start_matches(PREFIX)];
        if [&b"\n"[..], b"\r\n"].iter().any(|end| body.strip_suffix(*end).is_some_and(signs)) {
            Some(Hint::NewlineAdded)
        } else if [&b"\n"[..], b"\r\n"].iter().any(|end| signs(&[body, end].concat())) {
            Some(Hint::NewlineRemoved)
        } else if respelled(body).iter().any(|body| signs(body)) {
            Some(Hint::Reserialised)
        } else if raw.iter().any(|key| self.match_by(key.as_bytes(), body, standard)) {
            Some(Hint::RawSecret)
        } else if self.match_by(&secret.key, body, hexadecimal) {
            Some(Hint::Hexadecimal)
        } else if self.match_by(&secret.key, body, other_base64) {
            Some(Hint::OtherBase64)
        } else {
            None
        }
    }
}

fn standard(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

fn other_base64(text: &str) -> Option<Vec<u8>> {
    [BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD].iter().find_map(|alphabet| alphabet.decode(text.as_bytes()).ok())
}

/// The JSON of `body` in the two spacings that serialisers give it: none, and one after each comma and colon. Nothing if
/// it is no JSON.
fn respelled(body: &[u8]) -> Vec<Vec<u8>> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
        return Vec::new();
    }
    let (mut dense, mut spaced) = (Vec::with_capacity(body.len()), Vec::with_capacity(body.len()));
    let (mut in_text, mut escaped) = (false, false);
    for &byte in body {
        if !in_text && byte.is_ascii_whitespace() {
            continue;
        }
        dense.push(byte);
        spaced.push(byte);
        if !in_text && matches!(byte, b',' | b':') {
            spaced.push(b' ');
        }
        in_text ^= byte == b'"' && !escaped;
        escaped = in_text && byte == b'\\' && !escaped;
    }
    vec![dense, spaced]
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXUPPER;

    use super::super::sign;
    use super::*;

    const ID: &str = "evt_06gq1xv5r8zn4m2k7c3b9d0fta";
    const STAMP: &str = "1777889472";
    const NOW: i64 = 1_777_889_472;
    const BODY: &str = r#"{"id":"evt_1","text":"a \"b\" , c: \\","list":[1,2.50]}"#;

    fn secret(byte: u8) -> SigningSecret {
        format!("whsec_{}", BASE64.encode(&[byte; 32])).parse().unwrap()
    }

    fn signed<'a>(signature: &'a str, body: &'a str) -> Signed<'a> {
        Signed { id: Some(ID), timestamp: Some(STAMP), signature: Some(signature), body: body.as_bytes() }
    }

    fn check(signature: &str, body: &str) -> Result<Verified, VerifyError> {
        verify(&[secret(1), secret(2)], &signed(signature, body), NOW, TOLERANCE)
    }

    fn of(key: &[u8], body: &str) -> Vec<u8> {
        mac(key, ID, STAMP, body.as_bytes()).finalize().into_bytes().to_vec()
    }

    #[test]
    fn one_right_signature_is_enough() {
        for (signers, secret_index) in [(&[secret(1)][..], 0), (&[secret(2)], 1), (&[secret(9), secret(2)], 1)] {
            let signature = sign(signers, ID, NOW, BODY.as_bytes());
            assert_eq!(check(&signature, BODY), Ok(Verified { secret: secret_index, timestamp: NOW }));
            let among_others = format!("v1a,AAAA v1,%% {signature}");
            assert_eq!(check(&among_others, BODY), Ok(Verified { secret: secret_index, timestamp: NOW }));
        }
    }

    #[test]
    fn a_missing_header_is_named() {
        let complete = signed("v1,AAAA", BODY);
        for (request, name) in [
            (Signed { id: None, ..complete }, "webhook-id"),
            (Signed { timestamp: None, ..complete }, "webhook-timestamp"),
            (Signed { signature: None, ..complete }, "webhook-signature"),
        ] {
            let verdict = verify(&[secret(1)], &request, NOW, TOLERANCE);
            assert_eq!(verdict, Err(VerifyError::MissingHeader(name)));
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_named() {
        let request = Signed { timestamp: Some("2026-05-04T10:11:12Z"), ..signed("v1,AAAA", BODY) };
        let verdict = verify(&[secret(1)], &request, NOW, TOLERANCE);
        assert_eq!(verdict, Err(VerifyError::Timestamp("2026-05-04T10:11:12Z".to_owned())));
        for signature in ["", "AAAA", "v2,AAAA", "sha256=00"] {
            assert_eq!(check(signature, BODY), Err(VerifyError::NoV1Signature), "{signature}");
        }
    }

    #[test]
    fn anything_changed_is_a_mismatch() {
        let signature = sign(&[secret(1)], ID, NOW, BODY.as_bytes());
        assert_eq!(check(&signature, &BODY.replace("evt_1", "evt_2")), Err(VerifyError::Mismatch));
        assert_eq!(check(&sign(&[secret(3)], ID, NOW, BODY.as_bytes()), BODY), Err(VerifyError::Mismatch));
        let request = Signed { id: Some("evt_other"), ..signed(&signature, BODY) };
        assert_eq!(verify(&[secret(1)], &request, NOW, TOLERANCE), Err(VerifyError::Mismatch));
        let request = Signed { timestamp: Some("1777889473"), ..signed(&signature, BODY) };
        assert_eq!(verify(&[secret(1)], &request, NOW, TOLERANCE), Err(VerifyError::Mismatch));
        assert_eq!(verify(&[], &signed(&signature, BODY), NOW, TOLERANCE), Err(VerifyError::Mismatch));
    }

    #[test]
    fn the_age_counts_both_ways_and_last() {
        let signature = sign(&[secret(1)], ID, NOW, BODY.as_bytes());
        let at = |now| verify(&[secret(1)], &signed(&signature, BODY), now, TOLERANCE);
        assert!(at(NOW + 300).is_ok() && at(NOW - 300).is_ok());
        assert_eq!(at(NOW + 301), Err(VerifyError::TooOld { age: 301, allowed: 300 }));
        assert_eq!(at(NOW - 301), Err(VerifyError::TooFarAhead { ahead: 301, allowed: 300 }));
        assert!(at(i64::MAX).is_err() && at(i64::MIN).is_err());
        let other = verify(&[secret(2)], &signed(&signature, BODY), NOW + 301, TOLERANCE);
        assert_eq!(other, Err(VerifyError::Mismatch));
    }

    #[test]
    fn the_usual_mistakes_are_recognised() {
        let key = [1; 32];
        let v1 = |bytes: &[u8]| format!("v1,{}", BASE64.encode(bytes));
        let text = secret(1).text();
        let spaced = r#"{"id": "evt_1", "text": "a \"b\" , c: \\", "list": [1, 2.50]}"#;
        let pretty = "{\n  \"id\": \"evt_1\",\n  \"text\": \"a \\\"b\\\" , c: \\\\\",\n  \"list\": [1, 2.50]\n}";
        let line = format!("{BODY}\n");
        let dos_line = format!("{BODY}\r\n");
        let mac = of(&key, BODY);
        for (signature, received, hint) in [
            (v1(&mac), line.as_str(), Hint::NewlineAdded),
            (v1(&mac), &dos_line, Hint::NewlineAdded),
            (v1(&of(&key, &line)), BODY, Hint::NewlineRemoved),
            (v1(&mac), spaced, Hint::Reserialised),
            (v1(&mac), pretty, Hint::Reserialised),
            (v1(&of(&key, spaced)), BODY, Hint::Reserialised),
            (v1(&of(text.as_bytes(), BODY)), BODY, Hint::RawSecret),
            (v1(&of(text.trim_start_matches(PREFIX).as_bytes(), BODY)), BODY, Hint::RawSecret),
            (format!("v1,{}", HEXUPPER.encode(&mac)), BODY, Hint::Hexadecimal),
            (format!("v1,{}", BASE64_NOPAD.encode(&mac)), BODY, Hint::OtherBase64),
            (format!("v1,{}", BASE64URL_NOPAD.encode(&mac)), BODY, Hint::OtherBase64),
        ] {
            assert_eq!(check(&signature, received), Err(VerifyError::Mistake(hint)), "{signature} {received}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_verifies_as_signed_and_not_otherwise(body: Vec<u8>, other: Vec<u8>) {
            let signature = sign(&[secret(1)], ID, NOW, &body);
            let request = Signed { body: &body, ..signed(&signature, "") };
            proptest::prop_assert!(verify(&[secret(1)], &request, NOW, TOLERANCE).is_ok());
            let changed = Signed { body: &other, ..request };
            proptest::prop_assert_eq!(verify(&[secret(1)], &changed, NOW, TOLERANCE).is_ok(), body == other);
        }

        #[test]
        fn no_header_is_a_panic(signature: String, timestamp: String, body: Vec<u8>) {
            let request = Signed { id: Some(ID), timestamp: Some(&timestamp), signature: Some(&signature), body: &body };
            proptest::prop_assert!(verify(&[secret(1)], &request, NOW, TOLERANCE).is_err());
        }
    }
}
