//! What a type alone cannot tell: values out of range, settings that contradict each other, secrets that are not there.
//!
//! Each rule names the key that has to change, what is wrong and the fix. None of them quotes an url or a secret.

mod endpoint;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::Url;

use crate::admin;
use crate::callback::{PROXY, Proxy};
use crate::config::tree::Way;
use crate::config::{Config, Problem};
use crate::model::suggest::nearest;
use crate::setting::{SecretSource, Span, Text, may_have_credentials};
use crate::store::config::Backend;

const SHORTEST_TOKEN: usize = 16;
/// How often watched users may be looked for.
const WATCH_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const MAX_WATCHED: u32 = 10_000;
/// Most statuses that may count as settled.
const MOST_STATUSES: usize = 50;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is wrong with a configuration whose values are all of their types. `unread` are the settings that have their
/// defaults only because what was set could not be read.
pub(super) fn check(config: &Config, unread: &[Way]) -> Vec<Problem> {
    let mut rules = Rules { unread: unread.to_vec(), ..Rules::default() };
    rules.database(config);
    rules.lumo(config);
    rules.sync(config);
    rules.callbacks(config);
    rules.server(config);
    rules.log(config);
    rules.problems
}

/// The secrets that are not to be had.
pub(super) fn secrets(config: &Config) -> Vec<Problem> {
    let mut rules = Rules::default();
    rules.key("lumo.api_key", &config.lumo.api_key);
    rules.tokens(&config.server);
    rules.proxy(config, false);
    for (name, endpoint) in &config.callbacks.endpoints {
        let key = format!("callbacks.endpoints.{name}");
        for (at, secret) in endpoint.secrets.iter().enumerate() {
            rules.secret(&format!("{key}.secrets[{at}]"), &secret.source);
        }
        for (at, signature) in endpoint.extra_signatures.iter().enumerate() {
            rules.secret(&format!("{key}.extra_signatures[{at}].secret"), &signature.secret);
        }
        let Some(auth) = &endpoint.auth else { continue };
        if let Some(bearer) = &auth.bearer {
            rules.key(&format!("{key}.auth.bearer"), bearer);
        }
        if let Some(basic) = &auth.basic {
            rules.secret(&format!("{key}.auth.basic.password"), &basic.password);
        }
    }
    rules.problems
}

/// Collects what the rules find.
#[derive(Default)]
struct Rules {
    problems: Vec<Problem>,
    unread: Vec<Way>,
}

