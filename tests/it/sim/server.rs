//! The model as an upstream: answers requests at once, without a socket, from a world that changes before each of them.
//!
//! Whatever is left to chance comes from one generator in the order of the requests, so the same seed makes the same run. A
//! script, where a scenario has one, decides in its stead.

pub(crate) mod chance;
pub(crate) mod database;
mod failure;
mod log;
mod page;
mod shape;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use lumo_bridge::lumo::{self, ListQuery, Priority};
use lumo_bridge::model::Listing;
use lumo_bridge::model::record::{Deposit, Page, Reject, Wallet};
use lumo_bridge::sync::{Milestone, Upstream};
use rand::RngExt;
use tokio::sync::Notify;

use chance::Chance;
pub(crate) use failure::Failure;
pub(crate) use log::{Answered, Asked, Logged};
use page::Content;
use shape::Shaped;

use super::model::{Moment, State, World};
use super::quirks::{Cap, Churn, Faults, Quirks};

/// More than any request takes, its repetitions included, where others go first in between.
const TURNS: u32 = 10;

/// Lets everything else go on that can, without a look at the system's events, as tokio's own way would take.
async fn turn() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a script lets the server do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// What it would do anyway.
    Answer,
    Fail(Failure),
    /// The process that asked dies.
    Die,
    /// What it would do anyway, but only when the test says so.
    Wait,
    /// The page that begins so many rows later.
    Shift(u64),
    /// The page without this row, as if it were not there.
    Omit(usize),
    /// No row, though the total says otherwise.
    Empty,
    /// No row and a total of 0, as if the list were empty.
    Nothing,
    /// The page without its last row.
    Short,
    /// At most so many rows of the page.
    Cut(u64),
    /// The page as it was at this moment.
    AsOf(Moment),
    /// The page with all of its rows as they never were.
    Invent,
    /// The page with this total.
    Total(Option<u64>),
    /// The first so many rows, whatever was asked for, beside a total of 0: as a mock of documentation does.
    Mock(u64),
}

type Script = Box<dyn FnMut(&mut World, &Asked) -> Act + Send>;
type Fatal = Box<dyn FnMut(&Milestone) -> bool + Send>;

/// A handle on the server; clones share it.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    live: Mutex<Live>,
    died: Notify,
    waits: Notify,
    goes_on: Notify,
}

pub(crate) struct Live {
    pub(crate) world: World,
    pub(crate) quirks: [Quirks; 3],
    pub(crate) churn: Churn,
    pub(crate) faults: Faults,
    pub(crate) log: Vec<Logged>,
    pub(crate) only_deposits: bool,
    /// Whether a deposit names its user's wallet and not its user.
    pub(crate) hides_users: bool,
    /// Answers take turns only where requests can be under way at the same time.
    pub(crate) concurrent: bool,
    pub(crate) chance: Chance,
    /// The process that asks has died, and nobody has taken note of it yet.
    pub(crate) is_dead: bool,
    script: Option<Script>,
    fatal: Option<Fatal>,
    caps: [u64; 3],
    totals: [Option<(Moment, u64)>; 3],
    /// Until when every request is refused for its key.
    locked_until: Moment,
    /// How far its clock is ahead of the world's.
    pub(crate) clock_skew: TimeDelta,
}

/// What becomes of a request. None if the process dies of it.
type Decided<R> = Option<Result<Page<R>, lumo::Error>>;

/// What lies between a request and its answer.
enum Pause {
    /// So many chances for others to go on.
    Turns(u32),
    /// As long as the test wants.
    Told,
}

