//! Sends callbacks: one attempt per call, bounded in time and memory.
//!
//! One HTTP client serves all endpoints with the same transport, so endpoints on one host share its connections. It
//! follows no redirects, because a signed request is meant for the address in the configuration. It ignores proxy
//! variables of the environment. It speaks HTTP/1.1, which every receiver supports, unless the endpoint asks for
//! HTTP/2.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::callback::answer::Answer;
use crate::callback::clients::Clients;
use crate::callback::config::Egress;
use crate::callback::echo::Sent;
use crate::callback::endpoint::{Endpoint, Http};
use crate::callback::fault::{Fault, Limit};
use crate::callback::guard::Guard;
use crate::callback::problem::{ConfigError, Problem};
use crate::callback::proxy::{PROXY, Proxy};
use crate::callback::request::{Callback, RequestError, prepare};
use crate::callback::transport::Transport;
use crate::model::retry::Outcome;
use crate::roots::{self, Roots};
use crate::setting::{Redactor, Secret};

/// The longest time to connect. The endpoint's timeout covers the whole attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the keep-alive of common servers, so that they do not close a connection just as it is reused.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most header lines of an answer.
const MAX_HEADERS: usize = 2_000;
/// All requests to a host share one HTTP/2 connection, so a dead one must be detected: a ping is sent after this time,
/// …
const PING_AFTER: Duration = Duration::from_secs(5);
/// … and must be answered within this time.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub outcome: Outcome,
    pub duration: Duration,
    /// What went wrong, in one line; none on success.
    pub error: Option<String>,
    /// The first 4 KiB of the answer's body: valid text without U+0000.
    pub response_body: Option<String>,
}

/// Sends callbacks. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    clients: Clients,
    guard: Guard,
    proxy_password: Option<Secret>,
}

impl Sender {
    /// A sender for `endpoints`, and for any other endpoint with a plain transport. It keeps as many idle connections
    /// as the busiest endpoint of a transport may have requests in flight. A rustls provider must have been installed.
    ///
    /// # Errors
    /// A proxy that is none, or an https address on a machine without any roots to trust.
    pub fn new<'a>(egress: &Egress, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Result<Self, ConfigError> {
        Self::guarded(egress, Guard::new(&egress.deny), endpoints)
    }

    fn guarded<'a>(
        egress: &Egress,
        guard: Guard,
        endpoints: impl IntoIterator<Item = &'a Endpoint>,
    ) -> Result<Self, ConfigError> {
        let proxy = egress.proxy.as_ref().map(Proxy::of).transpose();
        let proxy = proxy.map_err(|problem| Problem::Invalid { key: PROXY.to_owned(), problem })?;
        let roots = proxy.as_ref().map(Proxy::roots).unwrap_or_default();
        let mut demands = HashMap::from([(Transport::default(), Demand { connections: 0, roots })]);
        for endpoint in endpoints {
            let Some(http) = endpoint.http() else { continue };
            let demand = demands.entry(http.transport.clone()).or_insert(Demand { connections: 0, roots });
            demand.connections = endpoint.concurrency().max(demand.connections);
            if http.transport.roots(http.address.constant().scheme()) == Roots::Needed {
                demand.roots = Roots::Needed;
            }
        }
        let mut clients = HashMap::with_capacity(demands.len());
        for (transport, demand) in &demands {
            clients.insert(transport.clone(), make(proxy.as_ref(), &guard, transport, *demand)?);
        }
        let proxy_password = proxy.as_ref().and_then(Proxy::password);
        let guarded = guard.clone();
        let again =
            move |transport: &Transport| make(proxy.as_ref(), &guarded, transport, *demands.get(transport)?).ok();
        Ok(Self { clients: Clients::new(clients, again), guard, proxy_password })
    }

    /// Makes one attempt, which ends within the endpoint's timeout. Dropping the future abandons the request, which may
    /// have arrived or not.
    pub async fn send(&self, endpoint: &Endpoint, callback: &Callback<'_>, now: DateTime<Utc>) -> Attempt {
        let started = Instant::now();
        let exchanged = self.exchange(endpoint, callback, now).await;
        let duration = started.elapsed();
        let is_accepted =
            exchanged.as_ref().is_ok_and(|(answer, _)| matches!(answer.outcome(), Outcome::Accepted { .. }));
        if let Some(http) = endpoint.http().filter(|_| !is_accepted) {
            self.clients.expire(&http.transport, http.address.constant());
        }
        match exchanged {
            Ok((answer, redactor)) => Attempt {
                outcome: answer.outcome(),
                duration,
                error: answer.error().map(|error| redactor.redact(&error).into_owned()),
                response_body: answer.excerpt(&redactor),
            },
            Err(fault) => Attempt {
                outcome: Outcome::Unreachable(fault.kind),
                duration,
                error: Some(fault.text),
                response_body: None,
            },
        }
    }

    /// The answer, and a redactor for the secrets of the request.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        callback: &Callback<'_>,
        now: DateTime<Utc>,
    ) -> Result<(Answer, Redactor), Fault> {
        let http = endpoint.http().ok_or(RequestError::Sink)?;
        self.guard.check(http.address.constant())?;
        let prepared = prepare(http, callback, now)?;
        let sent = Sent::of(&prepared);
        let client = self.clients.get(&http.transport, http.address.constant()).await;
        let client = client.ok_or(RequestError::Transport)?;
        let request = client
            .request(http.method.clone(), prepared.url)
            .headers(prepared.headers)
            .body(prepared.body)
            .timeout(endpoint.timeout());
        let limit = Limit { began: Instant::now(), timeout: endpoint.timeout() };
        match request.send().await {
            Ok(response) => {
                let answer = Answer::read(response, limit, now).await;
                // Most answers are empty and need no redactor.
                let redactor = if answer.says_something() { self.redactor(&sent, http) } else { Redactor::default() };
                Ok((answer, redactor))
            }
            Err(error) => {
                let fault = Fault::of(error, limit);
                let text = self.redactor(&sent, http).redact(&fault.text).into_owned();
                Err(Fault { text, ..fault })
            }
        }
    }

    fn redactor(&self, sent: &Sent, http: &Http) -> Redactor {
        sent.redactor(http, self.proxy_password.as_ref())
    }
}

/// The client is not shown, because it contains the credentials of a proxy.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// What the endpoints of a transport need from its client.
#[derive(Clone, Copy)]
struct Demand {
    connections: usize,
    roots: Roots,
}

/// The client of a transport.
fn make(proxy: Option<&Proxy>, guard: &Guard, transport: &Transport, demand: Demand) -> Result<Client, Problem> {
    let builder = || transport.apply(builder(proxy, guard)?.pool_max_idle_per_host(demand.connections));
    roots::build(demand.roots, builder).map_err(Problem::Client)
}

/// The settings that the clients of all transports share.
fn builder(proxy: Option<&Proxy>, guard: &Guard) -> reqwest::Result<ClientBuilder> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .tcp_nodelay(true)
        // Malformed answers that most clients accept must not cause a retry of a callback that was received.
        .http1_max_headers(MAX_HEADERS)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true);
    Ok(match proxy {
        // With a proxy, only the proxy's name is resolved here, and the operator chose that.
        Some(proxy) => builder.proxy(proxy.for_client()?),
        None => builder.dns_resolver(Arc::new(guard.clone())),
    })
}

#[cfg(test)]
mod tests;
