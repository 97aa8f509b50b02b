//! One sentence for each state.

mod endpoints;

use super::*;
use crate::chain::Chain;
use crate::lumo;
use crate::view::WrongAccount;

fn time(second: u32) -> DateTime<Utc> {
    format!("2026-05-04T10:00:{second:02}Z").parse().unwrap()
}

fn done(listing: &str) -> Progress {
    Progress {
        import_started_at: Some(time(1)),
        import_done_at: Some(time(2)),
        complete_through: Some(time(3)),
        last_run_at: Some(time(4)),
        ..Progress::fresh(listing)
    }
}

fn of_one(progress: Progress, now: DateTime<Utc>) -> Vec<(&'static str, bool, String)> {
    let all = of_listings(&[progress], PerListing::of(|_| TimeDelta::minutes(10)), now);
    all.into_iter().map(|finding| (finding.code, finding.blocks_ready, finding.message)).collect()
}

#[test]
fn each_state_of_a_listing_has_its_sentence() {
    let error = Some("page not read: Lumo is unavailable: no connection".to_owned());
    let fresh = || Progress::fresh("wallets");
    for (progress, code, blocks, message) in [
        (fresh(), "import_pending", true, "wallets: the first import has not begun"),
        (
            Progress { import_started_at: Some(time(1)), ..fresh() },
            "import_pending",
            true,
            "wallets: the first import is running since 2026-05-04T10:00:01Z",
        ),
        (
            Progress { import_started_at: Some(time(1)), last_total: Some(200), ..fresh() },
            "import_pending",
            true,
            "wallets: the first import of 200 rows is running since 2026-05-04T10:00:01Z",
        ),
        (
            Progress { last_error: error.clone(), first_run_at: Some(time(1)), ..fresh() },
            "import_pending",
            true,
            "wallets: the first import is not done: page not read: Lumo is unavailable: no connection",
        ),
        (
            Progress { last_error: error.clone(), stalled_since: Some(time(1)), ..fresh() },
            "stalled",
            true,
            "wallets: not complete since 2026-05-04T10:00:01Z: page not read: Lumo is unavailable: no connection",
        ),
        (
            Progress { stalled_since: Some(time(3)), last_error: error.clone(), ..done("wallets") },
            "stalled",
            true,
            "wallets: not complete since 2026-05-04T10:00:03Z: page not read: Lumo is unavailable: no connection",
        ),
        (
            Progress { last_error: error, ..done("wallets") },
            "incomplete",
            false,
            "wallets: the last round was not complete: page not read: Lumo is unavailable: no connection",
        ),
        (
            Progress { gap: Some(1), ..done("wallets") },
            "total_too_high",
            false,
            "wallets: Lumo counts one more row than it lists; every row that it lists is stored",
        ),
        (
            Progress { gap: Some(12), ..done("wallets") },
            "total_too_high",
            false,
            "wallets: Lumo counts 12 more rows than it lists; every row that it lists is stored",
        ),
    ] {
        assert_eq!(of_one(progress, time(5)), [(code, blocks, message.to_owned())]);
    }
    assert_eq!(of_one(done("wallets"), time(5)), []);
    let late = time(4) + TimeDelta::minutes(11);
    let message = "wallets: the last round ended at 2026-05-04T10:00:04Z; no other has ended since";
    assert_eq!(of_one(done("wallets"), late), [("overdue", true, message.to_owned())]);
}

#[test]
fn nobody_is_told_to_read_again_what_no_reading_proves() {
    let hint = |error: &str, stalled_since| {
        let progress = Progress { last_error: Some(error.to_owned()), stalled_since, ..done("deposits") };
        let found = of_listings(&[progress], PerListing::of(|_| TimeDelta::minutes(10)), time(5));
        found.into_iter().find_map(|finding| finding.hint)
    };
    let untold = Some("reading it again proves no more; `lumo-bridge check` says what follows".to_owned());
    let error = Doubt::NoTotal.to_string();
    assert_eq!((hint(&error, None), hint(&error, Some(time(3)))), (untold.clone(), untold));
    assert_eq!(hint("page not read", None), None);
    let again = "it is read again on schedule; `lumo-bridge check` examines the API".to_owned();
    assert_eq!(hint("page not read", Some(time(3))), Some(again));
}

