//! Every way in which a key or a server that is not the tables' own comes into force: one notice, and nothing else.

use lumo_simulator::{DepositShape, Profile, Quirks, World};
use serde_json::json;

use super::{Companies, OTHER_KEY, reload};
use crate::database::{Database, on_each_database};
use crate::world::{Bridge, PATIENCE, Stage, eventually, seed};

on_each_database!(
    whichever_way_another_account_comes_into_force_nothing_of_it_is_stored_or_told,
    tables_that_are_empty_belong_to_the_first_key_without_a_word,
);

const EMPTY_KEY: &str = "lb2b_00000000000000000000000000000003";
const READS: &str = "this process reads the listings";

#[derive(Clone, Copy, Debug)]
enum Way {
    /// The tables were filled by a command, and the daemon starts for the first time.
    FirstStart,
    /// The daemon that filled them is stopped, and starts again with another file.
    Restart,
    /// SIGHUP.
    Reload,
    /// The file is right, and the environment is laid over it.
    Variable,
    /// The right key of the right company, asked for at another host.
    Server,
    /// The other company has neither wallets nor deposits: everything would be missing.
    EmptyLists,
}

impl Way {
    const ALL: [Self; 6] =
        [Self::FirstStart, Self::Restart, Self::Reload, Self::Variable, Self::Server, Self::EmptyLists];

    /// Starts or reloads a daemon that is wrong from then on.
    async fn go(self, companies: &mut Companies) -> Bridge {
        match self {
            Self::FirstStart => {
                companies.take_key(OTHER_KEY);
                companies.stage.daemon()
            }
            Self::Restart => {
                let mut right = companies.stage.daemon();
                right.until_logged(READS, PATIENCE).await;
                right.stop().await;
                companies.take_key(OTHER_KEY);
                companies.stage.daemon()
            }
            Self::Reload => {
                let file = companies.stage.config_file();
                let mut bridge = companies.stage.daemon_on(&file);
                bridge.until_logged(READS, PATIENCE).await;
                companies.take_key(OTHER_KEY);
                reload(&companies.stage, &mut bridge, &file).await;
                bridge
            }
            Self::Variable => {
                companies.stage.variables.push(("LUMO_BRIDGE__LUMO__API_KEY__VALUE", OTHER_KEY.into()));
                companies.stage.daemon()
            }
            Self::Server => {
                let url = companies.stage.simulator.base_url().replace("127.0.0.1", "localhost");
                companies.stage.settings.set("lumo.base_url", json!(url));
                companies.stage.daemon()
            }
            Self::EmptyLists => {
                companies.take_key(EMPTY_KEY);
                companies.stage.daemon()
            }
        }
    }
}

async fn whichever_way_another_account_comes_into_force_nothing_of_it_is_stored_or_told(database: Database) {
    let mut companies = Companies::new(database).await;
    companies.stage.simulator.add_company(World::live(seed().wrapping_add(2)).with_api_key(EMPTY_KEY));
    companies.read_rightly().await;
    let right = companies.stage.settings.clone();
    for way in Way::ALL {
        let before = companies.before().await;
        let bridge = way.go(&mut companies).await;
        companies.until_wrong().await;
        // Both go on with their lives, and neither is to be heard.
        companies.stage.world.add_deposit_for("user-000001", "1.5").unwrap();
        companies.other.add_deposit_for("mallory", "2.5").unwrap();
        companies.stage.until_read_again().await;
        companies.stage.until_delivered().await;
        bridge.stop().await;
        companies.nothing_of_another_company(&before, 1, &format!("{way:?}")).await;

        companies.stage.settings = right.clone();
        companies.stage.variables.clear();
        companies.read_rightly().await;
    }
    let missed = i64::try_from(Way::ALL.len()).unwrap();
    assert_eq!(companies.events_of("deposit.created").await, missed, "what happened meanwhile is told afterwards");
    assert_eq!(companies.events_of("sync.wrong_account").await, missed);
}

async fn tables_that_are_empty_belong_to_the_first_key_without_a_word(database: Database) {
    let mut companies = Companies::new(database).await;
    companies.take_key(OTHER_KEY);
    let bridge = companies.stage.daemon();
    companies.stage.until_imported().await;
    bridge.stop().await;
    assert_eq!(companies.stage.events().await.len(), 0, "the history is imported in silence");
    assert_eq!(companies.rows_of(&companies.other).await, i64::try_from(companies.other.wallet_count()).unwrap());
    let own = format!("company_id = '{}' AND wrong_since IS NULL", companies.other.company());
    assert_eq!(companies.stage.database.count("lumo_account", &own).await, 1);
}

