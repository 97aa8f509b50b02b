//! What is wrong is told with its place, its key and the fix; all of it at once.

use super::*;

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "
database:
  max_conections: 9
  url: mongodb://db
lumo:
  timeout: 20
  page_size: many
callbacks:
  endpoints:
    shop:
      url: https://shop.example.com
      events: [deposit.creatd, 7, '*']
      secrets: []
      ordering: { by: usr }
    till:
      events: ['*']
      secrets: [{ env: A, file: B }]
colour: red
";
    let found = problems(
        text,
        &[
            ("LUMO_BRIDGE__LUMO__CONCURRENCY", "65"),
            ("LUMO_BRIDGE__LOG__FROMAT", "json"),
            ("LUMO_BRIDGE__SERVER__LISTEN", "8600"),
        ],
    );
    let wanted = [
        "bridge.yaml:3: database.max_conections: is no setting; did you mean `database.max_connections`?",
        "bridge.yaml:4: database.url: is no known kind of database; begin with `sqlite://`, `postgres://` or `mysql://`",
        "bridge.yaml:6: lumo.timeout: `20` has no unit; write for example `20s`",
        "bridge.yaml:7: lumo.page_size: `many` is no whole number; write for example 8",
        "bridge.yaml:12: callbacks.endpoints.shop.events[0]: `deposit.creatd` matches no event; did you mean `deposit.created`?",
        "bridge.yaml:12: callbacks.endpoints.shop.events[1]: is a number where a text belongs; put it in quotes",
        "bridge.yaml:13: callbacks.endpoints.shop.secrets: is empty; name at least one signing secret",
        "bridge.yaml:14: callbacks.endpoints.shop.ordering.by: `usr` is not allowed here; write one of `user`, `endpoint`, `none`",
        "bridge.yaml:15: callbacks.endpoints.till.url: is missing; write for example `https://example.com/hooks`",
        "bridge.yaml:17: callbacks.endpoints.till.secrets[0]: names 2 sources of one secret; write exactly one of \
         `{ env: NAME }`, `{ file: PATH }` and `{ value: … }`",
        "bridge.yaml:18: colour: is no setting; the keys here are callbacks, database, log, lumo, server, sync, \
         telemetry",
        "LUMO_BRIDGE__LOG__FROMAT: log.fromat: is no setting; did you mean `log.format`?",
        "LUMO_BRIDGE__LUMO__CONCURRENCY: lumo.concurrency: 65 is out of range; write 1 to 64",
        "LUMO_BRIDGE__SERVER__LISTEN: server.listen: is no address with a port; write for example 127.0.0.1:8600",
    ];
    assert_eq!(found, wanted, "\n{}", found.join("\n"));
}

#[test]
fn elements_of_a_list_are_told_by_their_own_position() {
    let text = "
callbacks:
  endpoints:
    shop:
      url: https://shop.example.com
      events:
        - 1
        - deposit.created
        - 2
        - 3
        - deposit.craeted
      secrets: [{ env: A }]
";
    let found = problems(text, &[]);
    let places: Vec<_> = found.iter().filter_map(|line| line.rsplit_once(": ").map(|(place, _)| place)).collect();
    assert_eq!(
        places,
        [
            "bridge.yaml:7: callbacks.endpoints.shop.events[0]",
            "bridge.yaml:9: callbacks.endpoints.shop.events[2]",
            "bridge.yaml:10: callbacks.endpoints.shop.events[3]",
            "bridge.yaml:11: callbacks.endpoints.shop.events[4]",
        ]
    );
}

#[test]
fn a_syntax_error_carries_its_line() {
    for (text, start) in [
        ("database:\n  url: a\n url: b\n", "bridge.yaml:3: is not YAML: "),
        ("log:\n  level: [a\n", "bridge.yaml:3: is not YAML: "),
        ("log: {}\nlog: {}\n", "bridge.yaml:2: has the key `log` twice; "),
        ("log: .nan\n", "bridge.yaml: has a number that cannot be read"),
        ("- a\n", "bridge.yaml: is no map of sections; "),
        ("hunter2\n", "bridge.yaml: is no map of sections; "),
        ("a: 1\n---\nb: 2\n", "bridge.yaml: holds several YAML documents; keep one"),
    ] {
        let found = problems(text, &[]);
        assert!(matches!(found.as_slice(), [one] if one.starts_with(start)), "{found:?}");
    }
}

