//! What happens to a company between two requests: drawn from the seed.

use lumo_bridge::model::Listing;
use rand::RngExt;
use rand::rngs::StdRng;

use super::model::{Kind, Place, State, Status, World, kind};
use super::quirks::Churn;

/// By how many rows a list may grow: what joins faster than it is read must not grow for ever.
pub(crate) const GROWTH: usize = 50;

/// Changes the world a little, or not at all. `near` is the list that is about to be read; most of it happens there.
pub(crate) fn churn(world: &mut World, near: Listing, churn: &Churn, only_deposits: bool, rng: &mut StdRng) {
    let most = churn.most_rows;
    if churn.rate <= 0.0 || !rng.random_bool(churn.rate) {
        return;
    }
    let others = [Listing::Wallets, Listing::Deposits];
    let anywhere = if only_deposits { Listing::Deposits } else { others[rng.random_range(0..2)] };
    let listing = if rng.random_bool(0.8) { near } else { anywhere };
    if churn.burst > 0.0 && rng.random_bool(churn.burst) && world.of(listing).len() < most {
        world.burst(listing, rng.random_range(8..30));
        return;
    }
    for _ in 0..rng.random_range(1..4) {
        once(world, listing, churn, rng);
    }
}

fn once(world: &mut World, listing: Listing, churn: &Churn, rng: &mut StdRng) {
    let Churn { arrive, late, remove, come_back, update, flip, replace, spoil, .. } = *churn;
    let mut die = rng.random_range(0..(arrive + late + remove + come_back + update + flip + replace + spoil).max(1));
    let mut falls_on = |weight: u32| {
        let hit = die < weight;
        die = if hit { u32::MAX } else { die - weight };
        hit
    };
    let kind = kind(listing);
    let rows = world.len(listing);
    if falls_on(arrive) {
        if world.of(listing).len() < churn.most_rows {
            let user = rng.random_bool(0.3).then(|| rng.random_range(1..50));
            world.add(listing, Place::AsOrdered, user);
        }
    } else if falls_on(late) {
        if rows > 0 {
            world.add(listing, Place::At(rng.random_range(0..=rows)), None);
        }
    } else if falls_on(remove) {
        if rows > 0 {
            let early = rng.random::<f64>().powi(3);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "below the number of rows, which is small"
            )]
            let position = (early * rows as f64) as usize;
            world.remove_at(listing, position.min(rows - 1));
        }
    } else if falls_on(come_back) {
        let gone: Vec<usize> = (0..world.rows(kind).len()).filter(|at| world.rows(kind)[*at].now().is_none()).collect();
        if !gone.is_empty() {
            world.bring_back(kind, gone[rng.random_range(0..gone.len())]);
        }
    } else if rows > 0 {
        let index = world.list(listing)[rng.random_range(0..rows)];
        if falls_on(update) {
            let content = rng.random_range(0..6);
            world.change(kind, index, |state| state.content = content);
        } else if falls_on(flip) {
            let status = [Status::New, Status::Confirming, Status::Confirmed][rng.random_range(0..3)];
            world.change(kind, index, |state| flip_one(kind, state, status));
        } else if falls_on(replace) {
            if kind == Kind::Wallet {
                world.replace(index);
            }
        } else if falls_on(spoil) {
            world.change(kind, index, |state| state.spoiled = !state.spoiled);
        }
    }
}

fn flip_one(kind: Kind, state: &mut State, status: Status) {
    match kind {
        Kind::Wallet => state.blocked = !state.blocked,
        Kind::Deposit => state.status = status,
    }
}
