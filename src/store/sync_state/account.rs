//! Records which company's data the tables hold, checks it against the key, and moves the tables to another company.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::{
    account, blocks, deposit, deposit_status, lease, progress, reject, seen, stream, sweep, wallet, watch,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::model::account::Identity;
use crate::model::actor::Actor;
use crate::model::facts::wrong_account_event;
use crate::model::id::CompanyId;
use crate::model::record::{Deposit, Wallet};
use crate::store::{Deed, Error, Fence, Mirrored, Store, Tx};

/// Rows that one statement marks as a former company's.
const ROWS_AT_ONCE: i64 = 20_000;

/// The company and the server that the tables belong to.
pub type Account = account::Model;

/// What is recorded about the key's company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// The owner of the tables, as soon as it is known, and whether the key is another company's. All processes see the
    /// latter, and it is published as an event.
    All {
        fence: Option<Fence>,
    },
    /// Only the owner of the tables, as soon as it is known.
    First,
    Nothing,
}

/// The result of an adoption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The tables belong to this company and server already.
    Nothing,
    /// Only the server differs: everything is kept.
    Server,
    /// The company differs: its lists are imported as at first. The numbers are the rows of former companies.
    Company { former_wallets: u64, former_deposits: u64 },
}

impl Store {
    /// The company and the server that the tables belong to; none until they are known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn account(&self) -> Result<Option<Account>, Error> {
        Ok(account::Entity::find_by_id(account::OWN).one(self.read()).await?)
    }

    /// Whether Lumo has refused the key of the process that reads, and has accepted none since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_key_refused(&self) -> Result<bool, Error> {
        Ok(refused().one(self.read()).await?.is_some())
    }

    /// Whether the tables belong to this company and server. The first one known is recorded as their owner. Otherwise
    /// returns the account that they belong to.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn admit(
        &self,
        found: &Identity,
        noting: Noting,
        now: DateTime<Utc>,
    ) -> Result<Result<(), Account>, Error> {
        let notes_strangers = matches!(noting, Noting::All { .. });
        // Checked before every round, and nearly always unchanged.
        match self.account().await? {
            None if noting == Noting::Nothing => return Ok(Ok(())),
            Some(account) if account.is(found) && !(notes_strangers && account.wrong_since.is_some()) => {
                return Ok(Ok(()));
            }
            Some(account) if !account.is(found) && (!notes_strangers || account.has_noted(found)) => {
                return Ok(Err(account));
            }
            _ => {}
        }
        let generation = self.generation().await?;
        self.tx("account.admit", |tx| async move {
            if let Noting::All { fence } = noting {
                tx.hold(fence).await?;
            }
            tx.lock_counter(stream::ALL).await?;
            let account = match tx.own_account().await? {
                Some(account) => account,
                None => tx.first_account(found, now).await?,
            };
            if account.is(found) {
                if notes_strangers {
                    tx.note_stranger(None).await?;
                }
                return Ok(Ok(()));
            }
            if notes_strangers && !account.has_noted(found) {
                tx.note_stranger(Some((found, now))).await?;
                let own = (&account.company_id, account.server.as_str());
                tx.publish(vec![wrong_account_event(own, found, generation, now)?], now).await?;
            }
            Ok(Err(account))
        })
        .await
    }

    /// Assigns the tables to this company and server. If it is another company, the rows of former companies stay but
    /// do not count, and what was learned about the lists is reset.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn adopt(&self, found: &Identity, by: &Actor, now: DateTime<Utc>) -> Result<Adopted, Error> {
        self.tx("account.adopt", |tx| async move {
            tx.end_reading(now).await?;
            tx.lock_counter(stream::ALL).await?;
            let own = tx.own_account().await?;
            let is_same = own.as_ref().is_some_and(|account| account.is(found));
            let before = match own {
                Some(account) => Some(account.company_id),
                None => tx.company_of_rows().await?,
            };
            let is_same_company = before.as_ref() == Some(&found.company);
            if !is_same {
                tx.write_account(found, now).await?;
            }
            tx.note_stranger(None).await?;
            if is_same {
                return Ok(Adopted::Nothing);
            }
            tx.record(by, vec![Deed::new(Action::Adopt, &found.company)], now).await?;
            if is_same_company {
                return Ok(Adopted::Server);
            }
            let former_wallets = tx.set_apart::<Wallet>(before.as_ref(), &found.company).await?;
            let former_deposits = tx.set_apart::<Deposit>(before.as_ref(), &found.company).await?;
            if before.is_some() {
                tx.begin_anew().await?;
            }
            Ok(Adopted::Company { former_wallets, former_deposits })
        })
        .await
    }
}

impl Tx {
    /// The account, locked.
    async fn own_account(&self) -> Result<Option<Account>, Error> {
        Ok(account::Entity::find_by_id(account::OWN).lock_exclusive().one(self.session()).await?)
    }

    /// The account, as events name it.
    pub(in crate::store) async fn account(&self) -> Result<Option<Account>, Error> {
        Ok(account::Entity::find_by_id(account::OWN).one(self.session()).await?)
    }

    /// Records the first account of the tables: of the company named by rows that were read before the key's own was
    /// known, otherwise of the one that was found.
    async fn first_account(&self, found: &Identity, now: DateTime<Utc>) -> Result<Account, Error> {
        let company = self.company_of_rows().await?.unwrap_or_else(|| found.company.clone());
        self.write_account(&Identity { company, server: found.server.clone() }, now).await
    }

