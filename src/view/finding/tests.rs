//! One sentence for each state.

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

    // Another listing was read since: what is left is that this one was not.
    let [wallets, _] = refused();
    let after = Progress { complete_through: Some(time(7)), ..round("deposits", None, 9, None) };
    let left = format!("wallets: the last round was not complete: {refusal}");
    assert_eq!(said(&[wallets, after]), [("incomplete", false, left)]);
}

#[test]
fn whether_a_daemon_runs_has_its_sentence() {
    let reader = |is_running, lease_until| Reader { is_running, lease_until, silent_since: None };
    assert_eq!(of_reader(&reader(true, Some(time(9))), time(9)), None);
    let message = |reader| of_reader(&reader, time(9)).unwrap().message;
    assert_eq!(message(reader(false, None)), "No daemon has run yet: nothing is read or delivered");
    assert_eq!(
        message(reader(false, Some(time(9)))),
        "No daemon runs since 2026-05-04T10:00:09Z: nothing is read or delivered"
    );
    let silent = Reader { silent_since: Some(time(1)), ..reader(false, Some(time(9))) };
    let finding = of_reader(&silent, time(9)).unwrap();
    assert_eq!((finding.severity, finding.code), (Severity::Stopped, "daemon_silent"));
    assert_eq!(
        finding.message,
        "A daemon is alive, but has written nothing since 2026-05-04T10:00:01Z: nothing is read or delivered"
    );
    assert!(finding.hint.unwrap().starts_with("its log says why"));
    assert!(silent.is_alive() && !reader(false, Some(time(9))).is_alive());
}

#[test]
fn a_lease_says_that_a_daemon_runs_only_if_it_can_be_true() {
    let ends = |seconds| Reader::of(Some(time(0) + TimeDelta::seconds(seconds)), time(0));
    assert!(ends(15).is_running && ends(60).is_running);
    assert!(!ends(0).is_running && !ends(-1).is_running && !Reader::of(None, time(0)).is_running);
    let finding = of_reader(&ends(86_400), time(0)).unwrap();
    assert_eq!((finding.code, ends(86_400).is_running), ("lease_in_the_future", false));
    assert_eq!(
        finding.message,
        "whether a daemon runs is not known: its lease ends at 2026-05-05T10:00:00Z, which no lease lasts to"
    );
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
fn each_state_of_an_endpoint_has_its_sentence() {
    for (endpoint, code, message) in [
        (
            endpoint("suspended"),
            "endpoint_suspended",
            "shop is suspended since 2026-05-04T10:00:01Z; 2 callbacks wait for it",
        ),
        (endpoint("failing"), "endpoint_failing", "shop fails since 2026-05-04T10:00:01Z; 2 callbacks wait for it"),
        (
            Endpoint { hold_until: Some(time(9)), ..endpoint("failing") },
            "endpoint_failing",
            "shop fails since 2026-05-04T10:00:01Z, next try at 2026-05-04T10:00:09Z; 2 callbacks wait for it",
        ),
        (
            Endpoint { last_error: Some("answered 410 Gone".to_owned()), ..endpoint("suspended") },
            "endpoint_suspended",
            "shop is suspended since 2026-05-04T10:00:01Z (answered 410 Gone); 2 callbacks wait for it",
        ),
        (
            Endpoint { last_error: Some("answered 500 Internal Server Error".to_owned()), ..endpoint("failing") },
            "endpoint_failing",
            "shop fails since 2026-05-04T10:00:01Z (answered 500 Internal Server Error); 2 callbacks wait for it",
        ),
        (
            Endpoint { waiting: 1, ..endpoint("paused") },
            "endpoint_paused",
            "shop is paused since 2026-05-04T10:00:01Z; 1 callback waits for it",
        ),
        (
            Endpoint { hold_until: Some(time(30)), ..endpoint("active") },
            "endpoint_held",
            "shop is held until 2026-05-04T10:00:30Z (Retry-After); 2 callbacks wait for it",
        ),
        (Endpoint { dead: 3, ..endpoint("active") }, "dead_deliveries", "3 callbacks are dead: shop did not take them"),
    ] {
        let findings = of_endpoints(&[endpoint], time(5));
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert_eq!((finding.code, finding.message.as_str()), (code, message));
        assert!(!finding.blocks_ready, "a receiver's trouble is not the bridge's");
        assert!(finding.hint.is_some(), "{code}");
    }
    assert_eq!(of_endpoints(&[endpoint("active")], time(5)), []);
    let past = Endpoint { hold_until: Some(time(4)), ..endpoint("active") };
    assert_eq!(of_endpoints(&[past], time(5)), [], "a hold that is over holds nothing");
}

#[test]
fn a_failing_endpoint_that_has_asked_for_quiet_is_not_said_to_be_tried_soon() {
    let hint = |seconds| {
        let next = time(5) + TimeDelta::seconds(seconds);
        let failing = Endpoint { hold_until: Some(next), ..endpoint("failing") };
        of_endpoints(&[failing], time(5)).remove(0).hint.unwrap()
    };
    assert!(hint(60).starts_with("repair the receiver, what waits goes out in order once it answers"), "{}", hint(60));
    assert_eq!(
        hint(600),
        "it has asked for quiet until then (Retry-After); `lumo-bridge endpoint resume shop` ends that, and `lumo-bridge \
         endpoint test shop` tries it"
    );
}

#[test]
fn a_receiver_that_lets_nobody_in_has_another_secret() {
    let refused = Some("answered 401 Unauthorized".to_owned());
    let hint = |state| {
        let findings = of_endpoints(&[Endpoint { last_error: refused.clone(), ..endpoint(state) }], time(5));
        findings.into_iter().find_map(|finding| finding.hint).unwrap()
    };
    let compare =
        "compare the secret of the receiver; `lumo-bridge callback verify` says what is wrong with a captured request";
    assert_eq!(
        hint("failing"),
        format!("{compare}; what waits goes out in order once it answers; `lumo-bridge endpoint test shop` tries it")
    );
    assert_eq!(
        hint("suspended"),
        format!("{compare}; then `lumo-bridge endpoint test shop` and `lumo-bridge endpoint resume shop`")
    );
    let once = Endpoint { waiting: 1, retrying: 1, last_error: refused.clone(), ..endpoint("active") };
    assert_eq!(
        summary(&[], &[once]),
        format!(
            "Everything is synced; 1 callback, on its way since 2026-05-04T10:00:02Z, has failed and is tried again (shop: \
             answered 401 Unauthorized); {compare}."
        )
    );
}

#[test]
fn endpoints_that_are_not_configured_are_named_while_something_waits_for_them() {
    let removed = |waiting| Endpoint { is_configured: false, waiting, ..endpoint("active") };
    let messages = |endpoints: &[Endpoint]| -> Vec<String> {
        of_endpoints(endpoints, time(5)).into_iter().map(|finding| finding.message).collect()
    };
    let nobody = "No endpoint is configured: changes are stored and nobody is called";
    assert_eq!(messages(&[]), [nobody]);
    assert_eq!(messages(&[removed(2)]), ["shop is not configured any more; 2 callbacks wait for it", nobody]);
    assert_eq!(
        of_endpoints(&[removed(2)], time(5))[0].hint.as_deref(),
        Some(
            "put it back into the configuration to deliver them; `lumo-bridge endpoint resume shop --skip-held --yes` gives \
             them up"
        )
    );
    assert_eq!(
        messages(&[removed(0), Endpoint { name: "crm".to_owned(), ..endpoint("active") }]),
        Vec::<String>::new()
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
