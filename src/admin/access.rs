//! Who may call `/api`.
//!
//! With a token, those who present it; with the one for readers, by GET alone. Without one the server listens on loopback
//! only, and what is left to fear is a page in the operator's own browser: its requests carry the name of the page's host,
//! even if that name was made to lead here,
//! so the `Host` must be an address or `localhost`; and it cannot send JSON to another origin without being asked first,
//! so whatever changes something must say that it sends JSON. What a browser says to have been asked for by a page of another
//! site is refused whatever it asks for: its answer could not be read, but to make it costs the database something.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Admin, Config, Problem};
use crate::setting::{Secret, SecretSource, SettingError};

/// How a browser says which page sends a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// How the page is told that its token only reads.
const ACCESS: HeaderName = HeaderName::from_static("lumo-access");

/// Who is let in.
#[derive(Debug)]
pub struct Access {
    /// Opens everything.
    token: Option<Secret>,
    /// Opens what changes nothing.
    read_token: Option<Secret>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Everything,
    /// Whatever GET answers.
    Read,
}

impl Access {
    /// As the configuration says; its rules see to it that there is a token where one is needed, and that no two are the same.
    ///
    /// # Errors
    /// If a token is not to be had.
    pub fn of(config: &Config) -> Result<Self, SettingError> {
        let resolved =
            |source: &Option<SecretSource>, key| source.as_ref().map(|source| source.resolve(key)).transpose();
        Ok(Self {
            token: resolved(&config.token, "server.token")?,
            read_token: resolved(&config.read_token, "server.read_token")?,
        })
    }

    /// Whether those who change things prove who they are.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<Right, Problem> {
        if is_from_another_site(headers) {
            return Err(Problem::foreign_site());
        }
        let right = if self.token.is_some() || self.read_token.is_some() {
            self.right_of(headers)?
        } else {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            if !is_local(host) {
                return Err(Problem::foreign_host());
            }
            Right::Everything
        };
        if right == Right::Read && method != Method::GET {
            return Err(Problem::read_only());
        }
        if method == Method::POST && !headers.get(CONTENT_TYPE).is_some_and(is_json) {
            return Err(Problem::not_json());
        }
        Ok(right)
    }

    /// `/metrics` is open unless there is a token for those who only read.
    fn check_metrics(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.read_token.is_some() {
            self.right_of(headers)?;
        }
        Ok(())
    }

    /// What the presented token opens.
    fn right_of(&self, headers: &HeaderMap) -> Result<Right, Problem> {
        let given = headers.get(AUTHORIZATION).ok_or_else(Problem::no_token)?;
        let given = bearer(given.as_bytes()).ok_or_else(Problem::no_token)?;
        let is = |token: &Option<Secret>| token.as_ref().is_some_and(|token| is_same(token.expose().as_bytes(), given));
        // Both are compared, whichever it is: the time of a refusal says nothing.
        match (is(&self.token), is(&self.read_token)) {
            (true, _) => Ok(Right::Everything),
            (false, true) => Ok(Right::Read),
            (false, false) => Err(Problem::wrong_token()),
        }
    }
}

/// Lets through what may pass, and says of every answer that it is not to be kept or guessed at.
pub(super) async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let (access, path, headers) = (&admin.0.access, request.uri().path(), request.headers());
    let checked = if path == "/api" || path.starts_with("/api/") {
        access.check(request.method(), headers)
    } else if path == "/metrics" {
        access.check_metrics(headers).map(|()| Right::Everything)
    } else {
        Ok(Right::Everything)
    };
    harden(match checked {
        Ok(Right::Everything) => next.run(request).await,
        Ok(Right::Read) => ([(ACCESS, "read_only")], next.run(request).await).into_response(),
        Err(problem) => problem.into_response(),
    })
}

/// Says of an answer that it is not to be kept or guessed at.
pub(super) fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares in constant time, whatever the lengths: both are made into codes of one length first.
fn is_same(token: &[u8], given: &[u8]) -> bool {
    let code = |text| Hmac::<Sha256>::new_from_slice(text).map(|key| key.chain_update(b"lumo-bridge"));
    match (code(token), code(given)) {
        (Ok(token), Ok(given)) => token.finalize() == given.finalize(),
        _ => false,
    }
}

/// Whether a `Host` is an address or the name of this machine; any other name may have been made to lead here.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether a browser sends this for a page of another site. Browsers say so themselves, but to servers without TLS on other
/// machines; there the page's origin must be the host that is asked.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    if let Some(site) = headers.get(SEC_FETCH_SITE).map(text) {
        return !matches!(site.as_str(), "same-origin" | "none");
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else { return false };
    let host = headers.get(HOST).map(text).unwrap_or_default();
    !origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(&host))
}

