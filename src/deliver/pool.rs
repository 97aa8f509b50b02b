//! Decides which endpoints this process leads, and runs a dispatcher for each.
//!
//! It writes a heartbeat and claims endpoints without a leader.

mod all_down;
pub(in crate::deliver) mod rivals;
mod settings;
pub(in crate::deliver) mod tail;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lumo_bridge_entity::{endpoint, process};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::all_down::{AllDown, News};
use self::rivals::{Claim, Duty, Rivals};
use self::tail::Tail;
use super::attempt::{Destination, known};
use super::dispatcher::{Dispatcher, Ended, Message};
use super::meters::Meters;
use crate::callback::{Endpoint, Sender};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::model::id::EndpointName;
use crate::outage::Retried;
use crate::store::{Error, ProcessLocks, Store};

/// How often a process writes its heartbeat.
const BEAT_EVERY: Duration = Duration::from_secs(3);
/// How often the pool checks for endpoints without a leader, for commands, and for events that others appended.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How soon after a wake-up the pool checks for commands.
const COMMAND_POLL: Duration = Duration::from_millis(50);
/// How often the pool checks the locks of other processes.
const LOCK_POLL: Duration = Duration::from_secs(5);
/// The pause per endpoint that this process leads, before it claims another one: so endpoints spread over the
/// processes.
const YIELD_DELAY: Duration = Duration::from_millis(50);

/// Delivers to the endpoints of a configuration.
pub struct Pool {
    store: Store,
    sender: Sender,
    clock: Clock,
    endpoints: Vec<Arc<Endpoint>>,
    meters: Arc<Meters>,
    process: i64,
}

struct Leading {
    messages: mpsc::UnboundedSender<Message>,
}

impl Pool {
    #[must_use]
    pub fn new(store: Store, sender: Sender, clock: Clock, endpoints: Vec<Arc<Endpoint>>) -> Self {
        let process = store.new_process();
        let meters = Arc::new(Meters::new(endpoints.iter().map(|endpoint| endpoint.name().as_str())));
        Self { store, sender, clock, endpoints, meters, process }
    }

    /// The metrics of the deliveries.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// The number that identifies this process to others.
    #[must_use]
    pub const fn process(&self) -> i64 {
        self.process
    }

    /// Delivers until `soft` is cancelled, then finishes what is in hand and gives up its leads. When `hard` is
    /// cancelled, the rest is dropped, and the next leader sends it again.
    ///
    /// # Panics
    /// If one of its dispatchers did: an endpoint that is silently no longer served would be worse.
    pub async fn run(self, mut locks: ProcessLocks, soft: CancellationToken, hard: CancellationToken) {
        let run = PoolRun {
            pool: &self,
            leading: HashMap::new(),
            dispatchers: JoinSet::new(),
            rivals: Rivals::new(self.process),
            free_since: HashMap::new(),
            orphaned_since: HashMap::new(),
            differing: HashMap::new(),
            all_down: AllDown::default(),
            checks: Retried::new("the endpoints are looked at again"),
            beat: 0,
            beat_at: Instant::now(),
            locks_at: Instant::now(),
            tail: Tail::new(),
        };
        let tail = run.tail.clone();
        let work = async {
            tokio::select! {
                () = run.run(&mut locks, &soft) => {}
                () = tail.follow(&self.store) => {}
            }
        };
        hard.run_until_cancelled(work).await;
    }
}

impl Leading {
    /// Sends a message to the dispatcher. One that has ended ignores it.
    fn tell(&self, message: Message) {
        if self.messages.send(message).is_err() {
            tracing::trace!("dispatcher has ended");
        }
    }
}

struct PoolRun<'a> {
    pool: &'a Pool,
    leading: HashMap<EndpointName, Leading>,
    dispatchers: JoinSet<(EndpointName, Ended)>,
    rivals: Rivals,
    /// Since when endpoints are known to have no leader.
    free_since: HashMap<EndpointName, Instant>,
    /// Since when no live process has the settings of endpoints that are in the table.
    orphaned_since: HashMap<EndpointName, Instant>,
    /// The endpoints for which another running process has other settings, with the fingerprints of those.
    differing: HashMap<EndpointName, i64>,
    all_down: AllDown,
    /// The checks of the endpoints' rows.
    checks: Retried,
    beat: i64,
    /// When the last heartbeat that was written began.
    beat_at: Instant,
    locks_at: Instant,
    tail: Tail,
}

