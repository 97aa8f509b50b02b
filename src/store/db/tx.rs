//! Runs work in a named transaction, and repeats it if it collides with another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::store::db::transaction::Transaction;
use crate::store::{Ending, Error, Inner, OpenTx, Store, Tx, TxAttempt, timeouts};

/// How often a transaction that collides with another is tried.
const TRIES: u32 = 8;

impl Store {
    /// Runs `work` in a transaction. A collision (deadlock, busy writer, a key that another writer took first) runs it
    /// again from the start, after a short, jittered wait; so `work` must do nothing but database work.
    ///
    /// # Errors
    /// What `work` returned, or [`Error::Conflict`] if every try collided. Nothing is stored then.
    pub async fn tx<T, Work>(&self, name: &'static str, work: impl Fn(Tx) -> Work) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        self.tx_ending(name, Ending::Commit, work).await
    }

    /// Like [`Store::tx`], with a choice of ending.
    ///
    /// # Errors
    /// As [`Store::tx`].
    // The transaction is passed by value, not borrowed. The compiler cannot prove the future of a closure over a
    // borrowed one to be `Send` for every lifetime, and everything here runs in spawned tasks.
    pub async fn tx_ending<T, Work>(
        &self,
        name: &'static str,
        ending: Ending,
        work: impl Fn(Tx) -> Work,
    ) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            tries += 1;
            let is_first = tries == 1;
            let attempt = TxAttempt { is_first, wrote: Arc::default() };
            let wrote = Arc::clone(&attempt.wrote);
            // Boxed, because the future is large and is awaited in many places.
            let attempt = Box::pin(self.attempt(name, ending, attempt, &work));
            let result = timeouts::transaction(self.backend(), attempt).await;
            let outcome = match (&result, ending) {
                (Ok(_), Ending::Commit) => "committed",
                (Ok(_), Ending::RollBack) => "rolled_back",
                (Err(Error::Collision(_)), _) => "collided",
                (Err(_), _) => "failed",
            };
            self.meters().count(name, outcome);
            match result {
                Err(Error::Collision(source)) if tries < TRIES => {
                    self.meters().count_retry(name);
                    tracing::debug!(tx = name, tries, error = %source, "transaction collided");
                    let wait = rand::rng().random_range(2..=10 * u64::from(tries));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                result => {
                    let result = result.map_err(|error| match error {
                        Error::Collision(source) => Error::Conflict { name, source },
                        error => error,
                    });
                    match &result {
                        Ok(_) if wrote.load(Ordering::Relaxed) => self.inner.troubles.committed(name),
                        Err(error) if ending == Ending::Commit => self.inner.troubles.failed(name, error, began),
                        _ => {}
                    }
                    return result;
                }
            }
        }
    }

    /// One try. If it is not committed, even because it was dropped, it leaves nothing behind.
    async fn attempt<T, Work>(
        &self,
        name: &'static str,
        ending: Ending,
        attempt: TxAttempt,
        work: &impl Fn(Tx) -> Work,
    ) -> Result<T, Error>
    where
        Work: Future<Output = Result<T, Error>>,
    {
        let Inner { write, settings, file, distrust, failpoint, .. } = &*self.inner;
        if let Some(file) = file {
            file.check()?;
        }
        let session = Transaction::begin(write, settings.as_deref(), distrust, failpoint.counter(name)).await?;
        let session = Arc::new(OpenTx { session, store: self.clone(), wakes: AtomicBool::new(false), attempt });
        let result = work(Tx(Arc::clone(&session))).await;
        // The work has ended, so no other handle should exist. If one was kept, the transaction is not committed.
        let Some(OpenTx { session, wakes, attempt, .. }) = Arc::into_inner(session) else {
            return result.and(Err(Error::Leaked));
        };
        match (&result, ending) {
            (Ok(_), Ending::Commit) => {
                attempt.wrote.store(session.commit().await?, Ordering::Relaxed);
                if wakes.into_inner() {
                    self.wake();
                }
            }
            (Ok(_), Ending::RollBack) => session.roll_back().await,
            (Err(error), _) => session.abandon(error).await,
        }
        result
    }
}
