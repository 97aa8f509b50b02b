//! The API: what the commands of the same names show and do, over HTTP.

mod account;
mod actions;
mod activity;
mod deliveries;
mod deposits;
mod endpoints;
mod events;
mod page;
mod rejects;
mod status;
mod sync;
mod wallets;
mod watches;

use super::live;
use super::route::Route;

/// Every path of the API.
pub(super) fn routes() -> Vec<Route> {
    let groups = [
        status::routes(),
        account::routes(),
        actions::routes(),
        activity::routes(),
        wallets::routes(),
        deposits::routes(),
        events::routes(),
        deliveries::routes(),
        endpoints::routes(),
        sync::routes(),
        rejects::routes(),
        watches::routes(),
        live::routes(),
    ];
    groups.into_iter().flatten().collect()
}
