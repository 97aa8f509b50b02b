//! Loading, from samples to everything that can be wrong.

mod cures;
mod problems;
mod samples;
mod silence;

use super::*;

/// Reads a text as the user's file.
fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let file = File { path: PathBuf::from("bridge.yaml"), text: text.to_owned() };
    read::config(Some(&file), env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn loaded(text: &str, env: &[(&str, &str)]) -> Config {
    read(text, env).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    read(text, env).unwrap_err().0.iter().map(ToString::to_string).collect()
}

const SHOP: &str = "
callbacks:
  endpoints:
    shop:
      url: https://shop.example.com/hooks
      events: [\"deposit.*\"]
      secrets: [{ env: SHOP_WEBHOOK_SECRET }]
";

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let error = Config::load(Some(Path::new("no/such/file.yaml")), []).unwrap_err();
    assert!(matches!(error, LoadError::Missing { .. }), "{error}");
    assert!(error.to_string().starts_with("no/such/file.yaml: there is no such file; "), "{error}");
}

#[test]
fn a_named_file_is_loaded_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.yaml");
    std::fs::write(&path, "lumo: { page_size: 50 }").unwrap();
    let loaded = Config::load(Some(&path), []).unwrap();
    assert_eq!(loaded.config.lumo.page_size, 50);
    assert_eq!(loaded.path.as_deref(), Some(path.as_path()));
}

#[test]
fn a_mark_of_the_encoding_is_passed_over_and_a_huge_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.yaml");
    std::fs::write(&path, "\u{feff}lumo: { page_size: 50 }\nsync: 7").unwrap();
    let error = Config::load(Some(&path), []).unwrap_err().to_string();
    assert!(error.contains("mine.yaml:2: sync: ") && !error.contains("lumo"), "{error}");
    std::fs::write(&path, "\u{feff}lumo: { page_size: 50 }").unwrap();
    assert_eq!(Config::load(Some(&path), []).unwrap().config.lumo.page_size, 50);
    std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    let error = Config::load(Some(&path), []).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
    assert!(matches!(Config::load(Some(Path::new("/dev/zero")), []), Err(LoadError::TooLarge { .. })));
}

#[test]
fn the_first_file_that_exists_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| directory.path().join(name).display().to_string());
    assert!(first_file([first.as_str(), second.as_str()]).unwrap().is_none());
    std::fs::write(&second, "2").unwrap();
    assert_eq!(first_file([first.as_str(), second.as_str()]).unwrap().unwrap().text, "2");
    std::fs::write(&first, "1").unwrap();
    assert_eq!(first_file([first.as_str(), second.as_str()]).unwrap().unwrap().text, "1");
}

