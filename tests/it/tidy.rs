//! The house rules that a compiler does not know, read off the sources: who may import whom, which crate stays behind which
//! fence, how long a file may be, and that what the documents point at exists.
//!
//! Every message says what to do. A rule is changed here, in the table that states it, with a reason beside it.

mod links;
mod rust;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rust::{code, imports, words};

/// The modules of `src`, the lowest layer last. Imports go strictly down: nothing knows its neighbours or what is above.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    // The composition root: the only place where everything meets, the rest of its layer included.
    &["app"],
    &["admin", "lifecycle", "telemetry"],
    &["config", "view"],
    &["schedule", "sync", "deliver", "wallets", "retention", "backfill"],
    // What several flows need of both edges.
    &["account"],
    &["lumo", "store", "callback"],
    &["model"],
    &["chain", "clock", "outage", "renewable", "roots", "setting", "trace"],
];

/// What goes up all the same, and why.
const ALLOWED: &[(&str, &str)] = &[
    // Each module owns its section of the configuration, and `config` composes them: it names their `Config` only.
    ("config", "admin"),
    ("config", "telemetry"),
];

/// A word that may stand in these places only.
struct Fence {
    word: &'static str,
    /// Which files are looked at: those below these paths.
    within: &'static [&'static str],
    /// Where it may stand: files, or folders with their `.rs` beside them.
    only: &'static [&'static str],
    instead: &'static str,
}

const SRC: &[&str] = &["src"];
const MODEL: &[&str] = &["src/model", "src/model.rs"];
const EXACT: &[&str] = &["src/model", "src/model.rs", "src/store", "src/store.rs", "entity"];
const PURE: &str = "the model takes values and returns values: do this in the layer above and pass the result down";
const OURS: &str = "the simulator must not share our reading of the API: write it again there";

const FENCES: &[Fence] = &[
    fence("sea_orm", SRC, &["src/store"], "put the statement into a method of `Store` or `Tx`"),
    fence("sqlx", SRC, &["src/store"], "put the statement into a method of `Store` or `Tx`"),
    fence("sea_orm_migration", &["src", "entity"], &[], "describe tables in the migration crate"),
    fence("lumo_bridge_migration", SRC, &["src/store/db/schema.rs"], "call `store::schema`"),
    // A collector of traces is neither, and may hear of both. `roots` makes the clients of all three.
    fence(
        "reqwest",
        SRC,
        &["src/lumo", "src/callback", "src/telemetry/exporter.rs", "src/roots.rs"],
        "speak to Lumo in `lumo`, to receivers in `callback`",
    ),
    fence("sd_notify", SRC, &["src/lifecycle"], "tell the service manager by `lifecycle::service_manager`"),
    fence(
        "lumo_simulator",
        SRC,
        &["src/cli", "src/sync/scan/walk/tests"],
        "only a command may start the simulator, and only a test may ask its model",
    ),
    fence(
        "anyhow",
        &["src", "entity", "migration"],
        &["src/main", "src/cli", "src/app", "src/admin", "src/lifecycle", "src/telemetry"],
        "give the module an `Error` enum whose variants say what the caller does",
    ),
    // The throttle's and the retry's jitter are shares of a duration; money never is.
    fence("f32", EXACT, &[], "keep amounts in `Amount` and counts in integers"),
    fence("f64", EXACT, &["src/model/retry.rs"], "keep amounts in `Amount` and counts in integers"),
    fence("tokio", MODEL, &[], PURE),
    fence("async", MODEL, &[], PURE),
    fence("tracing", MODEL, &[], PURE),
    fence("clock", MODEL, &[], PURE),
    fence("DatabaseConnection", &["entity"], &[], "no entity takes a connection: put the query into `store`"),
    fence("ConnectionTrait", &["entity"], &[], "no entity takes a connection: put the query into `store`"),
    fence("lumo_bridge", &["entity", "migration", "simulator"], &[], "these crates are below the bridge: move it down"),
    fence("lumo_bridge_entity", &["migration"], &[], "history must not move when a model does: write names as text"),
    fence("lumo_bridge_entity", &["simulator"], &[], OURS),
];

const fn fence(
    word: &'static str,
    within: &'static [&'static str],
    only: &'static [&'static str],
    instead: &'static str,
) -> Fence {
    Fence { word, within, only, instead }
}

/// Where we write Rust.
const SOURCES: &[&str] = &["src", "entity", "migration", "simulator", "tests", "benches"];

