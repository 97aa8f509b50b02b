//! The API: whether it takes the key, how its clock goes, and how it does what its reference leaves open.

use chrono::{DateTime, Utc};

use super::finding::{Finding, Report};
use crate::account::Refusal;
use crate::chain::Chain;
use crate::cli::context::Context;
use crate::config::Config;
use crate::lumo::{Client, Error, ListQuery, Outage, Priority, Profile};
use crate::model::account::{Identity, environment};
use crate::model::record::{Page, Reject, Wallet};
use crate::store::{self, Account, Belongs, Need, Store};
use crate::sync::scan::walk::Doubt;

const KEY: &str = "API key";
const ACCOUNT: &str = "account";
const PAGES: &str = "page size";
const ORDER: &str = "order";
const TOTAL: &str = "total";
const CLOCK: &str = "clock";

/// More than this between two clocks makes receivers refuse timestamps before long.
const MOST_SKEW_SECONDS: u64 = 30;
/// From here on the API's clock decides nothing; the same span as in `sync`.
const DISBELIEVED_SECONDS: u64 = 300;

pub(super) async fn check(report: &mut Report<'_>, context: &Context, config: &Config) {
    let base_url = &config.lumo.base_url;
    // That the key is not to be had is told with the other secrets.
    let Ok(key) = config.lumo.api_key.resolve("lumo.api_key") else {
        return report.add(Finding::fail(KEY, "not tried, as it is not at hand"));
    };
    let client = match Client::new(&config.lumo, key) {
        Ok(client) => client,
        Err(error) => return report.add(failed(KEY, config, &error)),
    };
    let first = match read(&client, 1).await {
        Ok(page) => page,
        Err(error) => return report.add(failed(KEY, config, &error)),
    };
    report.add(Finding::ok(KEY, format_args!("{base_url} takes it and {}", listed(first.total, first.returned))));
    account(report, &client, config, &first).await;
    if let Some(served_at) = first.served_at {
        report.add(clock(served_at, context.clock().now()));
    }
    pages(report, &client, config, first.total).await;
}

/// How many wallets there are, by the total of the server and by what it gave beside that.
fn listed(total: Option<u64>, returned: usize) -> String {
    let returned = u64::try_from(returned).unwrap_or(u64::MAX);
    let wallets = |count| if count == 1 { "1 wallet".to_owned() } else { format!("{count} wallets") };
    match total {
        None => "tells no total".to_owned(),
        Some(total) if total < returned => format!("lists at least {}, beside a total of {total}", wallets(returned)),
        Some(total) => format!("lists {}", wallets(total)),
    }
}

/// Whose key it is, and whether the tables belong to the same company.
async fn account(report: &mut Report<'_>, client: &Client, config: &Config, first: &Page<Wallet>) {
    let profile = client.profile().await.ok();
    let company = profile.as_ref().map(|profile| &profile.id);
    let Some(company) = company.or_else(|| first.items.first().map(|wallet| &wallet.company_id)).cloned() else {
        let message =
            "Lumo says nothing of the key's company, and lists no wallet that would; it is asked before each round";
        return report.add(Finding::warn(ACCOUNT, message));
    };
    let found = Identity { company, server: client.server() };
    match own_account(config).await {
        Ok(Some(own)) if !own.is(&found) => {
            let refusal = Refusal::of(&own, &found);
            report.add(Finding::fail(ACCOUNT, &refusal).hint(refusal.hint()));
        }
        own => report.add(Finding::ok(ACCOUNT, described(&found, profile.as_ref()) + known(&own))),
    }
    if let Some(url) = profile.and_then(|profile| profile.webhook_url) {
        let message = format_args!(
            "the company's profile names {url}; whether Lumo calls it for wallets or deposits is not published"
        );
        report.add(
            Finding::ok(ACCOUNT, message).hint("the bridge does not rely on it, and nothing needs to answer there"),
        );
    }
}

