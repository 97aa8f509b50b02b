//! Performs one HTTP exchange with Lumo: waits for the rate limit, sends the request, reads a bounded answer, and turns
//! failures into errors.
//!
//! HTTP/1.1 only. Redirects are not followed, because they would carry the key elsewhere. The proxy variables of the
//! environment are ignored, because a variable that was set for other programs must not decide where the key travels.
//! There are no retries here: only the caller knows whether the answer is still wanted.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use tracing::Instrument;
use tracing::field::Empty;
use url::Url;

use crate::clock::Clock;
use crate::lumo::budget::{Budget, Estimate, Room};
use crate::lumo::pace::{Feedback, Pace, Priority, Speed};
use crate::lumo::{Config, Error, Meters, Outage, meters, refusal, retry_after};
use crate::model::retry_after::http_date;
use crate::model::{Listing, PerListing};
use crate::renewable::Renewable;
use crate::roots::{self, Roots};
use crate::setting::Secret;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const USER_AGENT: &str = concat!("lumo-bridge/", env!("CARGO_PKG_VERSION"));

/// Longest wait for a connection; it is part of the configured timeout of the whole exchange.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are closed before a typical server would close them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest body of a listing.
pub(super) const LISTING_CAP: usize = 16 * 1024 * 1024;
/// Largest body of any other answer.
const OBJECT_CAP: usize = 1024 * 1024;
/// The buffer of a body of unknown length grows by at most this much at a time.
const GROWTH: usize = 1024 * 1024;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 2_000;
/// Limits for reading the body of a refusal: bytes, and time.
const REFUSAL_CAP: usize = 4 * 1024;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The server to which no connection was made, and why.
#[derive(Debug, thiserror::Error)]
#[error("{server} cannot be reached")]
struct Unreached {
    server: String,
    source: Box<dyn StdError + Send + Sync>,
}

/// A success, read to its end.
pub(super) struct Answer<'a> {
    pub(super) body: Vec<u8>,
    /// Memory reserved for the body and for what is parsed from it.
    _room: Room<'a>,
    /// The server's clock, from `Date`.
    pub(super) served_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub(super) struct Http {
    client: Renewable<reqwest::Client>,
    /// Scheme, host and port of the API.
    server: String,
    api_key: Secret,
    pace: Pace,
    budget: Budget,
    /// The expected page size of each listing, in bytes.
    estimates: PerListing<Estimate>,
    meters: Meters,
    /// Whether the key was refused since the flag was last read.
    was_unauthorized: AtomicBool,
}

impl Http {
    pub(super) fn new(config: &Config, api_key: Secret) -> Result<Self, Error> {
        let mut key = HeaderValue::from_str(api_key.expose()).map_err(|_| Error::Setup {
            problem: "the API key has characters that no HTTP header may have",
            source: None,
        })?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(API_KEY, key), (ACCEPT, HeaderValue::from_static("application/json"))]);

        let concurrency = usize::try_from(config.concurrency).unwrap_or(usize::MAX).clamp(1, 64);
        let timeout = config.timeout.get();
        let roots = Roots::of_scheme(config.base_url.get().scheme());
        let build = move || roots::build(roots, || Ok(client(headers.clone(), timeout, concurrency)));
        let first = build().map_err(|error| Error::Setup {
            problem: "the HTTP client cannot be built",
            source: Some(Box::new(error)),
        })?;
        Ok(Self {
            client: Renewable::new(first, move || build().ok()),
            server: config.base_url.get().origin().ascii_serialization(),
            api_key,
            pace: Pace::new(config.rate.per_second(), concurrency),
            budget: Budget::new(),
            estimates: PerListing::of(|_| Estimate::new(LISTING_CAP)),
            meters: Meters::default(),
            was_unauthorized: AtomicBool::new(false),
        })
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Whether the key was refused since the last call; clears the flag.
    pub(super) fn take_unauthorized(&self) -> bool {
        self.was_unauthorized.swap(false, Ordering::Relaxed)
    }

    pub(super) fn speed(&self) -> Speed {
        self.pace.speed()
    }

    pub(super) fn set_sweep_budget(&self, share: f64) {
        self.pace.set_sweep_budget(share);
    }

    /// Reads a listing. Cancel safe: a cancelled request may or may not have reached the server, and the client's own
    /// state stays consistent.
    pub(super) async fn get(&self, priority: Priority, listing: Listing, url: Url) -> Result<Answer<'_>, Error> {
        let request = self.client.get().await.get(url);
        self.send(priority, Some(listing), request, LISTING_CAP).await
    }

    /// Reads something small. Cancel safe in the same sense as [`Self::get`].
    pub(super) async fn object(&self, url: Url) -> Result<Answer<'_>, Error> {
        let request = self.client.get().await.get(url);
        self.send(Priority::Fresh, None, request, OBJECT_CAP).await
    }

    /// Writes. Cancel safe in the same sense as [`Self::get`].
    pub(super) async fn post(&self, url: Url, json: Vec<u8>) -> Result<Answer<'_>, Error> {
        let json_type = HeaderValue::from_static("application/json");
        let request = self.client.get().await.post(url).header(CONTENT_TYPE, json_type).body(json);
        self.send(Priority::Fresh, None, request, OBJECT_CAP).await
    }

    async fn send(
        &self,
        priority: Priority,
        listing: Option<Listing>,
        request: RequestBuilder,
        cap: usize,
    ) -> Result<Answer<'_>, Error> {
        let mut permit = self.pace.enter(priority).await;
        let estimate = listing.map(|listing| &self.estimates[listing]);
        let mut room = self.budget.enter(estimate.map_or(OBJECT_CAP, Estimate::get)).await;
        permit.begin();
        let start = Instant::now();
        let priority = meters::priority(priority);
        let listing_name = listing.map(Listing::as_str);
        let span = tracing::debug_span!("lumo.request", priority, listing = listing_name, "error.type" = Empty);
        let result = self.exchange(request, cap, &mut room, estimate).instrument(span.clone()).await;
        let result = result.map_err(|error| self.name_server(error));
        let result = result.map(|(body, served_at)| Answer { body, _room: room, served_at });
        let leaves_connections = match &result {
            // A connection that failed was made to an address that was resolved just now.
            Err(Error::Unavailable { outage, .. }) => !matches!(outage, Outage::Connect),
            Err(Error::Throttled { .. }) => true,
            _ => false,
        };
        if leaves_connections {
            // The next request resolves the name anew: the server behind it may have been replaced.
            self.client.expire();
        }
        if matches!(result, Err(Error::Unauthorized)) {
            self.was_unauthorized.store(true, Ordering::Relaxed);
        }
        if result.is_err() {
            span.record("error.type", meters::outcome(&result));
        }
        self.meters.count(priority, meters::outcome(&result), start.elapsed());
        permit.settle(listing, feedback(&result));
        result
    }

    /// Adds which server was not reached.
    fn name_server(&self, error: Error) -> Error {
        match error {
            Error::Unavailable { outage: Outage::Connect, source: Some(source) } => {
                let unreached = Unreached { server: self.server.clone(), source };
                Error::Unavailable { outage: Outage::Connect, source: Some(Box::new(unreached)) }
            }
            error => error,
        }
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        cap: usize,
        room: &mut Room<'_>,
        estimate: Option<&Estimate>,
    ) -> Result<(Vec<u8>, Option<DateTime<Utc>>), Error> {
        let mut response = request.send().await?;
        let status = response.status();
        let served_at = header(&response, DATE).and_then(http_date);
        if status.is_success() {
            let fits = |bytes| {
                let fits = room.grow(bytes);
                if let Some(estimate) = estimate.filter(|_| !fits) {
                    estimate.learn(bytes);
                }
                fits
            };
            let body = read(&mut response, cap, fits).await?;
            if let Some(estimate) = estimate {
                estimate.learn(body.len());
            }
            return Ok((body, served_at));
        }
        let now = Clock::system().now();
        let wait = header(&response, RETRY_AFTER).and_then(|value| retry_after::parse(value, served_at, now));
        let excerpt = read_excerpt(&mut response).await;
        Err(refusal::classify(status, wait, || refusal::message(&excerpt, self.api_key.expose())))
    }
}

