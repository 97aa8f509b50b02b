//! The merchant's statement: one SELECT, which a database may put in brackets.
//!
//! That it writes nothing is the database's to see to, in a transaction that only reads. What is refused here is what would not
//! stay in the brackets, what writes beside the transaction, and what databases read differently.

use crate::model::sink::statement::{StatementError, comment, dollar, is_blank, quoted, word};

/// What a statement that only reads begins with.
const VERBS: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];

/// What writes a file on MySQL and MariaDB. It is looked for in quotes and comments as well: these two know comments that are none
/// for others, and what is quoted for others may be none for them.
const FILES: [&str; 2] = ["OUTFILE", "DUMPFILE"];

/// One statement that gives rows, without the semicolon behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select(String);

/// What is wrong with a statement. It is not quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("is empty; write for example `SELECT deposit_id, amount FROM bookings`")]
    Empty,
    #[error("begins with {0}, and must only read; begin with SELECT or WITH")]
    Verb(String),
    #[error("is more than one statement; give one SELECT")]
    Several,
    #[error("has brackets that do not match")]
    Brackets,
    #[error("has the word {0}, which writes a file with INTO {0}; give a SELECT that only reads")]
    File(&'static str),
    #[error("has a placeholder, and there is nothing to put there; write the value")]
    Placeholder,
    #[error("has a comment that some databases run as a statement (`/*!`); take it out")]
    Executable,
    #[error("{0}")]
    Text(StatementError),
}

impl Select {
    /// Reads a statement.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(sql: &str) -> Result<Self, SelectError> {
        let upper = sql.to_ascii_uppercase();
        if let Some(file) = FILES.into_iter().find(|file| upper.contains(file)) {
            return Err(SelectError::File(file));
        }
        let mut rest = sql;
        let (mut has_begun, mut depth) = (false, 0_u32);
        let mut end = sql.len();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => return Err(SelectError::Executable),
                '/' if rest.starts_with("/*") => comment(rest)?,
                _ if first.is_whitespace() => first.len_utf8(),
                ';' if is_blank(rest.get(1..).unwrap_or_default())? => {
                    end = sql.len() - rest.len();
                    break;
                }
                ';' => return Err(SelectError::Several),
                '(' => {
                    depth += 1;
                    1
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or(SelectError::Brackets)?;
                    1
                }
                '\'' | '"' | '`' => quoted(rest, first)?,
                '$' => dollar(rest)?,
                _ => {
                    let word = word(rest);
                    if !has_begun {
                        begins(word, first)?;
                        has_begun = true;
                    }
                    word.len().max(first.len_utf8())
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        if !has_begun {
            return Err(SelectError::Empty);
        }
        if depth > 0 {
            return Err(SelectError::Brackets);
        }
        Ok(Self(sql.get(..end).unwrap_or_default().to_owned()))
    }

    /// The statement in brackets, as a table of this name. The closing one is on a line of its own, behind any comment.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        format!("(\n{}\n) AS {name}", self.0)
    }
}

fn begins(word: &str, first: char) -> Result<(), SelectError> {
    if VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    Err(SelectError::Verb(if word.is_empty() { format!("`{first}`") } else { word.to_uppercase() }))
}

impl From<StatementError> for SelectError {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::Nameless => Self::Placeholder,
            error => Self::Text(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_select_is_put_in_brackets() {
        for (sql, kept) in [
            ("SELECT deposit_id, amount FROM bookings", "SELECT deposit_id, amount FROM bookings"),
            ("select 1;", "select 1"),
            ("SELECT 1 -- all ; of them\n ; -- done\n", "SELECT 1 -- all ; of them\n "),
            ("(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"),
            ("WITH a AS (SELECT ';)' AS b) SELECT b FROM a", "WITH a AS (SELECT ';)' AS b) SELECT b FROM a"),
            ("/* into ( */ VALUES ($$;)$$)", "/* into ( */ VALUES ($$;)$$)"),
            ("SELECT 'into', \"(\", `)`", "SELECT 'into', \"(\", `)`"),
        ] {
            assert_eq!(Select::parse(sql).map(|select| select.0).as_deref(), Ok(kept), "{sql}");
        }
        assert_eq!(Select::parse("SELECT 1 -- x").unwrap().named("booked"), "(\nSELECT 1 -- x\n) AS booked");
    }

    #[test]
    fn what_is_not_one_select_is_refused() {
        let refused = |sql: &str| Select::parse(sql).unwrap_err().to_string();
        for (sql, words) in [
            ("", "is empty"),
            (" -- nothing\n", "is empty"),
            ("DELETE FROM bookings", "begins with DELETE"),
            ("  insert into a values (1) returning b", "begins with INSERT"),
            ("ATTACH 'other.db' AS o", "begins with ATTACH"),
            ("PRAGMA query_only = off", "begins with PRAGMA"),
            ("7", "begins with `7`"),
            ("SELECT 1; DELETE FROM bookings", "more than one statement"),
            ("SELECT 1;;", "more than one statement"),
            ("SELECT 1) AS b; --", "brackets"),
            ("SELECT 1) AS b INTO OUTFILE '/tmp/x' --", "INTO OUTFILE"),
            // Where a `#` begins a comment, and where a `--` does only with a blank behind it.
            ("SELECT 1 # '\n INTO OUTFILE '/tmp/x' # '", "INTO OUTFILE"),
            ("SELECT 1 --1 INTO OUTFILE '/tmp/x'", "INTO OUTFILE"),
            ("SELECT (1", "brackets"),
            ("SELECT 1 INTO  OutFile '/tmp/x'", "INTO OUTFILE"),
            ("SELECT 1 INTO/**/DUMPFILE '/tmp/x'", "INTO DUMPFILE"),
            ("SELECT 1 /*!50000 + 1 */", "/*!"),
            ("SELECT 1 /*M!100000 + 1 */", "/*!"),
            ("SELECT 'open", "does not end"),
            ("SELECT 1 /* open", "does not end"),
            ("SELECT 'a\\'; DELETE FROM b; --'", "backslash"),
            ("SELECT $1", "placeholder"),
        ] {
            assert!(refused(sql).contains(words), "{sql}: {}", refused(sql));
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_the_brackets(sql in "[sS;()'\"/*! $a\n-]{0,24}") {
            if let Ok(select) = Select::parse(&format!("SELECT {sql}")) {
                let again = Select::parse(&format!("SELECT * FROM {}", select.named("x")));
                prop_assert!(again.is_ok(), "{sql:?}: {again:?}");
            }
        }
    }
}
