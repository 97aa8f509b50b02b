//! Whether the tables show what the world shows.

use std::collections::BTreeMap;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use lumo_simulator::{Deposit, DepositShape, Snapshot, Wallet};

use crate::database::{Cell, Database};

type Rows = BTreeMap<String, Vec<Cell>>;

/// One line for each row that is missing, too many or different. Wallets that were replaced may be stored or not where the
/// server hides them, and may then be stored as they were.
pub(super) async fn differences(
    database: &Database,
    world: &Snapshot,
    hides_replaced: bool,
    shape: DepositShape,
) -> Vec<String> {
    let hidden = |wallet: &Wallet| hides_replaced && wallet.is_replaced();
    let stored = wallets(database).await;
    let expected: Rows =
        world.wallets.iter().filter(|wallet| !hidden(wallet)).map(|row| (row.id.to_string(), wallet(row))).collect();
    let visible: Rows = {
        let hidden: Vec<String> =
            world.wallets.iter().filter(|wallet| hidden(wallet)).map(|wallet| wallet.id.to_string()).collect();
        stored.iter().filter(|(id, _)| !hidden.contains(id)).map(|(id, row)| (id.clone(), row.clone())).collect()
    };
    let mut differences = compare("wallet", &expected, &visible);

    // A deposit that does not name its user is that of its wallet's user, where the wallet is known.
    let user = |deposit: &Deposit| {
        let named = shape != DepositShape::Stringly || stored.contains_key(&deposit.wallet_id.to_string());
        named.then(|| deposit.external_id.to_string())
    };
    let expected = world.deposits.iter().map(|row| (row.id.to_string(), deposit(row, user(row)))).collect();
    differences.extend(compare("deposit", &expected, &deposits(database).await));
    differences
}

fn compare(kind: &str, expected: &Rows, stored: &Rows) -> Vec<String> {
    let mut differences = Vec::new();
    for (id, row) in expected {
        match stored.get(id) {
            Some(found) if found == row => {}
            Some(found) => differences.push(format!("{kind} {id} is {found:?} and not {row:?}")),
            None => differences.push(format!("{kind} {id} is not stored: {row:?}")),
        }
    }
    // What is gone from the world stays in the tables, and says since when it is missing.
    let is_missing = |row: &[Cell]| row.last().is_some_and(Option::is_some);
    let unknown = stored.iter().filter(|(id, row)| !expected.contains_key(*id) && !is_missing(row));
    differences.extend(unknown.map(|(id, _)| format!("{kind} {id} is stored as listed and not in the world")));
    differences
}

fn wallet(row: &Wallet) -> Vec<Cell> {
    vec![
        Some(row.external_id.to_string()),
        Some(row.company_id.to_string()),
        Some(row.address.to_string()),
        Some(if row.is_blocked() { "yes" } else { "no" }.to_owned()),
        row.block_reason.as_deref().map(str::to_owned),
        Some(canonical(row.usdt_balance.as_str())),
        Some(canonical(row.trx_balance.as_str())),
        None,
    ]
}

async fn wallets(database: &Database) -> Rows {
    let sql = format!(
        "SELECT id, external_id, company_id, address, CASE WHEN is_blocked THEN 'yes' ELSE 'no' END, block_reason, {}, {},
            missing_since
         FROM lumo_user_wallets",
        database.text("last_usdt_balance"),
        database.text("last_trx_balance"),
    );
    keyed(database.try_rows(&sql).await.unwrap_or_default(), &[5, 6])
}

fn deposit(row: &Deposit, user: Cell) -> Vec<Cell> {
    vec![
        Some(row.wallet_id.to_string()),
        user,
        Some(row.to_address.to_string()),
        Some(row.from_address.to_string()),
        Some(row.tx_hash.to_string()),
        Some(canonical(row.amount.as_str())),
        Some("USDT".to_owned()),
        Some(row.status.to_string()),
        None,
    ]
}

async fn deposits(database: &Database) -> Rows {
    let sql = format!(
        "SELECT id, wallet_id, external_id, address, from_address, tx_hash, {}, currency, status, missing_since
         FROM lumo_user_deposits",
        database.text("amount"),
    );
    keyed(database.try_rows(&sql).await.unwrap_or_default(), &[5])
}

/// Rows by their first cell, with the amounts in these of the other cells in canonical form.
fn keyed(rows: Vec<Vec<Cell>>, amounts: &[usize]) -> Rows {
    let rows = rows.into_iter().map(|mut row| {
        let id = row.remove(0).expect("a row without an id");
        for at in amounts {
            row[*at] = row[*at].as_deref().map(canonical);
        }
        (id, row)
    });
    rows.collect()
}

/// One spelling for each value: no exponent, no trailing zeros.
pub(super) fn canonical(amount: &str) -> String {
    let decimal = BigDecimal::from_str(amount).unwrap_or_else(|error| panic!("{amount:?} is no decimal: {error}"));
    decimal.normalized().to_plain_string()
}
