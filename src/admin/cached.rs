//! A value that takes work, kept for a while.
//!
//! However often and by however many it is asked for, the work is done by one at a time, and no more than a twentieth of the
//! time goes into it: what took a second is kept for twenty.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value is kept for so many times as long as it took.
const REST: u32 = 19;

/// The last value, and until when it is good enough.
pub(super) struct Cached<T>(Mutex<Option<(Arc<T>, Instant)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Cached<T> {
    /// The value, made anew if the last one is older than `least` and has been paid for.
    pub(super) async fn get<E>(&self, least: Duration, work: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut kept = self.0.lock().await;
        let start = Instant::now();
        if let Some((value, until)) = &*kept
            && start < *until
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(work.await?);
        let end = Instant::now();
        *kept = Some((Arc::clone(&value), end + least.max((end - start).saturating_mul(REST))));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_took_long_is_kept_long() {
        let cached = Cached::default();
        let slow = async |value| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, ()>(value)
        };
        assert_eq!(cached.get(Duration::ZERO, slow(1)).await.as_deref(), Ok(&1));
        tokio::time::advance(Duration::from_secs(18)).await;
        assert_eq!(cached.get(Duration::ZERO, slow(2)).await.as_deref(), Ok(&1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(cached.get(Duration::ZERO, slow(3)).await.as_deref(), Ok(&3));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cached = Cached::default();
        assert_eq!(cached.get(Duration::MAX, async { Err::<u8, _>("no") }).await, Err("no"));
        assert_eq!(cached.get(Duration::ZERO, async { Ok::<_, &str>(1) }).await.as_deref(), Ok(&1));
    }
}
