//! One endpoint, served: what is to be claimed, what may be sent, and when to look again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::State;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use super::allowance::Allowance;
use super::attempt::{Met, Post, Settling};
use super::desk::Desk;
use super::health::Health;
use super::meters::Meters;
use super::pressure::Pressure;
use super::turn::FAILURES;
use crate::callback::{Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::store::{self, Claimed, Store};

/// The wait after a claim that found what was due in the hands of another process.
const AFTER_NOTHING: Duration = Duration::from_millis(20);
/// The wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Most deliveries that wait in memory to be sent, …
const MOST: usize = 2000;
/// … and most bytes of bodies.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// So many times what may be under way at once is plenty.
const PLENTY: usize = 4;
/// How much longer a lease lasts than two attempts may: one that was under way before, and its own.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// What must be left of a lease, beyond the attempt itself, to be settled in.
pub(super) const TO_SETTLE: Duration = Duration::from_secs(5);

/// What a look at the table came to.
enum Found {
    Claimed {
        claimed: Vec<Claimed>,
        wanted: usize,
    },
    /// A delivery to an endpoint that fails, to see whether it is well again.
    Probe(Claimed),
    /// Nothing to do before then.
    Nothing {
        until: Option<DateTime<Utc>>,
    },
    /// The endpoint is not to be called.
    Closed {
        until: Option<DateTime<Utc>>,
    },
    Failed,
}

pub(super) struct Dispatcher {
    store: Store,
    post: Arc<Post>,
    buffer: VecDeque<Claimed>,
    bytes: usize,
    under_way: JoinSet<Met>,
    looking: JoinSet<Found>,
    /// Whether the look that is under way began when everything was settled.
    settles_doubt: bool,
    look_at: Instant,
    /// The longest time without a look at the table.
    poll: Duration,
    pressure: Pressure,
    allowance: Allowance,
    /// Nothing is sent before everything is settled and the table was looked at: the endpoint may have changed its state.
    in_doubt: bool,
    /// Until when the endpoint asked not to be called.
    hold_until: Option<DateTime<Utc>>,
    /// Failures running.
    failures: i32,
    was_away: bool,
    /// Attempts that ended in this second, and in the one before.
    ended: [usize; 2],
    second: Instant,
    probes: u64,
}

impl Dispatcher {
    pub(super) fn new(
        store: Store,
        sender: Sender,
        clock: Clock,
        endpoint: Arc<Endpoint>,
        desk: Arc<Desk>,
        settle: mpsc::Sender<Settling>,
        meters: Arc<Meters>,
    ) -> Self {
        let lease = endpoint.timeout().saturating_mul(2).saturating_add(LEASE_MARGIN);
        let pressure = Pressure::new(endpoint.concurrency());
        let allowance = Allowance::new(endpoint.rate().map(|rate| rate.per_second()));
        let post = Arc::new(Post {
            store: store.clone(),
            sender,
            clock,
            endpoint,
            desk,
            health: Health::default(),
            meters,
            settle,
            lease,
        });
        Self {
            store,
            post,
            buffer: VecDeque::new(),
            bytes: 0,
            under_way: JoinSet::new(),
            looking: JoinSet::new(),
            settles_doubt: false,
            look_at: Instant::now(),
            poll: super::POLL,
            pressure,
            allowance,
            in_doubt: false,
            hold_until: None,
            failures: 0,
            was_away: false,
            ended: [0, 0],
            second: Instant::now(),
            probes: 0,
        }
    }

    /// The same, with another longest time without a look at the table.
    pub(super) fn polling_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Serves the endpoint until `soft` is cancelled; then waits for what is under way, and gives back the rest.
    pub(super) async fn run(mut self, soft: CancellationToken) {
        let mut queued = self.store.queued();
        let desk = Arc::clone(&self.post.desk);
        while !soft.is_cancelled() {
            for claimed in desk.take() {
                self.keep(claimed);
            }
            let soonest = [self.send(), self.look()].into_iter().flatten().fold(Instant::now() + self.poll, Ord::min);
            tokio::select! {
                () = soft.cancelled() => {}
                Some(met) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    self.note(met);
                    while let Some(met) = self.under_way.try_join_next() {
                        self.note(met);
                    }
                }
                Some(found) = self.looking.join_next(), if !self.looking.is_empty() => {
                    self.take(unwound(found).unwrap_or(Found::Failed)).await;
                }
                () = desk.changed() => {}
                // What is queued after the look that is under way makes for another.
                Ok(()) = queued.changed() => self.look_at = Instant::now(),
                () = tokio::time::sleep_until(soonest) => {}
            }
        }
        desk.set_accepts(false);
        while let Some(found) = self.looking.join_next().await {
            match unwound(found) {
                Some(Found::Claimed { claimed, .. }) => claimed.into_iter().for_each(|claimed| self.keep(claimed)),
                Some(Found::Probe(claimed)) => self.keep(claimed),
                _ => {}
            }
        }
        while self.under_way.join_next().await.is_some() {}
        desk.close().into_iter().for_each(|claimed| self.keep(claimed));
        self.give_back().await;
    }

    fn keep(&mut self, claimed: Claimed) {
        self.bytes += claimed.body.len();
        self.buffer.push_back(claimed);
    }

    /// Sends what may be sent. Returns when more may be, if what holds it up is neither an attempt nor the table.
    fn send(&mut self) -> Option<Instant> {
        let now = self.post.clock.now();
        self.post.desk.set_plenty(!self.in_doubt && self.buffer.len() > self.pressure.limit() * PLENTY);
        if self.in_doubt || self.buffer.is_empty() || self.post.desk.is_stuck() {
            return None;
        }
        if let Some(until) = self.hold_until.filter(|until| *until > now) {
            return Some(Instant::now() + (until - now).to_std().unwrap_or_default());
        }
        let at = Instant::now();
        let room = self.pressure.limit().saturating_sub(self.under_way.len()).min(self.allowance.available(at));
        let latest = now + self.post.endpoint.timeout() + TO_SETTLE;
        let mut sent = 0;
        while sent < room
            && let Some(claimed) = self.buffer.pop_front()
        {
            self.bytes -= claimed.body.len();
            // What waited too long is left to its lease, which is about to end.
            if claimed.lease.until >= latest {
                self.spawn(claimed);
                sent += 1;
            }
        }
        self.allowance.spend(sent, at);
        let is_full = self.under_way.len() >= self.pressure.limit();
        if is_full || self.buffer.is_empty() { None } else { self.allowance.wait(at).map(|wait| at + wait) }
    }

    fn spawn(&mut self, claimed: Claimed) {
        let span = tracing::debug_span!(
            "deliver.attempt",
            delivery.id = %claimed.lease.delivery(),
            event.id = %claimed.event_id,
            event.name = %claimed.event_type,
            endpoint = %self.post.endpoint.name(),
            attempt = claimed.attempts.saturating_add(1),
            reason = claimed.reason.as_str(),
            http.response.status_code = Empty,
            "error.type" = Empty,
        );
        let post = Arc::clone(&self.post);
        self.under_way.spawn(async move { post.attempt(claimed).await }.instrument(span));
    }

    /// Takes note of how an attempt ended.
    fn note(&mut self, met: Result<Met, JoinError>) {
        let Some(met) = unwound(met) else { return };
        let now = Instant::now();
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.ended = [0, self.ended[0]];
            self.second = now;
        }
        self.ended[0] += 1;
        if met.succeeded {
            self.failures = 0;
            self.pressure.eased();
        }
        if met.failed {
            self.failures = self.failures.saturating_add(1);
        }
        if met.strained {
            self.pressure.strained(now);
        }
        self.hold_until = self.hold_until.max(met.hold_until);
        if met.gone || met.hold_until.is_some() || self.failures >= FAILURES {
            self.doubt();
        }
    }

    fn doubt(&mut self) {
        (self.in_doubt, self.settles_doubt) = (true, false);
        self.look_at = Instant::now();
        self.post.desk.set_accepts(false);
    }

    /// The table was looked at, and the endpoint is to be called.
    fn settle_doubt(&mut self) {
        if self.in_doubt && self.settles_doubt {
            (self.in_doubt, self.failures) = (false, 0);
        }
    }

    /// How many deliveries are worth having in memory: what can be sent within about a second.
    fn window(&self) -> usize {
        let lately = self.ended[0].max(self.ended[1]);
        (self.pressure.limit() * 2).max(lately).clamp(1, MOST)
    }

    /// Begins a look at the table if it is time for one. Returns when it is, if nothing else but time stands against it.
    fn look(&mut self) -> Option<Instant> {
        let is_quiet = self.under_way.is_empty() && self.post.desk.is_settled();
        if !self.looking.is_empty() || (self.in_doubt && !is_quiet) || self.post.desk.is_stuck() {
            return None;
        }
        let window = self.window();
        if !self.in_doubt && (self.buffer.len() * 2 > window || self.bytes >= MOST_BYTES) {
            return None;
        }
        let at = Instant::now();
        if at < self.look_at {
            return Some(self.look_at);
        }
        let wanted = window.saturating_sub(self.buffer.len()).min(self.allowance.available(at));
        if wanted == 0 && !self.in_doubt {
            return self.allowance.wait(at).map(|wait| at + wait);
        }
        let (store, post) = (self.store.clone(), Arc::clone(&self.post));
        let probe = is_quiet.then(|| {
            self.probes += 1;
            self.probes.is_multiple_of(2)
        });
        self.settles_doubt = is_quiet;
        let look = async move { find(&store, &post, wanted.max(1), probe).await };
        self.looking.spawn(look.in_current_span());
        None
    }

    async fn take(&mut self, found: Found) {
        let now = self.post.clock.now();
        let at = Instant::now();
        let poll = self.poll;
        let wait = |until: DateTime<Utc>| at + (until - now).to_std().unwrap_or_default().min(poll);
        let desk = Arc::clone(&self.post.desk);
        match found {
            Found::Claimed { claimed, wanted } => {
                self.settle_doubt();
                if std::mem::take(&mut self.was_away) {
                    self.pressure.begin_anew();
                }
                // As long as others wait to be claimed, nobody goes before them.
                desk.set_accepts(claimed.len() < wanted && !self.in_doubt);
                self.look_at = if claimed.is_empty() { at + AFTER_NOTHING } else { at };
                claimed.into_iter().for_each(|claimed| self.keep(claimed));
            }
            Found::Probe(claimed) => {
                self.was_away = true;
                self.give_back().await;
                self.spawn(claimed);
                self.doubt();
            }
            Found::Nothing { until } => {
                self.settle_doubt();
                desk.set_accepts(!self.in_doubt);
                self.look_at = until.map_or(at + poll, wait);
            }
            Found::Closed { until } => {
                desk.set_accepts(false);
                self.was_away = true;
                self.in_doubt = true;
                self.look_at = until.map_or(at + poll, wait).max(at + AFTER_NOTHING);
                self.give_back().await;
            }
            Found::Failed => self.look_at = at + AFTER_ERROR,
        }
    }

    /// Gives back what was claimed and will not be sent.
    async fn give_back(&mut self) {
        self.bytes = 0;
        let leases: Vec<_> = self.buffer.drain(..).map(|claimed| claimed.lease).collect();
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.store.release(leases, self.post.clock.now()).await {
            tracing::warn!(error = %Chain(&error), "claims not given back; they end by themselves");
        }
    }
}

