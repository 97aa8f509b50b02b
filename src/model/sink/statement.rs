//! A statement with named parameters, taken apart so that each database gets its own placeholders.
//!
//! What is quoted or commented stays as it is, and so do `::casts` and `:=`. Where databases read the same text differently
//! (a backslash before a quote, a comment in a comment) it is refused, as guessing would run something else than was meant.

use crate::model::suggest::nearest;

/// What a statement may begin with. None of these ends the transaction that it runs in.
const VERBS: [&str; 8] = ["CALL", "DELETE", "INSERT", "MERGE", "REPLACE", "SELECT", "UPDATE", "WITH"];

/// What a statement may ask of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    EventId,
    Type,
    Stream,
    Sequence,
    ObjectId,
    ExternalId,
    Status,
    Amount,
    Currency,
    TxHash,
    Address,
    Body,
}

impl Parameter {
    pub const ALL: [Self; 12] = [
        Self::EventId,
        Self::Type,
        Self::Stream,
        Self::Sequence,
        Self::ObjectId,
        Self::ExternalId,
        Self::Status,
        Self::Amount,
        Self::Currency,
        Self::TxHash,
        Self::Address,
        Self::Body,
    ];

    /// The name that stands after the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventId => "event_id",
            Self::Type => "type",
            Self::Stream => "stream",
            Self::Sequence => "sequence",
            Self::ObjectId => "object_id",
            Self::ExternalId => "external_id",
            Self::Status => "status",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::TxHash => "tx_hash",
            Self::Address => "address",
            Self::Body => "body",
        }
    }
}

/// One statement, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(Parameter),
}

/// What is wrong with a statement: the problem and, after a semicolon, the fix. The statement is not quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("is empty; write for example `CALL on_deposit(:event_id, :body)`")]
    Empty,
    #[error("does not begin as it must; begin with one of {}", VERBS.join(", "))]
    Verb,
    #[error("is more than one statement; put them into a procedure, and call that")]
    Several,
    #[error("asks for `:{name}`, which is no parameter; {fix}")]
    Unknown { name: String, fix: String },
    #[error("has a placeholder without a name; write for example `:event_id`")]
    Nameless,
    #[error("has a quote or a comment that does not end; close it")]
    Open,
    #[error("has a backslash before a quote, which not every database reads alike; double the quote instead")]
    Backslash,
    #[error("has a comment in a comment, which not every database reads alike; take it out")]
    Nested,
}

impl Statement {
    /// Takes a statement apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(sql: &str) -> Result<Self, StatementError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = sql;
        let mut has_begun = false;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => comment(rest)?,
                _ if first.is_whitespace() => first.len_utf8(),
                ';' if is_blank(rest.get(1..).unwrap_or_default())? => break,
                ';' => return Err(StatementError::Several),
                _ if !has_begun => {
                    has_begun = true;
                    let verb = word(rest);
                    if !VERBS.iter().any(|known| known.eq_ignore_ascii_case(verb)) {
                        return Err(StatementError::Verb);
                    }
                    verb.len()
                }
                '\'' | '"' | '`' => quoted(rest, first)?,
                '?' => return Err(StatementError::Nameless),
                '$' => dollar(rest)?,
                ':' if rest.starts_with("::") || rest.starts_with(":=") => 2,
                ':' => match word(rest.get(1..).unwrap_or_default()) {
                    "" => 1,
                    name => {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                        pieces.push(Piece::Parameter(parameter(name)?));
                        rest = rest.get(1 + name.len()..).unwrap_or_default();
                        continue;
                    }
                },
                // So that what is inside of a word begins nothing.
                _ => word(rest).len().max(first.len_utf8()),
            };
            let (taken, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
            text.push_str(taken);
            rest = left;
        }
        if !has_begun {
            return Err(StatementError::Empty);
        }
        pieces.push(Piece::Text(text));
        Ok(Self(pieces))
    }

    /// The text with a placeholder for each parameter, which `mark` makes of its number, and the parameters in their order.
    #[must_use]
    pub fn render(&self, mark: impl Fn(usize) -> String) -> (String, Vec<Parameter>) {
        let mut parameters = Vec::new();
        let mut sql = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => sql.push_str(text),
                Piece::Parameter(parameter) => {
                    parameters.push(*parameter);
                    sql.push_str(&mark(parameters.len()));
                }
            }
        }
        (sql, parameters)
    }
}

fn parameter(name: &str) -> Result<Parameter, StatementError> {
    Parameter::ALL.into_iter().find(|parameter| parameter.as_str() == name).ok_or_else(|| {
        let fix = match nearest(name, Parameter::ALL.iter().map(|parameter| parameter.as_str())) {
            Some(meant) => format!("did you mean `:{meant}`?"),
            None => {
                format!("there are {}", Parameter::ALL.map(|parameter| format!(":{}", parameter.as_str())).join(", "))
            }
        };
        StatementError::Unknown { name: name.to_owned(), fix }
    })
}

