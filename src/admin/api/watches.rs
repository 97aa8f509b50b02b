//! Users whose deposits are looked for between the rounds.

use chrono::SubsecRound as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::model::actor::Actor;
use crate::model::id::ExternalId;
use crate::setting::Span;
use crate::store::LONGEST_WATCH;
use crate::view::Watch;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/watches", "The users that are watched, whose watch lasts longest first", list),
        Route::act("/api/watches", "Watch a user: deposits are looked for every few seconds for a while", watch),
        Route::remove("/api/watches", "Watch a user no longer", unwatch),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Watches {
    data: Vec<Watch>,
    /// There are more than `sync.watch.most`; those that end first are left out.
    is_cut: bool,
}

/// Whom to watch.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The user's id in your own system.
    #[serde(rename = "externalId", alias = "external_id")]
    #[schemars(with = "String", length(min = 1, max = 700))]
    external_id: ExternalId,
    /// For how long, such as `15m`, which it is unless told; at most `24h`.
    #[serde(rename = "for")]
    time: Option<Span>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whom {
    /// The user's id in your own system.
    #[serde(alias = "externalId")]
    #[schemars(with = "String", length(min = 1, max = 700))]
    external_id: ExternalId,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// Whether the user was watched.
    was_watched: bool,
}

async fn list(admin: Admin, _: Nothing) -> Result<Watches, Problem> {
    let watches = admin.store.watches(admin.clock.now(), admin.watch.most.into()).await?;
    Ok(Watches { data: watches.users.iter().map(Watch::of).collect(), is_cut: watches.is_cut })
}

async fn watch(admin: Admin, _: Actor, Ask { external_id, time }: Ask) -> Result<Watch, Problem> {
    let time = time.map_or(std::time::Duration::from_secs(15 * 60), Span::get);
    let time = chrono::TimeDelta::from_std(time).ok().filter(|time| !time.is_zero() && *time <= LONGEST_WATCH);
    let time = time.ok_or_else(|| Problem::bad_request("body: `for` is more than 0s and at most 24h"))?;
    let (now, most) = (admin.clock.now(), admin.watch.most);
    let watches = admin.store.watches(now, most.into()).await?;
    let is_known = watches.users.iter().any(|watch| watch.external_id == external_id);
    if !is_known && watches.users.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
        return Err(Problem::too_many_watches(most));
    }
    let until = (now + time).trunc_subsecs(6);
    admin.store.watch(&external_id, until).await?;
    Ok(Watch { external_id: external_id.to_string(), until })
}

async fn unwatch(admin: Admin, Whom { external_id }: Whom) -> Result<Removed, Problem> {
    Ok(Removed { was_watched: admin.store.unwatch(&external_id, None).await? })
}
