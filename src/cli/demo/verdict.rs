//! Whether anything was lost: the tables against the simulator's world, the receiver against the events.
//!
//! Everything here is pure; [`super::compare`] loads what is compared.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use lumo_bridge_entity::{deposit, event, wallet};
use lumo_simulator::{Received, Snapshot};
use serde::Serialize;

use super::book::Credited;
use crate::model::Amount;

/// A value of a row that is one thing in the table and another upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// `wallet` or `deposit`.
    pub(super) kind: &'static str,
    pub(super) id: String,
    /// The column; `row` if the row is only on one side.
    pub(super) field: &'static str,
    pub(super) table: Option<String>,
    pub(super) upstream: Option<String>,
}

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) wallets: usize,
    pub(super) wallets_differing: usize,
    pub(super) deposits: usize,
    pub(super) deposits_differing: usize,
    /// Each value that differs.
    pub(super) differences: Vec<Difference>,
    /// Wallets that were unblocked a moment ago: the bridge believes that when it has seen it twice, 30 s apart.
    pub(super) unblocked_lately: usize,
    pub(super) changes: usize,
    pub(super) events: usize,
    pub(super) delivered: usize,
    pub(super) undelivered: usize,
    pub(super) refused: usize,
    pub(super) invalid: usize,
    pub(super) twice: usize,
    pub(super) out_of_order: usize,
    /// Deposits that the receiver has credited, and their sum; none if there is none of them.
    pub(super) credited: usize,
    pub(super) credited_usdt: Option<Amount>,
    pub(super) median_ms: Option<f64>,
}

/// What the tables hold.
pub(super) struct Tables {
    pub(super) wallets: Vec<wallet::Model>,
    pub(super) deposits: Vec<deposit::Model>,
    pub(super) events: Vec<event::Model>,
    pub(super) undelivered: i64,
}

/// What the receiver saw.
pub(super) struct Callbacks {
    pub(super) received: Vec<Arc<Received>>,
    pub(super) out_of_order: usize,
    pub(super) credited: Credited,
}

impl Verdict {
    /// `unblocked` are the wallets that were unblocked less than a minute ago.
    pub(super) fn of(
        world: &Snapshot,
        tables: &Tables,
        callbacks: &Callbacks,
        unblocked: &HashSet<String>,
        changes: usize,
    ) -> Self {
        let wallets = wallet_differences(world, &tables.wallets);
        let (lately, wallets): (Vec<_>, Vec<_>) = wallets.into_iter().partition(|one| {
            let is_block = matches!(one.field, "is_blocked" | "block_reason") && one.table.as_deref() != Some("false");
            is_block && unblocked.contains(&one.id)
        });
        let deposits = deposit_differences(world, &tables.deposits);
        let rows =
            |differences: &[Difference]| differences.iter().map(|one| one.id.as_str()).collect::<HashSet<_>>().len();
        let verdict = Self {
            wallets: world.wallets.len(),
            wallets_differing: rows(&wallets),
            deposits: world.deposits.len(),
            deposits_differing: rows(&deposits),
            unblocked_lately: rows(&lately),
            differences: wallets.into_iter().chain(deposits).collect(),
            changes,
            undelivered: usize::try_from(tables.undelivered).unwrap_or(0),
            out_of_order: callbacks.out_of_order,
            credited: callbacks.credited.deposits,
            credited_usdt: callbacks.credited.usdt.clone(),
            ..Self::default()
        };
        verdict.with_callbacks(&callbacks.received, &tables.events)
    }

    fn with_callbacks(self, received: &[Arc<Received>], events: &[event::Model]) -> Self {
        // Events about endpoints and listings are for operators, and the demonstration has none.
        let is_for_shop =
            |event: &&event::Model| event.kind.starts_with("wallet.") || event.kind.starts_with("deposit.");
        let occurred: HashMap<&str, _> =
            events.iter().filter(is_for_shop).map(|event| (event.id.as_str(), event.occurred_at)).collect();
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        let mut latencies = Vec::new();
        let (mut refused, mut invalid) = (0, 0);
        for callback in received {
            let Some(id) = callback.id.as_deref().filter(|_| callback.succeeded()) else {
                let is_invalid = matches!(callback.verdict, lumo_simulator::Verdict::Invalid(_));
                invalid += usize::from(is_invalid);
                refused += usize::from(!is_invalid);
                continue;
            };
            *taken.entry(id).or_default() += 1;
            if let (Some(occurred), Some(1)) = (occurred.get(id), callback.attempt) {
                latencies.push((callback.at - *occurred).as_seconds_f64() * 1000.0);
            }
        }
        latencies.sort_by(f64::total_cmp);
        Self {
            events: occurred.len(),
            delivered: taken.len(),
            refused,
            invalid,
            twice: taken.values().filter(|count| **count > 1).count(),
            median_ms: latencies.get(latencies.len() / 2).copied(),
            ..self
        }
    }