#[test]
fn the_environment_wins_over_the_file_and_reaches_every_type() {
    let config = loaded(
        "database: { url: 'sqlite://mine.db' }\nserver: { token: { env: TOKEN } }",
        &[
            ("LUMO_BRIDGE__DATABASE__URL", "postgres://me:secret@db/shop"),
            ("LUMO_BRIDGE__DATABASE__MAX_CONNECTIONS", "12"),
            ("LUMO_BRIDGE__DATABASE__MIGRATE", "false"),
            ("LUMO_BRIDGE__LUMO__RATE", "5/s"),
            ("LUMO_BRIDGE__LUMO__API_KEY__VALUE", "0123"),
            ("LUMO_BRIDGE__CALLBACKS__DEFAULTS__RETRY__JITTER", "0.25"),
            ("LUMO_BRIDGE__CALLBACKS__DEFAULTS__RETRY__SCHEDULE", "[1s, 2s]"),
            ("LUMO_BRIDGE__SYNC__FIRST_IMPORT__SINCE", "2026-01-01T00:00:00Z"),
            ("LUMO_BRIDGE__SERVER__LISTEN", "null"),
            ("LUMO_BRIDGE__SERVER__TOKEN", "null"),
            ("LUMO_BRIDGE__LOG__FORMAT", "json"),
            ("LUMO_BRIDGE__LOG__LEVEL", ""),
            ("LUMO_BRIDGE_CONFIG", "ignored.yaml"),
            ("OTHER__DATABASE__URL", "ignored"),
        ],
    );
    assert_eq!(config.database.url.expose(), "postgres://me:secret@db/shop");
    assert_eq!(config.database.max_connections, 12);
    assert!(!config.database.migrate);
    assert_eq!(config.lumo.rate, "5/s".parse().unwrap());
    assert_eq!(config.lumo.api_key.resolve("lumo.api_key").unwrap().expose(), "0123");
    assert!((config.callbacks.defaults.retry.jitter - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.callbacks.defaults.retry.schedule, ["1s".parse().unwrap(), "2s".parse().unwrap()]);
    assert_eq!(config.sync.first_import, sync::config::FirstImport::Since("2026-01-01T00:00:00Z".parse().unwrap()));
    assert!(config.server.listen.is_none() && config.server.token.is_none());
    assert_eq!(config.log.format, telemetry::config::Format::Json);
    assert_eq!(config.log.level.as_str(), "info");
}

#[test]
fn the_environment_alone_can_name_an_endpoint() {
    let config = loaded(
        "",
        &[
            ("LUMO_BRIDGE__CALLBACKS__ENDPOINTS__SHOP__URL", "https://shop.example.com"),
            ("LUMO_BRIDGE__CALLBACKS__ENDPOINTS__SHOP__EVENTS", "[\"deposit.*\", wallet.blocked]"),
            ("LUMO_BRIDGE__CALLBACKS__ENDPOINTS__SHOP__SECRETS", "[{ env: SHOP_WEBHOOK_SECRET }]"),
            ("LUMO_BRIDGE__CALLBACKS__ENDPOINTS__SHOP__CONCURRENCY", "3"),
        ],
    );
    let shop = &config.callbacks.endpoints["shop"];
    assert_eq!(shop.events.len(), 2);
    assert_eq!(shop.concurrency, Some(3));
}

#[test]
fn an_empty_section_equals_one_left_out() {
    let config = loaded("database:\nlumo:\n  deposit_fields:\ncallbacks:\n  endpoints:\n", &[]);
    assert_eq!(config.show(), loaded("", &[]).show());
}

#[test]
fn a_secret_in_the_file_replaces_that_of_the_defaults() {
    let config = loaded("lumo: { api_key: { file: /run/secrets/key } }", &[]);
    assert!(matches!(&config.lumo.api_key, crate::setting::SecretSource::File(path) if path.ends_with("key")));
}

#[test]
fn an_endpoint_takes_from_the_defaults_what_it_does_not_name() {
    let shop = "
      timeout: 3s
      ordering: { by: none }
      retry: { jitter: 0.5 }
";
    let config = loaded(&format!("{}{shop}", SHOP.trim_end()), &[]);
    let defaults = &config.callbacks.defaults;
    let shop = defaults.overridden_by(&config.callbacks.endpoints["shop"]);
    assert_eq!(shop.timeout, "3s".parse().unwrap());
    assert_eq!(shop.ordering.by, callback::config::OrderBy::None);
    assert_eq!(shop.ordering.max_hold, defaults.ordering.max_hold);
    assert!((shop.retry.jitter - 0.5).abs() < f64::EPSILON);
    assert_eq!(shop.retry.schedule, defaults.retry.schedule);
    assert_eq!(shop.concurrency, defaults.concurrency);
}

#[test]
fn missing_secrets_are_told_only_when_asked_for() {
    let config = loaded(SHOP, &[("LUMO_BRIDGE__LUMO__API_KEY__FILE", "/no/such/key")]);
    let problems: Vec<_> = config.check_secrets().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("lumo.api_key: the file `/no/such/key` cannot be read; "), "{problems:?}");
    assert_eq!(
        problems[1],
        "callbacks.endpoints.shop.secrets[0]: the environment variable `SHOP_WEBHOOK_SECRET` is not set; \
         set it, or name another source"
    );
}

#[test]
fn a_mistyped_key_is_told_once_and_not_as_missing_too() {
    for (key, mistyped) in [("events", "event"), ("secrets", "secret"), ("url", "ulr")] {
        let text = SHOP.replace(&format!("      {key}:"), &format!("      {mistyped}:"));
        let at = format!(
            "callbacks.endpoints.shop.{mistyped}: is no setting; did you mean `callbacks.endpoints.shop.{key}`?"
        );
        let [problem] = problems(&text, &[]).try_into().unwrap();
        assert!(problem.ends_with(&at), "{problem}");
    }
}
