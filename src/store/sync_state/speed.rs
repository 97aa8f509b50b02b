//! Records the current request rate towards Lumo in a row of `lumo_meta`, for other processes to show.

use lumo_bridge_entity::meta;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::store::{Error, Store};

impl Store {
    /// The recorded rate, if there is one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn speed(&self) -> Result<Option<String>, Error> {
        let row = meta::Entity::find_by_id(meta::SPEED).one(self.read()).await?;
        Ok(row.map(|row| row.value))
    }

    /// Records the rate.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_speed(&self, note: &str) -> Result<(), Error> {
        self.tx("speed.note", |tx| async move {
            let row = meta::ActiveModel { name: Set(meta::SPEED.to_owned()), value: Set(note.to_owned()) };
            let on_conflict = OnConflict::column(meta::Column::Name).update_column(meta::Column::Value).to_owned();
            meta::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx.session()).await?;
            Ok(())
        })
        .await
    }
}