#[test]
fn a_star_outside_quotes_is_told_as_such() {
    for events in ["[*]", "[*.created]", "[deposit.created, *]"] {
        let found = problems(&SHOP.replace("[\"deposit.*\"]", events), &[]);
        let expected = "bridge.yaml:6: has a text that begins with `*` or `&`, which means something else in YAML; put it in \
                        quotes, for example events: [\"*\"]";
        assert_eq!(found, [expected], "{events}");
    }
}

#[test]
fn a_variable_that_is_almost_a_setting_is_told() {
    for (name, expected) in [
        ("LUMO_BRIDGE_DATABASE_URL", "is no setting; did you mean `LUMO_BRIDGE__DATABASE__URL`?"),
        ("LUMO_BRIDGE_DATABASE__URL", "is no setting; did you mean `LUMO_BRIDGE__DATABASE__URL`?"),
        ("LUMO_BRIDGE_LOG_LEVLE", "is no setting; did you mean `LUMO_BRIDGE__LOG__LEVEL`?"),
        ("LUMO_BRIDGE_LUMO_API_KEY", "is no setting; did you mean `LUMO_BRIDGE__LUMO__API_KEY`?"),
        ("LUMO_BRIDGE_LUMO_API_KEY_FILE", "is no setting; did you mean `LUMO_BRIDGE__LUMO__API_KEY__FILE`?"),
        (
            "LUMO_BRIDGE_WHATEVER_THIS_IS_MEANT_TO_BE",
            "is no setting; write two underscores for each level, as in `LUMO_BRIDGE__DATABASE__URL`, or unset it",
        ),
        (
            "LUMO_BRIDGES",
            "is no setting; write two underscores for each level, as in `LUMO_BRIDGE__DATABASE__URL`, or unset it",
        ),
    ] {
        assert_eq!(problems("", &[(name, "x")]), [format!("{name}: {expected}")]);
    }
    let others = [
        ("LUMO_BRIDGE_CONFIG", "a.yaml"),
        ("LUMO_BRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("LUMO_BRIDGE_SERVICE_PORT_HTTP", "8600"),
        ("LUMO_BRIDGE_PORT", "tcp://10.0.0.1:8600"),
        ("LUMO_BRIDGE_PORT_8600_TCP_ADDR", "10.0.0.1"),
        ("LUMO_BRIDGE_DATABASE_URL", ""),
        ("LUMO_API_KEY", "x"),
    ];
    loaded("", &others);
}

#[test]
fn what_an_env_file_adds_to_a_value_is_told() {
    for (value, expected) in [
        ("\"postgres://me:hunter2@db/shop\"", "stands in quotes, which an env-file keeps; take them out"),
        ("'postgres://me:hunter2@db/shop'", "stands in quotes, which an env-file keeps; take them out"),
        ("postgres://me:hunter2@db/shop\n", "begins or ends with a line break; take it out"),
        ("postgres://me:hunter2@db/\u{fffd}", "is not UTF-8; set it to plain text"),
    ] {
        let found = problems("", &[("LUMO_BRIDGE__DATABASE__URL", value)]);
        assert_eq!(found, [format!("LUMO_BRIDGE__DATABASE__URL: {expected}")]);
    }
}

#[test]
fn a_variable_that_nothing_replaces_is_told() {
    let text = "
database: { url: 'postgres://me:${DB_PASSWORD}@db/shop' }
lumo: { api_key: { value: '${LUMO_API_KEY}' } }
callbacks:
  endpoints:
    shop:
      url: https://shop.example.com/hooks
      events: [deposit.created]
      secrets: [{ env: A }]
      headers: { X-Key: '${SHOP_KEY}' }
      body: '{\"a\": \"${b}\"}'
";
    let of = |line: usize, key: &str, name: &str, variable: &str| {
        format!(
            "bridge.yaml:{line}: {key}: `${{{name}}}` is not replaced by the variable of that name; write `{{ env: {name} }}` \
             where a secret may stand, or set the whole value with `{variable}`"
        )
    };
    let shop = "callbacks.endpoints.shop.headers.X-Key";
    let expected = [
        of(2, "database.url", "DB_PASSWORD", "LUMO_BRIDGE__DATABASE__URL"),
        of(3, "lumo.api_key.value", "LUMO_API_KEY", "LUMO_BRIDGE__LUMO__API_KEY__VALUE"),
        of(10, shop, "SHOP_KEY", "LUMO_BRIDGE__CALLBACKS__ENDPOINTS__SHOP__HEADERS__X-KEY"),
    ];
    assert_eq!(problems(text, &[]), expected);
}

#[test]
fn a_key_with_something_around_it_is_told() {
    for (key, expected) in [
        ("'\"lb2b_key\"'", "stands in quotes; take them out of what holds it"),
        (
            "\"lb2b_key\\n\"",
            "has a blank, a line break or another character that no key has; what holds it must hold it alone",
        ),
    ] {
        let config = loaded(&format!("lumo: {{ api_key: {{ value: {key} }} }}"), &[]);
        let found: Vec<_> = config.check_secrets().iter().map(ToString::to_string).collect();
        assert_eq!(found, [format!("lumo.api_key: {expected}")]);
    }
}

#[test]
fn what_would_end_the_parser_is_refused_with_its_line() {
    let deep = format!("log:\n  level: {}", "[".repeat(100_000));
    assert_eq!(problems(&deep, &[]), ["bridge.yaml:2: is nested more than 64 deep"]);
    let wide = format!("log: [{}]", "x, ".repeat(60_000));
    let found = problems(&wide, &[]);
    assert_eq!(found, ["bridge.yaml:1: has more than 50000 values or 4194304 bytes, aliases written out"]);
    let wrong: String = (0..5_000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(problems(&wrong, &[]).len(), 100);
}

#[test]
fn a_file_of_comments_is_no_error() {
    loaded("# nothing yet\n\n  # at all\n", &[]);
    loaded("", &[]);
}

#[test]
fn rules_name_the_key_and_the_fix() {
    let shop = |line: &str| format!("{}\n      {line}\n", SHOP.trim_end());
    let sink = |sink: &str| {
        format!("callbacks: {{ endpoints: {{ ledger: {{ events: [deposit.created], sink: {{ sql: {sink} }} }} }} }}")
    };
    let endpoint = |change: (&str, &str)| SHOP.replace(change.0, change.1);
    let table = [
        ("server: { listen: '0.0.0.0:8600' }".to_owned(), "server.token", "or listen on 127.0.0.1"),
        ("server: { listen: '[::]:1', read_token: { env: A } }".to_owned(), "server.token", "or listen on 127.0.0.1"),
        ("database: { schema: lumo }".to_owned(), "database.schema", "is for PostgreSQL"),
        ("database: { max_connections: 0 }".to_owned(), "database.max_connections", "write 1 to 1000"),
        ("lumo: { base_url: 'ftp://x' }".to_owned(), "lumo.base_url", "neither an http:// nor an https://"),
        ("lumo: { base_url: 'https://a:b@x' }".to_owned(), "lumo.base_url", "has credentials"),
        ("lumo: { page_size: 10001 }".to_owned(), "lumo.page_size", "write 1 to 10000"),
        ("lumo: { page_size: -1 }".to_owned(), "lumo.page_size", "not negative"),
        ("lumo: { page_size: 8.7 }".to_owned(), "lumo.page_size", "write a whole number"),
        ("lumo: { page_size: }".to_owned(), "lumo.page_size", "is empty; "),
        ("lumo: { timeout: 0s }".to_owned(), "lumo.timeout", "is zero"),
        ("lumo: { rate: 0/s }".to_owned(), "lumo.rate", "above zero"),
        ("lumo: { deposit_fields: { amount: [a..b] } }".to_owned(), "lumo.deposit_fields.amount", "empty name"),
        ("lumo: { settled_statuses: [confirmed, ''] }".to_owned(), "lumo.settled_statuses[1]", "is empty"),
        ("lumo: { settled_statuses: [done, done] }".to_owned(), "lumo.settled_statuses[1]", "twice"),
        (format!("lumo: {{ settled_statuses: [{}] }}", "s".repeat(201)), "lumo.settled_statuses[0]", "longer than 200"),
        (
            format!("lumo: {{ settled_statuses: [{}] }}", (0..51).map(|n| format!("s{n}, ")).collect::<String>()),
            "lumo.settled_statuses",
            "more than 50",
        ),
        ("sync: { wallets: { schedule: '0 0 31 2 *' } }".to_owned(), "sync.wallets.schedule", "never due"),
        ("sync: { sweep: { budget: 0% } }".to_owned(), "sync.sweep.budget", "`1%` to `100%`"),
        ("sync: { first_import: loud }".to_owned(), "sync.first_import", "write `silent`, `notify`"),
        ("sync: { first_import: since }".to_owned(), "sync.first_import", "write `silent`, `notify`"),
        ("sync: { first_import: { since: soon } }".to_owned(), "sync.first_import", "is not a time"),
        ("callbacks: { egress: { deny: [10.0.0.1/40] } }".to_owned(), "callbacks.egress.deny", "is not a network"),
        ("callbacks: { egress: { proxy: squid } }".to_owned(), "callbacks.egress.proxy", "is neither an http://"),
        ("callbacks: { defaults: { timeout: 0s } }".to_owned(), "callbacks.defaults.timeout", "is zero"),
        (
            "callbacks: { defaults: { ordering: { max_hold: 0s } } }".to_owned(),
            "callbacks.defaults.ordering.max_hold",
            "is zero",
        ),
        (
            "callbacks: { defaults: { retry: { schedule: [] } } }".to_owned(),
            "callbacks.defaults.retry.schedule",
            "is empty",
        ),
        (
            "callbacks: { defaults: { retry: { jitter: 1.5 } } }".to_owned(),
            "callbacks.defaults.retry.jitter",
            "write 0 to 1",
        ),
        (shop("backfill: some"), "callbacks.endpoints.shop.backfill", "write `all` or `{ since: "),
        (shop("backfill: { from: 2026 }"), "callbacks.endpoints.shop.backfill", "`from` is no extent of a history"),
        (shop("backfill: { since: soon }"), "callbacks.endpoints.shop.backfill", "is not a time"),
        ("log: { level: inof }".to_owned(), "log.level", "did you mean `info`?"),
        ("log: { level: 'lumo_bridge=loud' }".to_owned(), "log.level", "is no filter"),
        ("log: { format: xml }".to_owned(), "log.format", "write one of `text`"),
        ("telemetry: { traces: collector }".to_owned(), "telemetry.traces", "is not a url"),
        ("telemetry: { traces: 'http://me:pw@otel/' }".to_owned(), "telemetry.traces", "has credentials in the url"),
        (endpoint(("    shop:", "    Shop:")), "callbacks.endpoints.Shop", "is no name of an endpoint"),
        (endpoint(("https://shop", "gopher://shop")), "callbacks.endpoints.shop.url", "neither an http://"),
        (
            endpoint(("https://shop.example.com/hooks", "'https://{{ data.host }}/hooks'")),
            "callbacks.endpoints.shop.url",
            "scheme, host and port must be constant",
        ),
        (endpoint(("https://shop", "https://me@shop")), "callbacks.endpoints.shop.url", "has credentials"),
        (endpoint(("[\"deposit.*\"]", "[]")), "callbacks.endpoints.shop.events", "no event is listed"),
        (
            endpoint(("deposit.*", "deposit.creatd")),
            "callbacks.endpoints.shop.events[0]",
            "did you mean `deposit.created`?",
        ),
        (endpoint(("[\"deposit.*\"]", "[a.b, a.b]")), "callbacks.endpoints.shop.events[1]", "stands here twice"),
        (
            endpoint(("[\"deposit.*\"]", "[wallet.blocked, '!wallet.*']")),
            "callbacks.endpoints.shop.events",
            "leave no event",
        ),
        (endpoint(("[{ env: SHOP_WEBHOOK_SECRET }]", "[]")), "callbacks.endpoints.shop.secrets", "at least one"),
        (
            endpoint(("{ env: SHOP_WEBHOOK_SECRET }", "{ env: A, not_after: tomorrow }")),
            "callbacks.endpoints.shop.secrets[0]",
            "write for example `2030-06-01T00:00:00Z`",
        ),
        (shop("headers: { webhook-id: x }"), "callbacks.endpoints.shop.headers.webhook-id", "is set by the bridge"),
        (
            shop("headers: { Content-Length: '1' }"),
            "callbacks.endpoints.shop.headers.Content-Length",
            "is set by the bridge",
        ),
        (shop("headers: { 'a b': x }"), "callbacks.endpoints.shop.headers.a b", "is no name of a header"),
        (shop("headers: { a: \"x\\ny\" }"), "callbacks.endpoints.shop.headers.a", "printable ASCII"),
        (shop("headers: { a: 1.10 }"), "callbacks.endpoints.shop.headers.a", "put it in quotes"),
        (shop("http2: maybe"), "callbacks.endpoints.shop.http2", "true or false"),
        (
            shop("tls: { cert: a.pem }"),
            "callbacks.endpoints.shop.tls.cert",
            "the keys here are ca, client_cert, client_key",
        ),
        (shop("sink: { sql: 'CALL f(:body)', timeout: 2s }"), "callbacks.endpoints.shop.url", "this one has a sink"),
        (sink("'CALL f(:bdoy)', timeout: 2s"), "callbacks.endpoints.ledger.sink.sql", "did you mean `:body`?"),
        (
            format!("{}\ndatabase: {{ url: 'mysql://db/x', max_connections: 1 }}", sink("'CALL f()', timeout: 2s")),
            "database.max_connections",
            "write at least 2",
        ),
        (sink("'COMMIT', timeout: 2s"), "callbacks.endpoints.ledger.sink.sql", "begin with one of CALL"),
        (sink("'CALL f()', timeout: 0s"), "callbacks.endpoints.ledger.sink.timeout", "at most 5s"),
        (sink("'CALL f()', timeout: 6s"), "callbacks.endpoints.ledger.sink.timeout", "at most 5s"),
        (sink("'CALL f()'"), "callbacks.endpoints.ledger.sink.timeout", "is missing"),
        (
            sink("'CALL f()', timeout: 2s }, ack: { mode: row, within: 1m"),
            "callbacks.endpoints.ledger.ack",
            "this one has a sink; take it out",
        ),
        (shop("ack: { mode: rows, within: 10m }"), "callbacks.endpoints.shop.ack.mode", "write one of `row`"),
        (shop("ack: { mode: row }"), "callbacks.endpoints.shop.ack.within", "is missing"),
        (shop("ack: { mode: row, within: 0s }"), "callbacks.endpoints.shop.ack.within", "is zero"),
        (shop("auth: {}"), "callbacks.endpoints.shop.auth", "either bearer or basic"),
        (shop("method: GET"), "callbacks.endpoints.shop.method", "write one of `POST`"),
        (shop("timeout: 0s"), "callbacks.endpoints.shop.timeout", "is zero"),
        (shop("retry: { schedule: [] }"), "callbacks.endpoints.shop.retry.schedule", "is empty"),
        (
            shop("retry: { jiter: 1 }"),
            "callbacks.endpoints.shop.retry.jiter",
            "`callbacks.endpoints.shop.retry.jitter`?",
        ),
        (
            shop("extra_signatures: [{ style: gitlab, secret: { env: A } }]"),
            "callbacks.endpoints.shop.extra_signatures[0].style",
            "write one of `github` or `stripe`",
        ),
        (
            shop("extra_signatures: [{ style: github }]"),
            "callbacks.endpoints.shop.extra_signatures[0].secret",
            "is missing",
        ),
        (
            shop("extra_signatures: [{ style: github, heder: X-A, secret: { env: A } }]"),
            "callbacks.endpoints.shop.extra_signatures[0].heder",
            "extra_signatures[0].header`?",
        ),
        (
            shop("extra_signatures: [{ style: github, header: webhook-id, secret: { env: A } }]"),
            "callbacks.endpoints.shop.extra_signatures[0].header",
            "is set by the bridge",
        ),
        (shop("auth: { basic: { username: me } }"), "callbacks.endpoints.shop.auth.basic.password", "is missing"),
    ];
    for (text, key, part) in table {
        let found = problems(&text, &[]);
        assert!(
            found.iter().any(|line| line.contains(&format!("{key}: ")) && line.contains(part)),
            "{text}\n{found:?}"
        );
        assert!(
            found.len() <= if text.contains("a.b") || text.contains("CALL f(:body)") { 3 } else { 1 },
            "{text}\n{}",
            found.join("\n")
        );
    }
}

#[test]
fn nothing_under_an_optional_key_equals_no_key() {
    let keys = [
        "headers",
        "auth",
        "method",
        "body",
        "rate",
        "ordering",
        "retry",
        "extra_signatures",
        "tls",
        "http2",
        "ack",
        "sink",
    ];
    let lines: String = keys.iter().map(|key| format!("\n      {key}:")).collect();
    let config = loaded(&format!("{}{lines}", SHOP.trim_end()), &[]);
    assert_eq!(config.show(), loaded(SHOP, &[]).show());
}