#[test]
fn rows_that_seem_to_have_left_are_said() {
    let said = |scanned_at: Option<DateTime<Utc>>| {
        let shrinkage = serde_json::json!({ "rows": 1_226, "rounds": 2, "since": time(3), "scanned_at": scanned_at });
        let memory = Some(serde_json::json!({ "shrinkage": shrinkage }).to_string());
        let progress = Progress { last_total: Some(361), gap: Some(-1_226), memory, ..done("deposits") };
        let findings = of_shrinkage(&[done("wallets"), progress], time(5));
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((finding.code, finding.blocks_ready, finding.severity), ("rows_left", false, Severity::Notice));
        assert_eq!(finding.about.as_deref(), Some("deposits"));
        finding.message.clone()
    };
    let begins = "deposits: Lumo counts 361 rows, and 1587 are stored as listed: 1226 seem to have left the list; none is marked \
                  as missing before";
    assert_eq!(said(None), format!("{begins} the full scan that looks for them now has shown it"));
    assert_eq!(said(Some(time(4))), format!("{begins} the next full scan has shown it"));
}

#[test]
fn a_time_in_the_future_is_named() {
    let tomorrow = time(0) + TimeDelta::days(1);
    let said = |progress: Progress| {
        let all = of_future(&[progress], time(5));
        all.into_iter().map(|finding| (finding.code, finding.blocks_ready, finding.message)).collect::<Vec<_>>()
    };
    assert_eq!(said(done("wallets")), []);
    let progress = Progress { complete_through: Some(tomorrow), ..done("wallets") };
    let message =
        "the last round over wallets has a time in the future, 2026-05-05T10:00:00Z: a clock is wrong, or was";
    assert_eq!(said(progress), [("time_in_future", false, message.to_owned())]);
}

#[test]
fn a_refused_key_is_one_finding_for_all_listings() {
    let error = Some("page not read: Lumo does not accept the API key".to_owned());
    let refused = |listing, second| Progress {
        unauthorized_since: Some(time(second)),
        last_error: error.clone(),
        ..done(listing)
    };
    let all = [refused("wallets", 8), refused("blocked", 7), done("deposits")];
    let findings = of_listings(&all, PerListing::of(|_| TimeDelta::minutes(10)), time(9));
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.message, "Lumo refuses the API key since 2026-05-04T10:00:07Z; nothing is read");
    assert_eq!((finding.code, finding.severity, finding.blocks_ready), ("key_refused", Severity::Stopped, true));
    // At a first start nothing else is known.
    let first =
        [Progress { unauthorized_since: Some(time(7)), last_error: error.clone(), ..Progress::fresh("wallets") }];
    let codes: Vec<_> =
        of_listings(&first, PerListing::of(|_| TimeDelta::minutes(10)), time(9)).iter().map(|one| one.code).collect();
    assert_eq!(codes, ["key_refused", "import_pending"]);
}

