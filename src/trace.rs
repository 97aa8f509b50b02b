//! Where a piece of work stands in a trace, in the terms of W3C Trace Context.
//!
//! Spans are those of `tracing`. Whoever exports them gives each one its [`Place`]; as long as nobody does, no span has
//! one, and nothing is sent along with requests.

use std::fmt;

use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

/// A span among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: u128,
    pub span: u64,
    pub parent: Option<u64>,
}

impl Place {
    /// That of the span that the caller is in, if it is exported.
    #[must_use]
    pub fn current() -> Option<Self> {
        let place = Span::current().with_subscriber(|(id, dispatch)| {
            let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
            span.extensions().get::<Self>().copied()
        });
        place.flatten()
    }
}

/// As the header `traceparent` has it; what is exported is always sampled.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_spelled_as_the_standard_wants_it() {
        let place =
            Place { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7, parent: None };
        assert_eq!(place.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(Place::current(), None);
    }
}
