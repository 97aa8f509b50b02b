//! A value that is made anew when it has proved bad: an HTTP client whose connections lead to a server that fails.
//!
//! A client keeps connections and reuses them, also after the name that they were opened for has got another address. A new
//! client has none, so it looks the name up again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nothing is made anew more often than this: what is younger has been made of what is true now.
const MIN_AGE: Duration = Duration::from_secs(1);

pub struct Renewable<T> {
    current: Mutex<Current<T>>,
    make: Arc<dyn Fn() -> Option<T> + Send + Sync>,
}

struct Current<T> {
    value: T,
    /// Absent for the first value.
    renewed_at: Option<Instant>,
    is_expired: bool,
}

impl<T: Clone + Send + 'static> Renewable<T> {
    /// `make` may take its time; while it gives nothing the old value stays.
    pub fn new(value: T, make: impl Fn() -> Option<T> + Send + Sync + 'static) -> Self {
        let current = Mutex::new(Current { value, renewed_at: None, is_expired: false });
        Self { current, make: Arc::new(make) }
    }

    /// Whoever asks from now on gets a new value.
    pub fn expire(&self) {
        self.lock().is_expired = true;
    }

    /// The value, made anew if it has expired. Cancel safe.
    pub async fn get(&self) -> T {
        {
            let current = self.lock();
            let is_young = current.renewed_at.is_some_and(|renewed_at| renewed_at.elapsed() < MIN_AGE);
            if !current.is_expired || is_young {
                return current.value.clone();
            }
        }
        let make = Arc::clone(&self.make);
        let made = tokio::task::spawn_blocking(move || make()).await.ok().flatten();
        let mut current = self.lock();
        if let Some(value) = made {
            *current = Current { value, renewed_at: Some(Instant::now()), is_expired: false };
        }
        current.value.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Renewable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_expired_value_is_made_anew_once() {
        let made = AtomicU32::new(0);
        let renewable = Renewable::new(0, move || Some(made.fetch_add(1, Ordering::Relaxed) + 1));
        assert_eq!(renewable.get().await, 0);
        renewable.expire();
        assert_eq!((renewable.get().await, renewable.get().await), (1, 1));
    }

    #[tokio::test]
    async fn the_old_value_stays_where_no_new_one_can_be_made() {
        let renewable = Renewable::new(0, || None);
        renewable.expire();
        assert_eq!(renewable.get().await, 0);
    }
}
