//! Builds the headers that every request to an endpoint carries: configured ones, credentials, and the bridge's user
//! agent.
//!
//! The configuration cannot set headers that sign, identify or frame a request. All configured values are marked
//! sensitive, because an API key may be among them. A value may be a template, except for the content type's, because
//! the content type decides what form a body template must render.

use data_encoding::BASE64;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::callback::config::{Auth, EndpointConfig};
use crate::callback::problem::Problems;
use crate::callback::template::{Form, Template, first_mark};

const BRIDGE: &str = concat!("lumo-bridge/", env!("CARGO_PKG_VERSION"));

/// Set by the bridge, or by HTTP itself.
const RESERVED: [&str; 12] = [
    "user-agent",
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-authorization",
];

/// What an endpoint sends with every request.
#[derive(Clone, Default)]
pub(super) struct Headers {
    pub(super) constant: HeaderMap,
    pub(super) templates: Vec<(HeaderName, Template)>,
}

impl Headers {
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.constant.keys().chain(self.templates.iter().map(|(name, _)| name))
    }
}

pub(super) fn compile(config: &EndpointConfig, problems: &mut Problems) -> Headers {
    let mut headers = HeaderMap::new();
    let mut templates: Vec<(HeaderName, Template)> = Vec::new();
    for (name, value) in &config.headers {
        let key = format!("headers.{name}");
        let Ok(name) = name.parse::<HeaderName>() else {
            problems.add(&key, "is no name of a header");
            continue;
        };
        if name == AUTHORIZATION {
            problems.add(&key, "is a secret and has a key of its own; use `auth`");
            continue;
        }
        if is_reserved(&name) {
            problems.add(&key, "is set by the bridge itself; take it out");
            continue;
        }
        if headers.contains_key(&name) || templates.iter().any(|(other, _)| *other == name) {
            problems.add(&key, "stands twice; names of headers are the same in upper and lower case");
            continue;
        }
        if first_mark(value).is_some() {
            if name == CONTENT_TYPE {
                problems.add(&key, "is a template; the content type must be constant");
            } else if let Some(template) = problems.take(&key, Template::compile(value, Form::Header)) {
                templates.push((name, template));
            }
            continue;
        }
        let Ok(mut value) = HeaderValue::from_str(value) else {
            problems
                .add(&key, "has a value that no header can carry: line breaks and control characters are not allowed");
            continue;
        };
        value.set_sensitive(name != CONTENT_TYPE);
        headers.insert(name, value);
    }
    if let Some(value) = config.auth.as_ref().and_then(|auth| authorization(auth, problems)) {
        headers.insert(AUTHORIZATION, value);
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(BRIDGE));
    Headers { constant: headers, templates }
}

/// The form that a body template must render with these headers.
pub(super) fn form_of_body(headers: &HeaderMap) -> Form {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/json" || media.ends_with("+json") { Form::Json } else { Form::Plain }
}

/// Whether the bridge, or HTTP itself, sets this header.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.contains(&name) || name.starts_with("webhook-") || name.starts_with("lumo-")
}

fn authorization(auth: &Auth, problems: &mut Problems) -> Option<HeaderValue> {
    let (key, text) = match (&auth.bearer, &auth.basic) {
        (Some(token), None) => {
            let token = problems.take_secret(token.resolve(&problems.key("auth.bearer")))?;
            ("auth.bearer", format!("Bearer {}", token.expose()))
        }
        (None, Some(basic)) => {
            if basic.username.contains(':') {
                problems.add("auth.basic.username", "contains a colon, which ends a user name in basic authentication");
                return None;
            }
            let password = problems.take_secret(basic.password.resolve(&problems.key("auth.basic.password")))?;
            let pair = format!("{}:{}", basic.username, password.expose());
            ("auth.basic", format!("Basic {}", BASE64.encode(pair.as_bytes())))
        }
        _ => {
            problems.add("auth", "wants exactly one of `bearer` and `basic`");
            return None;
        }
    };
    let Ok(mut value) = HeaderValue::from_str(&text) else {
        problems.add(key, "has characters that no header can carry, perhaps a line break at its end");
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}
