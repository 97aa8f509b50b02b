//! How rows are spelt in JSON: the published wallet, and three guesses at the unpublished deposit.
//!
//! Each shape is a struct, so reading it is reading the JSON. Amounts are written as the exact text they are; no number
//! passes through a float here.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::amount::Amount;
use crate::clock;
use crate::serving::{Page, Total};
use crate::simulator::quirks::{DepositShape, Quirks};
use crate::world::{CompanyId, Deposit, DepositId, Wallet, WalletId};

type Json = Result<Box<RawValue>, serde_json::Error>;

/// What a company says of itself.
pub(crate) fn profile(company: CompanyId) -> Json {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Profile {
        id: CompanyId,
        name: String,
        email: &'static str,
        contact_email: &'static str,
        contact_telegram: &'static str,
        is_active: bool,
        webhook_url: Option<&'static str>,
        deposit_forward_address: Option<&'static str>,
    }

    let name = company.to_string();
    to_raw_value(&Profile {
        id: company,
        name: format!("Simulated company {}", name.split('-').next().unwrap_or_default()),
        email: "company@example.test",
        contact_email: "contact@example.test",
        contact_telegram: "@simulated",
        is_active: true,
        webhook_url: None,
        deposit_forward_address: None,
    })
}

/// A wallet as this server prints it.
pub(crate) fn wallet(wallet: &Wallet, quirks: &Quirks) -> Json {
    let item = WalletItem {
        id: wallet.id,
        company_id: wallet.company_id,
        external_id: &wallet.external_id,
        address: &wallet.address,
        is_blocked: wallet.is_blocked(),
        block_reason: wallet.block_reason.as_deref(),
        last_usdt_balance: &wallet.usdt_balance,
        last_trx_balance: &wallet.trx_balance,
        created_at: wallet.created_at,
    };
    dressed(item, quirks)
}

/// A page of wallets with its envelope.
pub(crate) fn wallets(page: &Page<Wallet>, quirks: &Quirks) -> Json {
    let wallets: Result<Vec<_>, _> = page.rows.iter().map(|row| wallet(row, quirks)).collect();
    to_raw_value(&WalletList { wallets: wallets?, total: total(page.total, quirks) })
}

/// A page of deposits with its envelope.
pub(crate) fn deposits(page: &Page<Deposit>, quirks: &Quirks) -> Json {
    let deposits: Result<Vec<_>, _> = page.rows.iter().map(|row| deposit(row, quirks)).collect();
    to_raw_value(&DepositList { deposits: deposits?, total: total(page.total, quirks) })
}

fn deposit(deposit: &Deposit, quirks: &Quirks) -> Json {
    match quirks.shape {
        DepositShape::Flat => dressed(flat(deposit), quirks),
        DepositShape::Stringly => dressed(stringly(deposit), quirks),
        DepositShape::Nested => dressed(nested(deposit), quirks),
    }
}

fn dressed<T: Serialize>(item: T, quirks: &Quirks) -> Json {
    to_raw_value(&Dressed { item, extra: quirks.extra_fields.then(Extra::new) })
}

fn total(counted: u64, quirks: &Quirks) -> Option<TotalField> {
    let total = quirks.total.of(counted)?;
    let is_text = quirks.total == Total::Text;
    Some(if is_text { TotalField::Text(total.to_string()) } else { TotalField::Number(total) })
}

#[derive(Serialize)]
struct WalletList {
    wallets: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<TotalField>,
}

#[derive(Serialize)]
struct DepositList {
    deposits: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<TotalField>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TotalField {
    Number(u64),
    Text(String),
}

#[derive(Serialize)]
struct Dressed<T> {
    #[serde(flatten)]
    item: T,
    #[serde(flatten)]
    extra: Option<Extra>,
}

/// Fields that no reference names, with numbers that a float cannot hold or prints otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extra {
    metadata: Metadata,
    fee_rate: Amount,
    internal_id: u64,
    #[serde(rename = "примечание")]
    note: &'static str,
}