/// What the tables say, if there are any.
async fn own_account(config: &Config) -> Result<Option<Account>, store::Error> {
    let store = Store::open_for(Need::Little, &config.database, Vec::new()).await?;
    let account = store.account().await;
    store.close().await;
    match account {
        Err(store::Error::NotMigrated) => Ok(None),
        account => account,
    }
}

/// Whether the tables belong to the company; nothing where they could not be asked, which is said of the database.
const fn known(own: &Result<Option<Account>, store::Error>) -> &'static str {
    match own {
        Ok(Some(_)) => "; as in the tables",
        Ok(None) => "; the tables are of no company yet",
        Err(_) => "",
    }
}

fn described(found: &Identity, profile: Option<&Profile>) -> String {
    let of = |get: fn(&Profile) -> &Option<String>| profile.and_then(|profile| get(profile).as_deref());
    let who = [of(|profile| &profile.name), of(|profile| &profile.email), of(|profile| &profile.contact_telegram)];
    let who: Vec<&str> = who.into_iter().flatten().collect();
    let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
    let is_active = profile.and_then(|profile| profile.is_active).unwrap_or(true);
    let activity = if is_active { "" } else { ", which is not active" };
    let place = environment(found.server.as_str());
    format!("company {}{who}{activity}, {place}", found.company)
}

async fn read(client: &Client, limit: u32) -> Result<Page<Wallet>, Error> {
    client.list_wallets(Priority::Fresh, &ListQuery { limit, offset: 0, external_id: None, status: None }).await
}

/// Asks for a whole page; where that is refused, for half of it, and so on.
async fn pages(report: &mut Report<'_>, client: &Client, config: &Config, total: Option<u64>) {
    let wished = config.lumo.page_size;
    let mut limit = wished;
    let page = loop {
        match read(client, limit).await {
            Ok(page) => break page,
            Err(Error::Refused { status: 400..=499, .. }) if limit > 1 => limit /= 2,
            Err(error) => return report.add(failed(PAGES, config, &error)),
        }
    };
    if let Some(finding) = page_size(wished, limit, page.returned, total) {
        report.add(finding);
    }
    if let Some(finding) = rejected(&page.rejects, page.returned) {
        report.add(finding);
    }
    if let Some(finding) = untold(page.total).or_else(|| miscounted(page.total, page.returned)) {
        report.add(finding);
    }
    let created: Vec<_> = page.items.iter().map(|wallet| wallet.created_at).collect();
    if let Some(order) = order(&created) {
        report.add(Finding::ok(ORDER, order));
    }
    if is_mock(client, &page, limit).await {
        report.add(Finding::warn("wallets", Doubt::SameRows));
    }
}

/// Whether the server gives the same page far behind the end of the list.
async fn is_mock(client: &Client, first: &Page<Wallet>, limit: u32) -> bool {
    let returned = u64::try_from(first.returned).unwrap_or(u64::MAX);
    let behind = first.total.unwrap_or(0).max(returned).saturating_add(4 * u64::from(limit));
    let query = ListQuery { limit, offset: behind, external_id: None, status: None };
    let same = |far: &Page<Wallet>| {
        !far.items.is_empty()
            && far.items.iter().map(|wallet| &wallet.id).eq(first.items.iter().map(|wallet| &wallet.id))
    };
    client.list_wallets(Priority::Fresh, &query).await.is_ok_and(|far| same(&far))
}

/// Items of a page that cannot be read.
fn rejected(rejects: &[Reject], returned: usize) -> Option<Finding> {
    let first = rejects.first()?;
    let message = format!("{} of {returned} cannot be read: `{}` {}", rejects.len(), first.field, first.problem);
    let hint =
        "they are kept aside and everything else goes on; once they were met, `lumo-bridge sync rejects` lists them";
    Some(Finding::warn("wallets", message).hint(hint))
}