    /// The company of the oldest row that names one.
    async fn company_of_rows(&self) -> Result<Option<CompanyId>, Error> {
        let wallets = wallet::Entity::find()
            .select_only()
            .column(wallet::Column::CompanyId)
            .filter(wallet::Column::FormerCompanyId.is_null())
            .order_by_asc(wallet::Column::RowNo);
        if let Some(company) = wallets.into_tuple().one(self.session()).await? {
            return Ok(Some(company));
        }
        let deposits = deposit::Entity::find()
            .select_only()
            .column(deposit::Column::CompanyId)
            .filter(deposit::Column::FormerCompanyId.is_null())
            .filter(deposit::Column::CompanyId.is_not_null())
            .order_by_asc(deposit::Column::RowNo);
        Ok(deposits.into_tuple().one(self.session()).await?)
    }

    async fn write_account(&self, found: &Identity, now: DateTime<Utc>) -> Result<Account, Error> {
        account::Entity::delete_by_id(account::OWN).exec(self.session()).await?;
        let account = Account {
            id: account::OWN,
            company_id: found.company.clone(),
            server: found.server.as_str().to_owned(),
            since: now,
            wrong_company_id: None,
            wrong_server: None,
            wrong_since: None,
        };
        let row = account::ActiveModel::from(account.clone()).reset_all();
        account::Entity::insert(row).exec_without_returning(self.session()).await?;
        Ok(account)
    }

    /// Whether the tables belong to this company and server, and the key that reads is recorded as another company's, or
    /// as refused. Clears the record of another company.
    pub(super) async fn is_misread(&self, right: &Identity) -> Result<bool, Error> {
        let Some(account) = self.own_account().await?.filter(|account| account.is(right)) else { return Ok(false) };
        if account.wrong_since.is_none() {
            return Ok(refused().one(self.session()).await?.is_some());
        }
        self.note_stranger(None).await?;
        Ok(true)
    }

    async fn note_stranger(&self, stranger: Option<(&Identity, DateTime<Utc>)>) -> Result<(), Error> {
        let (found, since) = stranger.unzip();
        account::Entity::update_many()
            .col_expr(account::Column::WrongCompanyId, Expr::value(found.map(|found| found.company.clone())))
            .col_expr(account::Column::WrongServer, Expr::value(found.map(|found| found.server.as_str().to_owned())))
            .col_expr(account::Column::WrongSince, Expr::value(since))
            .filter(account::Column::Id.eq(account::OWN))
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// Ends the lease for reading: the process that syncs stores nothing more until it has the lease again.
    async fn end_reading(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let held = lease::Entity::find().lock_exclusive().all(self.session()).await?;
        for row in held {
            lease::Entity::update_many()
                .col_expr(lease::Column::Owner, Expr::value(String::new()))
                .col_expr(lease::Column::Epoch, Expr::value(row.epoch.saturating_add(1)))
                .col_expr(lease::Column::ExpiresAt, Expr::value(now))
                .filter(lease::Column::Resource.eq(row.resource))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    /// Marks the rows of the company `before` as a former company's, and removes that mark from rows of the company
    /// `now`. Returns how many rows have the mark afterwards. Works on a range of rows at a time, so that no statement
    /// takes long.
    async fn set_apart<R: Mirrored>(&self, before: Option<&CompanyId>, now: &CompanyId) -> Result<u64, Error> {
        let last = self.lock_counter(R::COUNTER).await?;
        for low in (0..).map(|at| at * ROWS_AT_ONCE).take_while(|low| *low < last) {
            let stretch =
                || Condition::all().add(R::ROW_NO.gt(low)).add(R::ROW_NO.lte(low.saturating_add(ROWS_AT_ONCE)));
            if let Some(before) = before {
                R::Entity::update_many()
                    .col_expr(R::FORMER_COMPANY, Expr::value(Some(before.clone())))
                    .filter(stretch().add(R::FORMER_COMPANY.is_null()))
                    .exec(self.session())
                    .await?;
            }
            R::Entity::update_many()
                .col_expr(R::FORMER_COMPANY, Expr::value(None::<CompanyId>))
                .filter(stretch().add(R::FORMER_COMPANY.eq(now.clone())))
                .exec(self.session())
                .await?;
        }
        let others =
            R::Entity::find().select_only().column_as(R::ID.count(), "others").filter(R::FORMER_COMPANY.is_not_null());
        let others = others.into_tuple::<i64>().one(self.session()).await?.unwrap_or(0);
        Ok(u64::try_from(others).unwrap_or(0))
    }

    /// Forgets what was learned about the lists, so that they are imported anew, and the counted status changes of the
    /// former company's deposits.
    async fn begin_anew(&self) -> Result<(), Error> {
        progress::Entity::delete_many().exec(self.session()).await?;
        sweep::Entity::delete_many().exec(self.session()).await?;
        seen::Entity::delete_many().exec(self.session()).await?;
        blocks::Entity::delete_many().exec(self.session()).await?;
        reject::Entity::delete_many().exec(self.session()).await?;
        deposit_status::Entity::delete_many().exec(self.session()).await?;
        watch::Entity::delete_many().exec(self.session()).await?;
        Ok(())
    }
}

/// The listings over which the key is refused.
fn refused() -> Select<progress::Entity> {
    progress::Entity::find().filter(progress::Column::UnauthorizedSince.is_not_null())
}

/// Comparisons of an account with a key's company and server.
pub trait Belongs {
    /// Whether these are the account's company and server.
    fn is(&self, found: &Identity) -> bool;
    /// Whether it is recorded that these were found instead.
    fn has_noted(&self, found: &Identity) -> bool;
}

impl Belongs for Account {
    fn is(&self, found: &Identity) -> bool {
        self.company_id == found.company && self.server == found.server.as_str()
    }

    fn has_noted(&self, found: &Identity) -> bool {
        self.wrong_company_id.as_ref() == Some(&found.company)
            && self.wrong_server.as_deref() == Some(found.server.as_str())
    }
}