    /// What went wrong, a sentence for each; nothing if all is well.
    pub(super) fn faults(&self) -> Vec<String> {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{number} {many}")),
        };
        let undelivered = self.undelivered.max(self.events.saturating_sub(self.delivered));
        let rows = self.wallets_differing + self.deposits_differing;
        [
            count(
                rows,
                "row differs between the table and the upstream",
                "rows differ between the tables and the upstream",
            ),
            count(undelivered, "callback was not delivered", "callbacks were not delivered"),
            count(
                self.delivered.saturating_sub(self.events),
                "callback was delivered that no event stands for",
                "callbacks were delivered that no event stands for",
            ),
            count(self.invalid, "signature did not verify", "signatures did not verify"),
            count(self.twice, "callback was taken twice", "callbacks were taken twice"),
            count(self.out_of_order, "callback came out of order", "callbacks came out of order"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn is_good(&self) -> bool {
        self.faults().is_empty()
    }
}

fn wallet_differences(world: &Snapshot, rows: &[wallet::Model]) -> Vec<Difference> {
    let stored: HashMap<&str, &wallet::Model> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut all = Vec::new();
    let mut listed = HashSet::new();
    for wallet in &world.wallets {
        let id = wallet.id.to_string();
        let Some(row) = stored.get(id.as_str()) else {
            all.push(Difference { kind: "wallet", id, field: "row", table: None, upstream: Some("listed".to_owned()) });
            continue;
        };
        let mut note = |field, table: Option<&str>, upstream: Option<&str>| {
            push(&mut all, "wallet", &id, field, table, upstream);
        };
        note("external_id", Some(row.external_id.as_str()), Some(&wallet.external_id));
        note("is_blocked", Some(yes_or_no(row.is_blocked)), Some(yes_or_no(wallet.is_blocked())));
        note("block_reason", row.block_reason.as_deref(), wallet.block_reason.as_deref());
        let balance = row.last_usdt_balance.as_ref();
        if !is_amount(balance, wallet.usdt_balance.as_str()) {
            note("last_usdt_balance", balance.map(Amount::as_str), Some(wallet.usdt_balance.as_str()));
        }
        listed.insert(id);
    }
    all.extend(unlisted(
        "wallet",
        rows.iter().filter(|row| row.missing_since.is_none()).map(|row| row.id.as_str()),
        &listed,
    ));
    all
}

fn deposit_differences(world: &Snapshot, rows: &[deposit::Model]) -> Vec<Difference> {
    let stored: HashMap<&str, &deposit::Model> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut all = Vec::new();
    let mut listed = HashSet::new();
    for deposit in &world.deposits {
        let id = deposit.id.to_string();
        let Some(row) = stored.get(id.as_str()) else {
            all.push(Difference {
                kind: "deposit",
                id,
                field: "row",
                table: None,
                upstream: Some("listed".to_owned()),
            });
            continue;
        };
        push(&mut all, "deposit", &id, "status", Some(&row.status), Some(&deposit.status));
        if !is_amount(row.amount.as_ref(), deposit.amount.as_str()) {
            let table = row.amount.as_ref().map(Amount::as_str);
            push(&mut all, "deposit", &id, "amount", table, Some(deposit.amount.as_str()));
        }
        listed.insert(id);
    }
    all.extend(unlisted(
        "deposit",
        rows.iter().filter(|row| row.missing_since.is_none()).map(|row| row.id.as_str()),
        &listed,
    ));
    all
}

/// Rows that the table has as listed, and the upstream does not list.
fn unlisted<'a>(kind: &'static str, ids: impl Iterator<Item = &'a str>, listed: &HashSet<String>) -> Vec<Difference> {
    let difference = |id: &str| Difference {
        kind,
        id: id.to_owned(),
        field: "row",
        table: Some("listed".to_owned()),
        upstream: None,
    };
    ids.filter(|id| !listed.contains(*id)).map(difference).collect()
}

fn push(
    all: &mut Vec<Difference>,
    kind: &'static str,
    id: &str,
    field: &'static str,
    table: Option<&str>,
    upstream: Option<&str>,
) {
    if table != upstream {
        let (table, upstream) = (table.map(str::to_owned), upstream.map(str::to_owned));
        all.push(Difference { kind, id: id.to_owned(), field, table, upstream });
    }
}

const fn yes_or_no(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Whether a stored amount is the number that the API lists.
fn is_amount(stored: Option<&Amount>, listed: &str) -> bool {
    stored.is_some() && stored == listed.parse().ok().as_ref()
}

#[cfg(test)]
mod tests;