/// What an exchange says about the server's capacity. A refusal counts like a success: the server kept up.
fn feedback(result: &Result<Answer<'_>, Error>) -> Feedback {
    const OVERLOADED: u16 = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    match result {
        Err(Error::Throttled { retry_after, .. }) => throttled(*retry_after),
        Err(Error::Unavailable { outage: Outage::Answered { status: OVERLOADED, .. }, .. }) => throttled(None),
        Err(Error::Unavailable { .. }) => Feedback::Unclear,
        _ => Feedback::Clean,
    }
}

fn throttled(retry_after: Option<Duration>) -> Feedback {
    Feedback::Throttled { retry_after, jitter: rand::random() }
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// What all requests have in common.
fn client(headers: HeaderMap, timeout: Duration, concurrency: usize) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .http1_only()
        // Most HTTP clients accept this, so it is no reason to retry.
        .http1_max_headers(MAX_HEADERS)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(concurrency)
}

/// Reads a body to its end. Stops if it grows beyond `cap`, or if `fits` finds no room for it.
async fn read(response: &mut Response, cap: usize, mut fits: impl FnMut(usize) -> bool) -> Result<Vec<u8>, Error> {
    let too_large = || Error::contract("body", format!("is larger than {} MiB", cap / (1024 * 1024)));
    let no_room =
        || Error::contract("body", "is larger than those before it, and others are being read; it is asked for again");
    let announced = response.content_length().map_or(Ok(0), usize::try_from).map_err(|_| too_large())?;
    if announced > cap {
        return Err(too_large());
    }
    if !fits(announced) {
        return Err(no_room());
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > cap - body.len() {
            return Err(too_large());
        }
        let length = body.len() + chunk.len();
        if length > body.capacity() {
            // Doubling a buffer that is large already would take twice the memory needed.
            let more = chunk.len().max(body.len().min(GROWTH)).min(cap - body.len());
            if !fits(body.len() + more) {
                return Err(no_room());
            }
            body.reserve_exact(more);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the beginning of a refusal's body: as much as arrives in time.
async fn read_excerpt(response: &mut Response) -> Vec<u8> {
    let mut excerpt = Vec::new();
    let reading = async {
        while excerpt.len() < REFUSAL_CAP
            && let Ok(Some(chunk)) = response.chunk().await
        {
            excerpt.extend(chunk.iter().take(REFUSAL_CAP - excerpt.len()));
        }
    };
    // A timeout is fine here: what was read so far is kept.
    tokio::time::timeout(REFUSAL_TIMEOUT, reading).await.ok();
    excerpt
}
