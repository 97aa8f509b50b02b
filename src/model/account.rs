//! Whose data the tables hold: a company, and the server that lists it.

use std::fmt;

use url::Url;

use crate::model::id::CompanyId;

const PRODUCTION: &str = "https://b2b.lumowallet.io";
const STAGING: &str = "https://b2b-staging.lumowallet.io";

/// A server: scheme, host, and the port where it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(String);

impl Server {
    /// The server that answers under a URL, whatever the URL's path.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose key it is that reads, and from which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub company: CompanyId,
    pub server: Server,
}

/// What callbacks call a server: `production`, `staging`, or its host, with the port if it has one of its own.
#[must_use]
pub fn environment(server: &str) -> &str {
    match server {
        PRODUCTION => "production",
        STAGING => "staging",
        other => other.split_once("://").map_or(other, |(_, host)| host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_environment_or_its_host() {
        for (url, server, name) in [
            ("https://b2b.lumowallet.io", "https://b2b.lumowallet.io", "production"),
            ("https://B2B.lumowallet.io:443/api/", "https://b2b.lumowallet.io", "production"),
            ("https://b2b-staging.lumowallet.io/", "https://b2b-staging.lumowallet.io", "staging"),
            ("http://b2b.lumowallet.io", "http://b2b.lumowallet.io", "b2b.lumowallet.io"),
            ("https://b2b-app.lumowallet.io/_mock/apis", "https://b2b-app.lumowallet.io", "b2b-app.lumowallet.io"),
            ("http://127.0.0.1:8601/x?y", "http://127.0.0.1:8601", "127.0.0.1:8601"),
        ] {
            let of = Server::of(&url.parse().unwrap());
            assert_eq!((of.as_str(), environment(of.as_str())), (server, name), "{url}");
        }
    }
}
