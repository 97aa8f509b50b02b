//! Requests the pages of a list, and ahead of time those that will probably be needed next.
//!
//! The walk alone decides which page comes next. The pages that it will probably request are requested early and kept.
//! A right guess saves the wait, a wrong one is thrown away. The walk's proof does not depend on when a page was read,
//! so guessing cannot weaken it.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::chain::Chain;
use crate::clock::Clock;
use crate::lumo::{Error, ListQuery, Priority};
use crate::model::Listing;
use crate::model::id::ExternalId;
use crate::model::record::Page;
use crate::sync::scan::walk::{Read, Seen};
use crate::sync::upstream::{Milestone, Source, Upstream};

/// How often a page is requested before the reader gives up.
const MAX_TRIES: u32 = 4;

/// The most bytes of pages that were read ahead of time.
const MAX_BYTES_AHEAD: usize = 8 * 1024 * 1024;
/// Pages of this size or more are read and stored one at a time, across all listings.
const LARGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// How many bytes the last page of a listing had; 0 before the first.
pub(in crate::sync) type PageBytes = Arc<AtomicUsize>;

/// The right to have a large page in memory.
pub(in crate::sync) type Turn = OwnedMutexGuard<()>;

/// The size of a listing's pages, and the lock that keeps large ones from being read at the same time.
#[derive(Clone, Debug)]
pub(in crate::sync) struct Sizes {
    pub(in crate::sync) page: PageBytes,
    pub(in crate::sync) large: Arc<Mutex<()>>,
}

impl Sizes {
    /// How many pages may be in flight: at most this many, fewer if they are large, and one if their size is not known
    /// or above [`LARGE_PAGE_BYTES`].
    pub(in crate::sync) fn window(&self, most: usize) -> usize {
        match self.page.load(Ordering::Relaxed) {
            0 | LARGE_PAGE_BYTES.. => 1,
            bytes => (MAX_BYTES_AHEAD / bytes).clamp(1, most.max(1)),
        }
    }

    fn is_large(&self) -> bool {
        self.page.load(Ordering::Relaxed) >= LARGE_PAGE_BYTES
    }
}

/// Which rows to read, and how.
#[derive(Clone, Debug)]
pub(in crate::sync) struct Scope {
    pub(in crate::sync) listing: Listing,
    pub(in crate::sync) priority: Priority,
    /// Only this user's rows.
    pub(in crate::sync) user: Option<ExternalId>,
    /// Only deposits in this status.
    pub(in crate::sync) status: Option<String>,
}

impl Scope {
    /// The whole listing.
    pub(in crate::sync) fn all(listing: Listing, priority: Priority) -> Self {
        Self { listing, priority, user: None, status: None }
    }
}

/// A page, and a time before it was requested.
#[derive(Debug)]
pub(in crate::sync) struct Fetched<R> {
    /// The list that the page is a part of.
    pub(in crate::sync) listing: Listing,
    pub(in crate::sync) read_at: DateTime<Utc>,
    pub(in crate::sync) read: Read,
    pub(in crate::sync) page: Page<R>,
    /// Held until the page is stored, if it is large.
    pub(in crate::sync) turn: Option<Turn>,
}

impl<R: Source> Fetched<R> {
    /// The bytes of its items; at least 1.
    fn bytes(&self) -> usize {
        self.page.items.iter().map(|item| item.raw().len()).sum::<usize>().max(1)
    }

    /// The content of the page, for the walk.
    pub(in crate::sync) fn seen(&self) -> Seen {
        let readable = self.page.items.iter().map(R::id_str);
        let unreadable = self.page.rejects.iter().map(|reject| reject.key.as_str());
        Seen {
            returned: u64::try_from(self.page.returned).unwrap_or(u64::MAX),
            ids: readable.chain(unreadable).map(crate::sync::hash).collect(),
            total: self.page.total,
        }
    }
}

type Answer<R> = Result<Fetched<R>, Error>;

/// Reads one scope.
pub(in crate::sync) struct Reader<U, R> {
    upstream: U,
    clock: Clock,
    scope: Arc<Scope>,
    first_wait: Duration,
    /// How many pages may be in flight or wait to be requested, if they are small.
    window: usize,
    sizes: Sizes,
    requests: Arc<AtomicU64>,
    under_way: JoinSet<(Read, Answer<R>)>,
    /// The requested pages, and the answer to each once it has arrived.
    asked: HashMap<(u64, u32), Option<Answer<R>>>,
}

impl<U: Upstream, R: Source> Reader<U, R> {
    /// `first_wait` is the longest wait before the second try of a page. It doubles with each further try.
    pub(in crate::sync) fn new(
        upstream: &U,
        clock: &Clock,
        scope: Scope,
        first_wait: Duration,
        window: usize,
        sizes: Sizes,
    ) -> Self {
        Self {
            upstream: upstream.clone(),
            clock: clock.clone(),
            scope: Arc::new(scope),
            first_wait,
            window,
            sizes,
            requests: Arc::default(),
            under_way: JoinSet::new(),
            asked: HashMap::new(),
        }
    }

    /// How many pages may be in flight.
    pub(in crate::sync) fn window(&self) -> usize {
        self.sizes.window(self.window)
    }

    /// Whether only some of the rows are requested.
    pub(in crate::sync) fn is_filtered(&self) -> bool {
        self.scope.user.is_some() || self.scope.status.is_some()
    }

    /// Whether only the rows of one user are requested.
    pub(in crate::sync) fn is_of_user(&self) -> bool {
        self.scope.user.is_some()
    }

