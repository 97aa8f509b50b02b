//! The database: whether it answers, what it is, and whether the tables are there or could be made.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::columns;
use super::finding::{Finding, Report};
use super::history;
use super::settled;
use crate::chain::Chain;
use crate::config::Config;
use crate::store::config::{Backend, is_full};
use crate::store::schema::{self, Migration};
use crate::store::{Allowed, Error, Need, Store, survey};
use crate::view::Reader;

const SUBJECT: &str = "database";
const TABLES: &str = "tables";
const CONNECTIONS: &str = "connections";
const MAKE_ROOM: &str = "make room on that disk; a daemon goes on by itself then";

/// Returns whether a daemon runs with these tables, if that can be seen.
pub(super) async fn check(report: &mut Report<'_>, config: &Config, now: DateTime<Utc>) -> Option<bool> {
    let (tables, has_daemon) = look(report, config, now).await;
    if tables == Tables::Unread {
        settled::check_without_tables(report, config);
    }
    has_daemon
}

/// Whether rows were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    Read,
    Unread,
}

async fn look(report: &mut Report<'_>, config: &Config, now: DateTime<Utc>) -> (Tables, Option<bool>) {
    let url = &config.database.url;
    if let Some(folder) = url.missing_folder() {
        let problem = format_args!("{url}: the folder {} does not exist", folder.display());
        report.add(Finding::fail(SUBJECT, problem).hint("make the folder, or correct `database.url`"));
        return (Tables::Unread, None);
    }
    // On a connection of its own: beside a daemon there may be no other than the one that the store keeps.
    let steps = match schema::status(&config.database).await {
        Err(error @ Error::Unavailable(_)) => {
            report.add(Finding::fail(SUBJECT, format_args!("{url}: {}", Chain(&error))).maybe_hint(error.hint()));
            return (Tables::Unread, None);
        }
        steps => steps,
    };
    let store = match Store::open_for(Need::Little, &config.database, Vec::new()).await {
        Ok(store) => store,
        Err(Error::NoFile { .. }) => {
            report.add(no_file(config));
            return (Tables::Unread, Some(false));
        }
        Err(error) => {
            report.add(Finding::fail(SUBJECT, format_args!("{url}: {}", Chain(&error))).maybe_hint(error.hint()));
            return (Tables::Unread, None);
        }
    };
    report.add(match store.server_version().await {
        Ok(version) => Finding::ok(SUBJECT, format_args!("{url}, {version}")),
        Err(error) => failed(SUBJECT, &error),
    });
    if let Some((folder, error)) = url.full_folder() {
        report.add(Finding::fail(SUBJECT, full(&folder, &error)).hint(MAKE_ROOM));
    }
    let read = tables(report, &store, steps, config, now).await;
    let reader = Reader::load(&store, now).await.unwrap_or_default();
    let has_daemon = match store.living_processes().await {
        Ok(processes) => Some(reader.is_alive() || !processes.is_empty()),
        Err(Error::NotMigrated) => Some(false),
        Err(_) => None,
    };
    // The connections of this command would count as well.
    store.close().await;
    if url.backend() != Backend::Sqlite {
        connections(report, config, reader.is_alive()).await;
    }
    (read, has_daemon)
}

/// That the disk of an SQLite file is full. What is tried and undone there takes no room, so it does not show.
fn full(folder: &Path, error: &io::Error) -> String {
    format!("cannot write: the disk of {} is full: {error}", folder.display())
}

/// What becomes of an SQLite file that does not exist.
fn no_file(config: &Config) -> Finding {
    let url = &config.database.url;
    let absent = format!("{url}: there is no such file yet");
    match url.unwritable_folder() {
        Some((folder, error)) => {
            let hint = if is_full(&error) {
                MAKE_ROOM
            } else {
                "let this user write to the folder, or correct `database.url`"
            };
            Finding::fail(SUBJECT, format_args!("{absent}, and none can be made in {}: {error}", folder.display()))
                .hint(hint)
        }
        None if config.database.migrate => Finding::ok(SUBJECT, format_args!("{absent}; `lumo-bridge run` makes it")),
        None => Finding::warn(SUBJECT, absent).hint("run `lumo-bridge migrate up`"),
    }
}

/// How many connections there are, and whether each is kept for the client that opened it.
async fn connections(report: &mut Report<'_>, config: &Config, daemon_runs: bool) {
    let wanted = config.database.max_connections;
    // A daemon has what it wants already, and needs it.
    let surveyed = if daemon_runs { wanted.min(2) } else { wanted };
    let survey = match survey(&config.database, surveyed).await {
        Ok(survey) => survey,
        Err(error) => return report.add(failed(CONNECTIONS, &error)),
    };
    if survey.is_lent {
        let pooled = "a pooler lends them per transaction: that a process has died shows only when its leases end, and \
                      processes look for deliveries every second instead of waking each other";
        let hint = "connect to PostgreSQL directly, or through `pool_mode = session`, if that is too slow";
        report.add(Finding::warn(CONNECTIONS, pooled).hint(hint));
    }
    report.add(match &survey.refusal {
        Some(refusal) if !daemon_runs => {
            let message = format_args!(
                "{} of the {wanted} of `database.max_connections` were given, of which a daemon takes {}: {refusal}",
                survey.given,
                survey.usable()
            );
            Finding::warn(CONNECTIONS, message)
                .hint("raise the limit of the server, database, user or pooler, or lower `database.max_connections`")
        }
        _ if daemon_runs => Finding::ok(CONNECTIONS, "a daemon runs and has its own"),
        _ => Finding::ok(CONNECTIONS, format_args!("{wanted}, all that `database.max_connections` asks for")),
    });
}

async fn tables(
    report: &mut Report<'_>,
    store: &Store,
    steps: Result<Vec<Migration>, Error>,
    config: &Config,
    now: DateTime<Utc>,
) -> Tables {
    let steps = match steps {
        Ok(steps) => steps,
        Err(error) => {
            report.add(failed(TABLES, &error));
            return Tables::Unread;
        }
    };
    let pending = steps.iter().filter(|step| !step.applied).count();
    if pending == 0 {
        let tried = async {
            store.ping().await?;
            store.try_everything(now).await
        };
        match tried.await {
            Ok(()) => {
                report.add(Finding::ok(TABLES, "up to date; all that a daemon does to them was tried and undone"))
            }
            Err(error) => {
                report.add(failed(TABLES, &error));
                return Tables::Unread;
            }
        }
        columns::check(report, store, config).await;
        settled::check(report, store, config).await;
        history::check(report, store, config).await;
        return Tables::Read;
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
        Ok(Allowed::No { .. }) if !config.database.migrate => {
            Finding::fail(TABLES, pending).hint("run `lumo-bridge migrate up` as a user that may create tables")
        }
        Ok(Allowed::No { right, refusal }) => {
            Finding::fail(TABLES, format_args!("{pending}, and tables may not be created: {}", Chain(&refusal)))
                .hint(format!("grant the database's user the right {right}"))
        }
        Err(error) => failed(TABLES, &error),
    });
    Tables::Unread
}

fn failed(subject: &str, error: &Error) -> Finding {
    Finding::fail(subject, Chain(error)).maybe_hint(error.hint())
}
