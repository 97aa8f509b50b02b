//! Finds secrets of a request in the answer, so that an answer that repeats them is not stored.

use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use url::Url;

use crate::callback::endpoint::Http;
use crate::callback::request::Prepared;
use crate::setting::{Redactor, Secret};

/// The least bytes of a header or parameter that may be a secret.
const SHORTEST_SECRET: usize = 8;

/// The headers and the address of an attempt.
pub(super) struct Sent {
    headers: Vec<(HeaderName, HeaderValue)>,
    url: Url,
}

impl Sent {
    pub(super) fn of(prepared: &Prepared) -> Self {
        let sensitive = prepared.headers.iter().filter(|(_, value)| value.is_sensitive());
        let headers = sensitive.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { headers, url: prepared.url.clone() }
    }

    /// Makes a redactor that removes these from an answer, and also the signing secrets and the proxy's password.
    pub(super) fn redactor(&self, http: &Http, proxy: Option<&Secret>) -> Redactor {
        let mut secrets: Vec<String> = http.signing.texts().collect();
        secrets.extend(proxy.map(|password| password.expose().to_owned()));
        let may_be_secret = |text: &&str| text.len() >= SHORTEST_SECRET;
        for (name, value) in &self.headers {
            let Ok(value) = value.to_str() else { continue };
            if name == AUTHORIZATION {
                secrets.extend(credentials(value));
            } else {
                // A scheme may stand before the secret, as in `Token …`.
                let parts = value.split([' ', ',', ';']).chain([value]);
                secrets.extend(parts.filter(may_be_secret).map(str::to_owned));
            }
        }
        let query = self.url.query_pairs().map(|(_, value)| value.into_owned());
        secrets.extend(query.filter(|value| may_be_secret(&value.as_str())));
        Redactor::new(secrets.iter().map(String::as_str))
    }
}

/// The credentials in an `Authorization` header. For `Basic …`, also the decoded user and password, and the password
/// alone.
fn credentials(value: &str) -> Vec<String> {
    let Some((scheme, secret)) = value.split_once(' ') else { return vec![value.to_owned()] };
    let mut found = vec![secret.to_owned()];
    let pair = BASE64.decode(secret.as_bytes()).ok().and_then(|pair| String::from_utf8(pair).ok());
    if let Some(pair) = pair.filter(|_| scheme == "Basic") {
        found.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
        found.push(pair);
    }
    found
}
