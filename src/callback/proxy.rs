//! The proxy for callbacks, with its optional credentials.
//!
//! The credentials go to the proxy only: in `Proxy-Authorization`, to its address, never to a receiver.

use url::{Url, form_urlencoded};

use crate::roots::Roots;
use crate::setting::{Secret, UrlSource};

/// The setting that names it.
pub const PROXY: &str = "callbacks.egress.proxy";

/// A proxy, with its credentials. `Debug` shows none.
#[derive(Clone)]
pub struct Proxy(Url);

impl Proxy {
    /// Fetches and parses the address.
    ///
    /// # Errors
    /// What is wrong with it and the fix, without quoting it.
    pub fn of(source: &UrlSource) -> Result<Self, String> {
        let text = source.resolve(PROXY).map_err(|error| error.problem())?;
        parse(text.expose()).map(Self).map_err(str::to_owned)
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Its host and port.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        self.0.host_str().zip(self.0.port_or_known_default())
    }

    /// The root certificates that a connection to the proxy needs: only if it is called over https.
    pub(super) fn roots(&self) -> Roots {
        Roots::of_scheme(self.0.scheme())
    }

    pub(super) fn for_client(&self) -> reqwest::Result<reqwest::Proxy> {
        reqwest::Proxy::all(self.0.clone())
    }

    /// The password, to be removed from answers.
    pub(super) fn password(&self) -> Option<Secret> {
        // The parser of forms would take a `+` for a blank.
        let encoded = format!("p={}", self.0.password()?.replace('+', "%2B"));
        let (_, password) = form_urlencoded::parse(encoded.as_bytes()).next()?;
        Some(password.into_owned().into())
    }
}

fn parse(text: &str) -> Result<Url, &'static str> {
    let form = "is neither an http:// nor an https:// url; write for example `http://proxy.internal:3128`";
    let after = text.split_once("://").map(|(_, after)| after).ok_or(form)?;
    if after.rsplit_once('@').is_some_and(|(before, _)| before.contains(['/', '?', '#'])) {
        return Err(
            "has a `/`, `?` or `#` before its `@`; percent-encode these characters in the user and the password: \
                    `%` is %25, `/` is %2F, `?` is %3F, `#` is %23, `@` is %40",
        );
    }
    let url = Url::parse(text).map_err(
        |_| "is not a url; write for example `http://user:password@proxy.internal:3128`, special characters as %XX",
    )?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(form);
    }
    if !url.username().is_empty() && url.password().is_none() {
        return Err("names a user without a password; write `http://user:password@proxy.internal:3128`");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_as_it_is_meant() {
        let proxy = Proxy::of(&UrlSource::from("http://me:p%40ss%2Fw+rd@proxy:3128")).ok().unwrap();
        assert_eq!(proxy.password().unwrap().expose(), "p@ss/w+rd");
        assert_eq!(proxy.origin(), "http://proxy:3128");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_quoting_it() {
        for (text, problem) in [
            ("proxy:3128", "is neither an http://"),
            ("socks5://me:hunter2@proxy:1080", "is neither an http://"),
            ("http://me:hun/ter2@proxy:3128", "has a `/`, `?` or `#` before its `@`; percent-encode"),
            ("http://me@proxy:3128", "names a user without a password"),
            ("http://me:hunter2@proxy:port", "is not a url"),
        ] {
            let error = Proxy::of(&UrlSource::from(text)).err().unwrap();
            assert!(error.starts_with(problem) && !error.contains("hunter2") && !error.contains("ter2"), "{error}");
        }
    }
}
