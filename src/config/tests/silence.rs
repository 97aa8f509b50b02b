//! A rule says nothing where it would judge by a value that could not be read.

use super::*;

const SCHEMA: &str = "database.schema: is for PostgreSQL, but database.url is not; take it out";

#[test]
fn a_url_that_cannot_be_read_is_the_only_problem() {
    let file = "/run/credentials/no-such.service/database_url";
    let found = problems(&format!("database:\n  url: {{ file: {file} }}\n  schema: lumo\n"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = format!(
        "bridge.yaml:2: database.url: the file `{file}` cannot be read; systemd gives this file only while the \
         service runs"
    );
    assert!(found[0].starts_with(&expected), "{found:?}");

    for url in ["{ env: LUMO_TEST_NO_SUCH_VARIABLE }", "mongodb://db/shop", "7", "'postgres://me:${PASSWORD}@db/shop'"]
    {
        let found = problems(&format!("database:\n  url: {url}\n  schema: lumo\n"), &[]);
        assert!(found.len() == 1 && found[0].starts_with("bridge.yaml:2: database.url: "), "{url}: {found:?}");
    }
}

#[test]
fn a_setting_with_a_mistyped_name_is_the_only_problem() {
    let found = problems("database: { urll: 'postgres://db/shop', schema: lumo }", &[]);
    assert!(found.len() == 1 && found[0].contains("did you mean `database.url`?"), "{found:?}");
    for variable in [
        ("LUMO_BRIDGE_DATABASE_URL", "postgres://db/shop"),
        ("LUMO_BRIDGE__DATABASE__URL", "'postgres://db/shop'"),
        ("LUMO_BRIDGE__DATABASE__URL", "postgres://db/shop\n"),
    ] {
        let found = problems("database: { schema: lumo }", &[variable]);
        assert!(found.len() == 1 && found[0].starts_with(variable.0), "{variable:?}: {found:?}");
    }
}

#[test]
fn a_rule_whose_values_were_read_is_not_silent() {
    for text in ["database: { schema: lumo }", "database: { schema: lumo, max_connection: 7 }"] {
        let found = problems(text, &[]);
        assert!(found.iter().any(|found| found.ends_with(SCHEMA)), "{text}: {found:?}");
    }
}
