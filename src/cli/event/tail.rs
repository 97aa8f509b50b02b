//! `event tail`: prints what happens as it happens, and sends it to a receiver on one's own machine if asked to.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rand::RngExt;
use serde::Serialize;
use serde_json::json;

use crate::callback::{Attempt, Callback, Endpoint, EndpointConfig, Sender};
use crate::cli::callback::NEW_SECRET;
use crate::cli::context::Context;
use crate::cli::event::patterns;
use crate::cli::failure::Failure;
use crate::cli::filter::User;
use crate::cli::news::{INDENT, LOOK, News, line};
use crate::cli::safe;
use crate::cli::style::{GREEN, RED};
use crate::config::Config;
use crate::model::pattern::Patterns;
use crate::model::retry::Outcome;
use crate::setting::{Secret, Since};
use crate::store::Store;
use crate::view::{Embedded, Event};

/// What the receiver reads in `lumo-reason`.
const REASON: &str = "forward";
/// Where the secret comes from unless an argument names it.
const SECRET_VARIABLE: &str = "LUMO_CALLBACK_SECRET";
/// What the receiver is called where an endpoint has a name.
const NAME: &str = "forward";

/// Which events, and where to.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those of these types: names or patterns, as in an endpoint's `events`
    #[arg(long = "type", value_name = "PATTERN", num_args = 1..)]
    kinds: Vec<String>,
    #[command(flatten)]
    user: User,
    /// Those noticed from then on as well: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Send each of them to this receiver too, once, signed and with `lumo-reason: forward`; nothing of it is recorded
    #[arg(long, value_name = "URL")]
    forward: Option<String>,
    /// The secret, whsec_…, to sign with for `--forward`; without it one is made and printed
    #[arg(long, value_name = "SECRET", env = SECRET_VARIABLE, hide_env_values = true)]
    secret: Option<Secret>,
}

/// An event, and what came of sending it.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded: Option<Forwarded>,
}

#[derive(Serialize)]
struct Forwarded {
    is_accepted: bool,
    status: Option<u16>,
    duration_ms: u64,
    error: Option<String>,
}

impl Forwarded {
    /// Sent, or about to be, when the command was interrupted.
    fn interrupted(after: Duration) -> Self {
        let error = "interrupted before the answer; the receiver may have it".to_owned();
        Self { is_accepted: false, status: None, duration_ms: milliseconds(after), error: Some(error) }
    }

    fn of(attempt: Attempt) -> Self {
        let status = match attempt.outcome {
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(status),
            Outcome::Unreachable(_) => None,
        };
        Self {
            is_accepted: matches!(attempt.outcome, Outcome::Accepted { .. }),
            status,
            duration_ms: milliseconds(attempt.duration),
            error: attempt.error,
        }
    }