#[test]
fn a_refusal_is_said_as_the_latest_round_has_left_it() {
    let refusal = Chain(&sync::Error::Upstream(lumo::Error::Unauthorized)).to_string();
    let round = |listing, since: Option<u32>, ended, error: Option<&str>| Progress {
        unauthorized_since: since.map(time),
        last_run_at: Some(time(ended)),
        last_error: error.map(str::to_owned),
        ..done(listing)
    };
    let refused = || [round("wallets", Some(5), 6, Some(&refusal)), round("blocked", Some(7), 8, Some(&refusal))];
    let said = |all: &[Progress]| {
        let all = of_listings(all, PerListing::of(|_| TimeDelta::minutes(10)), time(20));
        all.into_iter().map(|finding| (finding.code, finding.blocks_ready, finding.message)).collect::<Vec<_>>()
    };
    let still = "Lumo refuses the API key since 2026-05-04T10:00:05Z; nothing is read".to_owned();
    assert_eq!(said(&refused()), [("key_refused", true, still.clone())]);

    // A round that began before the last refusal has shown nothing.
    let before = Progress { complete_through: Some(time(8)), ..round("deposits", None, 9, None) };
    let [wallets, blocked] = refused();
    assert_eq!(said(&[wallets, blocked, before]), [("key_refused", true, still)]);

    let [wallets, _] = refused();
    let away = round("blocked", Some(7), 9, Some("page not read: Lumo is unavailable: no connection"));
    let unknown = "The last round failed: page not read: Lumo is unavailable: no connection; Lumo refused the API key at \
                   2026-05-04T10:00:05Z, and whether it accepts the present one is not known";
    assert_eq!(said(&[wallets, away]), [("key_refused", true, unknown.to_owned())]);

    // Another listing was read since: what is left is that this one was not, for a reason that is over.
    let [wallets, _] = refused();
    let after = Progress { complete_through: Some(time(7)), ..round("deposits", None, 9, None) };
    let left = "wallets: the last round was not complete: Lumo refused the API key then, and accepts it now; the next \
                round reads the list";
    assert_eq!(said(&[wallets, after]), [("incomplete", false, left.to_owned())]);
}

fn endpoint(state: &'static str) -> Endpoint {
    Endpoint {
        name: "shop".to_owned(),
        is_configured: true,
        state: Some(state),
        since: Some(time(1)),
        waiting: 2,
        oldest_waiting_at: Some(time(2)),
        ..Endpoint::default()
    }
}

#[test]
fn what_is_wrong_elsewhere_hides_no_callback_that_fails() {
    let finding = Finding::new(Severity::Notice, "incomplete", "wallets: the last round was not complete".to_owned());
    let said = |endpoint| summary(std::slice::from_ref(&finding), &[endpoint]);
    let shop = |retrying, state| Endpoint { retrying, ..endpoint(state) };
    assert_eq!(said(shop(0, "active")), "wallets: the last round was not complete.");
    assert_eq!(
        said(shop(2, "active")),
        "wallets: the last round was not complete. Besides, 2 callbacks have failed and are tried again (shop); \
         `lumo-bridge delivery list --undelivered` says why."
    );
    assert_eq!(
        said(shop(1, "active")),
        "wallets: the last round was not complete. Besides, 1 callback has failed and is tried again (shop); `lumo-bridge \
         delivery list --undelivered` says why."
    );
    assert_eq!(said(shop(2, "failing")), "wallets: the last round was not complete.", "another finding says it");
    let rejected = Finding::new(Severity::Notice, "items_rejected", "deposits: 1 item cannot be read".to_owned());
    assert_eq!(
        summary(&[finding.clone(), rejected], &[shop(36, "active")]),
        "wallets: the last round was not complete. Besides, 36 callbacks have failed and are tried again (shop); \
         `lumo-bridge delivery list --undelivered` says why. There is 1 more finding.",
        "the callbacks are not that finding"
    );
}

