//! The environment as a layer of the configuration: `LUMO_BRIDGE__DATABASE__URL` is `database.url`.
//!
//! An empty variable counts as unset; one that is almost a setting is told. A value is text, and numbers and booleans are read from it by the setting's own
//! type; `null`, and lists and maps in brackets, are read as YAML. The text of a secret is never read as anything else.

use config::{Value, ValueKind};

use crate::config::tree::{self, Step, Table, Way};
use crate::config::{Problem, variables, yaml_limits};

const PREFIX: &str = "LUMO_BRIDGE__";
const SEPARATOR: &str = "__";
/// No setting is as deep.
const MAX_LEVELS: usize = 16;

/// The variables of this process. What is not UTF-8 in a value is marked as such.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
}

/// The variables that are meant for us, and what is wrong with those that almost are.
pub(super) struct Layer {
    /// As a tree. The origin of each value is the variable's name.
    pub(super) variables: Table,
    pub(super) problems: Vec<Problem>,
    /// The settings of the variables that have a problem.
    pub(super) unread: Vec<Way>,
}

pub(super) fn layer(env: impl IntoIterator<Item = (String, String)>) -> Layer {
    let mut set: Vec<_> = env.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    // Whatever order they come in, `A__B` is laid over `A`.
    set.sort();
    let (mut layer, mut problems, mut unread) = (Table::new(), Vec::new(), Vec::new());
    for (name, text) in set {
        if let Some((problem, meant)) = variables::stray(&name) {
            problems.push(problem);
            unread.extend(meant);
        }
        if !name.starts_with(PREFIX) || name.matches(SEPARATOR).count() > MAX_LEVELS {
            continue;
        }
        let path = name.get(PREFIX.len()..).unwrap_or_default().to_lowercase();
        if let Some(problem) = variables::spoiled(&name, &text) {
            problems.push(problem);
            unread.push(Way(path.split(SEPARATOR).map(|key| Step::Key(key.to_owned())).collect()));
            continue;
        }
        let mut keys: Vec<_> = path.split(SEPARATOR).collect();
        let Some(last) = keys.pop() else { continue };
        let leaf = value(&name, last, text);
        let branch = keys.into_iter().rev().fold(Table::from_iter([(last.to_owned(), leaf)]), |below, key| {
            Table::from_iter([(key.to_owned(), Value::new(Some(&name), ValueKind::Table(below)))])
        });
        tree::overlay(&mut layer, branch);
    }
    Layer { variables: layer, problems, unread }
}

/// Whether an origin is one of our variables.
pub(super) fn is_variable(origin: &str) -> bool {
    origin.starts_with(PREFIX)
}

fn value(name: &String, key: &str, text: String) -> Value {
    let is_yaml = text == "null" || text.starts_with(['[', '{']);
    if is_yaml
        && key != "value"
        && let Ok(mut parsed) = yaml_limits::parse(Some(name), &format!("{key}: {text}"))
        && let Some(value) = parsed.remove(key)
    {
        return value;
    }
    Value::new(Some(name), ValueKind::String(text))
}
