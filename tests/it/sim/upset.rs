//! What happens to a bridge that is at rest, before its quiet rounds are counted.

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::server::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Upset {
    Nothing,
    Killed,
    Failed(Failure),
    /// A command reads the list beside the daemon.
    Guest,
    /// A command that accepts removals reads it twice beside the daemon.
    Accepted,
    /// It is told to ask for pages of another size.
    Resized,
    /// The database fails at so many statements in a hundred.
    DatabaseFailed(u8),
}

const UPSETS: [Upset; 9] = [
    Upset::Nothing,
    Upset::Killed,
    Upset::Failed(Failure::Refused(404)),
    Upset::Failed(Failure::Status500),
    Upset::Guest,
    Upset::Accepted,
    Upset::Resized,
    Upset::DatabaseFailed(5),
    Upset::DatabaseFailed(50),
];

impl Upset {
    pub(crate) fn drawn(rng: &mut StdRng) -> Self {
        UPSETS[rng.random_range(0..UPSETS.len())]
    }
}
