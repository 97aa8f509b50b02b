//! Processes of which one has the wrong key, or one that is void: it tells nothing but that, and gives way to one that has
//! the right one.

use std::path::Path;

use super::{Before, Companies, OTHER_KEY};
use crate::database::{Database, on_each_database};
use crate::world::{Bridge, PATIENCE, eventually};

on_each_database!(
    a_process_with_the_right_key_takes_the_lead_from_one_with_the_wrong_key_and_keeps_it,
    the_daemon_of_the_former_company_tells_nothing_and_gives_way,
    a_process_with_the_new_key_takes_the_lead_from_one_whose_key_is_refused,
);

const READS: &str = "this process reads the listings";
const STANDS_BY: &str = "another process reads the listings; this one stands by";
const TAKES_OVER: &str = "this one takes over";

fn times(bridge: &Bridge, words: &str) -> usize {
    bridge.log().matches(words).count()
}

/// A daemon with this key.
fn daemon(companies: &mut Companies, key: &str) -> Bridge {
    companies.take_key(key);
    companies.stage.daemon()
}

async fn a_process_with_the_right_key_takes_the_lead_from_one_with_the_wrong_key_and_keeps_it(database: Database) {
    let mut companies = Companies::new(database).await;
    let own_key = companies.own_key.clone();
    companies.read_rightly().await;
    let before = companies.before().await;
    let mut wrong = daemon(&mut companies, OTHER_KEY);
    companies.until_wrong().await;
    // One more that is wrong takes nothing from it.
    let mut as_wrong = daemon(&mut companies, OTHER_KEY);
    as_wrong.until_logged(STANDS_BY, PATIENCE).await;
    companies.stage.until_read_again().await;
    companies.nothing_of_another_company(&before, 1, "two that are wrong").await;
    assert_eq!((times(&wrong, READS), times(&as_wrong, READS)), (1, 0));

    let mut right = daemon(&mut companies, &own_key);
    right.until_logged(TAKES_OVER, PATIENCE).await;
    let deposit = companies.stage.world.add_deposit_for("user-000001", "1.5").unwrap().id;
    companies.stage.until_mirrored().await;
    wrong.until_logged(STANDS_BY, PATIENCE).await;
    companies.stage.until_read_again().await;
    companies.stage.until_delivered().await;
    assert_eq!((times(&wrong, READS), times(&as_wrong, READS), times(&right, READS)), (1, 0, 1), "nobody takes turns");
    assert_eq!(companies.stage.database.count("lumo_account", "wrong_since IS NOT NULL").await, 0);
    assert_eq!(companies.events_of("sync.wrong_account").await, 1);
    assert_eq!(companies.stage.events().await.last().unwrap().object_id, deposit.to_string());

    // Left alone, the wrong ones find it out anew, and another that is right takes over again.
    right.stop().await;
    companies.until_wrong().await;
    assert_eq!(companies.events_of("sync.wrong_account").await, 2);
    let mut right = daemon(&mut companies, &own_key);
    right.until_logged(TAKES_OVER, PATIENCE).await;
    companies.stage.world.add_deposit_for("user-000001", "2.5").unwrap();
    companies.stage.until_mirrored().await;
    companies.stage.until_delivered().await;
    for bridge in [wrong, as_wrong, right] {
        bridge.stop().await;
    }
    assert_eq!(companies.events_of("sync.wrong_account").await, 2);
    assert_eq!(companies.events_of("deposit.created").await, 2);
    assert_eq!(companies.rows_of(&companies.other).await, 0);
}

/// Changes the key in the file of a daemon that is not told yet.
fn write(companies: &mut Companies, file: &Path, key: &str) {
    companies.take_key(key);
    std::fs::write(file, companies.stage.settings.to_string()).unwrap();
}

