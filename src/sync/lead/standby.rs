//! Keeps what a standby knows about the lease and its holder, and logs whether this process reads.

use std::time::{Duration, Instant};

use super::Rival;
use crate::outage::Retried;
use crate::store::{self, Holder, Store};

/// How often a standby polls the lease, …
const POLL_EVERY: Duration = Duration::from_secs(1);
/// … and how often in the beginning, …
const FIRST_POLL_EVERY: Duration = Duration::from_millis(100);
/// … which lasts this long: a process that was killed and started again finds its own old lease.
const FIRST_POLLS_FOR: Duration = Duration::from_secs(3);
/// How often a standby asks whose key it has, while Lumo does not answer that.
const IDENTIFY_EVERY: Duration = Duration::from_secs(10);

/// How the database last answered about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It said who holds the lease.
    Given,
    /// It did not answer.
    Missing,
    /// The lease is free for this process, but the database takes no writes.
    Unwritable,
}

impl Answer {
    pub(super) fn of<T>(asked: &Result<T, store::Error>) -> Self {
        match asked {
            Ok(_) => Self::Given,
            Err(store::Error::Unwritable(_)) => Self::Unwritable,
            Err(_) => Self::Missing,
        }
    }
}

/// The part of a process in reading, as the log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Reads,
    /// Another process holds the lease.
    StandsBy,
    /// This process cannot get the lease, and need not have a rival.
    CannotLead,
}

/// What a standby knows.
pub(super) struct Standby {
    began: Instant,
    pub(super) rival: Option<Rival>,
    pub(super) answer: Answer,
    announced: Option<Role>,
    /// When Lumo last failed to say whose key this process has.
    pub(super) unidentified: Option<Instant>,
    /// The requests for the lease.
    pub(super) renewals: Retried,
}

impl Standby {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            rival: None,
            answer: Answer::Given,
            announced: None,
            unidentified: None,
            renewals: Retried::new("the database answers about the lease again"),
        }
    }

    pub(super) fn is_beginning(&self) -> bool {
        self.began.elapsed() < FIRST_POLLS_FOR
    }

    pub(super) fn may_identify(&self) -> bool {
        self.unidentified.is_none_or(|asked| asked.elapsed() >= IDENTIFY_EVERY)
    }

    pub(super) fn pause(&self) -> Duration {
        if self.is_beginning() { FIRST_POLL_EVERY } else { POLL_EVERY }
    }

    /// Logs who reads, when that changes. Not at the start: the holder may be dead, or be this process before the
    /// configuration was reloaded. Returns whether it is another process from now on.
    pub(super) fn announce(&mut self, store: &Store, leads: bool) -> bool {
        if !leads && self.is_beginning() {
            return false;
        }
        let is_own = |holder: &Holder| holder.process.is_some_and(|process| store.is_own_process(process));
        let Some(role) = self.role(leads, is_own).filter(|role| self.announced != Some(*role)) else { return false };
        self.announced = Some(role);
        match role {
            Role::Reads => tracing::info!("this process reads the listings"),
            Role::StandsBy => tracing::info!("another process reads the listings; this one stands by"),
            Role::CannotLead => tracing::warn!(
                "the lease of the listings could not be renewed; this process reads nothing until the database takes \
                 writes"
            ),
        }
        role == Role::StandsBy
    }

    /// The present part of this process; none if it is not known, or is as announced.
    fn role(&self, leads: bool, is_own: impl Fn(&Holder) -> bool) -> Option<Role> {
        if leads {
            return Some(Role::Reads);
        }
        match self.answer {
            // The other process may still reach the database.
            Answer::Missing if self.announced == Some(Role::StandsBy) => None,
            Answer::Missing | Answer::Unwritable => Some(Role::CannotLead),
            Answer::Given => {
                let holder = self.rival.as_ref()?.holder();
                (!holder.is_given_up() && !is_own(holder)).then_some(Role::StandsBy)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const OWN: u32 = 7;
    const OTHER: u32 = 8;

    fn role(answer: Answer, rival: Option<u32>, announced: Option<Role>) -> Option<Role> {
        let rival = rival.map(|process| {
            let owner = "a".to_owned();
            let holder = Holder { owner, epoch: 1, expires_at: DateTime::UNIX_EPOCH, process: Some(process) };
            Rival::seen(None, holder, true, Instant::now())
        });
        let standby = Standby { rival, answer, announced, ..Standby::new() };
        standby.role(false, |holder| holder.process == Some(OWN))
    }

    #[test]
    fn another_process_reads_only_where_the_database_says_so() {
        assert_eq!(role(Answer::Given, Some(OTHER), Some(Role::Reads)), Some(Role::StandsBy));
        assert_eq!(role(Answer::Given, Some(OWN), None), None, "this process before the reload");
        assert_eq!(role(Answer::Given, None, None), None);
    }

    #[test]
    fn a_lease_that_cannot_be_written_is_no_sign_of_another_process() {
        for answer in [Answer::Missing, Answer::Unwritable] {
            for announced in [None, Some(Role::Reads), Some(Role::CannotLead)] {
                assert_eq!(role(answer, None, announced), Some(Role::CannotLead), "{answer:?} {announced:?}");
                // The process before this one is dead, and its lease cannot be taken.
                assert_eq!(role(answer, Some(OTHER), announced), Some(Role::CannotLead), "{answer:?} {announced:?}");
            }
        }
        assert_eq!(role(Answer::Missing, Some(OTHER), Some(Role::StandsBy)), None, "the other one may still read");
        assert_eq!(role(Answer::Unwritable, Some(OTHER), Some(Role::StandsBy)), Some(Role::CannotLead));
    }
}
