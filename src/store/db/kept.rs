//! Caches a value that is costly to read from a table, until rows are added to the table or a minute has passed.
//!
//! A dashboard asks for row counts every few seconds, which must cost an idle daemon almost nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::Error;

/// Rows change without a new number, too, and may be removed by hand.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The last value.
pub(in crate::store) struct Kept<T>(Mutex<Option<Made<T>>>);

struct Made<T> {
    value: T,
    /// The last number that was given to a row before it was made.
    last_row_no: i64,
    made_at: Instant,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Kept<T> {
    /// The value of a table whose last row has this number, made anew if rows were added since, or after
    /// [`KEPT_FOR`].
    pub(in crate::store) async fn get(
        &self,
        last_row_no: i64,
        make: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let made_at = Instant::now();
        if let Some(value) = self.of(last_row_no, made_at) {
            return Ok(value);
        }
        let value = make.await?;
        *self.lock() = Some(Made { value: value.clone(), last_row_no, made_at });
        Ok(value)
    }

    fn of(&self, last_row_no: i64, now: Instant) -> Option<T> {
        let kept = self.lock();
        let is_good =
            |made: &&Made<T>| made.last_row_no == last_row_no && now.saturating_duration_since(made.made_at) < KEPT_FOR;
        kept.as_ref().filter(is_good).map(|made| made.value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Made<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_kept_until_a_row_is_added_and_for_a_minute_at_most() {
        let kept = Kept::default();
        assert_eq!(kept.get(7, async { Ok("first") }).await.unwrap(), "first");
        assert_eq!(kept.get(7, async { Ok("second") }).await.unwrap(), "first");
        assert_eq!(kept.get(8, async { Ok("third") }).await.unwrap(), "third");
        assert_eq!(kept.of(8, Instant::now() + KEPT_FOR), None, "it is too old");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let kept = Kept::default();
        assert!(kept.get(7, async { Err(Error::NotMigrated) }).await.is_err());
        assert_eq!(kept.get(7, async { Ok(1) }).await.unwrap(), 1);
    }
}
