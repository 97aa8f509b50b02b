//! Identifiers and other short texts that come from outside, each a type of its own.
//!
//! An id is parsed once, where it enters, and is trusted afterwards. Lumo's ids look like UUIDs, but nothing promises
//! that they stay so: an id is any printable text up to [`MAX_ID_CHARS`] characters. U+0000 is refused because no
//! PostgreSQL text column can hold it.

use std::fmt;
use std::str::FromStr;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// Longest id that is stored, in characters.
pub const MAX_ID_CHARS: usize = 128;

/// Longest external id that is stored, in characters; MySQL can index no more in a four-byte character set.
pub const MAX_EXTERNAL_ID_CHARS: usize = 700;

/// Longest id that is stored, in bytes; PostgreSQL can index little more, which 700 characters of four bytes exceed.
pub const MAX_ID_BYTES: usize = 2600;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    Empty,
    TooLong { limit: usize },
    TooManyBytes,
    ControlCharacter,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong { limit } => write!(f, "is longer than {limit} characters"),
            Self::TooManyBytes => write!(f, "is longer than {MAX_ID_BYTES} bytes"),
            Self::ControlCharacter => f.write_str("contains a control character"),
        }
    }
}

impl std::error::Error for IdError {}

fn check(text: &str, limit: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > limit && text.chars().count() > limit {
        return Err(IdError::TooLong { limit });
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooManyBytes);
    }
    // The usual id is seen to be harmless many bytes at a time.
    let plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if !plain && text.chars().any(char::is_control) {
        return Err(IdError::ControlCharacter);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, as it came.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text, $limit).map(|()| Self(text))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $limit).map(|()| Self(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    };
}

text_id!(
    /// A user wallet's id at Lumo.
    WalletId,
    MAX_ID_CHARS
);
text_id!(
    /// A deposit's id at Lumo.
    DepositId,
    MAX_ID_CHARS
);
text_id!(
    /// The company's id at Lumo.
    CompanyId,
    MAX_ID_CHARS
);
text_id!(
    /// The user's id in the merchant's own system.
    ExternalId,
    MAX_EXTERNAL_ID_CHARS
);
text_id!(
    /// An event's id: `evt_` and 26 base32 characters.
    EventId,
    MAX_ID_CHARS
);
text_id!(
    /// The name of an endpoint in the configuration.
    EndpointName,
    64
);

/// The name of a delivery: an event at an endpoint, `evt_…@shop`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId {
    pub event: EventId,
    pub endpoint: EndpointName,
}

/// Why a text is not the name of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryIdError;

impl fmt::Display for DeliveryIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no delivery; write an event and an endpoint, as in `evt_…@shop`")
    }
}

impl std::error::Error for DeliveryIdError {}

impl FromStr for DeliveryId {
    type Err = DeliveryIdError;

    fn from_str(text: &str) -> Result<Self, DeliveryIdError> {
        let (event, endpoint) = text.rsplit_once('@').ok_or(DeliveryIdError)?;
        let event = event.parse().map_err(|_| DeliveryIdError)?;
        let endpoint = endpoint.parse().map_err(|_| DeliveryIdError)?;
        Ok(Self { event, endpoint })
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = DeliveryIdError;

    fn try_from(text: String) -> Result<Self, DeliveryIdError> {
        text.parse()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.event, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_a_column_could_not_hold() {
        assert_eq!("".parse::<WalletId>(), Err(IdError::Empty));
        assert_eq!("a\0b".parse::<WalletId>(), Err(IdError::ControlCharacter));
        let long = "ж".repeat(MAX_EXTERNAL_ID_CHARS + 1);
        assert_eq!(long.parse::<ExternalId>(), Err(IdError::TooLong { limit: MAX_EXTERNAL_ID_CHARS }));
    }

    #[test]
    fn external_ids_may_be_odd() {
        for odd in [" ", "a b", "👩‍💻", "%2F/..", &"ж".repeat(200)] {
            assert_eq!(odd.parse::<ExternalId>().map(String::from), Ok(odd.to_owned()));
        }
    }
}
