//! The configuration before it has types: a tree of values, each of which remembers its origin.
//!
//! Layers are laid over each other key by key; a list or a scalar replaces what was there. Two rules are of our own: a
//! section with nothing under it changes nothing, and a secret is replaced as a whole, so that a file may name
//! `{ file: … }` where the defaults name `{ env: … }`.

use std::fmt;

use config::{Map, Value, ValueKind};

/// A table of the tree.
pub(super) type Table = Map<String, Value>;

/// One step down the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way from the root to a value. `Display` writes `callbacks.endpoints.shop.secrets[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way(pub(super) Vec<Step>);

impl Way {
    /// The way one step further.
    pub(super) fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    /// The way to a member of the table at the end of this one.
    pub(super) fn key(&self, key: impl Into<String>) -> Self {
        self.clone().step(Step::Key(key.into()))
    }

    /// The way to what contains the end of this one.
    pub(super) fn parent(&self) -> Self {
        Self(self.0.split_last().map_or_else(Vec::new, |(_, rest)| rest.to_vec()))
    }

    /// Whether one of the two leads through the end of the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }

    /// Reads what `Display` writes.
    pub(super) fn parse(key: &str) -> Self {
        let mut steps = Vec::new();
        for part in key.split('.') {
            let mut pieces = part.split('[');
            steps.extend(pieces.next().map(|name| Step::Key(name.to_owned())));
            let indices = pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok());
            steps.extend(indices.map(Step::Index));
        }
        Self(steps)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Lays `over` over `base`.
pub(super) fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(below) => overlay_value(below, value),
            None => {
                base.insert(key, value);
            }
        }
    }
}

fn overlay_value(below: &mut Value, over: Value) {
    match (&mut below.kind, &over.kind) {
        (ValueKind::Table(base), ValueKind::Nil) if !is_secret(base) => {}
        (ValueKind::Table(base), ValueKind::Table(table)) if table.is_empty() || !is_secret(base) => {
            overlay(base, table.clone());
        }
        _ => *below = over,
    }
}

fn is_secret(table: &Table) -> bool {
    !table.is_empty() && table.keys().all(|key| matches!(key.as_str(), "env" | "file" | "value"))
}

/// The value at the end of the way.
pub(super) fn find<'a>(root: &'a Table, way: &Way) -> Option<&'a Value> {
    let (first, rest) = way.0.split_first()?;
    let Step::Key(first) = first else { return None };
    rest.iter().try_fold(root.get(first)?, |value, step| match (step, &value.kind) {
        (Step::Key(key), ValueKind::Table(table)) => table.get(key),
        (Step::Index(index), ValueKind::Array(list)) => list.get(*index),
        _ => None,
    })
}

/// Replaces the value at the end of the way, or takes it out.
pub(super) fn replace(root: &mut Table, way: &Way, value: Option<Value>) {
    let Some((Step::Key(first), rest)) = way.0.split_first() else { return };
    let Some((last, between)) = rest.split_last() else {
        put(root, first, value);
        return;
    };
    let parent = between.iter().try_fold(root.get_mut(first), |at, step| {
        let next = match (step, &mut at?.kind) {
            (Step::Key(key), ValueKind::Table(table)) => table.get_mut(key),
            (Step::Index(index), ValueKind::Array(list)) => list.get_mut(*index),
            _ => None,
        };
        next.map(Some)
    });
    match (last, parent.flatten().map(|parent| &mut parent.kind)) {
        (Step::Key(key), Some(ValueKind::Table(table))) => put(table, key, value),
        (Step::Index(index), Some(ValueKind::Array(list))) if *index < list.len() => {
            list.splice(*index..=*index, value);
        }
        _ => {}
    }
}

fn put(table: &mut Table, key: &str, value: Option<Value>) {
    match value {
        Some(value) => table.insert(key.to_owned(), value),
        None => table.remove(key),
    };
}
