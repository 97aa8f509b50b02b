//! The whole configuration: what it consists of, and how it is loaded.
//!
//! Three layers lie over each other: the embedded `config/default.yaml`, which is the only place where a default is
//! written down, the user's file, and the environment. Whatever is wrong with the result is reported at once, every
//! problem with its key, the place it came from, and the fix. Secrets are not fetched here: a command that needs none
//! runs without any ([`Config::check_secrets`] is for those that do).

mod env;
mod line;
mod problem;
mod read;
mod rule;
mod schema;
mod tree;
mod variables;
mod wording;
mod yaml;
mod yaml_limits;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{admin, callback, lumo, store, sync, telemetry};

pub use env::environment;
pub use problem::{Place, Problem, Problems};

const DEFAULTS: &str = include_str!("../config/default.yaml");
const STARTER: &str = include_str!("../config/starter.yaml");

/// Largest file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Where a file is looked for when none is named.
const PLACES: [&str; 2] = ["./config/lumo-bridge.yaml", "/etc/lumo-bridge/config.yaml"];

/// Every setting of the bridge.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The merchant's own database.
    pub database: store::Config,
    /// The Lumo B2B API.
    pub lumo: lumo::Config,
    /// When to look for changes.
    pub sync: sync::Config,
    /// Who is told of them.
    pub callbacks: callback::Config,
    /// The admin HTTP.
    pub server: admin::Config,
    /// The log on stderr.
    pub log: telemetry::Config,
    /// Traces.
    pub telemetry: telemetry::Telemetry,
}

/// A configuration, and the file that it came from, if there was one.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub path: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{}: there is no such file; write one with `lumo-bridge config init`, or name another", path.display())]
    Missing { path: PathBuf },
    #[error("{}: the file is larger than {MAX_FILE} bytes; take out what is not needed", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}: the file cannot be read; check its permissions and that it is UTF-8 text", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Invalid(Problems),
}

impl Config {
    /// Loads the configuration from the file at `path`, or else from the first that is found in the usual places, or
    /// else from the defaults alone, with `env` laid over it.
    ///
    /// # Errors
    /// A named file that cannot be read, or everything that is wrong with the result.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, LoadError> {
        let file = match path {
            Some(path) => Some(read_file(path)?.ok_or_else(|| LoadError::Missing { path: path.to_owned() })?),
            None => first_file(PLACES)?,
        };
        let config = read::config(file.as_ref(), env).map_err(LoadError::Invalid)?;
        Ok(Loaded { config, path: file.map(|file| file.path) })
    }

    /// The configuration as YAML: everything that is in force, without any secret.
    #[must_use]
    pub fn show(&self) -> String {
        yaml::to_yaml(self)
    }

    /// The JSON Schema of the file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::of_the_file()
    }

    /// Tries to fetch every secret and tells which are not to be had.
    #[must_use]
    pub fn check_secrets(&self) -> Vec<Problem> {
        rule::secrets(self)
    }
}

/// What `config init` writes: a commented file that loads once the variables it names are set.
#[must_use]
pub const fn starter() -> &'static str {
    STARTER
}

/// The user's file.
#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// What the values of this file remember as their origin.
    fn origin(&self) -> String {
        self.path.display().to_string()
    }
}

fn first_file<'a>(places: impl IntoIterator<Item = &'a str>) -> Result<Option<File>, LoadError> {
    for place in places {
        if let Some(file) = read_file(Path::new(place))? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn read_file(path: &Path) -> Result<Option<File>, LoadError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    if bytes.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    let text = read.and_then(|_| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    });
    match text {
        // Some editors begin a file with a mark of its encoding.
        Ok(text) => Ok(Some(File { path: path.to_owned(), text: text.trim_start_matches('\u{feff}').to_owned() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Unreadable { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
