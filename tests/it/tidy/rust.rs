//! Reads Rust just well enough to see which names the code uses.

/// The text without what the compiler does not read as code: comments, and what stands in quotes. Lines stay lines.
pub(super) fn code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix("br").or(rest.strip_prefix('r'));
        let raw = raw.filter(|raw| raw.trim_start_matches('#').starts_with('"'));
        let mid_word = out.ends_with(is_part_of_a_name);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(raw) = raw.filter(|_| !mid_word) {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = rest.len() - raw.len() + hashes + 1;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                if escaped {
                    escaped = false;
                    false
                } else {
                    escaped = c == '\\';
                    c == '"'
                }
            });
            end.map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(rest[..length].chars().filter(|c| *c == '\n'));
        rest = &rest[length..];
    }
    out
}

fn is_part_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of a line that could be names.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !is_part_of_a_name(c))
}

/// The modules that the code names as `crate::module` or in `use crate::{…}`.
pub(super) fn imports(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_part_of_a_name) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.extend(words(rest).next()),
            Some(list) => {
                let mut depth = 0;
                for item in list[..list.find(';').unwrap_or(list.len())].split_inclusive(['{', '}', ',']) {
                    found.extend((depth == 0).then(|| words(item.trim_start()).next()).flatten());
                    depth += item.matches('{').count();
                    depth = depth.saturating_sub(item.matches('}').count());
                }
            }
        }
    }
    found.into_iter().filter(|module| !module.is_empty()).collect()
}

#[test]
fn comments_and_quotes_are_no_code() {
    let text = r###"//! reqwest
use a::b; // reqwest
/* reqwest
 * reqwest */ use c::d;
/// ```
fn f<'a>(x: &'a str) -> char { let _ = "reqwest \\\" reqwest"; let r = r#"reqwest " "#; br#"reqwest "";"#; '"' }
const URL: &str = "https://reqwest
second line"; use sqlx;
'\"' sqlx2
"###;
    let code = code(text);
    assert!(!code.contains("reqwest"), "{code}");
    for name in ["a::b", "c::d", "fn f", "const URL", "let r", "use sqlx;", "sqlx2"] {
        assert!(code.contains(name), "{name}: {code}");
    }
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    for (code, expected) in [
        ("use crate::store::Store;", &["store"][..]),
        ("pub(crate) use crate::store;", &["store"]),
        ("fn f(x: &crate::lumo::Error) -> crate::model::Amount {}", &["lumo", "model"]),
        (
            "use crate::{admin, callback::config::{A, B}, lumo::{self, C}, store};",
            &["admin", "callback", "lumo", "store"],
        ),
        ("use crate::{\n    admin::Config,\n    store,\n};\nuse std::{fs, io};", &["admin", "store"]),
        ("use some_crate::store;", &[]),
    ] {
        assert_eq!(imports(code), expected, "{code}");
    }
}
