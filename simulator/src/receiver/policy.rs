//! What the receiver answers: by default yes to what verifies, and anything else a test wants.
//!
//! Rules come in this order: a number of failures first, then the script, then 401 for what does not verify, then the
//! usual status.

use std::fmt;
use std::sync::Arc;

use crate::receiver::received::{Answer, Received, Verdict};

type Script = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Policy {
    usual: u16,
    failures: usize,
    failing_with: u16,
    script: Option<Script>,
}

/// What to do about one request: a fixed answer, or whatever the script says.
pub(crate) enum Ruling {
    Fixed(u16),
    Ask(Script),
}

impl Default for Policy {
    fn default() -> Self {
        Self { usual: 200, failures: 0, failing_with: 500, script: None }
    }
}

impl Policy {
    pub(crate) fn answer_with(&mut self, status: u16) {
        self.usual = status;
    }

    pub(crate) fn fail_next(&mut self, n: usize, status: u16) {
        (self.failures, self.failing_with) = (n, status);
    }

    pub(crate) fn set_script(&mut self, script: Option<Script>) {
        self.script = script;
    }

    /// Rules on one request, using up a failure if there are any left. The script is handed out instead of run, so that
    /// it runs without the lock and may itself use the receiver.
    pub(crate) fn rule(&mut self, verdict: &Verdict) -> Ruling {
        if let Some(left) = self.failures.checked_sub(1) {
            self.failures = left;
            return Ruling::Fixed(self.failing_with);
        }
        match (&self.script, verdict) {
            (Some(script), _) => Ruling::Ask(Arc::clone(script)),
            (None, Verdict::Invalid(_)) => Ruling::Fixed(401),
            (None, Verdict::Verified | Verdict::Unchecked) => Ruling::Fixed(self.usual),
        }
    }
}

impl Ruling {
    pub(crate) fn answer(&self, request: &Received) -> Answer {
        match self {
            Self::Fixed(status) => Answer::status(*status),
            Self::Ask(script) => script(request),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut policy = f.debug_struct("Policy");
        policy.field("usual", &self.usual).field("failures", &self.failures).field("failing_with", &self.failing_with);
        policy.field("scripted", &self.script.is_some()).finish()
    }
}
