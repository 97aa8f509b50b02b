//! What was asked, and what became of it.

use lumo_bridge::lumo::Priority;
use lumo_bridge::model::Listing;

use super::Failure;
use crate::sim::model::Moment;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// 1, 2, 3 … over all listings.
    pub(crate) number: u64,
    pub(crate) listing: Listing,
    pub(crate) priority: Priority,
    pub(crate) offset: u64,
    pub(crate) limit: u32,
    pub(crate) external_id: Option<String>,
    pub(crate) status: Option<String>,
}

impl Asked {
    /// Whether it is one page of the whole list.
    pub(crate) fn is_plain(&self) -> bool {
        self.external_id.is_none() && self.status.is_none()
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Page { returned: usize, total: Option<u64>, first: Option<String>, last: Option<String> },
    Failed(Failure),
    Died,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) moment: Moment,
    pub(crate) asked: Asked,
    pub(crate) answered: Answered,
}
