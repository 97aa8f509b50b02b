//! The address of a web service.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::setting::Malformed;

/// An `http://` or `https://` address without credentials, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The parsed address.
    #[must_use]
    pub const fn get(&self) -> &Url {
        &self.0
    }
}

impl Deref for HttpUrl {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = Malformed;

    /// What is refused is not quoted: it may carry a password.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let url =
            Url::parse(text).map_err(|_| Malformed::new("is not a url; write for example `https://example.com`"))?;
        let problem = if !matches!(url.scheme(), "http" | "https") {
            "is neither an http:// nor an https:// url; write for example `https://example.com`"
        } else if text.contains('@') {
            // Wherever it stands: a password with a slash looks like a port and a path.
            "has credentials in the url; take them out, there are keys for them (an `@` of the path is written %40)"
        } else if url.query().is_some() || url.fragment().is_some() {
            "has a query or a fragment; end the url with its path"
        } else {
            return Ok(Self(url));
        };
        Err(Malformed::new(problem))
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_and_written_back() {
        let url: HttpUrl = "https://b2b.example.com/base".parse().unwrap();
        assert_eq!(url.get().path(), "/base");
        assert_eq!(url.to_string(), "https://b2b.example.com/base");
    }

    #[test]
    fn what_is_no_address_is_refused_without_quoting_it() {
        for (text, problem) in [
            ("b2b.example.com", "is not a url"),
            ("ftp://example.com", "is neither an http:// nor an https:// url"),
            ("https://me:hunter2@example.com", "has credentials in the url"),
            ("https://me:12/hunter2@example.com", "has credentials in the url"),
            ("https://hunter2@example.com", "has credentials in the url"),
            ("https://example.com/?key=hunter2", "has a query or a fragment"),
        ] {
            let error = text.parse::<HttpUrl>().unwrap_err().to_string();
            assert!(error.starts_with(problem) && !error.contains("hunter2"), "{error}");
        }
    }
}