/// That there is no total. What a list proves, and what follows from its proof, rests on one.
fn untold(total: Option<u64>) -> Option<Finding> {
    if total.is_some() {
        return None;
    }
    let message = "the API tells none, so no list is ever proved to be complete, and what leaves a list is not noticed";
    let hint = "what is listed is stored and told all the same; but after some minutes `/readyz` answers 503, and \
                `reconcile` judges nothing. Lumo's reference has a `total`: ask Lumo for it";
    Some(Finding::warn(TOTAL, message).hint(hint))
}

/// A total that is lower than what is listed beside it. One of 0 is said with the key, for which one wallet was asked for.
fn miscounted(total: Option<u64>, returned: usize) -> Option<Finding> {
    let returned = u64::try_from(returned).unwrap_or(u64::MAX);
    let total = total.filter(|total| (1..returned).contains(total))?;
    let message =
        format_args!("{returned} came on one page, beside a total of {total}: the server does not count them right");
    Some(Finding::warn("wallets", message))
}

/// What the server made of the page that was wished for; nothing where the list is too short to tell.
fn page_size(wished: u32, asked: u32, returned: usize, total: Option<u64>) -> Option<Finding> {
    if asked < wished {
        return Some(Finding::ok(PAGES, format_args!("{wished} is refused, {asked} is not; the bridge finds its way")));
    }
    let (returned, wished) = (u64::try_from(returned).ok()?, u64::from(wished));
    if returned > wished {
        return Some(Finding::ok(
            PAGES,
            format_args!("{wished} is ignored: {returned} came; the bridge takes them all"),
        ));
    }
    if returned == wished {
        return Some(Finding::ok(PAGES, format_args!("{wished} is honoured")));
    }
    let is_clamped = total.is_some_and(|total| total > returned);
    is_clamped.then(|| Finding::ok(PAGES, format_args!("{wished} is clamped to {returned}; the bridge goes by that")))
}

/// By which order of creation wallets are listed; nothing where there are too few to tell.
fn order(created: &[DateTime<Utc>]) -> Option<&'static str> {
    let is_uniform = created.iter().all(|time| Some(time) == created.first());
    if is_uniform {
        None
    } else if created.is_sorted() {
        Some("oldest first")
    } else if created.is_sorted_by(|a, b| a >= b) {
        Some("newest first")
    } else {
        Some("neither oldest nor newest first")
    }
}

