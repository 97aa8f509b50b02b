//! Adds up the amounts of an hour's deposits by currency, exactly.
//!
//! PostgreSQL, MySQL and MariaDB add decimals. SQLite has only floats to add with, so its amounts are added up here, as
//! long as there are not too many.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::amount::Amount;
use lumo_bridge_entity::deposit;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QuerySelect};

use super::deposits_made;
use crate::store::{Error, Store};

/// On SQLite, more deposits than this are not added up.
const MOST_AMOUNTS: u64 = 50_000;
/// More sums than this are not made: currencies are foreign input.
const MOST_SUMS: u64 = 2_000;

/// The sum of an hour's deposits in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// None for the deposits that name no currency.
    pub currency: Option<String>,
    pub amount: Amount,
}

/// By currency.
type Sums = BTreeMap<Option<String>, Amount>;

#[derive(FromQueryResult)]
struct Paid {
    currency: Option<String>,
    amount: Amount,
}

#[derive(FromQueryResult)]
struct Sum {
    currency: Option<String>,
    total: String,
}

impl Store {
    /// The sums of the deposits that were made between these times, by currency; none if there are too many to add up,
    /// or if a sum is too large.
    pub(super) async fn volume_in(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Vec<Volume>>, Error> {
        let sums = self.sums(from, until).await?;
        let volume = |(currency, amount)| Volume { currency, amount };
        Ok(sums.map(|sums| sums.into_iter().map(volume).collect()))
    }

    async fn sums(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<Sums>, Error> {
        let paid =
            deposits_made(from, until).column(deposit::Column::Currency).filter(deposit::Column::Amount.is_not_null());
        let text = match self.backend() {
            DbBackend::Postgres => "TEXT",
            DbBackend::MySql => "CHAR",
            _ => {
                let paid = paid.column(deposit::Column::Amount).limit(MOST_AMOUNTS + 1);
                let all = paid.into_model::<Paid>().all(self.read()).await?;
                return Ok(add_up(all.into_iter().map(|paid| (paid.currency, paid.amount)).collect(), MOST_AMOUNTS));
            }
        };
        // As text: a sum may have more digits than an amount.
        let sums = paid
            .column_as(Expr::cust(format!("CAST(SUM(amount) AS {text})")), "total")
            .group_by(deposit::Column::Currency)
            .limit(MOST_SUMS + 1)
            .into_model::<Sum>()
            .all(self.read())
            .await?;
        let part = |sum: Sum| Some((sum.currency, sum.total.parse().ok()?));
        let parts: Option<Vec<_>> = sums.into_iter().map(part).collect();
        Ok(parts.and_then(|parts| add_up(parts, MOST_SUMS)))
    }
}

/// The sums by currency; none if there are more parts than `most`, or if a sum has more digits than an amount
/// may have.
fn add_up(parts: Vec<(Option<String>, Amount)>, most: u64) -> Option<Sums> {
    if u64::try_from(parts.len()).is_ok_and(|parts| parts > most) {
        return None;
    }
    let mut sums = Sums::new();
    for (currency, amount) in parts {
        match sums.entry(currency) {
            Entry::Vacant(entry) => {
                entry.insert(amount);
            }
            Entry::Occupied(mut entry) => {
                let sum = entry.get().plus(&amount).ok()?;
                entry.insert(sum);
            }
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(currency: &str, amount: &str) -> (Option<String>, Amount) {
        (Some(currency.to_owned()), amount.parse().unwrap())
    }

    #[test]
    fn each_currency_has_an_exact_sum() {
        let parts = vec![
            part("USDT", "0.1"),
            part("TRX", "5"),
            (None, "12.500000000000000001".parse().unwrap()),
            part("USDT", "0.2"),
        ];
        let sums = add_up(parts.clone(), 4).unwrap();
        let told: Vec<_> = sums.values().map(Amount::as_str).collect();
        assert_eq!(told, ["12.500000000000000001", "5", "0.3"]);
        assert_eq!(add_up(parts, 3), None, "there are too many");
    }

    #[test]
    fn a_sum_that_is_no_amount_is_none() {
        let most = "99999999999999999999999999999999999";
        assert_eq!(add_up(vec![part("X", most), part("X", most)], 9), None);
    }
}