async fn the_daemon_of_the_former_company_tells_nothing_and_gives_way(database: Database) {
    let mut companies = Companies::new(database).await;
    let file = companies.stage.config_file();
    let mut former = companies.stage.daemon_on(&file);
    companies.stage.until_imported().await;
    companies.stage.until_mirrored().await;
    let (own, other) = (companies.stage.world.company().to_string(), companies.other.company().to_string());
    let own_wallets = companies.rows_of(&companies.stage.world).await;

    // Before: what is only said does nothing, and the daemon reads on.
    companies.take_key(OTHER_KEY);
    let before = companies.before().await;
    let said = companies.stage.command(&["account", "adopt", &other]).await;
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    companies.stage.until_read_again().await;
    companies.nothing_of_another_company(&before, 0, "before").await;

    // While: it is the wrong one from then on, with one notice and no row.
    let adopted = companies.stage.command(&["account", "adopt", &other, "--yes"]).await;
    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    let apart = companies.rows().await;
    companies.stage.world.add_deposit_for("user-000001", "1.5").unwrap();
    companies.until_wrong().await;
    companies.stage.until_read_again().await;
    companies.nothing_of_another_company(&Before { rows: apart, ..before }, 1, "while").await;

    // After: the daemon of the new company takes the lead from it.
    let mut current = companies.stage.daemon();
    current.until_logged(TAKES_OVER, PATIENCE).await;
    companies.stage.until_imported().await;
    former.until_logged(STANDS_BY, PATIENCE).await;
    companies.stage.world.add_deposit_for("user-000001", "2.5").unwrap();
    companies.other.add_deposit_for("user-000001", "12.5").unwrap();
    eventually!(PATIENCE, "the new company's deposit is told", companies.events_of("deposit.created").await == 1);
    companies.stage.until_read_again().await;
    companies.stage.until_delivered().await;
    let events = companies.stage.events().await;
    assert_eq!(events.last().unwrap().json()["company_id"], other);
    assert_eq!(events.len(), before.events + 2, "one notice, one deposit");
    let apart = format!("company_id = '{own}' AND former_company_id = '{own}' AND missing_since IS NULL");
    assert_eq!(companies.stage.database.count("lumo_user_wallets", &apart).await, own_wallets);

    // Given the new key by a reload, it is one of two that are right, and who reads goes on to read.
    write(&mut companies, &file, OTHER_KEY);
    former.signal("HUP");
    former.until_logged("configuration reloaded; it is in force", PATIENCE).await;
    companies.stage.until_read_again().await;
    assert_eq!((times(&former, READS), times(&current, READS)), (1, 1));
    for bridge in [former, current] {
        bridge.stop().await;
    }
    assert_eq!(companies.events_of("sync.wrong_account").await, 1);
}

/// A key is replaced in one process after the other, as by a rolling restart that waits for the new one to be ready.
async fn a_process_with_the_new_key_takes_the_lead_from_one_whose_key_is_refused(database: Database) {
    let mut companies = Companies::new(database).await;
    let old_key = companies.own_key.clone();
    companies.read_rightly().await;
    companies.stage.world.rotate_key();
    let new_key = companies.stage.world.api_key();
    let mut old = daemon(&mut companies, &old_key);
    let refused = "unauthorized_since IS NOT NULL";
    let sql = format!("SELECT COUNT(*) FROM lumo_sync_state WHERE {refused}");
    companies.stage.database.until_at_least(1, PATIENCE, &sql).await;
    let mut as_old = daemon(&mut companies, &old_key);
    as_old.until_logged(STANDS_BY, PATIENCE).await;

    let mut new = daemon(&mut companies, &new_key);
    new.until_logged(TAKES_OVER, PATIENCE).await;
    companies.stage.world.add_deposit_for("user-000001", "1.5").unwrap();
    companies.stage.until_mirrored().await;
    old.until_logged(STANDS_BY, PATIENCE).await;
    companies.stage.until_read_again().await;
    companies.stage.until_delivered().await;
    assert_eq!((times(&old, READS), times(&as_old, READS), times(&new, READS)), (1, 0, 1), "nobody takes turns");
    assert_eq!(companies.stage.database.count("lumo_sync_state", refused).await, 0);
    let (told, ended) = (companies.events_of("sync.unauthorized").await, companies.events_of("sync.recovered").await);
    assert_eq!(told, ended, "each refusal is told, and its end");
    for bridge in [old, as_old, new] {
        bridge.stop().await;
    }
}
