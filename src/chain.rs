//! Prints an error with everything that caused it, on one line.
//!
//! Errors here print only themselves; whoever logs or reports one wraps it in [`Chain`], once.

use std::error::Error;
use std::fmt;

/// `Display` of an error and its sources, joined by `: `.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            // Wrappers of foreign crates often print their source as well; saying it twice helps nobody.
            let text = error.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            source = error.source();
        }
        Ok(())
    }
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

    #[test]
    fn a_chain_tells_every_cause() {
        assert_eq!(Chain(&Outer(Inner)).to_string(), "page not read: connection refused");
    }
}