/// What a task came to; a panic goes on here, as an endpoint that is silently no longer served would be worse.
fn unwound<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(value) => Some(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

/// Looks whether the endpoint is to be called, and claims what is due. `probe` is given when nothing is under way, and says
/// which kind of delivery to try an endpoint with that fails.
async fn find(store: &Store, post: &Post, wanted: usize, probe: Option<bool>) -> Found {
    match try_find(store, post, wanted, probe).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "deliveries cannot be claimed; trying again");
            Found::Failed
        }
    }
}

async fn try_find(store: &Store, post: &Post, wanted: usize, probe: Option<bool>) -> Result<Found, store::Error> {
    let name = post.endpoint.name();
    let now = post.clock.now();
    let Some(look) = store.look(name).await? else { return Ok(Found::Nothing { until: None }) };
    let held = look.hold_until.filter(|until| *until > now);
    match look.state {
        State::Paused | State::Suspended => return Ok(Found::Closed { until: None }),
        State::Failing => {
            let (None, Some(tried_before)) = (held, probe) else { return Ok(Found::Closed { until: held }) };
            let claimed = store.claim_probe(name, tried_before, post.lease, now).await?;
            return Ok(claimed.map_or(Found::Closed { until: look.due() }, Found::Probe));
        }
        State::Active if held.is_some() => return Ok(Found::Closed { until: held }),
        State::Active => {}
    }
    if look.due().is_none_or(|due| due > now) {
        return Ok(Found::Nothing { until: look.due() });
    }
    let claimed = store.claim(name, wanted, post.lease, now).await?;
    Ok(Found::Claimed { claimed, wanted })
}
