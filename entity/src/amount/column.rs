//! How an [`Amount`] is bound and read: as a decimal where the database has an exact one, as text on SQLite.

use bigdecimal::BigDecimal;
use sea_orm::sea_query::{ArrayType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, ColumnType, DbErr, IntoActiveValue, QueryResult, TryGetError, TryGetable, Value};

use super::{Amount, AmountError};

/// As the drivers of PostgreSQL and MySQL want it. SQLite wants [`Amount::as_str`]: a decimal parameter would be spelled
/// by the driver's own rules there.
impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        Self::BigDecimal(Some(Box::new(amount.to_big_decimal())))
    }
}

impl TryGetable for Amount {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        // Text is SQLite's column; the drivers of the others refuse to read a decimal as text.
        let text = match String::try_get_by(row, index) {
            Err(TryGetError::DbErr(_)) => BigDecimal::try_get_by(row, index)?.to_plain_string(),
            read => read?,
        };
        text.parse().map_err(|error: AmountError| {
            TryGetError::DbErr(DbErr::TryIntoErr {
                from: "decimal column",
                into: "Amount",
                source: std::sync::Arc::new(error),
            })
        })
    }
}

impl ValueType for Amount {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        match value {
            Value::BigDecimal(Some(number)) => number.to_plain_string().parse().map_err(|_| ValueTypeErr),
            Value::String(Some(text)) => text.parse().map_err(|_| ValueTypeErr),
            _ => Err(ValueTypeErr),
        }
    }

    fn type_name() -> String {
        "Amount".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::BigDecimal
    }

    fn column_type() -> ColumnType {
        ColumnType::Decimal(None)
    }
}

impl Nullable for Amount {
    fn null() -> Value {
        Value::BigDecimal(None)
    }
}

impl IntoActiveValue<Self> for Amount {
    fn into_active_value(self) -> sea_orm::ActiveValue<Self> {
        sea_orm::ActiveValue::Set(self)
    }
}