    fn words(&self) -> String {
        let (words, style) = match (self.is_accepted, self.status, &self.error) {
            (true, Some(status), _) => (format!("accepted, {status}"), GREEN),
            (_, _, error) => (error.clone().unwrap_or_else(|| "not accepted".to_owned()), RED),
        };
        format!("{style}{}{style:#}, {} ms", safe::text(&words), self.duration_ms)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let kinds = patterns(&args.kinds)?;
    let now = context.clock().now();
    let since = args.since.map(|since| since.before(now));
    let is_meant = |event: &lumo_bridge_entity::event::Model| {
        let is_wanted = |kinds: &Patterns| event.kind.parse().is_ok_and(|kind| kinds.wants(kind));
        kinds.as_ref().is_none_or(is_wanted)
            && args.user.external_id.as_ref().is_none_or(|user| event.external_id.as_ref() == Some(user))
    };
    context
        .with_store(async |config, store| {
            let receiver = match &args.forward {
                Some(url) => Some(Receiver::new(context, config, url, args.secret.as_ref())?),
                None => None,
            };
            let after = match since {
                Some(since) => store.last_seq_before(since).await?,
                None => store.last_seq().await?,
            };
            context.printer().say("events are printed as they come; Ctrl-C ends it");
            follow(context, store, News { after }, is_meant, receiver.as_ref()).await
        })
        .await
}

/// Prints and sends what comes, until it is interrupted.
async fn follow(
    context: &Context,
    store: &Store,
    mut news: News,
    is_meant: impl Fn(&lumo_bridge_entity::event::Model) -> bool,
    receiver: Option<&Receiver>,
) -> Result<(), Failure> {
    let (printer, stop) = (context.printer(), &context.stop().soft);
    while !stop.is_cancelled() {
        let events = news.next(store).await?;
        if events.is_empty() {
            stop.run_until_cancelled(tokio::time::sleep(LOOK)).await;
        }
        for event in events.iter().filter(|event| is_meant(event)) {
            let forwarded = match receiver {
                Some(_) if stop.is_cancelled() => return Ok(()),
                Some(receiver) => {
                    let begun = Instant::now();
                    let attempt = stop.run_until_cancelled(receiver.send(context, event)).await;
                    Some(attempt.map_or_else(|| Forwarded::interrupted(begun.elapsed()), Forwarded::of))
                }
                None => None,
            };
            if printer.json() {
                let event = Event { body: Some(Embedded::new(&event.body)), ..Event::brief(event) };
                printer.record(&Line { event, forwarded })?;
            } else {
                let words = forwarded.map(|forwarded| format!("  {}", forwarded.words())).unwrap_or_default();
                printer.hanging(&format!("{}{words}", line(event)), INDENT);
            }
        }
    }
    Ok(())
}

/// Where events are sent besides.
struct Receiver {
    endpoint: Endpoint,
    sender: Sender,
}

impl Receiver {
    fn new(context: &Context, config: &Config, url: &str, secret: Option<&Secret>) -> Result<Self, Failure> {
        if let Some(name) = secret.and_then(|secret| owner(config, secret)) {
            let is_exported =
                std::env::var(SECRET_VARIABLE).is_ok_and(|value| secret.is_some_and(|one| one.expose() == value));
            let (what, hint) = if is_exported {
                (
                    SECRET_VARIABLE,
                    format!(
                        "give the command again after `unset {SECRET_VARIABLE}`; a secret is made then, and printed"
                    ),
                )
            } else {
                ("--secret", NEW_SECRET.to_owned())
            };
            let problem = format!("`{what}` is one of endpoint {name}: what is forwarded would pass for its callbacks");
            return Err(Failure::usage(problem).with_hint(hint));
        }
        let fresh = || Secret::from(format!("whsec_{}", BASE64.encode(&rand::rng().random::<[u8; 32]>())));
        let signing = secret.cloned().unwrap_or_else(fresh);
        let described = json!({ "url": url, "events": ["*"], "secrets": [{ "value": signing.expose() }] });
        let described: EndpointConfig = serde_json::from_value(described)
            .map_err(|_| Failure::usage("`--forward` and `--secret` cannot be read"))?;
        let endpoint = Endpoint::compile(NAME, &described, &config.callbacks.defaults);
        let endpoint = endpoint.map_err(|error| Failure::usage(spoken(&error.to_string())))?;
        let sender = Sender::new(&config.callbacks.egress, [&endpoint]).map_err(|error| vec![error])?;
        if secret.is_none() {
            context.printer().say(format!("forwarding to {}, signed with {}", endpoint.origin(), signing.expose()));
        } else {
            context.printer().say(format!("forwarding to {}", endpoint.origin()));
        }
        Ok(Self { endpoint, sender })
    }

    async fn send(&self, context: &Context, event: &lumo_bridge_entity::event::Model) -> Attempt {
        let callback =
            Callback { event_id: &event.id, event_type: &event.kind, attempt: 1, reason: REASON, body: &event.body };
        self.sender.send(&self.endpoint, &callback, context.clock().now()).await
    }
}

/// The endpoint that has this secret.
fn owner<'a>(config: &'a Config, secret: &Secret) -> Option<&'a str> {
    let has = |one: &crate::setting::RotatingSource| one.source.resolve("").is_ok_and(|known| known == *secret);
    let mut endpoints = config.callbacks.endpoints.iter();
    endpoints.find(|(_, endpoint)| endpoint.secrets.iter().any(has)).map(|(name, _)| name.as_str())
}

/// A problem of the configuration, as one of the options that it was made of.
fn spoken(problem: &str) -> String {
    let key = |name: &str| format!("callbacks.endpoints.{NAME}.{name}");
    problem
        .replace(&key("url"), "--forward")
        .replace(&key("secrets[0]"), "--secret")
        .replace(&key("secrets"), "--secret")
}