const MAX_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below the folders, with its path from the root.
fn files(folders: &[&str], extension: &str) -> Vec<(String, String)> {
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            waiting.extend(entries.filter(|path| !path.ends_with("target")));
        } else if path.extension().is_some_and(|found| found == extension) {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} file below {folders:?}: the test looks in the wrong place");
    found
}

fn code_files(folders: &[&str]) -> Vec<(String, String)> {
    files(folders, "rs").into_iter().map(|(name, text)| (name, code(&text))).collect()
}

/// Fails with all that is wrong, one per line.
fn clean(rule: &str, breaches: Vec<String>) {
    let mut list = String::new();
    for breach in &breaches {
        writeln!(list, "  {breach}").unwrap();
    }
    assert!(breaches.is_empty(), "{rule}\n{list}");
}

/// `src/store/claim.rs` is of the module `store`.
fn module(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap();
    path.split(['/', '.']).next().unwrap()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_go_strictly_down() {
    let mut breaches = Vec::new();
    for (path, code) in code_files(&["src"]) {
        let from = module(&path);
        if from == "lib" {
            continue;
        }
        let Some(own) = layer(from) else {
            breaches.push(format!("{path}: `{from}` has no layer: give it one in LAYERS and in ARCHITECTURE.md"));
            continue;
        };
        for to in imports(&code).into_iter().filter(|to| *to != from) {
            match layer(to) {
                Some(other) if other > own || ALLOWED.contains(&(from, to)) => {}
                Some(_) => breaches.push(format!(
                    "{path}: `{from}` may not know `{to}`: pass a value or a closure down, or move it to where both meet"
                )),
                None => breaches.push(format!("{path}: name `crate::{to}` by the module that it lives in")),
            }
        }
    }
    clean("imports go strictly down, never sideways or up:", breaches);
}

#[test]
fn no_path_climbs_out_of_its_module() {
    let mut breaches = Vec::new();
    for (path, code) in code_files(&["src"]) {
        // What is indented may stand in an inline module, one deeper than the file.
        let depth = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count() - 1;
        for (number, line) in code.lines().enumerate() {
            let deeper = usize::from(line.starts_with(' '));
            let climbs = line.contains(&"super::".repeat(depth + deeper));
            if climbs && !["src/main.rs", "src/lib.rs"].contains(&path.as_str()) {
                breaches.push(format!("{path}:{}: write `crate::…`, so that the layers can be read", number + 1));
            }
        }
    }
    clean("paths to other modules are written `crate::module::…`:", breaches);
}

#[test]
fn each_crate_stays_behind_its_fence() {
    let mut breaches = Vec::new();
    for Fence { word, within, only, instead } in FENCES {
        let inside = |path: &str| only.iter().any(|place| below(path, place));
        for (path, code) in code_files(within).into_iter().filter(|(path, _)| !inside(path)) {
            let lines = code.lines().enumerate().filter(|(_, line)| words(line).any(|found| found == *word));
            breaches.extend(lines.map(|(number, _)| format!("{path}:{}: `{word}`: {instead}", number + 1)));
        }
    }
    clean("a word stands where it must not:", breaches);
}

/// Whether the path is the file, the module of that name or below it.
fn below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn every_transaction_is_counted_from_the_start() {
    let counted = fs::read_to_string(root().join("src/store/db/meters.rs")).unwrap();
    let mut breaches = Vec::new();
    for (path, text) in files(&["src"], "rs") {
        let calls = [".tx(", ".tx_ending("].into_iter().flat_map(|call| text.split(call).skip(1));
        let names = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
        let missing = names.filter(|name| *name != "test" && !counted.contains(&format!("    \"{name}\",\n")));
        breaches.extend(missing.map(|name| format!("{path}: add `{name}` to NAMES in src/store/db/meters.rs")));
    }
    clean("the metrics know each transaction before it has run:", breaches);
}

#[test]
fn the_crates_below_depend_on_nothing_of_ours() {
    let mut breaches = Vec::new();
    for name in ["entity", "migration", "simulator"] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let paths = manifest.lines().filter(|line| line.contains("path =") || line.starts_with("lumo"));
        breaches.extend(paths.map(|line| format!("{name}/Cargo.toml: remove `{line}`")));
    }
    clean("entity, migration and simulator stand alone:", breaches);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut breaches = Vec::new();
    for (path, text) in files(SOURCES, "rs") {
        if !text.starts_with("//! ") {
            breaches.push(format!("{path}: begin with a `//!` header: what, why, what never happens here"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            breaches.push(format!("{path}: {lines} lines are over {MAX_LINES}: find the second idea that moved in"));
        }
    }
    clean("files are introduced and short:", breaches);
}
