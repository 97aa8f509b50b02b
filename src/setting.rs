//! The value types of the configuration: what a user writes, parsed once.
//!
//! Each type reads a text of its own form, says what is wrong with another one in words that can be shown as they are,
//! and writes itself back the same way, so `config show` prints what may be pasted into a file. A secret is the
//! exception: it can be named and resolved, never printed.

mod cron_line;
mod http_url;
mod percent;
mod private_file;
mod rate;
mod redact;
mod secret;
mod shown_url;
mod since;
mod span;
mod storable;
mod text;
mod url_source;
mod whole;
mod word;
mod word_or_since;

pub use cron_line::CronLine;
pub use http_url::HttpUrl;
pub use percent::Percent;
pub use private_file::{create_private, open_private};
pub use rate::Rate;
pub use redact::Redactor;
pub(crate) use secret::REDACTED;
pub use secret::{RotatingSource, Secret, SecretSource, SettingError};
pub use shown_url::shown_url;
pub(crate) use shown_url::{may_have_credentials, without_values};
pub use since::Since;
pub use span::Span;
pub(crate) use storable::storable;
pub use text::Text;
pub use url_source::UrlSource;
pub(crate) use whole::{optional_whole, whole};
pub(crate) use word::{optional_word, word};
pub(crate) use word_or_since::{WordOrSince, word_or_since};

/// Why a text is not a value of its type: a fragment that quotes the text, says what is wrong and how to write it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
