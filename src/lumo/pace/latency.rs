//! When answers have become so slow that the server should be asked less.
//!
//! Each priority and listing is watched on its own: pages from deep in a list take longer than those from its beginning,
//! and a change from one kind of question to another must not look like a server in trouble. What counts is that even
//! the quickest of the last few answers took twice as long as is usual. Each doubling counts once: after it every watch
//! takes what it sees next for the usual, so a server that stays slow is asked less once and not ever less.

use std::time::Duration;

use super::Priority;
use crate::model::Listing;

/// What is quicker than this counts as this: below it a factor is noise.
const MIN_LATENCY: Duration = Duration::from_millis(50);
/// How many answers in a row have to be slow.
const RECENT_ANSWERS: usize = 8;
/// How much of a new answer goes into what is usual, when it was slower than that and when it was quicker.
const WEIGHT_OF_SLOWER: f64 = 1.0 / 256.0;
const WEIGHT_OF_QUICKER: f64 = 1.0 / 32.0;

/// How long answers take, by priority and listing.
#[derive(Debug, Default)]
pub(super) struct Latency([[Watch; 3]; 3]);

#[derive(Debug, Default)]
struct Watch {
    /// Seconds; absent before the first answer.
    usual: Option<f64>,
    /// The quickest of the answers counted by `seen`, in seconds.
    quickest: f64,
    seen: usize,
    /// The next few answers are the usual, even if they are slower than it was.
    settling: bool,
}

impl Watch {
    fn doubled(&mut self, took: f64) -> bool {
        let usual = *self.usual.get_or_insert(took);
        let usual = usual + (took - usual) * if took > usual { WEIGHT_OF_SLOWER } else { WEIGHT_OF_QUICKER };
        self.usual = Some(usual);
        self.quickest = if self.seen == 0 { took } else { self.quickest.min(took) };
        self.seen += 1;
        if self.seen < RECENT_ANSWERS {
            return false;
        }
        self.seen = 0;
        if self.settling {
            self.settling = false;
            self.usual = Some(usual.max(self.quickest));
            return false;
        }
        self.quickest >= 2.0 * usual
    }
}

impl Latency {
    /// Notes how long a clean answer took; whether answers have become twice as slow.
    pub(super) fn doubled(&mut self, priority: Priority, listing: Listing, took: Duration) -> bool {
        let [fresh, hot, sweep] = &mut self.0;
        let [wallets, blocked, deposits] = match priority {
            Priority::Fresh => fresh,
            Priority::Recent => hot,
            Priority::Sweep => sweep,
        };
        let watch = match listing {
            Listing::Wallets => wallets,
            Listing::Blocked => blocked,
            Listing::Deposits => deposits,
        };
        watch.doubled(took.max(MIN_LATENCY).as_secs_f64())
    }

    /// The rate was lowered: what answers take at the new one is the usual.
    pub(super) fn settle(&mut self) {
        for watch in self.0.iter_mut().flatten() {
            watch.seen = 0;
            watch.settling = true;
        }
    }
}
