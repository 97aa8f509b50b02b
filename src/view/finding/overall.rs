//! Sums up the findings in one sentence: the worst one, or, if there is none, what is still being delivered.
//!
//! The findings come sorted by severity, from [`Status::of`](crate::view::Status::of).

use super::{Finding, at};
use crate::callback::says_unauthorized;
use crate::deliver::trial::COMPARE_SECRET;
use crate::view::Endpoint;

/// The sentence; the worst finding comes first in `findings`.
#[must_use]
pub fn summary(findings: &[Finding], endpoints: &[Endpoint]) -> String {
    if let Some(worst) = findings.first() {
        let more = match findings.len() - 1 {
            0 => String::new(),
            1 => " There is 1 more finding.".to_owned(),
            more => format!(" There are {more} more findings."),
        };
        // What is counted as more is listed below the sentence, so the callbacks, which are not, come before it.
        return format!("{}.{}{more}", worst.message, also_failed(endpoints));
    }
    let sum = |count: fn(&Endpoint) -> i64| endpoints.iter().map(count).sum::<i64>();
    let (waiting, failed) = (sum(|endpoint| endpoint.waiting), sum(|endpoint| endpoint.retrying));
    let failing = failing(endpoints);
    match endpoints.iter().filter_map(|endpoint| endpoint.oldest_waiting_at).min() {
        Some(oldest) if (waiting, failed) == (1, 1) => format!(
            "Everything is synced; 1 callback, on its way since {}, has failed and is tried again{failing}.",
            at(oldest)
        ),
        Some(oldest) if waiting == 1 => format!("Everything is synced; 1 callback is on its way since {}.", at(oldest)),
        Some(oldest) => {
            let tried_again = match failed {
                0 => String::new(),
                1 => format!("; 1 of them has failed and is tried again{failing}"),
                _ => format!("; {failed} of them have failed and are tried again{failing}"),
            };
            let oldest = at(oldest);
            format!(
                "Everything is synced; {waiting} callbacks are on their way, the oldest since {oldest}{tried_again}."
            )
        }
        None => "Everything is synced and delivered.".to_owned(),
    }
}

/// That callbacks have failed at endpoints of whose state no finding speaks. That is no finding itself.
fn also_failed(endpoints: &[Endpoint]) -> String {
    let is_called = |endpoint: &&Endpoint| endpoint.is_configured && endpoint.state == Some("active");
    let called: Vec<Endpoint> = endpoints.iter().filter(is_called).cloned().collect();
    match called.iter().map(|endpoint| endpoint.retrying).sum::<i64>() {
        0 => String::new(),
        1 => format!(" Besides, 1 callback has failed and is tried again{}.", failing(&called)),
        failed => format!(" Besides, {failed} callbacks have failed and are tried again{}.", failing(&called)),
    }
}

/// Which endpoints callbacks have failed at, why as far as it is known, and what says more.
fn failing(endpoints: &[Endpoint]) -> String {
    let failing = || endpoints.iter().filter(|endpoint| endpoint.retrying > 0);
    let names: Vec<String> = failing()
        .map(|endpoint| match &endpoint.last_error {
            Some(error) => format!("{}: {error}", endpoint.name),
            None => endpoint.name.clone(),
        })
        .collect();
    let is_refused = failing().filter_map(|endpoint| endpoint.last_error.as_deref()).any(says_unauthorized);
    let hint = if is_refused { COMPARE_SECRET } else { "`lumo-bridge delivery list --undelivered` says why" };
    format!(" ({}); {hint}", names.join("; "))
}