impl Server {
    pub(crate) fn new(world: World, quirks: [Quirks; 3], chance: Chance) -> Self {
        let live = Live {
            world,
            quirks,
            churn: Churn::default(),
            faults: Faults::default(),
            log: Vec::new(),
            only_deposits: false,
            hides_users: false,
            concurrent: false,
            chance,
            is_dead: false,
            script: None,
            fatal: None,
            caps: quirks.map(|quirks| match quirks.cap {
                Cap::Changing(first, _) => first,
                _ => u64::MAX,
            }),
            totals: [None; 3],
            locked_until: 0,
            clock_skew: TimeDelta::zero(),
        };
        Self(Arc::new(Inner {
            live: Mutex::new(live),
            died: Notify::new(),
            waits: Notify::new(),
            goes_on: Notify::new(),
        }))
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a script decide from now on.
    pub(crate) fn script(&self, script: impl FnMut(&mut World, &Asked) -> Act + Send + 'static) {
        self.live().script = Some(Box::new(script));
    }

    /// Lets the process die at the milestones for which this holds.
    pub(crate) fn die_when(&self, fatal: impl FnMut(&Milestone) -> bool + Send + 'static) {
        self.live().fatal = Some(Box::new(fatal));
    }

    /// Nothing happens from now on, and nothing fails.
    pub(crate) fn stand_still(&self) {
        let mut live = self.live();
        live.catch_up();
        live.churn = Churn::default();
        live.faults = Faults::default();
        live.script = None;
        live.fatal = None;
        live.locked_until = 0;
    }

    /// What no script decides is left to chance again.
    pub(crate) fn drop_script(&self) {
        let mut live = self.live();
        live.script = None;
        live.fatal = None;
    }

    /// Returns when the process is to die.
    pub(crate) async fn died(&self) {
        self.0.died.notified().await;
    }

    /// Returns when a request waits for the test.
    pub(crate) async fn waits(&self) {
        self.0.waits.notified().await;
    }

    /// Lets the request that waits have its answer.
    pub(crate) fn go_on(&self) {
        self.0.goes_on.notify_one();
    }

    /// Lets the process die, once. Nothing more of it happens.
    async fn die<T>(&self) -> T {
        if !std::mem::replace(&mut self.live().is_dead, true) {
            self.0.died.notify_one();
        }
        std::future::pending().await
    }

    /// None if a dead process asks.
    fn asked<R: Shaped>(&self, listing: Listing, priority: Priority, query: &ListQuery) -> Option<(Decided<R>, Pause)> {
        let mut live = self.live();
        (!live.is_dead).then(|| live.request(listing, priority, query))
    }

    async fn answer<R: Shaped>(
        &self,
        listing: Listing,
        priority: Priority,
        query: &ListQuery,
    ) -> Result<Page<R>, lumo::Error> {
        let Some((answer, pause)) = self.asked(listing, priority, query) else { return std::future::pending().await };
        match pause {
            Pause::Turns(turns) => {
                for _ in 0..turns {
                    turn().await;
                }
            }
            Pause::Told => {
                self.0.waits.notify_one();
                self.0.goes_on.notified().await;
            }
        }
        match answer {
            Some(answer) => answer,
            None => self.die().await,
        }
    }
}

impl Upstream for Server {
    async fn wallets(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, lumo::Error> {
        self.answer(Listing::Wallets, priority, query).await
    }

    async fn blocked(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, lumo::Error> {
        self.answer(Listing::Blocked, priority, query).await
    }

    async fn deposits(&self, priority: Priority, query: &ListQuery) -> Result<Page<Deposit>, lumo::Error> {
        self.answer(Listing::Deposits, priority, query).await
    }

    async fn milestone(&self, milestone: Milestone) {
        if milestone == Milestone::PagesRequested {
            // All are answered before anything else is done: a database that is fast would have done some of it by then.
            for _ in 0..TURNS {
                turn().await;
            }
            return;
        }
        let fatal = {
            let mut live = self.live();
            live.is_dead || live.is_fatal(&milestone)
        };
        if fatal {
            self.die().await
        }
    }
}

impl Live {
    fn is_fatal(&mut self, milestone: &Milestone) -> bool {
        if let Some(fatal) = &mut self.fatal {
            return fatal(milestone);
        }
        self.chance.is_fatal(self.faults.crash)
    }

    /// One request, from the changes before it to what is logged of it.
    fn request<R: Shaped>(&mut self, listing: Listing, priority: Priority, query: &ListQuery) -> (Decided<R>, Pause) {
        let asked = Asked {
            number: u64::try_from(self.log.len()).unwrap() + 1,
            listing,
            priority,
            offset: query.offset,
            limit: query.limit,
            external_id: query.external_id.as_ref().map(|id| id.as_str().to_owned()),
            status: query.status.clone(),
        };
        // The engine reads the clock, and where requests are under way at the same time nobody knows how often it was moved
        // by then: it stands until they are all answered.
        self.chance.next_request();
        let concurrent = self.concurrent;
        let took = if concurrent { 0 } else { self.chance.of(|lot| &mut lot.took, |rng| rng.random_range(1..40)) };
        self.world.pass_time(TimeDelta::milliseconds(took));
        self.live_on(listing);
        let act = match &mut self.script {
            Some(script) => script(&mut self.world, &asked),
            None => self.act(),
        };
        let pause = match act {
            Act::Wait => Pause::Told,
            _ if concurrent => Pause::Turns(self.chance.of(|lot| &mut lot.pause, |rng| rng.random_range(0..2))),
            _ => Pause::Turns(0),
        };
        let (answer, answered) = match act {
            Act::Die => (None, Answered::Died),
            Act::Fail(failure) => (Some(Err(failure.error())), Answered::Failed(failure)),
            act => match self.content(&asked, &act) {
                Err(failure) => (Some(Err(failure.error())), Answered::Failed(failure)),
                Ok(content) => {
                    let (page, answered) = self.page(listing, &content, &act);
                    (Some(Ok(page)), answered)
                }
            },
        };
        self.chance.end_request();
        self.log.push(Logged { moment: self.world.now(), asked, answered });
        (answer, pause)
    }

    fn page<R: Shaped>(&self, listing: Listing, content: &Content, act: &Act) -> (Page<R>, Answered) {
        let row = |at: &(usize, State)| self.world.row(listing, at.0);
        let returned = content.rows.len();
        let (unreadable, readable): (Vec<_>, Vec<_>) = content.rows.iter().partition(|at| at.1.spoiled);
        let shaped = |at: &(usize, State)| {
            let item = R::shaped(row(at), &at.1);
            if self.hides_users { item.without_user(row(at)) } else { item }
        };
        let mut items: Vec<R> = readable.into_iter().map(shaped).collect();
        let rejects: Vec<Reject> = unreadable.into_iter().map(|at| shaped(at).garbled()).collect();
        if let Act::Invent = act {
            items = items.into_iter().map(Shaped::invented).collect();
        }
        let answered = Answered::Page {
            returned,
            total: content.total,
            first: content.rows.first().map(|at| row(at).id()),
            last: content.rows.last().map(|at| row(at).id()),
        };
        (Page { items, rejects, returned, total: content.total, served_at: Some(self.served_at()) }, answered)
    }

    /// Whole seconds, as the header has them.
    fn served_at(&self) -> DateTime<Utc> {
        (self.world.time(self.world.now()) + self.clock_skew).trunc_subsecs(0)
    }
}
