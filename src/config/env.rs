//! The environment as a layer of the configuration: `LUMO_BRIDGE__DATABASE__URL` is `database.url`.
//!
//! An empty variable counts as unset. A value is text, and numbers and booleans are read from it by the setting's own
//! type; `null`, and lists and maps in brackets, are read as YAML. The text of a secret is never read as anything else.

use config::{FileFormat, Format, Value, ValueKind};

use crate::config::tree::{self, Table};

const PREFIX: &str = "LUMO_BRIDGE__";
const SEPARATOR: &str = "__";

/// The variables of this process, as far as they are UTF-8.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The variables that are meant for us, as a tree. The origin of each value is the variable's name.
pub(super) fn layer(env: impl IntoIterator<Item = (String, String)>) -> Table {
    let mut variables: Vec<_> =
        env.into_iter().filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect();
    // Whatever order they come in, `A__B` is laid over `A`.
    variables.sort();
    let mut layer = Table::new();
    for (name, text) in variables {
        let path = name.get(PREFIX.len()..).unwrap_or_default().to_lowercase();
        let mut keys: Vec<_> = path.split(SEPARATOR).collect();
        let Some(last) = keys.pop() else { continue };
        let leaf = value(&name, last, text);
        let branch = keys.into_iter().rev().fold(Table::from_iter([(last.to_owned(), leaf)]), |below, key| {
            Table::from_iter([(key.to_owned(), Value::new(Some(&name), ValueKind::Table(below)))])
        });
        tree::overlay(&mut layer, branch);
    }
    layer
}

/// Whether an origin is one of our variables.
pub(super) fn is_variable(origin: &str) -> bool {
    origin.starts_with(PREFIX)
}

fn value(name: &String, key: &str, text: String) -> Value {
    let is_yaml = text == "null" || text.starts_with(['[', '{']);
    if is_yaml
        && key != "value"
        && let Ok(mut parsed) = FileFormat::Yaml.parse(Some(name), &format!("{key}: {text}"))
        && let Some(value) = parsed.remove(key)
    {
        return value;
    }
    Value::new(Some(name), ValueKind::String(text))
}
