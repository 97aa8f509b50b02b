//! From the layers to a [`Config`], finding everything that is wrong on the way.
//!
//! Serde stops at the first error. So each error is noted, the offending value is put back to its default or taken out,
//! and the tree is read again, until it reads; then the unknown keys are known as well, and the rules that span sections
//! are tried. What a taken-out value would cause further on is not reported.

use std::path::PathBuf;

use config::{Value, ValueKind};
use serde::Deserialize;
use serde_path_to_error::{Segment, Track};

use crate::config::tree::{self, Step, Table, Way};
use crate::config::wording::{self, Wording};
use crate::config::yaml_limits::{self, Unreadable};
use crate::config::{Config, DEFAULTS, File, Place, Problem, Problems, env, line, rule, schema, variables};
use crate::model::suggest::nearest;

/// What the values of the defaults remember as their origin.
const DEFAULT_ORIGIN: &str = "default.yaml";
/// Problems that are told at once; whoever has more has enough to do.
const MAX_PROBLEMS: usize = 100;

/// Reads defaults, file and environment into one configuration.
pub(super) fn config(file: Option<&File>, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, Problems> {
    let defaults = parse(DEFAULT_ORIGIN, DEFAULTS).map_err(|problem| Problems(vec![problem]))?;
    let mut merged = defaults.clone();
    if let Some(file) = file {
        let layer = parse(&file.origin(), &file.text).map_err(|mut problem| {
            let line = problem.line();
            problem.place = Place::File { path: file.path.clone(), line };
            Problems(vec![problem])
        })?;
        tree::overlay(&mut merged, layer);
    }
    let env::Layer { variables, mut problems, unread } = env::layer(env);
    tree::overlay(&mut merged, variables);

    let mut reading =
        Reading { tree: merged.clone(), defaults: &defaults, found: Vec::new(), removed: Vec::new(), unread };
    for (way, text) in variables::placeholders(&merged) {
        reading.note(way, text);
    }
    let read = reading.finish();
    if let Some(config) = &read {
        reading.try_rules(config);
    }
    match read {
        Some(config) if reading.found.is_empty() && problems.is_empty() => Ok(config),
        _ => {
            problems.extend(reading.found.into_iter().map(|found| found.placed(&merged, file)));
            problems.sort();
            Err(Problems(problems))
        }
    }
}

/// The tree of a text; a syntax error carries its line, if the parser told it.
fn parse(origin: &str, text: &str) -> Result<Table, Problem> {
    // A file with nothing but comments is as good as none.
    let nothing = text.lines().all(|line| matches!(line.trim_start().chars().next(), None | Some('#')));
    if nothing {
        return Ok(Table::new());
    }
    yaml_limits::parse(Some(&origin.to_owned()), text).map_err(|error| match error {
        Unreadable::TooMuch { line, problem } => {
            let place = Place::File { path: PathBuf::new(), line: Some(line) };
            Problem { place, ..Problem::new("", problem) }
        }
        Unreadable::Malformed(message) => wording::syntax(&message, text),
    })
}

/// A problem, and the way to the value that has it.
struct Found {
    way: Way,
    problem: Problem,
}

impl Found {
    /// Looks up where the value came from, or else the nearest thing around it.
    fn placed(mut self, tree: &Table, file: Option<&File>) -> Problem {
        while !self.way.0.is_empty() {
            if let Some(place) = place(tree, &self.way, file) {
                self.problem.place = place;
                break;
            }
            self.way = self.way.parent();
        }
        self.problem
    }
}

fn place(tree: &Table, way: &Way, file: Option<&File>) -> Option<Place> {
    let origin = tree::find(tree, way)?.origin()?;
    if env::is_variable(origin) {
        return Some(Place::Variable(origin.to_owned()));
    }
    let file = file?;
    let line = line::of(&file.text, way);
    // A table of the defaults may be in the file as well, and a default may stand in a section of the file.
    (line.is_some() || origin == file.origin()).then(|| Place::File { path: file.path.clone(), line })
}

struct Reading<'a> {
    tree: Table,
    defaults: &'a Table,
    found: Vec<Found>,
    /// The elements that were taken out of lists, by their original ways; in one list from first to last, because a list
    /// is read in order.
    removed: Vec<Way>,
    /// The settings that are missing, or have their defaults, because their keys are mistyped or their variables spoiled.
    unread: Vec<Way>,
}

