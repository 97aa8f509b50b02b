//! The secrets of one receiver while they are exchanged: each may have an end, from which on it no longer signs.

use chrono::{DateTime, Utc};

use super::SigningSecret;
use crate::model::draft::rfc3339;

/// A secret, and from when on it no longer signs; none for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub secret: SigningSecret,
    pub not_after: Option<DateTime<Utc>>,
}

impl Key {
    fn signs_at(&self, now: DateTime<Utc>) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}

/// All secrets of a receiver, in the order in which they sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// No secret signs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every signing secret has ended{}; nothing is sent unsigned", since(.last))]
pub struct AllEnded {
    /// When the last of them did; absent if there never was one.
    pub last: Option<DateTime<Utc>>,
}

fn since(last: &Option<DateTime<Utc>>) -> String {
    last.map(|last| format!(", the last one at {}", rfc3339(last))).unwrap_or_default()
}

impl Keys {
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// Those that sign at this moment, in their order; never none.
    ///
    /// # Errors
    /// If all have ended.
    pub fn at(&self, now: DateTime<Utc>) -> Result<Vec<&SigningSecret>, AllEnded> {
        let signing: Vec<_> = self.0.iter().filter(|key| key.signs_at(now)).map(|key| &key.secret).collect();
        if signing.is_empty() {
            return Err(AllEnded { last: self.0.iter().filter_map(|key| key.not_after).max() });
        }
        Ok(signing)
    }

    /// From when on none signs; absent if one has no end, or there is none.
    #[must_use]
    pub fn end(&self) -> Option<DateTime<Utc>> {
        let ends: Option<Vec<_>> = self.0.iter().map(|key| key.not_after).collect();
        ends?.into_iter().max()
    }

    /// The secrets as texts, to take them out of what a receiver says.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|key| key.secret.text())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this secret is among them, whenever it ends.
    #[must_use]
    pub fn has(&self, secret: &SigningSecret) -> bool {
        self.0.iter().any(|key| key.secret == *secret)
    }

    pub fn push(&mut self, key: Key) {
        self.0.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SECOND: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keys(ends: &[(&str, Option<&str>)]) -> Keys {
        let key = |(secret, end): &(&str, Option<&str>)| Key {
            secret: secret.parse().unwrap(),
            not_after: end.map(|end| end.parse().unwrap()),
        };
        Keys::new(ends.iter().map(key).collect())
    }

    fn count_at(keys: &Keys, now: &str) -> usize {
        keys.at(now.parse().unwrap()).map_or(0, |signing| signing.len())
    }

    #[test]
    fn a_secret_signs_until_its_end_and_not_at_it() {
        let keys = keys(&[(FIRST, Some("2026-01-01T00:00:00Z")), (SECOND, None)]);
        assert_eq!(count_at(&keys, "2025-12-31T23:59:59.999999Z"), 2);
        assert_eq!(count_at(&keys, "2026-01-01T00:00:00Z"), 1);
        assert_eq!(keys.at("2026-01-01T00:00:00Z".parse().unwrap()).unwrap(), [&SECOND.parse().unwrap()]);
        assert_eq!(keys.end(), None);
    }

    #[test]
    fn the_order_is_that_of_the_list() {
        let keys = keys(&[(SECOND, None), (FIRST, Some("2026-01-01T00:00:00Z"))]);
        let signing = keys.at("2025-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(signing, [&SECOND.parse().unwrap(), &FIRST.parse().unwrap()]);
    }

    #[test]
    fn that_all_have_ended_is_an_error_that_says_since_when() {
        let keys = keys(&[(FIRST, Some("2026-02-01T00:00:00Z")), (SECOND, Some("2026-01-01T00:00:00Z"))]);
        assert_eq!(keys.end(), "2026-02-01T00:00:00Z".parse().ok());
        assert_eq!(count_at(&keys, "2026-01-31T00:00:00Z"), 1);
        let error = keys.at("2026-02-01T00:00:00Z".parse().unwrap()).unwrap_err();
        let text = "every signing secret has ended, the last one at 2026-02-01T00:00:00Z; nothing is sent unsigned";
        assert_eq!(error.to_string(), text);
        assert!(Keys::default().at("2026-02-01T00:00:00Z".parse().unwrap()).is_err());
    }
}