/// What the first wallet of the other company says is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_profile_is_refused_a_wallet_gives_the_other_company_away() {
    let quirks = Quirks { profile: Profile::Refuses, ..Quirks::default() };
    let mut companies = Companies::with(Database::sqlite().await, quirks).await;
    companies.read_rightly().await;
    let before = companies.before().await;
    companies.take_key(OTHER_KEY);
    let bridge = companies.stage.daemon();
    companies.until_wrong().await;
    companies.stage.until_read_again().await;
    bridge.stop().await;
    companies.nothing_of_another_company(&before, 1, "profile refused").await;
}

/// The other company's first rows are deposits, and they do not say whose they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_that_name_no_company_wait_until_something_does() {
    let quirks = Quirks { profile: Profile::Absent, shape: DepositShape::Nested, ..Quirks::default() };
    let mut companies = Companies::with(Database::sqlite().await, quirks).await;
    companies.read_rightly().await;
    let before = companies.before().await;
    for wallet in companies.other.snapshot().wallets {
        companies.other.remove_wallet(wallet.id).unwrap();
    }
    assert!(companies.other.deposit_count() > 0);

    companies.take_key(OTHER_KEY);
    let mut bridge = companies.stage.daemon();
    bridge.until_logged("which company the API key belongs to cannot be found out", PATIENCE).await;
    companies.stage.until_read_again().await;
    companies.nothing_of_another_company(&before, 0, "nothing names the company").await;
    let status = companies.stage.command(&["status"]).await.stdout;
    let said = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("which company the API key belongs to cannot be found out"), "{status}");

    // The same daemon learns it from the first wallet.
    companies.other.add_wallet("mallory");
    companies.until_wrong().await;
    companies.stage.until_read_again().await;
    bridge.stop().await;
    companies.nothing_of_another_company(&before, 1, "a wallet names it").await;

    companies.take_key(&companies.own_key.clone());
    companies.read_rightly().await;
    companies.nothing_of_another_company(&before, 1, "with the right key").await;
}

/// Nothing names the company of the first key but what it lists; that is enough to keep another one off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_name_a_company_keep_another_off_where_no_key_was_named_before() {
    let quirks = Quirks { profile: Profile::Absent, ..Quirks::default() };
    let mut companies = Companies::with(Database::sqlite().await, quirks).await;
    for wallet in companies.stage.world.snapshot().wallets {
        companies.stage.world.remove_wallet(wallet.id).unwrap();
    }
    let bridge = companies.stage.daemon();
    companies.stage.until_imported().await;
    companies.stage.until_mirrored().await;
    bridge.stop().await;
    assert_eq!(companies.stage.database.count("lumo_account", "1 = 1").await, 0, "no wallet names a company");
    let before = companies.before().await;
    assert!(!before.rows[1].is_empty());

    companies.take_key(OTHER_KEY);
    let bridge = companies.stage.daemon();
    companies.until_wrong().await;
    companies.stage.until_read_again().await;
    bridge.stop().await;
    companies.nothing_of_another_company(&before, 1, "rows name the company").await;
    let own = format!("company_id = '{}'", companies.stage.world.company());
    assert_eq!(companies.stage.database.count("lumo_account", &own).await, 1);

    // Given to the other company, the rows stay and are not called missing.
    let other = companies.other.company().to_string();
    let adopted = companies.stage.command(&["account", "adopt", &other, "--yes"]).await;
    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    companies.stage.command(&["sync"]).await;
    let apart = format!("{own} AND former_company_id = company_id AND missing_since IS NULL");
    let stored = i64::try_from(before.rows[1].len()).unwrap();
    assert_eq!(companies.stage.database.count("lumo_user_deposits", &apart).await, stored);
    assert_eq!(companies.rows_of(&companies.other).await, i64::try_from(companies.other.wallet_count()).unwrap());
}

/// The guard speaks in one voice, wherever it is heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_commands_say_the_same_of_another_server_as_text() {
    let world = World::live(seed());
    world.seed(3, 3);
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    let (own, url) = (stage.simulator.base_url(), stage.simulator.base_url().replace("127.0.0.1", "localhost"));
    stage.settings.set("lumo.base_url", json!(url));
    let refused = stage.command(&["sync"]).await;
    let status = stage.command(&["status"]).await;
    let said = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = format!("he tables are filled from {own}, and `lumo.base_url` names {url}");
    for (what, text) in [("sync", &refused.stderr), ("status", &status.stdout)] {
        assert!(said(text).contains(&sentence), "{what}: {text}");
        assert!(
            said(text).contains("correct `lumo.base_url`, then reload the daemon; if the company has moved"),
            "{text}"
        );
    }
    let first = said(&status.stdout);
    assert!(first.starts_with("The tables are filled from"), "{first}");
    eventually!(PATIENCE, "it is told once", stage.events().await.len() == 1);
}
