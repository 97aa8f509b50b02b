//! What a variable can be mistaken for: one underscore where two belong, quotes that an env-file keeps, a `${NAME}` that
//! nothing replaces.

use crate::config::schema;
use crate::config::tree::{Step, Table, Way};
use crate::config::{Place, Problem};
use crate::model::suggest::nearest;
use config::{Value, ValueKind};

/// What every variable of ours begins with.
const NAME: &str = "LUMO_BRIDGE";
/// Read by the command line.
const OURS: &str = "LUMO_BRIDGE_CONFIG";
/// What Kubernetes sets for a Service that is called `lumo-bridge`.
const THEIRS: [&str; 2] = ["LUMO_BRIDGE_SERVICE_", "LUMO_BRIDGE_PORT"];
const SEPARATOR: &str = "__";

/// Where a `${NAME}` may be meant as it stands.
const VERBATIM: [&str; 2] = ["body", "sql"];

/// What is wrong with a variable that begins like a setting and is none, and the setting that it is most like.
pub(super) fn stray(name: &str) -> Option<(Problem, Option<Way>)> {
    let rest = name.strip_prefix(NAME)?;
    if rest.starts_with(SEPARATOR) || name == OURS || THEIRS.iter().any(|theirs| name.starts_with(theirs)) {
        return None;
    }
    let plain = |text: &str| text.to_ascii_uppercase().replace(SEPARATOR, "_").trim_matches('_').to_owned();
    let known: Vec<(String, Way)> =
        schema::settings().into_iter().map(|way| (plain(variable_of(&way).trim_start_matches(NAME)), way)).collect();
    let rest = plain(rest);
    let meant = nearest(&rest, known.iter().map(|(plain, _)| plain.as_str()));
    let meant = meant.and_then(|meant| known.iter().find(|(plain, _)| plain == meant)).map(|(_, way)| way);
    let fix = match meant {
        Some(way) => format!("did you mean `{}`?", variable_of(way)),
        None => "write two underscores for each level, as in `LUMO_BRIDGE__DATABASE__URL`, or unset it".to_owned(),
    };
    Some((told(name, format!("is no setting; {fix}")), meant.cloned()))
}

/// What is wrong with the value of a variable that is a setting.
pub(super) fn spoiled(name: &str, value: &str) -> Option<Problem> {
    let is_verbatim = VERBATIM.iter().any(|end| name.to_ascii_lowercase().ends_with(&format!("{SEPARATOR}{end}")));
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Some(told(name, "is not UTF-8; set it to plain text"));
    }
    let is_quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if is_verbatim {
        None
    } else if is_quoted('"') || is_quoted('\'') {
        Some(told(name, "stands in quotes, which an env-file keeps; take them out"))
    } else if value.starts_with(['\n', '\r']) || value.ends_with(['\n', '\r']) {
        Some(told(name, "begins or ends with a line break; take it out"))
    } else {
        None
    }
}

fn told(name: &str, text: impl Into<String>) -> Problem {
    Problem { place: Place::Variable(name.to_owned()), ..Problem::new("", text) }
}

/// `database.url` as `LUMO_BRIDGE__DATABASE__URL`.
fn variable_of(way: &Way) -> String {
    let steps = way.0.iter().map(|step| match step {
        Step::Key(key) => key.to_ascii_uppercase(),
        Step::Index(index) => index.to_string(),
    });
    std::iter::once(NAME.to_owned()).chain(steps).collect::<Vec<_>>().join(SEPARATOR)
}

/// The values that have a `${NAME}` in them, with what is wrong with that.
pub(super) fn placeholders(tree: &Table) -> Vec<(Way, String)> {
    let mut found = Vec::new();
    for (key, value) in tree {
        look(value, Way::default().key(key), &mut found);
    }
    found
}

fn look(value: &Value, way: Way, found: &mut Vec<(Way, String)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            let members = table.iter().filter(|(key, _)| !VERBATIM.contains(&key.as_str()));
            members.for_each(|(key, value)| look(value, way.key(key), found));
        }
        ValueKind::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| look(item, way.clone().step(Step::Index(at)), found));
        }
        ValueKind::String(text) => {
            if let Some(name) = placeholder(text) {
                let problem = format!(
                    "`${{{name}}}` is not replaced by the variable of that name; write `{{ env: {name} }}` where a secret \
                     may stand, or set the whole value with `{}`",
                    variable_of(&way)
                );
                found.push((way, problem));
            }
        }
        _ => {}
    }
}

/// The name in the first `${NAME}`.
fn placeholder(text: &str) -> Option<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).find(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}
