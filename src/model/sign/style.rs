//! Signatures as others invented them, for receivers that verify those already.
//!
//! Both are HMAC-SHA256 in hexadecimal, keyed with the secret's text as it stands. GitHub's covers the body alone, so a
//! captured request can be sent again at any time; Stripe's covers the time as well.

use data_encoding::HEXLOWER;
use hmac::Mac;

use super::keyed;

/// Whose way of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `sha256=<hex>` over the body.
    Github,
    /// `t=<Unix seconds>,v1=<hex>` over `t.body`.
    Stripe,
}

impl Style {
    /// The header that receivers look into.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Github => "x-hub-signature-256",
            Self::Stripe => "stripe-signature",
        }
    }

    /// The header's value. `timestamp` is in Unix seconds.
    #[must_use]
    pub fn sign(self, secret: &[u8], timestamp: i64, body: &[u8]) -> String {
        let hex = |parts: &[&[u8]]| HEXLOWER.encode(&keyed(secret, parts).finalize().into_bytes());
        match self {
            Self::Github => format!("sha256={}", hex(&[body])),
            Self::Stripe => {
                let signature = hex(&[timestamp.to_string().as_bytes(), b".", body]);
                format!("t={timestamp},v1={signature}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation, and one computed with
    /// `printf '%s' '{"test": 2432232314}' | openssl dgst -sha256 -hmac 'hush'`.
    #[test]
    fn github_signs_the_body() {
        for (secret, body, signature) in [
            (
                "It's a Secret to Everybody",
                "Hello, World!",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                "hush",
                r#"{"test": 2432232314}"#,
                "sha256=192324a2e62af75d17096ef005e8976075b52a199873f2f7c63e61e6bdbacf0e",
            ),
        ] {
            assert_eq!(Style::Github.sign(secret.as_bytes(), 1_614_265_330, body.as_bytes()), signature);
        }
    }

    /// Computed with `printf '%s' '1614265330.{"test": 2432232314}' | openssl dgst -sha256 -hmac 'whsec_test_secret'`.
    #[test]
    fn stripe_signs_the_time_and_the_body() {
        let signature = "t=1614265330,v1=10c96c6fd3f320fcfc264cdc4f476c15060ede8e8a08404cea2ddf3b72544a9c";
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(Style::Stripe.sign(b"whsec_test_secret", 1_614_265_330, body), signature);
    }
}
