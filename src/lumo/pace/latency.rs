//! Detects that answers have become so slow that the rate should fall.
//!
//! Each pair of priority and listing has a watch of its own: pages from deep in a list take longer than those from its
//! beginning, and a change of the kind of request must not look like a slow server. The signal is that even the fastest
//! of the last few answers took twice the usual time. Each doubling counts once: after it every watch takes the next
//! answers as the usual time, so a server that stays slow lowers the rate once and not again and again.

use std::time::Duration;

use super::Priority;
use crate::model::Listing;

/// A faster answer counts as this long: below it a factor of two is noise.
const MIN_LATENCY: Duration = Duration::from_millis(50);
/// How many consecutive answers have to be slow.
const RECENT_ANSWERS: usize = 8;
/// The weight of a new answer in the average: when it was slower than the average, and when it was faster.
const WEIGHT_OF_SLOWER: f64 = 1.0 / 256.0;
const WEIGHT_OF_QUICKER: f64 = 1.0 / 32.0;

/// The usual time of an answer, by priority and listing.
#[derive(Debug, Default)]
pub(super) struct Latency([[Watch; 3]; 3]);

#[derive(Debug, Default)]
struct Watch {
    /// Seconds; absent before the first answer.
    usual: Option<f64>,
    /// The fastest of the answers counted by `seen`, in seconds.
    quickest: f64,
    seen: usize,
    /// The next few answers set the usual time, even if they are slower than it was.
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
    /// Records how long a clean answer took (a refusal is one, too). Returns whether answers have become twice as slow.
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

    /// The rate was lowered: the usual time is learned anew at the new rate.
    pub(super) fn settle(&mut self) {
        for watch in self.0.iter_mut().flatten() {
            watch.seen = 0;
            watch.settling = true;
        }
    }
}
