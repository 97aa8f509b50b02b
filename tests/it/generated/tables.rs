//! `docs/tables.md`: the tables, and the columns of them that a merchant may rely on. The words are those of the entities.

use std::fmt::Write as _;
use std::fs;

use super::path;
use crate::database::Database;
use crate::schema::TABLES;

const OPENING: &str = "\
<!-- Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated -->

# The tables

These columns keep their names and their meaning, so you may rely on them. Other columns of the same tables are the bridge's own: they
may change, and new ones may be added. The last two are views. Only the bridge writes, except into `lumo_acks` and `lumo_watches`.
[Integration](integration.md#read-the-tables) has queries.

| type | PostgreSQL | MySQL, MariaDB | SQLite |
|---|---|---|---|
| text | `text`, `varchar` | `longtext`, `varchar` | `text` |
| integer | `integer`, `bigint` | `integer`, `bigint` | `integer` |
| boolean | `boolean` | `boolean` | `boolean`: 0 or 1 |
| time, in UTC | `timestamptz` | `datetime(6)` | `text` such as `2026-11-30T10:59:15.084+00:00`: compare `datetime(created_at)` |
| amount, exact | `numeric` | `decimal(65,30)` | `text` |
";

/// The file of each entity, and what of it may be relied on.
const RELIED: [(&str, &str); 13] = [
    (
        "wallet",
        "id company_id external_id address is_blocked block_reason last_usdt_balance last_trx_balance created_at raw version \
         first_seen_at changed_at missing_since former_company_id",
    ),
    (
        "deposit",
        "id wallet_id external_id address from_address tx_hash amount currency status confirmations block_number created_at \
         updated_at settled_at raw version first_seen_at changed_at missing_since former_company_id",
    ),
    ("event", "id seq type stream stream_seq object_kind object_id external_id occurred_at detected_at origin body"),
    ("attempt", "endpoint seq attempt event_id started_at duration_ms status error response_body result reason"),
    ("endpoint", "name state since consecutive_failures last_success_at hold_until"),
    ("position", "endpoint position"),
    ("subscription", "endpoint type from_seq through_seq state"),
    ("ack", "event_id endpoint"),
    ("watch", "external_id until"),
    ("progress", "listing complete_through proved_through"),
    ("account", "company_id server since"),
    ("reject", "listing id raw reason first_seen_at last_seen_at"),
    ("operator_action", "at actor action object reason"),
];

/// A view, what it is, and its columns.
type View = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const VIEWS: [View; 2] = [
    (
        "lumo_deliveries",
        "Every event and each endpoint that wants it. It is computed when you ask, so ask for one event or one endpoint.",
        &[
            ("event_id", "text", "The event's id."),
            ("seq", "integer", "The event's number in the log."),
            ("endpoint", "text", "The endpoint's name."),
            ("state", "text", "[What the states mean](operations.md#what-the-states-of-a-delivery-mean)."),
            ("attempts", "integer", "How many attempts were made."),
            (
                "next_attempt_at",
                "time or null",
                "When the next attempt is due, where that is known. What is `held` waits for its endpoint beyond it.",
            ),
            (
                "delivered_at",
                "time or null",
                "When the successful request began. Its row in `lumo_delivery_attempts` says how long it took.",
            ),
            ("last_status", "integer or null", "The HTTP status that the last attempt was answered with."),
            ("last_error", "text or null", "Why the last attempt failed, or why an operator gave the delivery up."),
            ("reason", "text", "Why it is sent: `live`, `replay` or `backfill`."),
        ],
    ),
    (
        "lumo_undelivered",
        "What of that is not delivered, the skipped ones included.",
        &[
            ("event_id", "text", "The event's id."),
            ("seq", "integer", "The event's number in the log."),
            ("type", "text", "The type of the event."),
            ("stream", "text", "The stream of the event."),
            ("stream_seq", "integer", "Its number within the stream."),
            ("external_id", "text or null", "The user's id in your own system, where one is known."),
            ("endpoint", "text", "The endpoint's name."),
            ("state", "text", "[What the states mean](operations.md#what-the-states-of-a-delivery-mean)."),
            ("since", "time", "When the bridge noticed the event."),
            ("attempts", "integer", "How many attempts were made."),
            (
                "next_attempt_at",
                "time or null",
                "When the next attempt is due, where that is known. What is `held` waits for its endpoint beyond it.",
            ),
            ("last_status", "integer or null", "The HTTP status that the last attempt was answered with."),
            ("last_error", "text or null", "Why the last attempt failed, or why an operator gave the delivery up."),
        ],
    ),
];

struct Column {
    name: String,
    kind: String,
    words: String,
}

fn source(entity: &str) -> String {
    fs::read_to_string(path(&format!("entity/src/{entity}.rs"))).unwrap()
}

/// The name and the words of a table, as the header of its entity has them: "`lumo_x`: what it is."
fn header(source: &str) -> (String, String) {
    let lines = source.lines().map_while(|line| line.strip_prefix("//! "));
    let header = lines.collect::<Vec<_>>().join(" ");
    let (name, words) = header.split_once(": ").unwrap();
    let (first, rest) = words.split_at(1);
    (name.trim_matches('`').to_owned(), first.to_uppercase() + rest)
}

/// The columns of an entity, in its order, with the comments above them.
fn columns(source: &str) -> Vec<Column> {
    let (_, model) = source.split_once("pub struct Model {\n").unwrap();
    let (mut columns, mut words, mut name) = (Vec::new(), Vec::new(), None);
    for line in model.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(comment) = line.strip_prefix("/// ") {
            words.push(comment);
        } else if let Some((_, given)) = line.split_once("column_name = \"") {
            name = given.split('"').next();
        } else if let Some((field, kind)) = line.strip_prefix("pub ").and_then(|line| line.split_once(": ")) {
            let (name, kind) =
                (name.take().unwrap_or(field).to_owned(), self::kind(source, kind.trim_end_matches(',')));
            columns.push(Column { name, kind, words: std::mem::take(&mut words).join(" ") });
        }
    }
    columns
}

