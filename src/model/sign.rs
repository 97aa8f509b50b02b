//! Signatures of callbacks, after Standard Webhooks 1.0.
//!
//! A signature is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; a header carries one per secret, so
//! that a receiver accepts both the old and the new one while they are being exchanged ([`Keys`]). A secret is `whsec_`
//! and the base64 of its key. What is wrong with a signature is found out by [`verify()`]. [`Style`] is for receivers
//! that verify signatures of other senders.
//!
//! A key never leaves [`SigningSecret`], and no error repeats the text that it was read from.

mod keys;
mod style;
mod verify;

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use keys::{AllEnded, Key, Keys};
pub use style::Style;
pub use verify::{Hint, Signed, TOLERANCE, Verified, VerifyError, verify};

const PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that callbacks are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret {
    key: Vec<u8>,
}

/// Why a text is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("a signing secret begins with `{PREFIX}`")]
    NoPrefix,
    #[error("what follows `{PREFIX}` is not standard base64 with its padding")]
    NotBase64,
    #[error("the key is {0} bytes long, not 24 to 64")]
    Length(usize),
}

impl FromStr for SigningSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::NoPrefix)?;
        let key = BASE64.decode(encoded.as_bytes()).map_err(|_| SecretError::NotBase64)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(SecretError::Length(key.len()));
        }
        Ok(Self { key })
    }
}

impl SigningSecret {
    /// The text that the secret was read from: base64 as it is accepted here has one spelling.
    fn text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.key))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The value of `webhook-signature`: one signature per secret, in their order. `timestamp` is in Unix seconds.
#[must_use]
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a SigningSecret>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let signatures: Vec<_> = secrets
        .into_iter()
        .map(|secret| format!("v1,{}", BASE64.encode(&mac(&secret.key, id, &timestamp, body).finalize().into_bytes())))
        .collect();
    signatures.join(" ")
}

fn mac(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    keyed(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length, and hmac refuses none")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_is_reproduced() {
        assert_eq!(sign(&[SECRET.parse().unwrap()], ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn every_secret_signs_in_order() {
        let other: SigningSecret = format!("whsec_{}", BASE64.encode(&[7; 64])).parse().unwrap();
        let both = sign(&[other.clone(), SECRET.parse().unwrap()], ID, TIMESTAMP, BODY);
        assert_eq!(both, format!("{} {SIGNATURE}", sign(&[other], ID, TIMESTAMP, BODY)));
        assert_eq!(sign(&[], ID, TIMESTAMP, BODY), "");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", BASE64.encode(&vec![1; bytes]));
        for (text, error) in [
            ("", SecretError::NoPrefix),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::NoPrefix),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::NoPrefix),
            ("whsec_", SecretError::Length(0)),
            ("whsec_not base64!", SecretError::NotBase64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", SecretError::NotBase64),
            (of(25).trim_end_matches('='), SecretError::NotBase64),
            (&of(23), SecretError::Length(23)),
            (&of(65), SecretError::Length(65)),
        ] {
            assert_eq!(text.parse::<SigningSecret>(), Err(error), "{text}");
        }
        assert!(of(24).parse::<SigningSecret>().is_ok());
        assert!(of(64).parse::<SigningSecret>().is_ok());
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret: SigningSecret = SECRET.parse().unwrap();
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret.text(), SECRET);
    }
}
