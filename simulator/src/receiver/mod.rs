//! A webhook receiver that remembers everything: for tests of a sender, and for watching one at work.
//!
//! It takes any path and method, verifies the signature by itself, records the request, and answers what it was told
//! to. A request counts as received once its body is there and its answer is decided, which is before any delay and
//! before the answer is sent.

mod order;
mod policy;
mod received;
mod verify;

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Notify, broadcast};

use crate::clock;
pub use crate::receiver::order::{OrderFault, OrderReport};
use crate::receiver::policy::Policy;
use crate::receiver::received::Event;
pub use crate::receiver::received::{Answer, Received, Verdict};
pub use crate::receiver::verify::{BadSecret, Invalid, Secret, Signed, verify};
use crate::server::Server;

/// No callback is larger than this; one that is gets 413 and is not recorded.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How far a subscriber may lag behind before it misses requests.
const BACKLOG: usize = 4096;

/// Where to listen, and what to verify with.
#[derive(Clone)]
pub struct ReceiverConfig {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `whsec_` and Base64 each. Without any, nothing is verified and everything accepted.
    pub secrets: Vec<String>,
}

impl ReceiverConfig {
    /// On a free port of this machine.
    pub fn local(secrets: Vec<String>) -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), secrets }
    }
}

/// A running receiver. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Receiver {
    server: Server,
    desk: Arc<Desk>,
}

/// What all requests share.
#[derive(Debug)]
struct Desk {
    secrets: Vec<Secret>,
    journal: Mutex<Vec<Arc<Received>>>,
    policy: Mutex<Policy>,
    arrived: Notify,
    watchers: broadcast::Sender<Arc<Received>>,
}

impl Receiver {
    /// Listens from now on, in tasks of its own. A malformed secret is an `InvalidInput`.
    pub async fn start(config: ReceiverConfig) -> io::Result<Self> {
        let secrets: Result<Vec<Secret>, BadSecret> = config.secrets.iter().map(|text| Secret::parse(text)).collect();
        let desk = Arc::new(Desk {
            secrets: secrets.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            journal: Mutex::default(),
            policy: Mutex::default(),
            arrived: Notify::new(),
            watchers: broadcast::Sender::new(BACKLOG),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&desk));
        let server = Server::start(config.listen, router).await?;
        Ok(Self { server, desk })
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// Everything received, in order of arrival.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.desk.journal().clone()
    }

    pub fn count(&self) -> usize {
        self.desk.journal().len()
    }

    /// How many different webhook ids came.
    pub fn distinct(&self) -> usize {
        let journal = self.desk.journal();
        journal.iter().filter_map(|request| request.id.as_deref()).collect::<HashSet<_>>().len()
    }

    /// How many requests carried an id that had come before, retries included.
    pub fn duplicates(&self) -> usize {
        let journal = self.desk.journal();
        let mut seen = HashSet::new();
        journal.iter().filter_map(|request| request.id.as_deref()).filter(|id| !seen.insert(*id)).count()
    }

    /// Waits until that many requests have come; `false` if the time is up first. Cancel safe.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> bool {
        self.wait_until(timeout, |received| received.len() >= n).await
    }

    /// Waits until what was received fulfils a condition; `false` if the time is up first. Cancel safe.
    ///
    /// The condition is asked now and after each arrival, and must not use the receiver.
    pub async fn wait_until(&self, timeout: Duration, done: impl Fn(&[Arc<Received>]) -> bool) -> bool {
        let fulfilled = async {
            loop {
                let arrived = self.desk.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if done(&self.desk.journal()) {
                    return;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(timeout, fulfilled).await.is_ok()
    }

    /// Every request from now on, as it comes.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Received>> {
        self.desk.watchers.subscribe()
    }

    /// Forgets what was received; how to answer stays.
    pub fn clear(&self) {
        self.desk.journal().clear();
    }

    /// Answers what verifies with this status, instead of 200. What does not verify gets 401.
    pub fn answer_with(&self, status: u16) {
        self.desk.policy().answer_with(status);
    }

    /// Answers the next `n` requests with this status, whatever else was said.
    pub fn fail_next(&self, n: usize, status: u16) {
        self.desk.policy().fail_next(n, status);
    }

    /// Lets a function decide, also about what does not verify. It sees `answered` as 0.
    pub fn script(&self, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        self.desk.policy().set_script(Some(Arc::new(script)));
    }

    /// Back to fixed answers.
    pub fn unscript(&self) {
        self.desk.policy().set_script(None);
    }

    /// Whether the events of each stream were accepted in order.
    pub fn order_violations(&self) -> OrderReport {
        order::report(self.received().iter().map(Arc::as_ref))
    }

    /// Stops listening; requests in progress have half a second to finish.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

impl Desk {
    fn journal(&self) -> MutexGuard<'_, Vec<Arc<Received>>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, headers: &[(String, String)], body: &[u8]) -> Verdict {
        if self.secrets.is_empty() {
            return Verdict::Unchecked;
        }
        let required = |name| received::first(headers, name).ok_or(Invalid::MissingHeader(name));
        let verified = required("webhook-id").and_then(|id| {
            let timestamp = required("webhook-timestamp")?;
            let signature = required("webhook-signature")?;
            verify(&Signed { id, timestamp, signature, body }, &self.secrets, clock::now())
        });
        match verified {
            Ok(()) => Verdict::Verified,
            Err(reason) => Verdict::Invalid(reason),
        }
    }

    /// Puts a request on record and tells everyone who waits.
    fn record(&self, request: Received) {
        let request = Arc::new(request);
        self.journal().push(Arc::clone(&request));
        self.arrived.notify_waiters();
        self.watchers.send(request).ok(); // nobody watching is fine
    }
}

async fn receive(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<(String, String)> =
        parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let event = Event::read(&body);
    let mut request = Received {
        at: clock::now(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        id: received::first(&headers, "webhook-id").map(str::to_owned),
        attempt: received::first(&headers, "lumo-attempt").and_then(|attempt| attempt.parse().ok()),
        event_type: event.event_type(),
        stream: event.stream(),
        sequence: event.sequence(),
        verdict: desk.judge(&headers, &body),
        body: body.into(),
        headers,
        answered: 0,
    };
    let ruling = desk.policy().rule(&request.verdict);
    let answer = ruling.answer(&request);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    request.answered = status.as_u16();
    desk.record(request);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    response(status, answer)
}

fn response(status: StatusCode, answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests;