/// What a field of this Rust type holds, for people.
fn kind(source: &str, rust: &str) -> String {
    if let Some(inner) = rust.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{} or null", kind(source, inner));
    }
    let kind = match rust {
        "bool" => "boolean",
        "i32" | "i64" => "integer",
        "Amount" => "amount",
        "DateTimeUtc" | "DateTime<Utc>" => "time",
        "String" => "text",
        name if name.ends_with("Id") || name == "EndpointName" => "text",
        name => return words_of(source, name),
    };
    kind.to_owned()
}

/// The words that an enum stands for; one that is not in the file of the table is in that of the exceptions.
fn words_of(source: &str, name: &str) -> String {
    let head = format!("pub enum {name} {{\n");
    let exceptions = self::source("exception");
    let (_, variants) = source.split_once(&head).or_else(|| exceptions.split_once(&head)).unwrap();
    let variants = variants.lines().map(str::trim).take_while(|line| *line != "}");
    let names = variants.filter(|line| !line.starts_with("//")).map(|line| {
        let letters = line.trim_end_matches(',').char_indices().map(|(at, letter)| match letter {
            'A'..='Z' if at > 0 => format!("_{}", letter.to_ascii_lowercase()),
            _ => letter.to_ascii_lowercase().to_string(),
        });
        format!("`{}`", letters.collect::<String>())
    });
    names.collect::<Vec<_>>().join(", ")
}

fn section(text: &mut String, name: &str, words: &str, columns: &[Column]) {
    writeln!(text, "\n## `{name}`\n\n{words}\n\n| column | type | is |\n|---|---|---|").unwrap();
    for Column { name: column, kind, words } in columns {
        assert!(!words.is_empty(), "{name}.{column} is not described");
        writeln!(text, "| `{column}` | {kind} | {words} |").unwrap();
    }
}

/// The page, compared with a database that has the tables.
pub(super) async fn document(database: &Database) -> String {
    let (mut text, mut shown) = (OPENING.to_owned(), Vec::new());
    for (entity, relied) in RELIED {
        let source = source(entity);
        let (name, words) = header(&source);
        let mut columns = columns(&source);
        let names = format!("SELECT name FROM pragma_table_info('{name}') WHERE \"notnull\" = 0");
        let nullable: Vec<String> =
            database.rows(&names).await.into_iter().map(|row| row[0].clone().unwrap()).collect();
        columns.retain(|column| relied.split(' ').any(|name| name == column.name));
        assert_eq!(columns.len(), relied.split(' ').count(), "{name} lacks one of {relied}");
        for column in &columns {
            assert_eq!(column.kind.ends_with(" or null"), nullable.contains(&column.name), "{name}.{}", column.name);
        }
        section(&mut text, &name, &words, &columns);
        shown.push(name);
    }
    for (name, words, known) in VIEWS {
        let rows = database.rows(&format!("SELECT name FROM pragma_table_info('{name}')")).await;
        let names: Vec<&str> = rows.iter().map(|row| row[0].as_deref().unwrap()).collect();
        assert_eq!(names, known.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "{name}");
        let column = |(name, kind, words): &(&str, &str, &str)| Column {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            words: (*words).to_owned(),
        };
        section(&mut text, name, words, &known.iter().map(column).collect::<Vec<_>>());
        shown.push(name.to_owned());
    }
    let own = TABLES.iter().filter(|name| !shown.iter().any(|shown| shown == *name));
    let own = own.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    writeln!(text, "\n## The bridge's own\n\n{own}: leave them alone; they may change.").unwrap();
    text
}