    /// How many requests were made since the last call.
    pub(in crate::sync) fn take_requests(&self) -> u64 {
        self.requests.swap(0, Ordering::Relaxed)
    }

    /// Returns the page, and requests those that will follow. Cancel safe.
    ///
    /// # Errors
    /// The error of the upstream, after [`MAX_TRIES`] tries.
    pub(in crate::sync) async fn take(&mut self, read: Read, ahead: &[Read]) -> Answer<R> {
        self.expect(read, ahead);
        self.upstream.milestone(Milestone::PagesRequested).await;
        loop {
            if let Some(answer) = self.arrived(read) {
                return answer;
            }
            match self.under_way.join_next().await {
                Some(joined) => self.note(joined),
                // The request was cancelled before it was answered. It is made again.
                None => self.ask(read, self.sizes.is_large()),
            }
        }
    }

    /// The page, if it has arrived.
    pub(in crate::sync) fn ready(&mut self, read: Read) -> Option<Answer<R>> {
        while let Some(joined) = self.under_way.try_join_next() {
            self.note(joined);
        }
        self.arrived(read)
    }

    /// Requests the page and those that will follow, unless they are requested already. If the guesses were wrong,
    /// drops what was requested.
    pub(in crate::sync) fn expect(&mut self, read: Read, ahead: &[Read]) {
        if !self.asked.contains_key(&key(read)) && !self.asked.is_empty() {
            self.under_way.abort_all();
            self.asked.clear();
        }
        // Of large pages only the one that is needed next is requested: one that was read ahead would hold the lock
        // that it needs.
        let is_large = self.sizes.is_large();
        let window = if is_large { 1 } else { self.window() };
        for read in [&read].into_iter().chain(ahead).take(window) {
            if !self.asked.contains_key(&key(*read)) {
                self.ask(*read, is_large);
            }
        }
    }

    fn ask(&mut self, read: Read, is_large: bool) {
        self.asked.insert(key(read), None);
        let (upstream, clock, scope) = (self.upstream.clone(), self.clock.clone(), Arc::clone(&self.scope));
        let (requests, first_wait) = (Arc::clone(&self.requests), self.first_wait);
        // The pages of several users are in flight at the same time, so none of them may hold the lock.
        let takes_turns = is_large && self.scope.user.is_none();
        let large = takes_turns.then(|| Arc::clone(&self.sizes.large));
        let fetching = async move {
            let turn = match large {
                Some(large) => Some(large.lock_owned().await),
                None => None,
            };
            let answer = fetch(&upstream, &clock, &scope, read, first_wait, &requests).await;
            (read, answer.map(|fetched| Fetched { turn, ..fetched }))
        };
        self.under_way.spawn(fetching.in_current_span());
    }

    fn note(&mut self, joined: Result<(Read, Answer<R>), JoinError>) {
        match joined {
            Ok((read, answer)) => {
                // A filtered page says nothing about the size of an unfiltered one.
                if let Ok(fetched) = &answer
                    && self.scope.user.is_none()
                    && self.scope.status.is_none()
                {
                    self.sizes.page.store(fetched.bytes(), Ordering::Relaxed);
                }
                if let Some(place) = self.asked.get_mut(&key(read)) {
                    *place = Some(answer);
                }
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    fn arrived(&mut self, read: Read) -> Option<Answer<R>> {
        self.asked.get(&key(read))?.as_ref()?;
        self.asked.remove(&key(read))?
    }
}

const fn key(read: Read) -> (u64, u32) {
    (read.offset, read.limit)
}

/// Requests one page; tries again after errors that may pass.
async fn fetch<U: Upstream, R: Source>(
    upstream: &U,
    clock: &Clock,
    scope: &Scope,
    read: Read,
    first_wait: Duration,
    requests: &AtomicU64,
) -> Answer<R> {
    let Scope { listing, priority, user, status } = scope;
    let query = ListQuery { limit: read.limit, offset: read.offset, external_id: user.clone(), status: status.clone() };
    let mut longest = first_wait;
    let mut tries = 1;
    loop {
        requests.fetch_add(1, Ordering::Relaxed);
        let read_at = clock.now();
        let error = match R::fetch(upstream, *listing, *priority, &query).await {
            Ok(page) => {
                upstream.milestone(Milestone::PageRead).await;
                return Ok(Fetched { listing: *listing, read_at, read, page, turn: None });
            }
            Err(error) if tries < MAX_TRIES && may_pass(&error) => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(%listing, offset = read.offset, tries, error = %Chain(&error), "page not read; trying again");
        if !longest.is_zero() {
            // Full jitter: many bridges that fail together must not come back together.
            tokio::time::sleep(longest.mul_f64(rand::random())).await;
        }
        longest *= 2;
        tries += 1;
    }
}

/// Whether the error may pass: an outage, or a malformed answer.
fn may_pass(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Contract { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_pages_are_the_fewer_are_under_way() {
        let sizes = Sizes { page: PageBytes::default(), large: Arc::default() };
        for (bytes, window) in
            [(0, 1), (60_000, 8), (1 << 20, 8), (LARGE_PAGE_BYTES - 1, 4), (LARGE_PAGE_BYTES, 1), (16 << 20, 1)]
        {
            sizes.page.store(bytes, Ordering::Relaxed);
            assert_eq!((sizes.window(8), sizes.is_large()), (window, bytes >= LARGE_PAGE_BYTES), "{bytes}");
        }
    }
}