fn clock(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Finding {
    // Their time is in whole seconds.
    let skew = ours.timestamp().abs_diff(theirs.timestamp());
    let side = if ours < theirs { "behind" } else { "ahead of" };
    if skew > MOST_SKEW_SECONDS {
        let hint = if skew > DISBELIEVED_SECONDS {
            "one of the two clocks is wrong, and the bridge goes by this machine's: if that is right, tell Lumo; if not, set it, \
             for example with NTP"
        } else {
            "set this machine's clock, for example with NTP: receivers refuse callbacks that are minutes off"
        };
        Finding::warn(CLOCK, format_args!("this machine is {skew} s {side} the API")).hint(hint)
    } else {
        Finding::ok(CLOCK, format_args!("within {MOST_SKEW_SECONDS} s of the API's"))
    }
}

fn failed(subject: &str, config: &Config, error: &Error) -> Finding {
    let problem = match error {
        // It names the server itself.
        Error::Unavailable { outage: Outage::Connect, .. } => Chain(error).to_string(),
        _ => format!("{}: {}", config.lumo.base_url, Chain(error)),
    };
    Finding::fail(subject, problem).maybe_hint(error.hint().or_else(|| waiting(error)))
}

/// What there is to do about what passes by itself, or is Lumo's to mend.
const fn waiting(error: &Error) -> Option<&'static str> {
    match error {
        Error::Throttled { .. } => {
            Some("a daemon asks more slowly by itself; if this lasts, lower `lumo.rate`, or see what else uses the key")
        }
        Error::Unavailable { .. } => Some("a daemon asks again by itself; if this lasts, tell Lumo"),
        Error::Refused { .. } => Some("check lumo.base_url; if it is right, show Lumo this answer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_told_only_where_it_shows() {
        let told = |wished, asked, returned, total| {
            page_size(wished, asked, returned, total)
                .map(|finding| serde_json::to_value(finding).unwrap()["message"].clone())
        };
        for (wished, asked, returned, total, expected) in [
            (100, 100, 100, Some(500), Some("100 is honoured")),
            (100, 100, 50, Some(500), Some("100 is clamped to 50; the bridge goes by that")),
            (100, 100, 50, Some(50), None),
            (100, 100, 50, None, None),
            (100, 50, 50, Some(500), Some("100 is refused, 50 is not; the bridge finds its way")),
            (100, 100, 500, Some(500), Some("100 is ignored: 500 came; the bridge takes them all")),
        ] {
            assert_eq!(told(wished, asked, returned, total), expected.map(Into::into));
        }
    }

    #[test]
    fn a_total_is_not_believed_where_more_is_listed() {
        for (total, returned, expected) in [
            (None, 1, "tells no total"),
            (Some(0), 0, "lists 0 wallets"),
            (Some(1), 1, "lists 1 wallet"),
            (Some(500), 1, "lists 500 wallets"),
            (Some(0), 1, "lists at least 1 wallet, beside a total of 0"),
            (Some(3), 5, "lists at least 5 wallets, beside a total of 3"),
        ] {
            assert_eq!(listed(total, returned), expected);
        }
        assert!(miscounted(None, 5).is_none() && miscounted(Some(5), 5).is_none() && miscounted(Some(6), 5).is_none());
        assert!(miscounted(Some(0), 1).is_none(), "it is said with the key");
        let finding = serde_json::to_value(miscounted(Some(3), 5)).unwrap();
        assert_eq!(finding["message"], "5 came on one page, beside a total of 3: the server does not count them right");
    }

    #[test]
    fn a_total_that_is_not_told_is_warned_of() {
        assert!(untold(Some(0)).is_none() && untold(Some(5)).is_none());
        let finding = serde_json::to_value(untold(None)).unwrap();
        assert_eq!((&finding["subject"], &finding["level"]), (&"total".into(), &"warn".into()), "{finding}");
        let message = finding["message"].as_str().unwrap();
        for words in ["no list is ever proved", "what leaves a list is not noticed"] {
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn items_that_cannot_be_read_are_said_to_be_kept_aside() {
        let reject = Reject {
            position: 0,
            key: "w-1".to_owned(),
            id: Some("w-1".to_owned()),
            raw: "{}".to_owned(),
            fingerprint: 0,
            field: "externalId".to_owned(),
            problem: "holds a control character".to_owned(),
        };
        assert!(rejected(&[], 7).is_none());
        let finding = serde_json::to_value(rejected(&[reject], 7)).unwrap();
        assert_eq!(finding["message"], "1 of 7 cannot be read: `externalId` holds a control character");
        let hint = finding["hint"].as_str().unwrap();
        assert!(hint.starts_with("they are kept aside and everything else goes on"), "{hint}");
    }

    #[test]
    fn an_order_needs_two_times() {
        let times = |seconds: &[i64]| -> Vec<_> {
            seconds.iter().map(|seconds| DateTime::from_timestamp(*seconds, 0).unwrap()).collect()
        };
        for (seconds, expected) in [
            (&[][..], None),
            (&[1], None),
            (&[1, 1], None),
            (&[1, 1, 2], Some("oldest first")),
            (&[2, 1, 1], Some("newest first")),
            (&[1, 3, 2], Some("neither oldest nor newest first")),
        ] {
            assert_eq!(order(&times(seconds)), expected);
        }
    }

    #[test]
    fn a_clock_may_be_half_a_minute_off() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        for (theirs, level) in [(1_000, "ok"), (970, "ok"), (1_030, "ok"), (969, "warn"), (1_031, "warn")] {
            assert_eq!(serde_json::to_value(clock(at(theirs), at(1_000))).unwrap()["level"], level);
        }
    }
}
