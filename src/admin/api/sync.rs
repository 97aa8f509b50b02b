//! A round over the listings, now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::route::Route;
use crate::admin::{Admin, Problem};
use crate::model::Listing;
use crate::model::actor::Actor;
use crate::sync::Options;
use crate::view::Round;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::act("/api/sync", "Read what is new, now; answers when it is read", sync)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct What {
    /// Only this one.
    listing: Option<Name>,
    /// Read every list from end to end.
    #[serde(default)]
    full: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Name {
    Wallets,
    Blocked,
    Deposits,
}

impl From<Name> for Listing {
    fn from(name: Name) -> Self {
        match name {
            Name::Wallets => Self::Wallets,
            Name::Blocked => Self::Blocked,
            Name::Deposits => Self::Deposits,
        }
    }
}

/// What was read.
#[derive(Serialize, JsonSchema)]
struct Synced {
    rounds: Vec<Round>,
}

async fn sync(admin: Admin, _: Actor, what: What) -> Result<Synced, Problem> {
    // Until it is decided who reads, nobody knows by which right to write.
    admin.lead.decided().await;
    let listings = what.listing.map_or(Listing::ALL.to_vec(), |name| vec![name.into()]);
    let options = Options { probe_page_size: what.full, ..Options::default() };
    let mut rounds = Vec::new();
    for listing in listings {
        let report = match what.full {
            true => admin.syncer.pass(listing, &options, &admin.stop).await?,
            false => admin.syncer.tick(listing, &options, &admin.stop).await?,
        };
        rounds.push(Round::of(&report));
    }
    Ok(Synced { rounds })
}
