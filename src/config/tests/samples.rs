//! The files in `config/`, what is shown of a configuration, and its schema.

use serde_json::{Value, json};

use super::*;

const EXAMPLE: &str = include_str!("../../../config/example.yaml");

/// A configuration as JSON.
fn json(config: &Config) -> Value {
    serde_json::to_value(config).unwrap()
}

#[test]
fn every_sample_loads() {
    for sample in [DEFAULTS, EXAMPLE, STARTER] {
        loaded(sample, &[]);
    }
    assert!(loaded(EXAMPLE, &[]).check_secrets().is_empty());
}

#[test]
fn an_example_of_an_end_is_not_over_and_no_file_of_variables_is_promised() {
    for sample in [DEFAULTS, STARTER] {
        let ends: Vec<&str> = sample.split("not_after: ").skip(1).collect();
        assert!(!ends.is_empty() && ends.iter().all(|end| end.starts_with("2030-06-01T00:00:00Z")), "{ends:?}");
        assert!(sample.to_lowercase().contains("no `.env` file is read"), "{sample}");
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let mut defaults = json(&loaded("", &[]));
    let fields = defaults["lumo"].as_object_mut().unwrap().remove("deposit_fields").unwrap();
    // The documented places come first; more may follow.
    for (field, documented) in [
        ("amount", ["amount", "amountUsdt", "usdtAmount", "value"]),
        ("tx_hash", ["txHash", "transactionHash", "txId", "hash"]),
    ] {
        assert_eq!(fields[field].as_array().unwrap()[..4], documented);
    }
    let documented = json!({
        "database": { "url": "sqlite://lumo-bridge.db", "schema": null, "max_connections": 8, "migrate": true },
        "lumo": {
            "base_url": "https://b2b.lumowallet.io/",
            "settled_statuses": [],
            "api_key": { "env": "LUMO_API_KEY" },
            "timeout": "20s",
            "page_size": 100,
            "concurrency": 4,
            "rate": "20/s",
        },
        "sync": {
            "deposits": { "schedule": "*/10 * * * * *" },
            "blocked": { "schedule": "*/30 * * * * *" },
            "wallets": { "schedule": "0 * * * * *" },
            "sweep": { "schedule": "0 0 * * * *", "budget": "25%" },
            "first_import": "silent",
            "watch": { "every": "2s", "budget": "25%", "most": 500 },
        },
        "callbacks": {
            "retention": { "events": "14d", "dead": "90d", "attempts": "14d" },
            "egress": { "deny": ["169.254.0.0/16", "fe80::/10"], "proxy": null },
            "defaults": {
                "timeout": "15s",
                "concurrency": 8,
                "rate": null,
                "ordering": { "by": "user", "max_hold": "15m" },
                "retry": {
                    "schedule": ["5s", "30s", "2m", "10m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "1d"],
                    "jitter": 0.1,
                    "retry_after_cap": "12h",
                },
            },
            "endpoints": {},
        },
        "server": { "listen": "127.0.0.1:8600", "token": null, "read_token": null },
        "log": { "format": "text", "level": "info" },
        "telemetry": { "traces": null },
    });
    assert_eq!(defaults, documented);
}

#[test]
fn every_key_of_the_defaults_has_a_comment() {
    let mut above = None;
    for line in DEFAULTS.lines() {
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            above = Some(comment.trim());
            continue;
        }
        let above = above.take();
        if !line.contains(':') {
            continue;
        }
        let comment = line.split_once(" # ").map(|(_, comment)| comment.trim()).or(above);
        assert!(comment.is_some_and(|comment| comment.len() > 5), "no comment: {line}");
    }
}

#[test]
fn the_defaults_name_every_setting() {
    fn compare(shown: &Value, written: &Value, at: &str) {
        let (Some(shown), Some(written)) = (shown.as_object(), written.as_object()) else { return };
        assert_eq!(shown.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>(), "{at}");
        for (key, value) in shown {
            compare(value, &written[key], &format!("{at}.{key}"));
        }
    }
    let written: config::Map<String, config::Value> =
        config::Format::parse(&config::FileFormat::Yaml, None, DEFAULTS).unwrap();
    let written: Value = config::Value::new(None, config::ValueKind::Table(written)).try_deserialize().unwrap();
    compare(&json(&loaded("", &[])), &written, "");
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let text = "
database: { url: 'postgres://me@db/shop', schema: 'yes' }
lumo: { api_key: { file: /run/key }, settled_statuses: ['0', 'no', 'a, b'] }
sync: { first_import: { since: 2026-01-01T00:00:00Z } }
callbacks:
  endpoints:
    shop:
      url: 'https://shop.example.com/?a=1#b'
      events: ['*', '!wallet.missing']
      secrets: [{ env: A, not_after: 2026-01-01T00:00:00Z }, { file: /b }]
      extra_signatures: [{ style: stripe, secret: { env: 'B, c' } }, { style: github, header: X-A, secret: { env: C } }]
      headers: { X-Number: '0123', X-Text: 'a, b: c' }
      auth: { basic: { username: me, password: { env: P } } }
      backfill: { since: 2026-01-01T00:00:00Z }
      body: \"{\\n  \\\"a\\\": {{ data }}\\n}\\n\"
";
    let config = loaded(text, &[]);
    let again = loaded(&config.show(), &[]);
    assert_eq!(json(&again), json(&config), "{}", config.show());
    let shown = loaded("", &[]).show();
    assert!(
        shown.starts_with(
        "database:\n  url: sqlite://lumo-bridge.db\n  schema: null\n  max_connections: 8\n  migrate: true\nlumo:\n  \
         base_url: https://b2b.lumowallet.io/\n  settled_statuses: []\n  api_key: { env: LUMO_API_KEY }\n"),
        "{shown}"
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let text = "
database: { url: 'mysql://me:hunter2@db/shop' }
lumo: { api_key: { value: hunter2 } }
server: { token: { value: hunter2 }, read_token: { value: hunter2 } }
callbacks:
  endpoints:
    shop:
      url: https://shop.example.com
      events: ['*']
      secrets: [{ value: hunter2 }]
      auth: { bearer: { value: hunter2 } }
      extra_signatures: [{ style: github, secret: { value: hunter2 } }]
";
    let config = loaded(text, &[]);
    let (shown, debug, json) = (config.show(), format!("{config:?}"), json(&config).to_string());
    for text in [&shown, &debug, &json] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(shown.contains("api_key: { value: \"[redacted]\" }"), "{shown}");
    assert!(shown.contains("mysql://me:***@db/shop"), "{shown}");
}

#[test]
fn no_value_of_a_header_and_nothing_behind_the_host_of_an_endpoint_is_shown() {
    let text = "
database: { url: 'postgres://db/shop?user=hunter1&password=hunter2' }
callbacks:
  egress: { proxy: 'http://me:hunter3@proxy:3128' }
  endpoints:
    shop:
      url: https://shop.example.com/hunter8?key=hunter4#hunter5
      events: ['*']
      secrets: [{ env: A }]
      headers: { X-Key: hunter6, X-User: 'hunter7 {{ id }}' }
";
    let config = loaded(text, &[]);
    for shown in [config.show(), json(&config).to_string()] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    for line in [
        "  url: postgres://db/shop?user=***&password=***\n",
        "    proxy: http://me:***@proxy:3128\n",
        "      url: https://shop.example.com/***\n",
        "        X-Key: \"[redacted]\"\n",
    ] {
        assert!(config.show().contains(line), "{line} {}", config.show());
    }
}

#[test]
fn a_proxy_and_a_database_may_be_secrets() {
    let text = "
database: { url: { file: /no/such/url } }
callbacks: { egress: { proxy: { file: /no/such/proxy } } }
";
    let found = problems(text, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("bridge.yaml:2: database.url: the file `/no/such/url` cannot be read; "), "{found:?}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "postgres://me:hunter2@db/shop\n").unwrap();
    let source = format!("{{ file: {} }}", file.path().display());
    let text = format!("database: {{ url: {source} }}\ncallbacks: {{ egress: {{ proxy: {source} }} }}");
    let config = loaded(&text, &[("LUMO_BRIDGE__LUMO__API_KEY__VALUE", "key")]);
    assert_eq!(config.database.url.expose(), "postgres://me:hunter2@db/shop");
    assert!(config.show().contains(&format!("url: {source}\n")), "{}", config.show());
    let missing: Vec<_> = config.check_secrets().iter().map(ToString::to_string).collect();
    let expected = "callbacks.egress.proxy: is neither an http:// nor an https:// url; write for example \
                    `http://proxy.internal:3128`";
    assert_eq!(missing, [expected]);
}

#[test]
fn a_token_that_can_be_guessed_is_refused() {
    let found = |server: &str| {
        let problems = loaded(&format!("server: {{ {server} }}"), &[]).check_secrets();
        problems
            .iter()
            .filter(|problem| problem.key.starts_with("server."))
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    for key in ["token", "read_token"] {
        let expected = format!("server.{key}: is shorter than 16 characters; make one with `openssl rand -hex 24`");
        assert_eq!(found(&format!("{key}: {{ value: 'fifteen letters' }}")), [expected]);
        assert!(found(&format!("{key}: {{ value: 'sixteen letters!' }}")).is_empty());
    }
    let both =
        |read: &str| found(&format!("token: {{ value: 'sixteen letters!' }}, read_token: {{ value: '{read}' }}"));
    let expected = "server.read_token: is the same as server.token, which opens everything; make another with \
                    `openssl rand -hex 24`";
    assert_eq!(both("sixteen letters!"), [expected]);
    assert!(both("other letters, 16").is_empty());
}

#[test]
fn misplaced_secrets_are_not_quoted_by_errors() {
    let text = "
database: { url: 'mysql//me:hunter2@db/shop' }
lumo: { api_key: hunter2 }
server: { token: { values: hunter2 }, read_token: hunter2 }
callbacks:
  egress: { proxy: 'http://me:hunter2@proxy' }
  endpoints:
    a: { url: 'https://me:hunter2@a', events: ['*'], secrets: hunter2, auth: hunter2 }
    b: { url: 'https://b', events: ['*'], secrets: [hunter2], auth: { basic: 'me:hunter2' } }
    c: { url: 'https://c', events: ['*'], secrets: [{ value: 42 }], auth: { bearer: hunter2 } }
    d: hunter2
";
    let problems = problems(text, &[]).join("\n");
    assert!(!problems.contains("hunter2"), "{problems}");
    assert!(!problems.contains("42"), "{problems}");
    assert_eq!(problems.lines().count(), 12, "{problems}");
}

#[test]
fn the_schema_knows_every_key_and_allows_no_other() {
    fn compare(value: &Value, schema: &Value, at: &str) {
        let Some(object) = value.as_object().filter(|_| !at.ends_with(".api_key")) else { return };
        assert_eq!(schema["additionalProperties"], json!(false), "{at}");
        for (key, value) in object.iter().filter(|(key, _)| *key != "endpoints") {
            let property = &schema["properties"][key];
            assert!(property.is_object(), "{at}.{key} is not in the schema");
            assert!(property["description"].is_string(), "{at}.{key} has no description");
            compare(value, property, &format!("{at}.{key}"));
        }
    }
    let schema = Config::schema();
    compare(&json(&loaded("", &[])), &schema, "");
    assert!(schema.get("required").is_none());
    let endpoint = &schema["properties"]["callbacks"]["properties"]["endpoints"]["additionalProperties"];
    assert!(endpoint["properties"]["secrets"]["description"].is_string(), "{endpoint}");
    let source = &endpoint["properties"]["secrets"]["items"]["oneOf"][0]["properties"];
    assert!(source["env"].is_object() && source["not_after"].is_object(), "{endpoint}");
    assert_eq!(endpoint["properties"]["extra_signatures"]["items"]["additionalProperties"], json!(false));
    assert!(!schema.to_string().contains("$ref"));
}
