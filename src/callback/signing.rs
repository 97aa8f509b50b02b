//! Signs requests with the endpoint's secrets, and in other signature styles beside the bridge's own.
//!
//! The time of the attempt decides which secrets sign.

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderName};

use crate::callback::config::{EndpointConfig, ExtraSignature, SignatureStyle};
use crate::callback::headers::{self, Headers};
use crate::callback::problem::Problems;
use crate::model::sign::{AllEnded, Key, Keys, SigningSecret, Style, sign};
use crate::setting::{RotatingSource, Secret};

/// The keys that sign for one endpoint. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    pub(super) keys: Keys,
    extra: Vec<Extra>,
}

/// A signature of another style.
#[derive(Clone, Debug)]
struct Extra {
    header: HeaderName,
    style: Style,
    secret: Secret,
}

impl Signing {
    /// `others` are the endpoint's other headers.
    pub(super) fn compile(config: &EndpointConfig, others: &Headers, problems: &mut Problems) -> Self {
        let keys = keys(&config.secrets, problems);
        let mut extra: Vec<Extra> = Vec::new();
        for (position, signature) in config.extra_signatures.iter().enumerate() {
            let key = format!("extra_signatures[{position}]");
            let header = header(signature, others, &key, problems);
            let secret = problems.take_secret(signature.secret.resolve(&problems.key(&format!("{key}.secret"))));
            let Some((header, secret)) = header.zip(secret) else { continue };
            if extra.iter().any(|other| other.header == header) {
                problems.add(&key, format!("is a second signature in `{header}`; give it another `header`"));
                continue;
            }
            extra.push(Extra { header, style: style(signature.style), secret });
        }
        Self { keys, extra }
    }

    /// The signature headers for this event id and body at this time.
    pub(super) fn sign(
        &self,
        id: &str,
        now: DateTime<Utc>,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, String)>, AllEnded> {
        let timestamp = now.timestamp();
        let standard = sign(self.keys.at(now)?, id, timestamp, body);
        let extra = self
            .extra
            .iter()
            .map(|extra| (extra.header.clone(), extra.style.sign(extra.secret.expose().as_bytes(), timestamp, body)));
        Ok(std::iter::once((HeaderName::from_static("webhook-signature"), standard)).chain(extra).collect())
    }
}

impl Signing {
    /// The secrets in the form that a receiver has.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        let extra = self.extra.iter().map(|extra| extra.secret.expose().to_owned());
        self.keys.texts().chain(extra)
    }
}

const fn style(style: SignatureStyle) -> Style {
    match style {
        SignatureStyle::Github => Style::Github,
        SignatureStyle::Stripe => Style::Stripe,
    }
}

fn header(signature: &ExtraSignature, others: &Headers, key: &str, problems: &mut Problems) -> Option<HeaderName> {
    let key = format!("{key}.header");
    let text = signature.header.as_deref().unwrap_or(style(signature.style).header());
    let Ok(name) = text.parse::<HeaderName>() else {
        problems.add(&key, "is no name of a header");
        return None;
    };
    if headers::is_reserved(&name) || name == AUTHORIZATION {
        problems.add(&key, "is set by the bridge itself; take another name");
        return None;
    }
    if others.names().any(|other| *other == name) {
        problems.add(&key, "is a header of the endpoint already; take another name");
        return None;
    }
    Some(name)
}

fn keys(sources: &[RotatingSource], problems: &mut Problems) -> Keys {
    if sources.is_empty() {
        problems.add("secrets", "is empty; every callback is signed, so name at least one secret");
    }
    let mut keys = Keys::default();
    for (position, entry) in sources.iter().enumerate() {
        let key = format!("secrets[{position}]");
        let secret = problems.take_secret(entry.source.resolve(&problems.key(&key)));
        let secret = secret.and_then(|text| problems.take(&key, text.expose().parse::<SigningSecret>()));
        match secret {
            Some(secret) if keys.has(&secret) => problems.add(&key, "is the same secret once more; take one out"),
            Some(secret) => keys.push(Key { secret, not_after: entry.not_after }),
            None => {}
        }
    }
    keys
}