#[test]
fn the_summary_is_one_sentence_about_the_worst_or_about_all() {
    let idle = Endpoint { waiting: 0, oldest_waiting_at: None, ..endpoint("active") };
    assert_eq!(summary(&[], &[idle]), "Everything is synced and delivered.");
    assert_eq!(
        summary(&[], &[endpoint("active")]),
        "Everything is synced; 2 callbacks are on their way, the oldest since 2026-05-04T10:00:02Z."
    );
    let one = Endpoint { waiting: 1, ..endpoint("active") };
    assert_eq!(
        summary(&[], std::slice::from_ref(&one)),
        "Everything is synced; 1 callback is on its way since 2026-05-04T10:00:02Z."
    );
    assert_eq!(
        summary(&[], &[Endpoint { retrying: 1, ..one }]),
        "Everything is synced; 1 callback, on its way since 2026-05-04T10:00:02Z, has failed and is tried again (shop); \
         `lumo-bridge delivery list --undelivered` says why."
    );
    for (retrying, words) in [(1, "1 of them has failed and is"), (2, "2 of them have failed and are")] {
        let crm = Endpoint { name: "crm".to_owned(), waiting: 0, ..endpoint("active") };
        let last_error = Some("answered 422 Unprocessable Entity".to_owned());
        assert_eq!(
            summary(&[], &[crm, Endpoint { retrying, last_error, ..endpoint("active") }]),
            format!(
                "Everything is synced; 2 callbacks are on their way, the oldest since 2026-05-04T10:00:02Z; {words} tried \
                 again (shop: answered 422 Unprocessable Entity); `lumo-bridge delivery list --undelivered` says why."
            )
        );
    }
    let finding = |message: &str| Finding::new(Severity::Broken, "stalled", message.to_owned());
    assert_eq!(summary(&[finding("a")], &[]), "a.");
    assert_eq!(summary(&[finding("a"), finding("b")], &[]), "a. There is 1 more finding.");
    assert_eq!(summary(&[finding("a"), finding("b"), finding("c")], &[]), "a. There are 2 more findings.");
}

#[test]
fn a_database_that_takes_no_writes_is_said() {
    let lasting = std::time::Duration::from_secs(72);
    let reason = "nothing can be written to the database: database or disk is full".to_owned();
    let hint = Some("make room on the database's disk");
    let finding = of_writing(&WriteTrouble { transaction: "sync.page", lasting, reason, hint });
    assert_eq!(
        finding.message,
        "Writing to the database has been failing for 72 s (`sync.page`): nothing can be written to the database: \
         database or disk is full; nothing is stored or sent meanwhile"
    );
    assert!(finding.blocks_ready && finding.severity == Severity::Stopped);
    let hint = finding.hint.as_deref();
    assert_eq!(hint, Some("make room on the database's disk; once it can write, the daemon goes on by itself"));
}

#[test]
fn another_account_is_said_in_the_words_of_the_refusal() {
    let account = |wrong: (&str, &str)| Account {
        company_id: "c-1".to_owned(),
        server: "https://b2b.lumowallet.io".to_owned(),
        environment: "production".to_owned(),
        since: time(0),
        wrong: Some(WrongAccount { company_id: wrong.0.to_owned(), server: wrong.1.to_owned(), since: time(5) }),
    };
    let said = |wrong| {
        let finding = of_account(&account(wrong)).unwrap();
        (finding.message, finding.hint.unwrap())
    };
    let (message, hint) = said(("c-2", "https://b2b.lumowallet.io"));
    assert_eq!(
        message,
        "The API key belongs to company c-2, and the tables to company c-1: nothing is read since 2026-05-04T10:00:05Z"
    );
    assert_eq!(
        hint,
        "put the key of company c-1 into `lumo.api_key`, then reload the daemon, or another database into `database.url`, then \
         restart it; `lumo-bridge account adopt c-2 --yes` gives these tables to the key's company"
    );
    let (message, hint) = said(("c-1", "https://b2b-staging.lumowallet.io"));
    assert_eq!(
        message,
        "The tables are filled from https://b2b.lumowallet.io, and `lumo.base_url` names https://b2b-staging.lumowallet.io: \
         nothing is read since 2026-05-04T10:00:05Z"
    );
    assert_eq!(
        hint,
        "correct `lumo.base_url`, then reload the daemon; if the company has moved there, `lumo-bridge account adopt c-1 --yes` \
         keeps everything that is stored"
    );
    assert_eq!(of_account(&Account { wrong: None, ..account(("c-1", "")) }), None);
}
