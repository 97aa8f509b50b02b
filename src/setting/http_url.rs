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
pub struct HttpUrl(#[schemars(with = "String")] Url);

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
        } else if !url.username().is_empty() || url.password().is_some() {
            "has credentials in the url; take them out, there are keys for them"
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