#[derive(Serialize)]
struct Metadata {
    tags: [&'static str; 2],
    risk: Risk,
}

#[derive(Serialize)]
struct Risk {
    score: Amount,
    reviewed: Option<bool>,
}

impl Extra {
    fn new() -> Self {
        let risk = Risk { score: Amount::literal("1e-7"), reviewed: None };
        Self {
            metadata: Metadata { tags: ["a", "b"], risk },
            fee_rate: Amount::literal("0.30000000000000004"),
            internal_id: 9_007_199_254_740_993_123,
            note: "☃ \"\\\n",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WalletItem<'a> {
    id: WalletId,
    company_id: CompanyId,
    external_id: &'a str,
    address: &'a str,
    is_blocked: bool,
    block_reason: Option<&'a str>,
    last_usdt_balance: &'a Amount,
    last_trx_balance: &'a Amount,
    #[serde(serialize_with = "clock::serialize")]
    created_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Flat<'a> {
    id: DepositId,
    company_id: CompanyId,
    wallet_id: WalletId,
    external_id: &'a str,
    address: &'a str,
    from_address: &'a str,
    tx_hash: &'a str,
    amount: &'a Amount,
    currency: &'static str,
    status: &'a str,
    confirmations: u32,
    #[serde(serialize_with = "clock::serialize")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "clock::serialize")]
    updated_at: DateTime<Utc>,
}

fn flat(deposit: &Deposit) -> Flat<'_> {
    Flat {
        id: deposit.id,
        company_id: deposit.company_id,
        wallet_id: deposit.wallet_id,
        external_id: &deposit.external_id,
        address: &deposit.to_address,
        from_address: &deposit.from_address,
        tx_hash: &deposit.tx_hash,
        amount: &deposit.amount,
        currency: "USDT",
        status: &deposit.status,
        confirmations: deposit.confirmations,
        created_at: deposit.created_at,
        updated_at: deposit.updated_at,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stringly<'a> {
    id: DepositId,
    company_id: CompanyId,
    user_wallet_id: WalletId,
    to_address: &'a str,
    from_address: &'a str,
    transaction_hash: &'a str,
    amount_usdt: &'a str,
    token: &'static str,
    status: &'a str,
    block_number: String,
    #[serde(serialize_with = "clock::serialize")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "clock::serialize_some")]
    confirmed_at: Option<DateTime<Utc>>,
}

fn stringly(deposit: &Deposit) -> Stringly<'_> {
    Stringly {
        id: deposit.id,
        company_id: deposit.company_id,
        user_wallet_id: deposit.wallet_id,
        to_address: &deposit.to_address,
        from_address: &deposit.from_address,
        transaction_hash: &deposit.tx_hash,
        amount_usdt: deposit.amount.as_str(),
        token: "USDT",
        status: &deposit.status,
        block_number: deposit.block_number.to_string(),
        created_at: deposit.created_at,
        confirmed_at: deposit.confirmed_at,
    }
}

#[derive(Serialize)]
struct Nested<'a> {
    id: DepositId,
    status: &'a str,
    wallet: NestedWallet<'a>,
    transaction: NestedTransaction<'a>,
    value: &'a Amount,
    asset: &'static str,
    #[serde(serialize_with = "clock::serialize")]
    created_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NestedWallet<'a> {
    id: WalletId,
    external_id: &'a str,
    address: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NestedTransaction<'a> {
    hash: &'a str,
    from: &'a str,
    block_number: u64,
    confirmations: u32,
}

fn nested(deposit: &Deposit) -> Nested<'_> {
    Nested {
        id: deposit.id,
        status: &deposit.status,
        wallet: NestedWallet { id: deposit.wallet_id, external_id: &deposit.external_id, address: &deposit.to_address },
        transaction: NestedTransaction {
            hash: &deposit.tx_hash,
            from: &deposit.from_address,
            block_number: deposit.block_number,
            confirmations: deposit.confirmations,
        },
        value: &deposit.amount,
        asset: "USDT",
        created_at: deposit.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn printed(shape: DepositShape, amount: &str, extra_fields: bool) -> String {
        let deposit = World::new(1).add_deposit_for("a \"b\"", amount).unwrap();
        super::deposit(&deposit, &Quirks { shape, extra_fields, ..Quirks::default() }).unwrap().get().to_owned()
    }

    #[test]
    fn every_shape_prints_the_exact_amount() {
        for amount in ["0.000001", "12.500000", "123456789012.123456", "0.1"] {
            assert!(printed(DepositShape::Flat, amount, false).contains(&format!("\"amount\":{amount},")));
            assert!(printed(DepositShape::Nested, amount, false).contains(&format!("\"value\":{amount},")));
            assert!(printed(DepositShape::Stringly, amount, false).contains(&format!("\"amountUsdt\":\"{amount}\",")));
        }
    }

    #[test]
    fn every_shape_has_an_id_and_a_status_and_only_one_has_no_user() {
        for shape in [DepositShape::Flat, DepositShape::Stringly, DepositShape::Nested] {
            let text = printed(shape, "1", false);
            assert!(text.contains("\"id\":\"") && text.contains("\"status\":\"new\""));
            assert_eq!(text.contains("\"externalId\":\"a \\\"b\\\"\""), shape != DepositShape::Stringly);
        }
    }

    #[test]
    fn extra_fields_keep_every_digit() {
        let text = printed(DepositShape::Flat, "1", true);
        for part in ["\"score\":1e-7", "\"feeRate\":0.30000000000000004", "\"internalId\":9007199254740993123"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!printed(DepositShape::Flat, "1", false).contains("feeRate"));
    }

    #[test]
    fn a_wallet_has_the_published_fields_and_no_other() {
        let world = World::new(1);
        let row = world.add_wallet("42");
        let text = wallet(&row, &Quirks::default()).unwrap();
        let fields: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(text.get()).unwrap();
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let published = [
            "address",
            "blockReason",
            "companyId",
            "createdAt",
            "externalId",
            "id",
            "isBlocked",
            "lastTrxBalance",
            "lastUsdtBalance",
        ];
        assert_eq!(names, published);
    }
}
