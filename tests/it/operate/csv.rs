//! `deposit list` and `wallet list`, for whoever keeps the books: all rows, exact amounts, and nothing that a spreadsheet runs.

use std::collections::BTreeSet;
use std::time::Duration;

use lumo_simulator::World;
use serde_json::json;

use super::{assert_refused, json};
use crate::database::{Database, on_each_database};
use crate::world::{Stage, seed};

on_each_database!(
    a_list_for_accountants_has_all_rows,
    until_ends_what_since_begins,
    a_list_goes_on_after_the_last_one_of_it,
);

const EXACT: &str = "3.000000000000000001";
/// What another spreadsheet program would run.
const FORMULA: &str = "=HYPERLINK(\"http://evil\")";

/// The lines, of which each is a row: no cell of these tests has a line break.
fn lines(text: &str) -> Vec<&str> {
    assert!(text.ends_with("\r\n"), "{text:?}");
    text.trim_end().split("\r\n").collect()
}

async fn a_list_for_accountants_has_all_rows(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("lumo.settled_statuses", json!(["final"]));
    stage.world.seed(10, 520);
    stage.world.add_deposit_for(FORMULA, EXACT).unwrap();
    let settled = stage.world.random_deposit().unwrap().id;
    stage.world.set_deposit_status(settled, "final").unwrap();
    let parts = stage.parts().await;
    parts.sync().await;
    parts.store.close().await;

    let listed = stage.command(&["deposit", "list", "--csv"]).await;
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let rows = lines(&listed.stdout);
    assert!(rows[0].starts_with("id,company_id,external_id,wallet_id,"), "{}", rows[0]);
    assert_eq!(rows.len(), 1 + stage.world.deposit_count(), "a header, and every row beyond the limit of other lists");
    let ids: BTreeSet<&str> = rows[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(ids.len(), rows.len() - 1, "each once, whatever the page");
    let evil: Vec<_> = rows.iter().filter(|row| row.contains("HYPERLINK")).collect();
    assert_eq!(evil.len(), 1);
    assert!(evil[0].contains(",\"'=HYPERLINK(\"\"http://evil\"\")\","), "{}", evil[0]);
    assert!(evil[0].contains(&format!(",{EXACT},")), "{}", evil[0]);

    let few = stage.command(&["deposit", "list", "--csv", "--limit", "3"]).await;
    assert_eq!(lines(&few.stdout)[..], rows[..4], "the newest");
    let settled = settled.to_string();
    let one = stage.command(&["deposit", "list", "--csv", "--settled"]).await;
    assert_eq!(lines(&one.stdout)[1..].iter().map(|row| row.split(',').next().unwrap()).collect::<Vec<_>>(), [settled]);
    let none = stage.command(&["deposit", "list", "--csv", "--status", "strange"]).await;
    assert_eq!(lines(&none.stdout), rows[..1]);
    for noun in ["deposit", "wallet"] {
        let both = stage.command(&["--json", noun, "list", "--csv"]).await;
        assert_refused(&both, 2, &["`--csv` and `--json`"]);
    }

    let wallets = stage.command(&["wallet", "list", "--csv"]).await;
    let rows = lines(&wallets.stdout);
    assert!(rows[0].starts_with("id,company_id,external_id,address,is_blocked,"), "{}", rows[0]);
    assert_eq!(rows.len(), 1 + stage.world.wallet_count());
    assert!(rows.iter().any(|row| row.contains(",\"'=HYPERLINK(\"\"http://evil\"\")\",")), "{rows:?}");
    let blocked = stage.command(&["wallet", "list", "--csv", "--blocked"]).await;
    assert_eq!(lines(&blocked.stdout).len(), 1 + rows.iter().filter(|row| row.contains(",true,")).count());
}

async fn a_list_goes_on_after_the_last_one_of_it(database: Database) {
    let stage = Stage::new(database, World::live(seed())).await;
    stage.world.seed(4, 7);
    let parts = stage.parts().await;
    parts.sync().await;
    parts.store.close().await;
    for (noun, rows) in [("deposit", stage.world.deposit_count()), ("wallet", stage.world.wallet_count())] {
        let ids = async |more: &[&str]| {
            let listed = json(&stage.command(&[&[noun, "list", "--json"], more].concat()).await);
            let ids = listed.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        let all = ids(&[]).await;
        assert_eq!(all.len(), rows);
        let mut paged = ids(&["--limit", "3"]).await;
        while let Some(last) = paged.last().cloned() {
            let page = ids(&["--limit", "3", "--after", &last]).await;
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all);
        let rest = stage.command(&[noun, "list", "--csv", "--after", &all[1]]).await;
        let rest: Vec<_> = lines(&rest.stdout)[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
        assert_eq!(rest, all[2..]);
        let few = stage.command(&[noun, "list", "--limit", "1"]).await;
        assert!(few.stderr.contains("`--limit` shows more at once, `--after` with the last id goes on"), "{few:?}");
        let unknown = stage.command(&[noun, "list", "--after", "nothing"]).await;
        assert_refused(&unknown, 2, &[&format!("--after: no such {noun}: nothing")]);
    }
}

async fn until_ends_what_since_begins(database: Database) {
    let stage = Stage::new(database, World::live(seed())).await;
    for _ in 0..3 {
        stage.world.add_deposit_for("bob", "1").unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let parts = stage.parts().await;
    parts.sync().await;
    parts.store.close().await;
    let listed = async |more: &[&str]| {
        let listed = stage.command(&[&["deposit", "list", "--json"], more].concat()).await;
        let listed = json(&listed);
        let rows = listed.as_array().unwrap().iter();
        rows.map(|row| (row["id"].clone(), row["created_at"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let all = listed(&[]).await;
    assert_eq!(all.len(), 3);
    let middle = &all[1].1;
    assert_eq!(listed(&["--until", middle]).await, all[2..]);
    assert_eq!(listed(&["--since", middle]).await, all[..2]);
    assert_eq!(listed(&["--since", &all[2].1, "--until", middle]).await, all[2..]);
    assert_eq!(listed(&["--since", "2000-01-01", "--until", "2100-01-01"]).await, all);
    assert_eq!(listed(&["--until", "1d"]).await, []);
    let wallets = async |until: &str| json(&stage.command(&["wallet", "list", "--json", "--until", until]).await);
    assert_eq!((wallets("1d").await, wallets("2100-01-01").await.as_array().unwrap().len()), (json!([]), 1));

    let turned = stage.command(&["deposit", "list", "--since", "1h", "--until", "2h"]).await;
    assert_refused(&turned, 2, &["`--since` is not before `--until`"]);
    let wrong = stage.command(&["deposit", "list", "--until", "yesterday"]).await;
    assert_refused(&wrong, 2, &["a date such as 2026-01-01"]);
}
