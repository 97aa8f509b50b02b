//! Which statuses of a deposit count as settled, and whether somebody waits for that in vain.

use super::finding::{Finding, Report};
use crate::app;
use crate::chain::Chain;
use crate::config::Config;
use crate::model::event::EventType;
use crate::model::pattern::Patterns;
use crate::setting::Text;
use crate::store::{Error, StatusCount, Store};

const SUBJECT: &str = "settled";

pub(super) async fn check(report: &mut Report<'_>, store: &Store, config: &Config) {
    let named = app::settled_statuses(config);
    match look(store, &named).await {
        Ok((seen, before)) => {
            findings(&wanting(config), &named, &seen, before).into_iter().for_each(|one| report.add(one))
        }
        Err(error) => report.add(Finding::fail(SUBJECT, Chain(&error))),
    }
}

/// What the configuration alone shows, where there are no tables yet or they cannot be read.
pub(super) fn check_without_tables(report: &mut Report<'_>, config: &Config) {
    let named = app::settled_statuses(config);
    findings(&wanting(config), &named, &[], 0).into_iter().for_each(|one| report.add(one));
}

async fn look(store: &Store, named: &[String]) -> Result<(Vec<StatusCount>, i64), Error> {
    let before = if named.is_empty() { 0 } else { store.settled_before(named).await? };
    Ok((store.deposit_statuses().await?, before))
}

/// The endpoints that want to hear of it.
fn wanting(config: &Config) -> Vec<&str> {
    let wants = |events: &[Text]| {
        let patterns = Patterns::parse(events.iter().map(Text::as_str)).ok();
        patterns.is_some_and(|patterns| patterns.wants(EventType::DepositSettled))
    };
    let endpoints = config.callbacks.endpoints.iter();
    endpoints.filter(|(_, endpoint)| wants(&endpoint.events)).map(|(name, _)| name.as_str()).collect()
}

fn findings(wanting: &[&str], named: &[String], seen: &[StatusCount], before: i64) -> Vec<Finding> {
    let shown: Vec<String> = seen.iter().map(|one| format!("{} ({})", one.status, one.deposits)).collect();
    if named.is_empty() {
        if wanting.is_empty() {
            return Vec::new();
        }
        let who = wanting.join(", ");
        let message =
            format!("{who}: `deposit.settled` is wanted and never sent, as `lumo.settled_statuses` names no status");
        let hint = match shown.as_slice() {
            [] => "name the statuses that mean that the money is there; `lumo-bridge deposit statuses` will show which there are".to_owned(),
            shown => format!("name those that mean that the money is there; deposits have: {}", shown.join(", ")),
        };
        return vec![Finding::warn(SUBJECT, message).hint(hint)];
    }
    let mut findings = vec![Finding::ok(SUBJECT, named.join(", "))];
    let unseen: Vec<&str> =
        named.iter().filter(|name| !seen.iter().any(|one| one.status == **name)).map(String::as_str).collect();
    if !unseen.is_empty() && !seen.is_empty() {
        let message = format!("no deposit has the status {}", unseen.join(", or "));
        let hint = format!("upper and lower case count; deposits have: {}", shown.join(", "));
        findings.push(Finding::warn(SUBJECT, message).hint(hint));
    }
    if before > 0 {
        let message =
            format!("deposits that had such a status before it was named: {before}; nothing is sent about them");
        findings.push(
            Finding::ok(SUBJECT, message).hint("`lumo-bridge deposit list --settled` shows them with the others"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wanting: &[&str], named: &[&str], seen: &[(&str, i64)], before: i64) -> Vec<String> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let count =
            |(status, deposits): &(&str, i64)| StatusCount { status: (*status).to_owned(), deposits: *deposits };
        let seen: Vec<_> = seen.iter().map(count).collect();
        let shown = findings(wanting, &named, &seen, before).into_iter().map(|finding| {
            let shown = serde_json::to_value(&finding).unwrap();
            format!(
                "{}: {} | {}",
                shown["level"].as_str().unwrap(),
                finding.message(),
                shown["hint"].as_str().unwrap_or("")
            )
        });
        shown.collect()
    }

    #[test]
    fn whoever_waits_in_vain_is_told_which_statuses_there_are() {
        assert!(said(&[], &[], &[("new", 3)], 0).is_empty());
        assert_eq!(
            said(&["shop", "books"], &[], &[("confirmed", 80), ("new", 3)], 0),
            [
                "warn: shop, books: `deposit.settled` is wanted and never sent, as `lumo.settled_statuses` names no status | name those \
              that mean that the money is there; deposits have: confirmed (80), new (3)"
            ]
        );
        assert_eq!(
            said(&["shop"], &[], &[], 0),
            [
                "warn: shop: `deposit.settled` is wanted and never sent, as `lumo.settled_statuses` names no status | name the \
                 statuses that mean that the money is there; `lumo-bridge deposit statuses` will show which there are"
            ]
        );
        assert_eq!(
            said(&["shop"], &["Confirmed"], &[("confirmed", 80)], 0),
            [
                "ok: Confirmed | ",
                "warn: no deposit has the status Confirmed | upper and lower case count; deposits have: confirmed (80)"
            ]
        );
        assert_eq!(
            said(&[], &["confirmed"], &[("confirmed", 80)], 80),
            [
                "ok: confirmed | ",
                "ok: deposits that had such a status before it was named: 80; nothing is sent about them | `lumo-bridge deposit \
                 list --settled` shows them with the others"
            ]
        );
    }
}
