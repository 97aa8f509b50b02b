//! What is wrong with a configuration, one line per thing.

use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file, and the line in it where that is known.
    File { path: PathBuf, line: Option<usize> },
    /// A variable of the environment.
    Variable(String),
    /// Neither: it is a default, or missing everywhere.
    #[default]
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where the value came from.
    pub place: Place,
    /// The setting, for example `callbacks.endpoints.shop.events[1]`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, as a fragment.
    pub problem: String,
    /// What to do about it, as a fragment.
    pub fix: Option<String>,
}

impl Problem {
    /// A problem that has no place yet. `text` is the problem and, after a semicolon, the fix.
    pub(super) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let (problem, fix) = match text.split_once("; ") {
            Some((problem, fix)) => (problem.to_owned(), Some(fix.to_owned())),
            None => (text, None),
        };
        Self { place: Place::Nowhere, key: key.into(), problem, fix }
    }

    /// The line in the file, where it is known.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self.place {
            Place::File { line, .. } => line,
            Place::Variable(_) | Place::Nowhere => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line: Some(line) } => write!(f, "{}:{line}: ", path.display())?,
            Place::File { path, line: None } => write!(f, "{}: ", path.display())?,
            Place::Variable(name) => write!(f, "{name}: ")?,
            Place::Nowhere => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        self.fix.iter().try_for_each(|fix| write!(f, "; {fix}"))
    }
}

/// Everything that is wrong, in the order of the file; `Display` writes one per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}
