//! `config`: a starter file, what is in force, and the schema.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::safe;
use crate::config::{self, Config};
use crate::setting::{create_private, open_private};

/// Where a file is looked for first.
const USUAL: &str = "./config/lumo-bridge.yaml";
/// What the first line of the starter file names, for editors; it is written beside it.
const SCHEMA: &str = "lumo-bridge.schema.json";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write a commented starter file, and beside it the JSON Schema by which editors complete and check it
    #[command(after_help = "Example: lumo-bridge config init ./config/lumo-bridge.yaml")]
    Init {
        /// Where to write it
        #[arg(default_value = USUAL)]
        path: PathBuf,
        /// Replace the file if there is one
        #[arg(long)]
        force: bool,
    },
    /// Print everything that is in force, without the secrets
    #[command(after_help = "Example: lumo-bridge config show --config ./config/lumo-bridge.yaml")]
    Show,
    /// Print the JSON Schema of the file, for editors
    #[command(after_help = "Example: lumo-bridge config schema > lumo-bridge.schema.json")]
    Schema,
}

pub(super) fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let printer = context.printer();
    match command {
        Command::Init { path, force } => init(context, &path, force),
        Command::Show => {
            let loaded = context.load_quietly()?;
            if printer.json() {
                return Ok(printer.document(&loaded.config)?);
            }
            match &loaded.path {
                Some(path) => printer.say(format!("# the defaults, {} and the environment", shown(path))),
                None => printer.say("# the defaults and the environment; no file was found"),
            }
            printer.line(safe::lines(&loaded.config.show()));
            Ok(())
        }
        Command::Schema => Ok(printer.document(&Config::schema())?),
    }
}

#[derive(Serialize)]
struct Written<'a> {
    path: &'a Path,
    schema: &'a Path,
}

fn init(context: &Context, path: &Path, force: bool) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("folder {} not made", folder.display()))?;
    }
    match write(path, force, config::starter()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let problem = format!("{} is there already; nothing was written", path.display());
            return Err(Failure::usage(problem).with_hint("name another path, or overwrite it with `--force`"));
        }
        written => written.with_context(|| format!("{} not written", path.display()))?,
    }
    let schema = path.with_file_name(SCHEMA);
    let text = serde_json::to_string_pretty(&Config::schema()).context("schema not serialised")?;
    write(&schema, true, &(text + "\n")).with_context(|| format!("{} not written", schema.display()))?;
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&Written { path, schema: &schema })?);
    }
    let option = if path == Path::new(USUAL) { String::new() } else { format!(" --config {}", shown(path)) };
    printer.say(format!("{} is written, and {SCHEMA} beside it for your editor; next:", shown(path)));
    printer.say("  1. read it, and set `database.url` and the url of your endpoint");
    printer.say("  2. set the variables that it names: LUMO_API_KEY, SHOP_WEBHOOK_SECRET");
    printer.say(format!("  3. lumo-bridge check{option}"));
    printer.say(format!("  4. lumo-bridge run{option}"));
    Ok(())
}

/// The file is the user's alone: secrets may come to stand in it. One that is there keeps its mode.
fn write(path: &Path, replace: bool, text: &str) -> std::io::Result<()> {
    // Asked of the system as one thing, so that a file that comes into being meanwhile is not overwritten either.
    let mut file = if replace { open_private(path)? } else { create_private(path)? };
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn shown(path: &Path) -> String {
    safe::text(&path.display().to_string()).into_owned()
}
