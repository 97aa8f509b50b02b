//! Adds up the amounts of deposits per hour and currency, exactly.
//!
//! PostgreSQL, MySQL and MariaDB add decimals. SQLite has only floats to add with, so its amounts are added up here, as
//! long as there are not too many.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::amount::Amount;
use lumo_bridge_entity::deposit;
use sea_orm::sea_query::{Alias, Expr};
use sea_orm::{ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QuerySelect};

use super::{HOUR, Hour, place};
use crate::store::{Error, Store};

/// On SQLite, more deposits than this are not added up.
const MOST_AMOUNTS: u64 = 50_000;
/// More sums than this are not made: currencies are foreign input.
const MOST_SUMS: u64 = 2_000;

/// What the deposits of an hour in one currency amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// None for the deposits that name no currency.
    pub currency: Option<String>,
    pub amount: Amount,
}

type Sums = BTreeMap<(i64, Option<String>), Amount>;

#[derive(FromQueryResult)]
struct Paid {
    hour_no: i64,
    currency: Option<String>,
    amount: Amount,
}

#[derive(FromQueryResult)]
struct Sum {
    hour_no: i64,
    currency: Option<String>,
    total: String,
}

impl Store {
    /// Adds the volume of each hour, unless there is too much to add up.
    pub(super) async fn add_volumes(&self, hours: &mut [Hour], until: DateTime<Utc>) -> Result<(), Error> {
        let Some(sums) = self.volumes(hours, until).await? else { return Ok(()) };
        for hour in hours.iter_mut() {
            hour.volume = Some(Vec::new());
        }
        for ((number, currency), amount) in sums {
            if let Some(hour) = place(hours, number) {
                hour.volume.get_or_insert_default().push(Volume { currency, amount });
            }
        }
        Ok(())
    }

    async fn volumes(&self, hours: &[Hour], until: DateTime<Utc>) -> Result<Option<Sums>, Error> {
        let Some(deposits) = Self::deposits_in(hours, until) else { return Ok(None) };
        let paid = deposits.column(deposit::Column::Currency).filter(deposit::Column::Amount.is_not_null());
        let text = match self.backend() {
            DbBackend::Postgres => "TEXT",
            DbBackend::MySql => "CHAR",
            _ => {
                let paid = paid.column(deposit::Column::Amount).limit(MOST_AMOUNTS + 1);
                let all = paid.into_model::<Paid>().all(self.read()).await?;
                let parts = all.into_iter().map(|paid| (paid.hour_no, paid.currency, paid.amount)).collect();
                return Ok(add_up(parts, MOST_AMOUNTS));
            }
        };
        // As text: a sum may have more digits than an amount.
        let sums = paid
            .column_as(Expr::cust(format!("CAST(SUM(amount) AS {text})")), "total")
            .group_by(Expr::col(Alias::new(HOUR)))
            .group_by(deposit::Column::Currency)
            .limit(MOST_SUMS + 1)
            .into_model::<Sum>()
            .all(self.read())
            .await?;
        let part = |sum: Sum| Some((sum.hour_no, sum.currency, sum.total.parse().ok()?));
        let parts: Option<Vec<_>> = sums.into_iter().map(part).collect();
        Ok(parts.and_then(|parts| add_up(parts, MOST_SUMS)))
    }
}

/// The sums by hour and currency; none if there are more parts than `most`, or if a sum has more digits than an amount
/// may have.
fn add_up(parts: Vec<(i64, Option<String>, Amount)>, most: u64) -> Option<Sums> {
    if u64::try_from(parts.len()).is_ok_and(|parts| parts > most) {
        return None;
    }
    let mut sums = Sums::new();
    for (hour, currency, amount) in parts {
        match sums.entry((hour, currency)) {
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

    fn part(hour: i64, currency: &str, amount: &str) -> (i64, Option<String>, Amount) {
        (hour, Some(currency.to_owned()), amount.parse().unwrap())
    }

    #[test]
    fn each_hour_and_currency_has_an_exact_sum() {
        let parts = vec![
            part(0, "USDT", "0.1"),
            part(0, "USDT", "0.2"),
            part(0, "TRX", "5"),
            part(3, "USDT", "12.500000000000000001"),
        ];
        let sums = add_up(parts.clone(), 4).unwrap();
        let told: Vec<_> = sums.iter().map(|((hour, _), amount)| (*hour, amount.as_str())).collect();
        assert_eq!(told, [(0, "5"), (0, "0.3"), (3, "12.500000000000000001")]);
        assert_eq!(add_up(parts, 3), None, "there are too many");
    }

    #[test]
    fn a_sum_that_is_no_amount_is_none() {
        let most = "99999999999999999999999999999999999";
        assert_eq!(add_up(vec![part(0, "X", most), part(0, "X", most)], 9), None);
    }
}