impl Reading<'_> {
    /// Reads until it reads; `None` only if that never happens.
    fn finish(&mut self) -> Option<Config> {
        for _ in 0..MAX_PROBLEMS {
            let mut unknown = Vec::new();
            match once(self.tree.clone(), &mut unknown) {
                Ok(config) => {
                    for way in unknown.iter().take(MAX_PROBLEMS) {
                        self.note_unknown(self.original(way));
                    }
                    return Some(config);
                }
                Err((way, wording)) => self.mend(&way, wording),
            }
        }
        None
    }

    fn mend(&mut self, way: &Way, wording: Wording) {
        let (subject, text) = match wording {
            Wording::Missing(field) => (way.key(field), "is missing; it has no default, so give it a value".to_owned()),
            Wording::Wrong(text) => (way.clone(), text),
        };
        self.note(self.original(&subject), text);
        let default = tree::find(self.defaults, way).cloned();
        if default.is_none()
            && let Some(Step::Index(_)) = way.0.last()
        {
            self.removed.push(self.original(way));
        }
        tree::replace(&mut self.tree, way, default);
    }

    /// Notes a problem, unless it only follows from one inside the same value.
    fn note(&mut self, way: Way, text: String) {
        if !self.found.iter().any(|found| found.way.0.starts_with(&way.0)) {
            self.found.push(Found { problem: Problem::new(way.to_string(), text), way });
        }
    }

    fn note_unknown(&mut self, way: Way) {
        let (found, meant) = unknown_key(way);
        self.found.push(found);
        let is_unset = meant.as_ref().is_some_and(|meant| tree::find(&self.tree, meant).is_none_or(is_default));
        self.unread.extend(meant.filter(|_| is_unset));
    }

    /// What breaks a rule only because it, or what the rule compares it with, was mended or mistyped is left out.
    fn try_rules(&mut self, config: &Config) {
        let known: Vec<_> = self.found.iter().map(|found| &found.way).chain(&self.unread).cloned().collect();
        for mut problem in rule::check(config, &known) {
            let mended = Way::parse(&problem.key);
            let way = self.original(&mended);
            if way != mended {
                problem.key = way.to_string();
            }
            // An endpoint whose sink was taken out is none without a url.
            let sink = way.parent().key("sink");
            if !known.iter().any(|known| known.overlaps(&way) || known.0.starts_with(&sink.0)) {
                self.found.push(Found { way, problem });
            }
        }
    }

    /// The way in the tree as it came, before elements were taken out of lists.
    fn original(&self, way: &Way) -> Way {
        way.0.iter().fold(Way::default(), |before, step| {
            let Step::Index(index) = step else { return before.step(step.clone()) };
            // In the order of the list: each gap at or before the element moves it on by one.
            let gaps = self.removed.iter().filter(|gap| gap.parent() == before);
            let index = gaps.fold(*index, |index, gap| match gap.0.last() {
                Some(Step::Index(gap)) if *gap <= index => index + 1,
                _ => index,
            });
            before.step(Step::Index(index))
        })
    }
}

/// Whether nobody has set it. A section may come from the defaults and still hold what somebody has set.
fn is_default(value: &Value) -> bool {
    value.origin() == Some(DEFAULT_ORIGIN) && !matches!(value.kind, ValueKind::Table(_))
}

fn once(tree: Table, unknown: &mut Vec<Way>) -> Result<Config, (Way, Wording)> {
    let mut track = Track::new();
    let value = Value::new(None, ValueKind::Table(tree));
    let read = {
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(ignored(&path));
        Config::deserialize(serde_ignored::Deserializer::new(tracked, &mut note))
    };
    read.map_err(|error| {
        let path = track.path();
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        (Way(steps.collect()), wording::of(&error))
    })
}

fn ignored(path: &serde_ignored::Path<'_>) -> Way {
    use serde_ignored::Path;
    match path {
        Path::Root => Way::default(),
        Path::Map { parent, key } => ignored(parent).key(key.clone()),
        Path::Seq { parent, index } => ignored(parent).step(Step::Index(*index)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => ignored(parent),
    }
}

/// What is wrong with an unknown key, and the setting that it was meant to be, if one is like it.
fn unknown_key(way: Way) -> (Found, Option<Way>) {
    let known = schema::keys(&way.parent());
    let meant = match way.0.last() {
        Some(Step::Key(key)) => nearest(key, known.iter().map(String::as_str)),
        _ => None,
    };
    let meant = meant.map(|meant| way.parent().key(meant));
    let fix = match &meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "take it out".to_owned(),
        None => format!("the keys here are {}", known.join(", ")),
    };
    (Found { problem: Problem::new(way.to_string(), format!("is no setting; {fix}")), way }, meant)
}
