//! Defines what a walk takes and returns: a page to read, its content, and the next step.

/// A page to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: u64,
    pub limit: u32,
}

/// A reading that decides which page comes next.
pub trait Paging {
    /// The page to read.
    fn next(&self) -> Read;

    /// At most `n` pages that will probably be needed after it.
    fn ahead(&self, n: usize) -> Vec<Read>;

    /// The server refused the limit. Returns the page to read instead; none if a single row is too much.
    fn refused(&mut self) -> Option<Read>;
}

/// The content of a page.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of its items, readable or not.
    pub returned: u64,
    /// A hash of each item's key, mostly its id.
    pub ids: Vec<u64>,
    /// The server's `total`, if it gave one.
    pub total: Option<u64>,
}

/// What follows from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read(Read),
    /// Every row that was listed throughout was seen.
    End,
    /// The list was read to what looks like its end, but this does not prove it complete.
    Unproved(Doubt),
}

/// Why a walk proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The end was read all the same: twice, or where it was before.
    #[error("the server told no total")]
    NoTotal,
    #[error("the server gives one row a page, which leaves no overlap to prove anything with")]
    SingleRows,
    #[error("rows arrive faster than pages are read, or `total` counts rows that are never listed")]
    OutOfBudget,
    #[error(
        "the server answers the same rows at every offset, as the vendor's documentation mock does; they are stored, and \
         nothing is called complete"
    )]
    SameRows,
}
