//! The database: whether it answers, what it is, and whether the tables are there or could be made.

use super::columns;
use super::finding::{Finding, Report};
use super::history;
use crate::chain::Chain;
use crate::config::Config;
use crate::store::{Allowed, Error, Need, Store, schema};

const SUBJECT: &str = "database";
const TABLES: &str = "tables";

pub(super) async fn check(report: &mut Report<'_>, config: &Config) {
    let url = &config.database.url;
    if let Some(folder) = url.missing_folder() {
        let problem = format_args!("{url}: the folder {} does not exist", folder.display());
        return report.add(Finding::fail(SUBJECT, problem).hint("make the folder, or correct `database.url`"));
    }
    let store = match Store::open_for(Need::Little, &config.database, Vec::new()).await {
        Ok(store) => store,
        Err(Error::NotMigrated) => {
            let absent = format_args!("{url}: there is no such file yet");
            return report.add(if config.database.migrate {
                Finding::ok(SUBJECT, format_args!("{absent}; `lumo-bridge run` makes it"))
            } else {
                Finding::warn(SUBJECT, absent).hint("run `lumo-bridge migrate up`")
            });
        }
        Err(error) => {
            let hint =
                "check that it runs, that it can be reached from here, and the user and password of `database.url`";
            report.add(Finding::fail(SUBJECT, format_args!("{url}: {}", Chain(&error))).hint(hint));
            return;
        }
    };
    report.add(match store.server_version().await {
        Ok(version) => Finding::ok(SUBJECT, format_args!("{url}, {version}")),
        Err(error) => failed(SUBJECT, &error),
    });
    tables(report, &store, config).await;
    store.close().await;
}

async fn tables(report: &mut Report<'_>, store: &Store, config: &Config) {
    let steps = match schema::status(&config.database).await {
        Ok(steps) => steps,
        Err(error) => return report.add(failed(TABLES, &error)),
    };
    let pending = steps.iter().filter(|step| !step.applied).count();
    if pending == 0 {
        match store.ping().await {
            Ok(()) => report.add(Finding::ok(TABLES, "up to date")),
            Err(error) => return report.add(failed(TABLES, &error)),
        }
        columns::check(report, store, config).await;
        return history::check(report, store, config).await;
    }
    if pending == steps.len()
        && let Ok(elsewhere) = store.tables_elsewhere().await
        && let Some(first) = elsewhere.first()
    {
        let message = format_args!("none here, but there are some in the schema {}", elsewhere.join(", "));
        let hint = format!("set `database.schema` to {first}, unless a second set of tables is meant");
        report.add(Finding::warn(TABLES, message).hint(hint));
    }
    let pending = format!("{pending} of {} steps pending", steps.len());
    let schema = config.database.schema.as_ref().map(|schema| schema.as_str());
    report.add(match store.may_create_tables(schema).await {
        Ok(Allowed::Yes) if config.database.migrate => {
            Finding::ok(TABLES, format_args!("{pending}; `lumo-bridge run` applies them"))
        }
        Ok(Allowed::Yes) => Finding::warn(TABLES, pending).hint("run `lumo-bridge migrate up`"),
        Ok(Allowed::No { right, refusal }) => {
            Finding::fail(TABLES, format_args!("{pending}, and tables may not be created: {}", Chain(&refusal)))
                .hint(format!("grant the database's user the right {right}"))
        }
        Err(error) => failed(TABLES, &error),
    });
}

fn failed(subject: &str, error: &Error) -> Finding {
    Finding::fail(subject, Chain(error))
}
