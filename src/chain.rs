//! Prints an error with everything that caused it, on one line.
//!
//! Errors here print only themselves; whoever logs or reports one wraps it in [`Chain`], once.

use std::error::Error;
use std::{fmt, io};

/// `Display` of an error and its sources, joined by `: `.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = words(self.0);
        f.write_str(&last)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            // Wrappers of foreign crates often print their source as well; saying it twice helps nobody.
            let text = words(error);
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            source = error.source();
        }
        Ok(())
    }
}

/// What an error says itself. PostgreSQL's driver adds the line of the server's own source at which it was raised, which
/// looks like one of the statement; MySQL's server means the statement.
fn words(error: &dyn Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((words, line))
            if !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) && !words.contains("near '") =>
        {
            words.to_owned()
        }
        _ => text,
    }
}

/// An error and what caused it, down to the innermost. An `io::Error` is a cause of its own and hides the one that it
/// wraps, so that one is taken out.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("page not read")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    #[test]
    fn the_line_of_a_servers_source_is_left_out() {
        for (said, told) in [
            ("permission denied for table a at line 334", "permission denied for table a"),
            ("error in your SQL syntax near 'x' at line 1", "error in your SQL syntax near 'x' at line 1"),
            ("expected value at line 1 column 2", "expected value at line 1 column 2"),
            ("look at line ", "look at line "),
        ] {
            assert_eq!(Chain(&Said(said)).to_string(), told);
        }
    }

    #[test]
    fn a_chain_tells_every_cause() {
        assert_eq!(Chain(&Outer(Inner)).to_string(), "page not read: connection refused");
    }
}