/// The letters, digits and underscores at the beginning, if the first of them is no digit.
pub(in crate::model) fn word(text: &str) -> &str {
    let is_first = |letter: char| letter.is_alphabetic() || letter == '_';
    if !text.starts_with(is_first) {
        return "";
    }
    let end = text.find(|letter: char| !is_first(letter) && !letter.is_numeric());
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

/// The length of what is quoted at the beginning. A doubled quote ends it and begins the next.
pub(in crate::model) fn quoted(text: &str, quote: char) -> Result<usize, StatementError> {
    let inside = text.get(1..).unwrap_or_default();
    let length = inside.find(quote).ok_or(StatementError::Open)?;
    if inside.get(..length).is_some_and(|inside| inside.ends_with('\\')) {
        return Err(StatementError::Backslash);
    }
    Ok(length + 2)
}

pub(in crate::model) fn comment(text: &str) -> Result<usize, StatementError> {
    let inside = text.get(2..).unwrap_or_default();
    let length = inside.find("*/").ok_or(StatementError::Open)?;
    if inside.get(..length).is_some_and(|inside| inside.contains("/*")) {
        return Err(StatementError::Nested);
    }
    Ok(length + 4)
}

/// The length of `$tag$ … $tag$`, as PostgreSQL quotes, or of the dollar alone.
pub(in crate::model) fn dollar(text: &str) -> Result<usize, StatementError> {
    let inside = text.get(1..).unwrap_or_default();
    if inside.starts_with(|letter: char| letter.is_ascii_digit()) {
        return Err(StatementError::Nameless);
    }
    let tag = text.get(..word(inside).len() + 2).filter(|tag| tag.ends_with('$'));
    let Some(tag) = tag else { return Ok(1) };
    let length = text.get(tag.len()..).and_then(|inside| inside.find(tag)).ok_or(StatementError::Open)?;
    Ok(length + 2 * tag.len())
}

/// Whether nothing but blanks and comments is left.
pub(in crate::model) fn is_blank(text: &str) -> Result<bool, StatementError> {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let length = match rest {
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => comment(rest)?,
            _ => return Ok(false),
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(sql: &str) -> (String, Vec<&'static str>) {
        let (sql, parameters) = Statement::parse(sql).unwrap().render(|number| format!("${number}"));
        (sql, parameters.into_iter().map(Parameter::as_str).collect())
    }

    #[test]
    fn named_parameters_become_the_databases_own() {
        let (sql, parameters) = rendered("CALL f(:event_id,:type, :body, :event_id);  -- done\n");
        assert_eq!(sql, "CALL f($1,$2, $3, $4)");
        assert_eq!(parameters, ["event_id", "type", "body", "event_id"]);
        let statement = Statement::parse("insert into t values (:sequence, :amount)").unwrap();
        assert_eq!(statement.render(|_| "?".to_owned()).0, "insert into t values (?, ?)");
    }

    #[test]
    fn what_is_quoted_commented_or_cast_is_left_alone() {
        for kept in [
            "SELECT 'it''s :body', \":type\", `:x`, 1::text, 'a'::text",
            "SELECT $$ :body '; $$, $q$ $$ :nope $q$",
            "SELECT 1 /* :nope ' ; */ -- :nope ; '\n, 2",
            "UPDATE t SET a = (@x := 1)",
            "SELECT a[1 : 2], '12:30', E'\\n', 'дом :x'",
            "/* first */ -- :nope\n WITH a AS (SELECT 1) SELECT * FROM a",
        ] {
            assert_eq!(rendered(kept), (kept.to_owned(), vec![]), "{kept}");
        }
        assert_eq!(rendered("SELECT :body::jsonb").0, "SELECT $1::jsonb");
        assert_eq!(rendered("SELECT 'a' || :type || 'b' ; /* end */ ").0, "SELECT 'a' || $1 || 'b' ");
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        use StatementError::{Backslash, Empty, Nameless, Nested, Open, Several, Verb};
        for (sql, error) in [
            ("", Empty),
            (" -- nothing\n ; ", Empty),
            ("COMMIT", Verb),
            ("; SELECT 1", Several),
            ("(SELECT 1)", Verb),
            ("CREATE TABLE t (a int)", Verb),
            ("SELECT 1; DELETE FROM t", Several),
            ("SELECT ?", Nameless),
            ("SELECT $1", Nameless),
            ("SELECT 'a", Open),
            ("SELECT /* a", Open),
            ("SELECT $x$ a $y$", Open),
            ("SELECT 'it\\'s :body'", Backslash),
            ("SELECT /* /* */ :body */ 1", Nested),
        ] {
            assert_eq!(Statement::parse(sql), Err(error), "{sql}");
        }
        let unknown = Statement::parse("CALL f(:amuont)").unwrap_err().to_string();
        assert_eq!(unknown, "asks for `:amuont`, which is no parameter; did you mean `:amount`?");
        let unknown = Statement::parse("CALL f(:xyzzy)").unwrap_err().to_string();
        assert!(unknown.ends_with(":object_id, :external_id, :status, :amount, :currency, :tx_hash, :address, :body"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(sql in "(CALL|SELECT) [ -~\n☃]{0,60}") {
            if let Ok(statement) = Statement::parse(&sql) {
                let (rendered, parameters) = statement.render(|_| String::new());
                prop_assert!(rendered.len() <= sql.len());
                if parameters.is_empty() {
                    prop_assert!(sql.starts_with(&rendered));
                }
            }
        }
    }
}
