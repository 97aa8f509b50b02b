//! Writes the log lines of work that is tried again after each failure, so that a database that is away for an hour is no
//! line a second: one for each thing that fails, as it begins, then a summary a minute, and one when all of it is over.

use std::fmt::Display;
use std::time::Instant;

use super::{News, Outage};

/// Work that is tried again after each failure.
#[derive(Debug)]
pub struct Retried {
    /// The endpoint that it is for, if it is for one.
    endpoint: Option<String>,
    /// What the log says when it succeeds again.
    again: &'static str,
    outage: Outage,
    /// What has failed in this outage.
    named: Vec<&'static str>,
}

impl Retried {
    #[must_use]
    pub fn new(again: &'static str) -> Self {
        Self { endpoint: None, again, outage: Outage::default(), named: Vec::new() }
    }

    #[must_use]
    pub fn of_endpoint(endpoint: &str, again: &'static str) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), ..Self::new(again) }
    }

    /// An attempt that began then failed. `what` says which part of the work, as in "lease not renewed".
    pub fn failed(&mut self, what: &'static str, began: Instant, error: &dyn Display) {
        let now = Instant::now();
        let earlier = self.outage.look(now);
        self.say_end(earlier);
        let news = self.note(what, began, now);
        let endpoint = self.endpoint.as_deref();
        match news {
            News::Begun => tracing::warn!(
                endpoint, %error, "{what}; trying again. Further failures are summed up once a minute"
            ),
            News::Goes { failures, lasted, .. } => tracing::warn!(
                endpoint, failures, since_s = lasted.as_secs(), %error, "{what}, still; `error` is the last"
            ),
            News::Nothing | News::Over { .. } => tracing::debug!(endpoint, %error, "{what}; trying again"),
        }
    }

    /// It succeeded.
    pub fn succeeded(&mut self) {
        let news = self.outage.succeeded(Instant::now());
        self.say_end(news);
    }

    /// Time has passed; see [`Outage::look`].
    pub fn look(&mut self) {
        let news = self.outage.look(Instant::now());
        self.say_end(news);
    }

    fn note(&mut self, what: &'static str, began: Instant, now: Instant) -> News {
        let news = self.outage.failed_since(began, now);
        if self.named.contains(&what) {
            return news;
        }
        self.named.push(what);
        News::Begun
    }

    fn say_end(&mut self, news: News) {
        let News::Over { failures, lasted } = news else { return };
        self.named.clear();
        tracing::info!(endpoint = self.endpoint.as_deref(), failures, lasted_s = lasted.as_secs(), "{}", self.again);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_thing_that_fails_is_named_once_until_all_of_it_is_over() {
        let (start, mut retried) = (Instant::now(), Retried::new("all is well"));
        let at = |second| start + Duration::from_secs(second);
        let mut said = Vec::new();
        for second in 0..120 {
            let what = if second == 0 { "not written" } else { "end not known" };
            let news = retried.note(what, at(second), at(second));
            if news != News::Nothing {
                said.push((second, what, news == News::Begun));
            }
        }
        assert_eq!(said, [(0, "not written", true), (1, "end not known", true), (60, "end not known", false)]);

        let over = retried.outage.succeeded(at(130));
        assert_eq!(over, News::Over { failures: 120, lasted: Duration::from_secs(130) });
        retried.say_end(over);
        assert_eq!(retried.note("end not known", at(131), at(131)), News::Begun);
    }
}
