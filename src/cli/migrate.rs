//! `migrate`: the tables, on their own.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::style::{GREEN, YELLOW};
use super::table::{Cell, Column};
use super::view::{self, Listed};
use crate::store::schema::{self, Migration};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create the tables, or bring them to the version that this program knows
    #[command(after_help = "Example: lumo-bridge migrate up")]
    Up,
    /// Take the last steps back, with everything in the tables that they made
    #[command(after_help = "Example: lumo-bridge migrate down --steps 1 --yes")]
    Down {
        /// How many steps to take back
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
    /// Say that the database was restored from a backup, so that no id of an event stands for two changes
    ///
    /// Stop every daemon first. What happens once, as a deposit's creation, keeps its id.
    #[command(after_help = "Example: lumo-bridge migrate restored")]
    Restored,
    /// Show which steps were applied; changes nothing
    #[command(after_help = "Example: lumo-bridge migrate status")]
    Status,
}

/// How many steps were taken, in either direction.
#[derive(Serialize)]
struct Steps {
    steps: usize,
}

#[derive(Serialize)]
struct Restored {
    restored: bool,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.load_quietly()?.config.database;
    match command {
        Command::Up => {
            let steps = schema::up(&database).await.context("tables not brought up to date")?;
            told(
                context,
                steps,
                match steps {
                    0 => "the tables were up to date already".to_owned(),
                    steps => format!("the tables are up to date; steps applied: {steps}"),
                },
            )
        }
        Command::Down { yes: false, .. } => {
            Err(Failure::usage("this drops lumo_ tables with everything in them; nothing was done")
                .with_hint("make a backup, stop every daemon, and say `--yes`"))
        }
        Command::Down { steps, yes: true } => {
            let steps = schema::down(&database, steps).await.context("tables not taken back")?;
            told(context, steps, format!("steps taken back: {steps}"))
        }
        Command::Restored => {
            schema::restored(&database).await.context("restored tables not noted")?;
            let printer = context.printer();
            if printer.json() {
                return Ok(printer.document(&Restored { restored: true })?);
            }
            printer.say("noted; changes that are found from now on have ids that were never sent");
            Ok(())
        }
        Command::Status => {
            let steps = schema::status(&database).await.context("state of the tables not read")?;
            view::list(context, &steps)
        }
    }
}

fn told(context: &Context, steps: usize, words: String) -> Result<(), Failure> {
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&Steps { steps })?);
    }
    printer.say(words);
    Ok(())
}

/// A step, for scripts.
#[derive(Serialize)]
pub(super) struct Json {
    name: String,
    is_applied: bool,
}

impl Listed for Migration {
    const NOUN: &'static str = "steps";
    type Json = Json;

    fn columns() -> Vec<Column> {
        vec![Column::new("STEP").flexible(), Column::new("STATE")]
    }

    fn cells(&self, _: DateTime<Utc>) -> Vec<Cell> {
        let state = if self.applied { Cell::new("applied").styled(GREEN) } else { Cell::new("pending").styled(YELLOW) };
        vec![Cell::new(&self.name), state]
    }

    fn json(&self) -> Json {
        Json { name: self.name.clone(), is_applied: self.applied }
    }
}
