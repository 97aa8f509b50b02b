//! The values that go into a walk and come out of it: a page to read, what it held, and the next step.

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: u64,
    pub limit: u32,
}

/// What a page held.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many items it had, readable or not.
    pub returned: u64,
    /// A hash of what each item is known under, mostly its id.
    pub ids: Vec<u64>,
    /// The server's `total`, if it told one.
    pub total: Option<u64>,
}

/// What follows from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read(Read),
    /// Every row that was listed throughout was seen.
    End,
    /// The list was read to what looks like its end, but that it is complete cannot be shown.
    Unproved(Doubt),
}

/// Why a walk proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
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
