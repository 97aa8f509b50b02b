//! Records which company's data the tables hold, checks it against the key, and moves the tables to another company.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::{
    account, blocks, deposit, deposit_status, lease, progress, reject, seen, stream, sweep, wallet, watch,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::model::account::Identity;
use crate::model::actor::Actor;
use crate::model::facts::wrong_account_event;
use crate::model::id::CompanyId;
use crate::model::record::{Deposit, Wallet};
use crate::store::{Deed, Error, Fence, Mirrored, Store, Tx};

/// Rows that are set apart by one statement.
const ROWS_AT_ONCE: i64 = 20_000;

/// The company and the server that the tables are filled from.
pub type Account = account::Model;

/// What is noted of whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// Whose the tables are, as soon as that is known, and that the key is another's, for all processes and with an event.
    All {
        fence: Option<Fence>,
    },
    /// Whose the tables are, as soon as that is known.
    First,
    Nothing,
}

/// What is adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The tables belong to it already.
    Nothing,
    /// Only the server is another one: everything is kept.
    Server,
    /// Another company: its lists are a first import. So many rows were of the companies before.
    Company { former_wallets: u64, former_deposits: u64 },
}

impl Store {
    /// The company and the server that the tables are filled from; none until they are known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn account(&self) -> Result<Option<Account>, Error> {
        Ok(account::Entity::find_by_id(account::OWN).one(self.read()).await?)
    }

    /// Whether the tables are filled from this company and server; the first one known is kept. Returns the account that they
    /// have otherwise.
    ///
    /// # Errors
    /// If the database fails, or somebody else leads now.
    pub async fn admit(
        &self,
        found: &Identity,
        noting: Noting,
        now: DateTime<Utc>,
    ) -> Result<Result<(), Account>, Error> {
        let notes_strangers = matches!(noting, Noting::All { .. });
        // Asked before every round, and nearly always as it was.
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

    /// Gives the tables to this company and server. Where it is another company, the rows of those before stay and count for
    /// nothing, and what was learned of the lists begins anew.
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

    /// The account, as what is published says it.
    pub(in crate::store) async fn account(&self) -> Result<Option<Account>, Error> {
        Ok(account::Entity::find_by_id(account::OWN).one(self.session()).await?)
    }

    /// The account of tables that had none: of the company that rows name which were read while no key named its own, or else
    /// of what was found.
    async fn first_account(&self, found: &Identity, now: DateTime<Utc>) -> Result<Account, Error> {
        let company = self.company_of_rows().await?.unwrap_or_else(|| found.company.clone());
        self.write_account(&Identity { company, server: found.server.clone() }, now).await
    }

    /// The company that the oldest row names which names one.
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

    /// Whether the tables belong to this, and are noted to be read with the key of another; that is over then.
    pub(super) async fn is_misread(&self, right: &Identity) -> Result<bool, Error> {
        let account = self.own_account().await?;
        let is_misread = account.is_some_and(|account| account.is(right) && account.wrong_since.is_some());
        if is_misread {
            self.note_stranger(None).await?;
        }
        Ok(is_misread)
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

    /// The process that syncs stores nothing more until it has claimed the lead again.
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

    /// Sets the rows of the company before apart, and takes back those of this one; returns how many are others' then. A stretch
    /// at a time, as no statement may take long.
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

    /// Forgets what was learned of the lists, so that they are read as at first, and how the deposits of the former company fared.
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

/// What is asked of an account.
pub trait Belongs {
    /// Whether this is its company and its server.
    fn is(&self, found: &Identity) -> bool;
    /// Whether it is noted that this is what was found instead.
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
