//! Every fact about the API that is not published, as a value to choose.
//!
//! A client must work whichever way the real server behaves, so its tests run once per preset. The presets are plausible
//! servers, each odd in its own way; `plain` is the default.

use clap::ValueEnum;

use crate::serving::{Total, Visibility};
use crate::world::Order;

/// How this server behaves where the published reference is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// The largest `limit` that is honoured.
    pub page_cap: u64,
    /// What happens to a larger one.
    pub over_cap: OverCap,
    /// The `limit` of a request that names none.
    pub default_limit: u64,
    pub order: Order,
    /// Blocked wallets in the plain listing; they always are in the listing of blocked wallets.
    pub blocked: Visibility,
    /// Replaced wallets, in both listings.
    pub replaced: Visibility,
    pub shape: DepositShape,
    /// Whether objects carry fields that the reference does not name, with awkward numbers in them.
    pub extra_fields: bool,
    pub total: Total,
    pub profile: Profile,
}

/// What becomes of a request for the company's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The company describes itself.
    Answers,
    /// 403 Forbidden.
    Refuses,
    /// 404 Not Found.
    Absent,
}

/// What happens to a `limit` above the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverCap {
    /// The page is shorter than asked for.
    Clamp,
    /// 400 Bad Request.
    #[value(name = "refuse-400")]
    Refuse400,
    /// 422 Unprocessable Content.
    #[value(name = "refuse-422")]
    Refuse422,
}

/// Which fields a deposit has. All shapes have `id` and `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DepositShape {
    /// `walletId`, `externalId`, `txHash`, `amount` as a number, `createdAt`, `updatedAt`.
    Flat,
    /// `userWalletId`, `transactionHash`, `amountUsdt` as a string, `confirmedAt`; no `externalId`.
    Stringly,
    /// `wallet` and `transaction` are objects, the amount is `value`, dates are in snake case.
    Nested,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            page_cap: 100,
            over_cap: OverCap::Clamp,
            default_limit: 20,
            order: Order::Oldest,
            blocked: Visibility::Listed,
            replaced: Visibility::Listed,
            shape: DepositShape::Flat,
            extra_fields: false,
            total: Total::Present,
            profile: Profile::Answers,
        }
    }
}

impl Quirks {
    /// Plausible servers by name, `plain` first.
    pub fn presets() -> Vec<(&'static str, Self)> {
        let plain = Self::default();
        vec![
            ("plain", plain.clone()),
            ("clamps_at_25", Self { page_cap: 25, default_limit: 10, total: Total::Text, ..plain.clone() }),
            ("refuses_over_50", Self { page_cap: 50, over_cap: OverCap::Refuse400, ..plain.clone() }),
            (
                "newest_first",
                Self {
                    order: Order::Newest,
                    over_cap: OverCap::Refuse422,
                    extra_fields: true,
                    shape: DepositShape::Nested,
                    ..plain.clone()
                },
            ),
            ("scattered", Self { order: Order::Scattered, page_cap: 40, profile: Profile::Refuses, ..plain.clone() }),
            (
                "hides_blocked",
                Self {
                    blocked: Visibility::Hidden,
                    order: Order::Newest,
                    shape: DepositShape::Stringly,
                    ..plain.clone()
                },
            ),
            ("hides_replaced", Self { replaced: Visibility::Hidden, total: Total::CappedAt(100), ..plain.clone() }),
            ("stringly", Self { shape: DepositShape::Stringly, total: Total::Missing, ..plain.clone() }),
            ("nested", Self { shape: DepositShape::Nested, page_cap: 1_000, default_limit: 100, ..plain.clone() }),
            (
                "hostile",
                Self {
                    page_cap: 7,
                    over_cap: OverCap::Clamp,
                    default_limit: 3,
                    order: Order::Scattered,
                    blocked: Visibility::Hidden,
                    replaced: Visibility::Hidden,
                    shape: DepositShape::Stringly,
                    extra_fields: true,
                    total: Total::Missing,
                    profile: Profile::Absent,
                },
            ),
            ("extra_fields", Self { extra_fields: true, ..plain }),
        ]
    }

    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::presets().into_iter().find_map(|(preset, quirks)| (preset == name).then_some(quirks))
    }
}
