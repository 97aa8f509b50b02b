//! With another company's key nothing is written at Lumo, by command or over HTTP, and nobody is looked for.

use serde_json::json;

use super::{Companies, OTHER_KEY};
use crate::admin::Client;
use crate::database::Database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wallet_is_created_blocked_or_replaced_with_another_companys_key() {
    let mut companies = Companies::new(Database::sqlite().await).await;
    companies.read_rightly().await;
    let before = companies.before().await;
    let (own, other) = (companies.stage.world.random_wallet().unwrap(), companies.other.random_wallet().unwrap());
    let (own, other) = (own.id.to_string(), other.id.to_string());
    companies.take_key(OTHER_KEY);

    // Of a process that only writes nobody else is to hear.
    let refused = format!("the API key belongs to company {}", companies.other.company());
    let commands = [
        vec!["wallet", "create", "mallory"],
        vec!["wallet", "block", &own, "--reason", "stolen"],
        vec!["wallet", "block", &other, "--reason", "stolen"],
        vec!["wallet", "replace", &own, "--reason", "stolen"],
        vec!["wallet", "replace", &other, "--reason", "stolen"],
        vec!["sync", "--dry-run"],
    ];
    for arguments in &commands {
        let finished = companies.stage.command(arguments).await;
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(&refused), "{arguments:?}: {finished:?}");
    }
    companies.nothing_of_another_company(&before, 0, "by command").await;

    // Somebody waits for users of both.
    let own_user = companies.stage.world.random_wallet().unwrap().external_id.to_string();
    let other_user = companies.other.random_wallet().unwrap().external_id.to_string();
    for user in [&own_user, "mallory"] {
        let user = user.replace('\'', "''");
        let watch = format!("INSERT INTO lumo_watches (external_id, until) VALUES ('{user}', '2999-01-01 00:00:00')");
        companies.stage.database.execute(&watch).await;
    }
    companies.stage.settings.set("sync.watch.every", json!("1s"));
    companies.stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = companies.stage.daemon();
    let client = Client::of(&mut bridge).await;
    companies.until_wrong().await;
    companies.other.add_deposit_for("mallory", "3").unwrap();
    let reason = json!({ "reason": "stolen" });
    for (path, body) in [
        ("/api/wallets".to_owned(), json!({ "externalId": "mallory" })),
        ("/api/wallets".to_owned(), json!({ "externalId": other_user })),
        (format!("/api/wallets/{own}/block"), reason.clone()),
        (format!("/api/wallets/{other}/block"), reason.clone()),
        (format!("/api/wallets/{own}/replace"), reason.clone()),
        (format!("/api/wallets/{other}/replace"), reason),
        ("/api/sync".to_owned(), json!({ "listing": "deposits" })),
    ] {
        let answer = client.post(&path, &body).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (409, &json!("wrong_account")),
            "{path}: {answer:?}"
        );
        let hint = answer.body["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("account adopt"), "{path}: {answer:?}");
    }
    for arguments in &commands {
        let finished = companies.stage.command(arguments).await;
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}: {finished:?}");
    }
    companies.stage.until_read_again().await;
    companies.stage.until_delivered().await;
    bridge.stop().await;
    companies.nothing_of_another_company(&before, 1, "over HTTP").await;
}