impl PoolRun<'_> {
    async fn run(mut self, locks: &mut ProcessLocks, soft: &CancellationToken) {
        let mut appended = self.pool.store.appended();
        let (mut beat_next, mut look_next) = (Instant::now(), Instant::now());
        let (mut is_first, mut command_at) = (true, None::<Instant>);
        loop {
            if soft.is_cancelled() && self.dispatchers.is_empty() {
                break;
            }
            if beat_next <= Instant::now() {
                self.beat().await;
                beat_next = Instant::now() + BEAT_EVERY;
            }
            if command_at.is_some_and(|at| at <= Instant::now()) {
                command_at = None;
                match self.look_for_commands().await {
                    Ok(true) => look_next = Instant::now(),
                    Ok(false) => {}
                    Err(error) => tracing::debug!(error = %Chain(&error), "commands not looked for; trying again"),
                }
            }
            if look_next <= Instant::now() {
                let began = Instant::now();
                match self.check(locks, soft).await {
                    Err(error) => self.checks.failed("endpoints not looked at", began.into_std(), &Chain(&error)),
                    Ok(()) => {
                        self.checks.succeeded();
                        if std::mem::take(&mut is_first) {
                            locks.admit_others();
                        }
                    }
                }
                look_next = Instant::now() + POLL_EVERY;
            }
            tokio::select! {
                Some(ended) = self.dispatchers.join_next(), if !self.dispatchers.is_empty() => {
                    match ended {
                        Ok((name, ended)) => self.ended(name, ended).await,
                        Err(error) => if let Ok(panic) = error.try_into_panic() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
                () = soft.cancelled(), if !soft.is_cancelled() => {}
                Ok(()) = appended.changed(), if command_at.is_none() => command_at = Some(Instant::now() + COMMAND_POLL),
                () = tokio::time::sleep_until(command_at.unwrap_or(look_next).min(look_next).min(beat_next)) => {}
            }
        }
        if let Err(error) = self.pool.store.forget_processes(&[self.pool.process]).await {
            tracing::debug!(error = %Chain(&error), "process not taken off the table; others will do it");
        }
    }

    /// Writes the heartbeat of this process.
    async fn beat(&mut self) {
        let at = Instant::now();
        let Pool { store, clock, endpoints, process, .. } = self.pool;
        match store.beat(*process, self.beat + 1, &known(endpoints), clock.now()).await {
            Ok(()) => {
                (self.beat, self.beat_at) = (self.beat + 1, at);
                for leading in self.leading.values() {
                    leading.tell(Message::Beat(at));
                }
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "heartbeat not written; trying again"),
        }
    }

    /// Passes on what commands have changed. Returns whether any endpoint has no leader.
    async fn look_for_commands(&self) -> Result<bool, Error> {
        for position in self.pool.store.commanded().await? {
            if let Some(leading) = self.leading.get(&position.endpoint) {
                // The end of the log is sent by another message.
                leading.tell(Message::Looked { revision: position.revision, last: 0 });
            }
        }
        let unled = self.pool.store.unled().await?;
        Ok(unled.iter().any(|name| self.endpoint(name).is_some() && !self.leading.contains_key(name)))
    }

    /// Claims endpoints without a leader, and passes on what commands have changed.
    async fn check(&mut self, locks: &mut ProcessLocks, soft: &CancellationToken) -> Result<(), Error> {
        let store = &self.pool.store;
        let last = store.last_seq().await?;
        for position in store.positions().await? {
            if let Some(leading) = self.leading.get(&position.endpoint) {
                leading.tell(Message::Looked { revision: position.revision, last });
            }
        }
        if soft.is_cancelled() || self.beat == 0 {
            return Ok(());
        }
        let rows = store.endpoints().await?;
        if !self.leading.is_empty() {
            tell_of_outage(self.all_down.note(&rows, self.pool.clock.now()));
        }
        let processes = store.processes().await?;
        let mut gone = self.rivals.observe(&processes, Instant::now());
        self.step_down(&rows, &processes);
        self.tell_of_differences(&processes);
        let is_ours = |row: &&endpoint::Model| {
            row.removed_at.is_none() && !self.leading.contains_key(&row.name) && self.endpoint(&row.name).is_some()
        };
        let free: Vec<endpoint::Model> = rows.iter().filter(is_ours).cloned().collect();
        let dead = self.dead(locks, &free, &processes).await?;
        gone.extend(&dead);
        if !gone.is_empty() {
            store.forget_processes(&gone).await?;
        }
        self.reclaim(&rows, &processes).await?;
        for row in free {
            let Some(endpoint) = self.endpoint(&row.name).map(Arc::clone) else { continue };
            match self.rivals.duty(&row, endpoint.fingerprint(), &processes, &dead, Instant::now()) {
                Duty::Take(claim) => self.lead(row, &endpoint, claim, soft).await?,
                Duty::GiveUp => store.give_up_lead(&row.name, self.pool.process, self.pool.clock.now()).await?,
                Duty::Nothing => {}
            }
        }
        for removed in store.remove_endpoints(self.pool.process, self.pool.clock.now()).await? {
            tracing::warn!(endpoint = %removed, "endpoint is in no configuration any more; what is for it is held");
        }
        Ok(())
    }

    /// The processes that are known to be dead. Checks their locks every [`LOCK_POLL`] while another process leads an
    /// endpoint, otherwise every [`POLL_EVERY`].
    async fn dead(
        &mut self,
        locks: &mut ProcessLocks,
        free: &[endpoint::Model],
        processes: &[process::Model],
    ) -> Result<Vec<i64>, Error> {
        let now = Instant::now();
        if self.locks_at > now {
            return Ok(Vec::new());
        }
        let is_led = free.iter().any(|row| row.process.is_some());
        self.locks_at = now + if is_led { LOCK_POLL } else { POLL_EVERY };
        let others: Vec<i64> =
            processes.iter().map(|row| row.process).filter(|process| *process != self.pool.process).collect();
        let dead: Vec<i64> = locks.dead(&others, self.pool.clock.now()).await?.into_iter().collect();
        if !dead.is_empty() {
            self.locks_at = now;
        }
        Ok(dead)
    }

    async fn lead(
        &mut self,
        row: endpoint::Model,
        endpoint: &Arc<Endpoint>,
        claim: Claim,
        soft: &CancellationToken,
    ) -> Result<(), Error> {
        let Pool { store, sender, clock, meters, process, .. } = self.pool;
        if claim == Claim::Free && self.is_impolite(&row.name) {
            return Ok(());
        }
        let is_dead = claim == Claim::Dead;
        let taken = store.take_lead(&row.name, *process, row.process, is_dead, clock.now()).await?;
        let Some(position) = taken else { return Ok(()) };
        if matches!(claim, Claim::Dead | Claim::Silent) {
            tracing::info!(endpoint = %row.name, "endpoint taken over from a process that is gone");
        }
        let (messages, received) = mpsc::unbounded_channel();
        let destination = Destination {
            endpoint: Arc::clone(endpoint),
            sender: sender.clone(),
            store: store.clone(),
            clock: clock.clone(),
        };
        let dispatcher = Dispatcher::new(
            destination,
            &position,
            &row,
            self.beat_at,
            endpoint.lease(),
            self.tail.clone(),
            Arc::clone(meters),
        );
        let span = tracing::debug_span!("deliver", endpoint = %row.name);
        let (name, soft) = (row.name.clone(), soft.clone());
        self.free_since.remove(&row.name);
        self.leading.insert(row.name, Leading { messages });
        self.dispatchers.spawn(async move { (name, dispatcher.run(received, soft).await) }.instrument(span));
        Ok(())
    }

    /// Whether to wait, so that another process that leads fewer endpoints can claim this one first.
    fn is_impolite(&mut self, name: &EndpointName) -> bool {
        let now = Instant::now();
        if self.rivals.is_alone(BEAT_EVERY * 2, now) {
            return false;
        }
        let since = *self.free_since.entry(name.clone()).or_insert(now);
        let wait = YIELD_DELAY * u32::try_from(self.leading.len()).unwrap_or(u32::MAX);
        now - since < wait.min(POLL_EVERY)
    }

    async fn ended(&mut self, name: EndpointName, ended: Ended) {
        self.leading.remove(&name);
        let Pool { store, clock, process, .. } = self.pool;
        match ended {
            Ended::Lost => tracing::warn!(endpoint = %name, "another process delivers to the endpoint now"),
            Ended::Drained => {
                if let Err(error) = store.give_up_lead(&name, *process, clock.now()).await {
                    tracing::warn!(endpoint = %name, error = %Chain(&error), "lead not given up yet");
                }
            }
        }
    }

    fn endpoint(&self, name: &EndpointName) -> Option<&Arc<Endpoint>> {
        self.pool.endpoints.iter().find(|endpoint| endpoint.name() == name)
    }
}

/// Says that none of the endpoints takes callbacks, and what to do; and that one does again.
fn tell_of_outage(news: News<'_>) {
    let down = match news {
        News::Nothing => return,
        News::Over(row) => return tracing::info!(endpoint = %row.name, "callbacks are taken again"),
        News::Down(down) => down,
    };
    let endpoints = down.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
    let error = down.first().and_then(|first| first.last_error.as_deref());
    tracing::error!(
        %endpoints, error,
        "no endpoint takes callbacks; they are kept, and go out in order later. `lumo-bridge endpoint test NAME` shows what a \
         receiver answers; one that is suspended needs `lumo-bridge endpoint resume NAME` after its repair"
    );
}