fn is_json(header: &HeaderValue) -> bool {
    let essence = header.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Access = Access { token: None, read_token: None };

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::from(text.to_owned()))
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_the_token_opens() {
        let access = Access { token: secret("s3cret"), read_token: None };
        let try_with = |value: &str| access.check(&Method::GET, &headers(&[(AUTHORIZATION, value)])).is_ok();
        assert!(try_with("Bearer s3cret") && try_with("bearer  s3cret"));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer ", "Basic s3cret", "s3cret", ""] {
            assert!(!try_with(wrong), "{wrong:?}");
        }
        assert!(access.check(&Method::GET, &HeaderMap::new()).is_err());
    }

    #[test]
    fn the_token_of_readers_opens_what_changes_nothing() {
        let both = Access { token: secret("s3cret"), read_token: secret("l00k") };
        let alone = Access { token: None, read_token: secret("l00k") };
        let json = (CONTENT_TYPE, "application/json");
        for (access, token, on_get, on_post) in [
            (&both, "s3cret", Ok(Right::Everything), Ok(Right::Everything)),
            (&both, "l00k", Ok(Right::Read), Err(403)),
            (&both, "l00", Err(401), Err(401)),
            (&alone, "l00k", Ok(Right::Read), Err(403)),
            (&alone, "", Err(401), Err(401)),
        ] {
            let headers = headers(&[(AUTHORIZATION, &format!("Bearer {token}")), json.clone(), (HOST, "localhost")]);
            for (method, expected) in [(Method::GET, on_get), (Method::POST, on_post), (Method::DELETE, on_post)] {
                let found =
                    access.check(&method, &headers).map_err(|problem| problem.into_response().status().as_u16());
                assert_eq!(found, expected, "{token:?} {method}");
            }
            assert_eq!(access.check_metrics(&headers).is_ok(), on_get.is_ok(), "{token:?}");
        }
        assert!(
            alone.check(&Method::GET, &headers(&[(HOST, "localhost")])).is_err(),
            "it is asked for on loopback, too"
        );
        assert!(alone.check_metrics(&HeaderMap::new()).is_err());
        let open = Access { token: secret("s3cret"), read_token: None };
        assert!(open.check_metrics(&HeaderMap::new()).is_ok(), "metrics are open unless there is a token for readers");
        assert!(!format!("{both:?}").contains("l00k"));
    }

    #[test]
    fn without_a_token_a_name_that_leads_here_does_not_open() {
        let open = |host: &str| LOCAL.check(&Method::GET, &headers(&[(HOST, host)])).is_ok();
        for local in ["127.0.0.1:8600", "localhost", "LOCALHOST:1", "[::1]:8600", "[::1]", "192.168.0.7"] {
            assert!(open(local), "{local}");
        }
        for foreign in ["evil.example:8600", "localhost.evil.example", "127.0.0.1.evil.example", "", "[evil]:1"] {
            assert!(!open(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let site = HeaderName::from_static(SEC_FETCH_SITE);
        let host = (HOST, "localhost:8600");
        for (pairs, open) in [
            (vec![], true),
            (vec![(site.clone(), "same-origin")], true),
            (vec![(site.clone(), "none")], true),
            (vec![(site.clone(), "cross-site")], false),
            (vec![(site.clone(), "same-site")], false),
            (vec![(ORIGIN, "http://localhost:8600")], true),
            (vec![(ORIGIN, "http://localhost:3000")], false),
            (vec![(ORIGIN, "http://evil.example")], false),
            (vec![(ORIGIN, "null")], false),
            (vec![(ORIGIN, "https://bridge.example"), (site.clone(), "same-origin")], true),
        ] {
            let headers = headers(&[pairs.as_slice(), std::slice::from_ref(&host)].concat());
            assert_eq!(LOCAL.check(&Method::GET, &headers).is_ok(), open, "{pairs:?}");
        }
        let access = Access { token: secret("s3cret"), read_token: None };
        let headers = headers(&[(AUTHORIZATION, "Bearer s3cret"), (site, "cross-site")]);
        assert!(access.check(&Method::GET, &headers).is_err(), "a token changes nothing");
    }

    #[test]
    fn what_changes_something_must_be_json() {
        let local = |kind: &str| {
            let headers = headers(&[(HOST, "localhost"), (CONTENT_TYPE, kind)]);
            LOCAL.check(&Method::POST, &headers).is_ok()
        };
        assert!(local("application/json") && local("Application/JSON; charset=utf-8"));
        assert!(!local("text/plain") && !local("application/x-www-form-urlencoded") && !local("application/jsonp"));
    }
}
