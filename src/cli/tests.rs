//! What holds for every command: an example in its help that is right.

use clap::{Command, CommandFactory, Parser};

use super::Cli;
use crate::model::delivery::State;

/// The commands that have no others below them, with their names from the root.
fn leaves(command: &Command, before: &str) -> Vec<(String, Command)> {
    let below = command.get_subcommands().flat_map(|sub| {
        let name = format!("{before} {}", sub.get_name());
        if sub.has_subcommands() { leaves(sub, &name) } else { vec![(name, sub.clone())] }
    });
    below.collect()
}

/// The words of a command line, as a shell would take them apart; what is redirected is no word of it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (None, '<' | '>' | '|') => break,
            _ => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_has_an_example_that_is_right() {
    let mut root = Cli::command();
    root.build();
    for (name, command) in leaves(&root, "lumo-bridge") {
        let help = command.get_after_help().unwrap_or_else(|| panic!("`{name}` has no example")).to_string();
        let example =
            help.lines().next().unwrap().strip_prefix("Example: ").unwrap_or_else(|| panic!("{name}: {help}"));
        assert!(example.starts_with(&name), "`{name}` has the example of another command: {example}");
        if let Err(error) = Cli::try_parse_from(words(example)) {
            panic!("the example of `{name}` is refused: {error}");
        }
    }
}

/// What `--help` of a command says, on one line.
fn help(path: &[&str]) -> String {
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for name in path {
        command = command.find_subcommand_mut(name).unwrap_or_else(|| panic!("no command `{name}`"));
    }
    command.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_help_says_what_the_documents_say() {
    for (command, words) in [
        (&["reconcile"][..], "it runs in the database of `database.url`, beside the lumo_ tables"),
        (&["reconcile"], "2 if the statement cannot be used or `lumo.settled_statuses` names no status"),
        (&["sync"], "Beside a running daemon, and before a first import, it reads the whole list"),
        (&["sync"], "Read the whole list twice, and mark all rows as missing that are no longer in it"),
        (&["status"], "Exit code: 0 whatever it says, 1 if the database cannot be read"),
        (&["account", "show"], "Exit code: 0 whatever it says, 1 if the database cannot be read"),
        (&["check"], "1 if a secret is missing or anything else fails, 2 if the configuration cannot be used"),
        (&["callback", "verify"], "The secret may come from the variable LUMO_CALLBACK_SECRET"),
        (&["health"], "Ask whether the tables can be relied on, too, as `/readyz` says"),
    ] {
        let help = help(command);
        assert!(help.contains(words), "{words:?} is not said: {help}");
    }
}

/// The long names of the options that a part of a help lists.
fn options(part: &str) -> Vec<&str> {
    let listed = part.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let named = listed.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("--")));
    named.map(|name| name.trim_end_matches("...")).collect()
}

#[test]
fn what_every_command_takes_stands_apart_from_its_own_options() {
    let mut root = Cli::command();
    root.build();
    for (name, mut command) in leaves(&root, "lumo-bridge") {
        let help = command.render_long_help().to_string();
        let (own, global) = help.split_once("\nGlobal options:\n").unwrap_or_else(|| panic!("{name}: {help}"));
        let (global, _) = global.split_once("\nExample: ").unwrap_or((global, ""));
        let (own, global) = (options(own), options(global));
        assert_eq!(global, ["config", "json", "verbose", "quiet"], "{name}");
        assert!(own.contains(&"help") && !own.iter().any(|option| global.contains(option)), "{name}: {own:?}");
    }
}

#[test]
fn deliveries_are_listed_by_every_state_and_by_no_other() {
    let list = |state: &str| Cli::try_parse_from(["lumo-bridge", "delivery", "list", "--state", state]);
    for state in State::ALL {
        assert!(list(state.as_str()).is_ok(), "{state}");
    }
    let refused = list("odd").unwrap_err().to_string();
    let names = format!("[possible values: {}]", State::ALL.map(State::as_str).join(", "));
    assert!(refused.contains("invalid value 'odd' for '--state <STATE>'") && refused.contains(&names), "{refused}");
    assert!(help(&["delivery", "list"]).contains(&names));
}

/// As the configuration says it for a value of the same type.
#[test]
fn a_value_of_the_wrong_form_is_refused_with_what_to_write() {
    for (line, refusal) in [
        ("demo --for 20", "`20` has no unit; write for example `20s`"),
        ("demo --for soon", "`soon` is not a duration; write for example `30s`, `1m 30s` or `14d`"),
        ("deposit watch 42 --for 20", "`20` has no unit; write for example `20s`"),
        ("simulate --listen 18750", "`18750` is no address with a port; write for example 127.0.0.1:18750"),
        ("simulate --latency soon", "`soon` is not a duration; write for example `20ms` or `1.5s`"),
        ("event list --since 20", "`20` has no unit; write for example `20h`, or a date such as 2026-01-01"),
        ("event list --since soon", "`soon` is no time; write a time such as 2026-01-01T00:00:00Z"),
    ] {
        let refused = Cli::try_parse_from(words(&format!("lumo-bridge {line}"))).unwrap_err().to_string();
        assert!(refused.contains(refusal), "{line}: {refused}");
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}