impl Rules {
    /// `text` is the problem and, after a semicolon, the fix.
    fn add(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem::new(key, text));
    }

    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.add(key, format!("{value} is out of range; write {} to {}", range.start(), range.end()));
        }
    }

    fn above_zero(&mut self, key: &str, span: Span) {
        if span.0.is_zero() {
            self.add(key, "is zero; give it some time, for example `15s`");
        }
    }

    fn secret(&mut self, key: &str, source: &SecretSource) {
        if let Err(error) = source.resolve(key) {
            self.add(key, error.problem());
        }
    }

    /// A key goes into a header as it is.
    fn key(&mut self, key: &str, source: &SecretSource) {
        let Ok(secret) = source.resolve(key) else { return self.secret(key, source) };
        let secret = secret.expose();
        if secret.starts_with(['"', '\'']) && secret.ends_with(['"', '\'']) {
            self.add(key, "stands in quotes; take them out of what holds it");
        } else if !secret.chars().all(|letter| letter.is_ascii_graphic()) {
            self.add(
                key,
                "has a blank, a line break or another character that no key has; what holds it must hold it alone",
            );
        }
    }

    /// A token that only reads must not be the one that opens everything.
    fn tokens(&mut self, server: &admin::Config) {
        const READ_TOKEN: &str = "server.read_token";
        if let Some(token) = &server.token {
            self.token("server.token", token);
        }
        let Some(read_token) = &server.read_token else { return };
        self.token(READ_TOKEN, read_token);
        let token = server.token.as_ref().and_then(|token| token.resolve("server.token").ok());
        if token.is_some_and(|token| read_token.resolve(READ_TOKEN).is_ok_and(|read_token| read_token == token)) {
            self.add(
                READ_TOKEN,
                "is the same as server.token, which opens everything; make another with `openssl rand -hex 24`",
            );
        }
    }

    /// What opens the admin HTTP must not be guessed.
    fn token(&mut self, key: &str, source: &SecretSource) {
        match source.resolve(key) {
            Ok(token) if token.expose().chars().count() < SHORTEST_TOKEN => self
                .add(key, format!("is shorter than {SHORTEST_TOKEN} characters; make one with `openssl rand -hex 24`")),
            _ => self.secret(key, source),
        }
    }

    /// A proxy that stands in the configuration is looked at with the other values, any other with the secrets.
    fn proxy(&mut self, config: &Config, is_written_down: bool) {
        let Some(source) = &config.callbacks.egress.proxy else { return };
        if source.is_written_down() == is_written_down
            && let Err(problem) = Proxy::of(source)
        {
            self.add(PROXY, problem);
        }
    }

    fn sync(&mut self, config: &Config) {
        let watch = &config.sync.watch;
        if !WATCH_EVERY.contains(&watch.every.get()) {
            self.add("sync.watch.every", "is out of range; write 1s to 1m");
        }
        self.within("sync.watch.most", watch.most, 1..=MAX_WATCHED);
    }

    /// Whether a rule about another setting can rely on this one.
    fn is_read(&self, key: &str) -> bool {
        let way = Way::parse(key);
        !self.unread.iter().any(|unread| unread.overlaps(&way))
    }

    fn database(&mut self, config: &Config) {
        let database = &config.database;
        let backend = self.is_read("database.url").then(|| database.url.backend());
        if let Some(schema) = &database.schema {
            if backend.is_some_and(|backend| backend != Backend::Postgres) {
                self.add("database.schema", "is for PostgreSQL, but database.url is not; take it out");
            } else if schema.is_empty() {
                self.add("database.schema", "is an empty name; name a schema, or write null");
            }
        }
        self.within("database.max_connections", database.max_connections, 1..=1_000);
        let has_sink = config.callbacks.endpoints.values().any(|endpoint| endpoint.sink.is_some());
        if has_sink && backend == Some(Backend::MySql) && database.max_connections == 1 {
            let text = "is too low for a sink, whose statement is ended from a second connection; write at least 2";
            self.add("database.max_connections", text);
        }
    }

    fn lumo(&mut self, config: &Config) {
        let lumo = &config.lumo;
        self.above_zero("lumo.timeout", lumo.timeout);
        self.within("lumo.page_size", lumo.page_size, 1..=10_000);
        self.within("lumo.concurrency", lumo.concurrency, 1..=64);
        if lumo.settled_statuses.len() > MOST_STATUSES {
            self.add(
                "lumo.settled_statuses",
                format!("names more than {MOST_STATUSES} statuses; name those that are final"),
            );
        }
        for (at, status) in lumo.settled_statuses.iter().enumerate() {
            let is_known = |other: &&Text| *other == status;
            let key = format!("lumo.settled_statuses[{at}]");
            match status.chars().count() {
                0 => self.add(key, "is empty; write a status as `lumo-bridge deposit statuses` shows it"),
                201.. => self.add(key, "is longer than 200 characters, and no status is"),
                _ if lumo.settled_statuses.iter().take(at).any(|other| is_known(&other)) => {
                    self.add(key, "stands there twice; leave one out");
                }
                _ => {}
            }
        }
        for (field, places) in lumo.deposit_fields.iter() {
            let empty = places.iter().any(|place| place.split('.').any(str::is_empty));
            if empty {
                self.add(
                    format!("lumo.deposit_fields.{field}"),
                    "has a path with an empty name; write names joined by single dots, for example wallet.id",
                );
            }
        }
    }

    fn callbacks(&mut self, config: &Config) {
        self.proxy(config, true);
        let callbacks = &config.callbacks;
        let defaults = &callbacks.defaults;
        let base = "callbacks.defaults";
        self.above_zero(&format!("{base}.timeout"), defaults.timeout);
        self.within(&format!("{base}.concurrency"), defaults.concurrency, 1..=1_000);
        self.above_zero(&format!("{base}.ordering.max_hold"), defaults.ordering.max_hold);
        self.retry(base, &defaults.retry.schedule, defaults.retry.jitter);
        for (name, endpoint) in &callbacks.endpoints {
            self.endpoint(name, endpoint);
        }
    }

    fn retry(&mut self, base: &str, schedule: &[Span], jitter: f64) {
        if schedule.is_empty() {
            self.add(format!("{base}.retry.schedule"), "is empty; give at least one wait, for example [5s]");
        }
        self.within(&format!("{base}.retry.jitter"), jitter, 0.0..=1.0);
    }

    fn web_address(&mut self, key: &str, text: &Text) {
        if text.is_empty() {
            self.add(key, "is missing; write for example `https://example.com/hooks`");
            return;
        }
        match Url::parse(text) {
            Err(_) => self.add(key, "is not a url; write for example `https://example.com/hooks`"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                self.add(key, "is neither an http:// nor an https:// url; begin it with one of them");
            }
            Ok(_) if may_have_credentials(text) => self.add(
                key,
                "has credentials in the url; take them out, an endpoint has the key `auth` for them (an `@` of the \
                 path is written %40)",
            ),
            Ok(_) => {}
        }
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        if let Some(listen) = server.listen
            && !listen.ip().is_loopback()
            && server.token.is_none()
        {
            self.add(
                "server.token",
                format!("is missing although {listen} can be reached from outside; set it, or listen on 127.0.0.1"),
            );
        }
    }

    fn log(&mut self, config: &Config) {
        let level = &config.log.level;
        let directives = level.split(',').map(str::trim);
        // The filter would take a mistyped level for the name of a module, and then log next to nothing.
        for word in directives.filter(|directive| !directive.contains(['=', '['])) {
            if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
                let fix = nearest(word, LEVELS).map_or_else(
                    || format!("write one of {}", LEVELS.join(", ")),
                    |level| format!("did you mean `{level}`?"),
                );
                self.add("log.level", format!("`{word}` is no level; {fix}"));
                return;
            }
        }
        if EnvFilter::builder().parse(level).is_err() {
            self.add(
                "log.level",
                format!("`{level}` is no filter; write a level, or for example `info,lumo_bridge::sync=debug`"),
            );
        }
    }
}
