//! Tests what is said of endpoints.

use super::*;

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
