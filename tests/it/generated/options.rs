//! `docs/options.md`: every command and what it takes, as its help has it.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use lumo_bridge::cli::Cli;

const OPENING: &str = "\
<!-- Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated -->

# Every command and option

What the `--help` of each command says, on one page. [Commands](commands.md) says what they are for, with examples and exit codes.
What has `…` behind it may be given several times, and a value in brackets may be left out.

## Every command takes

";

const HEAD: &str = "| | |\n|---|---|\n";

pub(super) fn document() -> String {
    let program = Cli::command();
    let mut text = format!("{OPENING}{HEAD}{}", arguments(&program));
    for command in program.get_subcommands() {
        let name = format!("lumo-bridge {}", command.get_name());
        let mut rows = arguments(command);
        for below in command.get_subcommands() {
            writeln!(rows, "| **`{name} {}`** | {} |", below.get_name(), words(below.get_about())).unwrap();
            rows.push_str(&arguments(below));
        }
        writeln!(text, "\n## `{name}`\n\n{}.", words(command.get_about())).unwrap();
        if !rows.is_empty() {
            write!(text, "\n{HEAD}{rows}").unwrap();
        }
    }
    text
}

/// A row for each thing that the command itself takes.
fn arguments(command: &Command) -> String {
    let mut rows = String::new();
    let (positional, named): (Vec<&Arg>, Vec<&Arg>) = command.get_arguments().partition(|arg| arg.is_positional());
    for arg in positional.into_iter().chain(named).filter(|arg| !arg.is_hide_set()) {
        let required = if arg.is_required_set() { ", required" } else { "" };
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let mut words = words(arg.get_help());
        if takes_value(arg) && !values.is_empty() && !arg.is_hide_possible_values_set() {
            write!(words, ": {}", values.join(", ")).unwrap();
        }
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
        if takes_value(arg) && !defaults.is_empty() {
            write!(words, " [default: {}]", defaults.join(", ")).unwrap();
        }
        if let Some(variable) = arg.get_env() {
            write!(words, " [env: {}]", variable.to_string_lossy()).unwrap();
        }
        writeln!(rows, "| `{}`{required} | {words} |", label(arg)).unwrap();
    }
    rows
}

/// `-c, --config FILE`; `--blocked[=BOOL]` where the value may be left out.
fn label(arg: &Arg) -> String {
    let short = arg.get_short().map(|letter| format!("-{letter}"));
    let names = short.into_iter().chain(arg.get_long().map(|long| format!("--{long}")));
    let mut label = names.collect::<Vec<_>>().join(", ");
    if takes_value(arg) {
        let value = arg.get_value_names().and_then(<[_]>::first);
        let value = value.map_or_else(|| arg.get_id().to_string(), ToString::to_string);
        let shown = match arg.get_num_args() {
            _ if label.is_empty() => value,
            Some(range) if range.min_values() == 0 => format!("[={value}]"),
            _ => format!(" {value}"),
        };
        label.push_str(&shown);
    }
    if matches!(arg.get_action(), ArgAction::Append | ArgAction::Count) {
        label.push('…');
    }
    label
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn words(help: Option<&StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}
