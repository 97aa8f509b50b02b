//! `wallet create`, `block` and `replace` where the answer is none, is cut, or is not what was asked for.

use std::time::Duration;

use lumo_simulator::{Answer, Fault, Operation, World};
use serde_json::{Value, json};

use super::assert_refused;
use crate::admin::Client;
use crate::database::Database;
use crate::world::{Finished, Stage, seed};

/// A company with a wallet of bob's that is stored.
async fn with_a_wallet() -> (Stage, String) {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.settings.set("lumo.timeout", json!("1s"));
    let id = stage.world.add_wallet("bob").id.to_string();
    let synced = stage.command(&["sync"]).await;
    assert_eq!(synced.status.code(), Some(0), "{synced:?}");
    (stage, id)
}

async fn wallets(stage: &Stage, user: &str) -> Vec<Value> {
    let listed = stage.command(&["wallet", "list", "--external-id", user, "--json"]).await;
    serde_json::from_str(&listed.stdout).expect("a list")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_whose_answer_was_lost_is_not_said_to_be_undone_and_can_be_found() {
    for fault in [
        Fault::CutBody,
        Fault::CutJson,
        Fault::Disconnect,
        Fault::Hang { time: Duration::from_secs(3) },
        Fault::Oversized { bytes: 2 * 1024 * 1024 },
    ] {
        let (stage, id) = with_a_wallet().await;
        stage.simulator.faults().inject_on(Operation::ReplaceWallet, 1, fault.clone());
        let lost = stage.command(&["wallet", "replace", &id, "--reason", "leaked"]).await;
        assert_refused(
            &lost,
            1,
            &[
                &format!("it is not known whether the API carried out the request to replace wallet {id}"),
                "`lumo-bridge sync wallets`, then `lumo-bridge wallet list --external-id bob` shows whether there is a new",
                "repeating this command replaces it again",
            ],
        );
        assert!(!lost.stderr.contains("did not"), "{fault:?}: {}", lost.stderr);
        assert_eq!(stage.world.snapshot().wallets.len(), 2, "{fault:?}: the API did it");
        assert_eq!(wallets(&stage, "bob").await.len(), 1, "{fault:?}: nothing is stored that nobody has seen");
        // What the hint says finds it.
        let synced = stage.command(&["sync", "wallets"]).await;
        assert_eq!(synced.status.code(), Some(0), "{synced:?}");
        assert_eq!(wallets(&stage, "bob").await.len(), 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_over_http_whose_answer_was_lost_is_not_said_to_be_undone() {
    let (mut stage, _) = with_a_wallet().await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    for (write, operation, look) in [
        ("block", Operation::BlockWallet, "/api/wallets/ID` shows whether it is blocked; look before you ask again"),
        ("replace", Operation::ReplaceWallet, "repeating this request replaces it again"),
    ] {
        for fault in [Fault::CutBody, Fault::CutJson, Fault::Disconnect, Fault::Hang { time: Duration::from_secs(3) }] {
            let user = format!("{write} {fault:?}");
            let id = stage.world.add_wallet(&user).id;
            stage.simulator.faults().inject_on(operation, 1, fault);
            let lost = client.post(&format!("/api/wallets/{id}/{write}"), &json!({ "reason": "leaked" })).await;
            let error = &lost.body["error"];
            // No 503, which would invite to ask again.
            assert_eq!((lost.status, &error["code"]), (502, &json!("outcome_unknown")), "{user}: {lost:?}");
            let words = format!("it is not known whether the API carried out the request to {write} wallet {id}");
            assert!(error["message"].as_str().unwrap().starts_with(&words), "{user}: {lost:?}");
            let hint = error["hint"].as_str().unwrap();
            assert!(hint.contains(&look.replace("ID", &id.to_string())), "{user}: {lost:?}");
            assert!(hint.starts_with("`POST /api/sync` with `{") && !hint.contains("lumo-bridge"), "{user}: {lost:?}");
            let now = stage.world.wallet_of(&user).unwrap();
            let is_done = if write == "block" { now.block_reason.is_some() } else { now.id != id };
            assert!(is_done, "{user}: the API did it");
        }
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_refused_is_said_to_be_undone_and_one_that_broke_is_not() {
    let (stage, id) = with_a_wallet().await;
    let block = ["wallet", "block", &id, "--reason", "stolen"];
    let inject = |code| stage.simulator.faults().inject(1, Fault::Status { code, retry_after: None });
    inject(409);
    assert_refused(&stage.command(&block).await, 1, &[&format!("the API did not block wallet {id}")]);
    for code in [500, 502, 504] {
        inject(code);
        let broke = stage.command(&block).await;
        let words = format!("it is not known whether the API carried out the request to block wallet {id}");
        assert_refused(&broke, 1, &[&words, &format!("`lumo-bridge wallet show {id}` shows whether it is blocked")]);
    }
    inject(500);
    let broke = stage.command(&["wallet", "create", "it's eve"]).await;
    let look = r"`lumo-bridge wallet list --external-id 'it'\''s eve'` shows whether it is there";
    assert_refused(&broke, 1, &["to create a wallet for it's eve", look]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_named_in_the_place_of_a_wallet_is_recognised() {
    let (stage, id) = with_a_wallet().await;
    for command in ["block", "replace"] {
        let known = stage.command(&["wallet", command, "bob", "--reason", "stolen"]).await;
        assert_refused(&known, 1, &["no wallet bob", &format!("hint: bob is a user; its wallet is {id}")]);
        let unknown = stage.command(&["wallet", command, "eve", "--reason", "stolen"]).await;
        assert_refused(&unknown, 1, &["`lumo-bridge wallet list --external-id eve` shows the user's wallets"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sends_no_callback_needs_no_secret_of_an_endpoint() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let [bob, ann] = ["bob", "ann"].map(|user| stage.world.add_wallet(user).id.to_string());
    stage.add_endpoint("crm", "/crm", &["wallet.*"]);
    for endpoint in ["shop", "crm"] {
        let unset = json!([{ "env": "SECRET_THAT_IS_NOT_SET" }]);
        stage.settings.set(&format!("callbacks.endpoints.{endpoint}.secrets"), unset);
    }
    for command in [
        &["sync"][..],
        // The tables do not know the endpoint yet.
        &["endpoint", "pause", "shop"],
        &["wallet", "create", "eve"],
        &["wallet", "block", &bob, "--reason", "stolen"],
        &["wallet", "replace", &ann, "--reason", "leaked"],
        &["event", "replay", "--endpoint", "crm", "--since", "1d"],
        &["endpoint", "resume", "shop"],
        &["endpoint", "list"],
        &["delivery", "list"],
        &["status"],
    ] {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(0), "{command:?}: {finished:?}");
    }
    for endpoint in ["shop", "crm"] {
        let waiting = format!("endpoint = '{endpoint}' AND state = 'pending'");
        let waiting = stage.database.count("lumo_deliveries", &waiting).await;
        assert!(waiting >= 3, "created, blocked, replaced: {waiting} for {endpoint}");
    }
    let tested = stage.command(&["endpoint", "test", "shop"]).await;
    assert_refused(&tested, 2, &["callbacks.endpoints.shop.secrets[0]", "`SECRET_THAT_IS_NOT_SET` is not set"]);
}

/// What a command makes of an API that answers everything with this wallet, but whose key it is.
async fn answered(stage: &mut Stage, arguments: &[&str], wallet: &Value) -> Finished {
    let body = wallet.to_string().into_bytes();
    let profile = json!({ "id": wallet["companyId"] }).to_string().into_bytes();
    stage.receiver.script(move |request| {
        let body = if request.path == "/auth/company/profile" { &profile } else { &body };
        Answer { body: body.clone(), ..Answer::status(200) }
    });
    let base_url = stage.receiver.url("");
    stage.settings.set("lumo.base_url", json!(base_url));
    // Else the tables were of another server.
    stage.database.execute("DELETE FROM lumo_account").await;
    stage.command(arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_what_was_asked_for_fails_and_is_not_stored() {
    let (mut stage, id) = with_a_wallet().await;
    let raw = stage.database.value("SELECT raw FROM lumo_user_wallets").await;
    let listed: Value = serde_json::from_str(&raw).expect("a wallet");
    let wallet = |id: &str, user: &str, blocked: bool| {
        let mut wallet = listed.clone();
        (wallet["id"], wallet["externalId"], wallet["isBlocked"]) = (json!(id), json!(user), json!(blocked));
        wallet
    };
    let other = "5f0c9c3e-1b7a-4f43-9d5e-0a4c1d2b3e4f";
    let block = ["wallet", "block", &id, "--reason", "stolen"];
    let replace = ["wallet", "replace", &id, "--reason", "leaked"];
    for (arguments, answer, words) in [
        (&["wallet", "create", "eve"][..], wallet(other, "bob", false), "another user, bob; nothing was stored"),
        (&block, wallet(&id, "bob", false), "answered with the wallet, not blocked; nothing was stored"),
        (&block, wallet(other, "bob", true), "answered with another wallet, 5f0c9c3e"),
        (&replace, wallet(other, "eve", false), "of another user, eve; nothing was stored"),
        (&replace, wallet(&id, "bob", false), "answered with the wallet that was to be replaced"),
    ] {
        let odd = answered(&mut stage, arguments, &answer).await;
        assert_refused(&odd, 1, &[words, "hint"]);
        let stored = stage.database.rows("SELECT id, external_id, is_blocked FROM lumo_user_wallets").await;
        assert_eq!(stored.len(), 1, "{arguments:?}: {stored:?}");
        assert_eq!(stage.database.value("SELECT raw FROM lumo_user_wallets").await, raw, "{arguments:?}");
    }
    let blocked = answered(&mut stage, &block, &wallet(&id, "bob", true)).await;
    assert_eq!(blocked.status.code(), Some(0), "{blocked:?}");
    assert_eq!(stage.database.count("lumo_user_wallets", "is_blocked").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_done_and_not_stored_is_said_to_be_done() {
    let (stage, id) = with_a_wallet().await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON lumo_user_wallets BEGIN SELECT RAISE(ABORT, 'no room'); END";
    stage.database.execute(full).await;
    let not_stored = stage.command(&["wallet", "replace", &id, "--reason", "leaked"]).await;
    assert_refused(
        &not_stored,
        1,
        &[
            &format!("the API carried out the request to replace wallet {id} (it answered with wallet "),
            "but that could not be stored; the next sync stores it",
            "do not repeat this command, it would replace the wallet again",
        ],
    );
    assert_eq!(stage.world.snapshot().wallets.len(), 2, "the API did it");
    stage.database.execute("DROP TRIGGER full").await;
    assert_eq!(stage.command(&["sync", "wallets"]).await.status.code(), Some(0));
    assert_eq!(wallets(&stage, "bob").await.len(), 2);
}
