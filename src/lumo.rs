//! Lumo's B2B API: the three listings and the three writes, as records of [`crate::model`].
//!
//! This is the only place that speaks to Lumo and knows how its answers are spelled. An answer is checked where it
//! enters; behind it are only values that every database can hold. The [`Client`] paces itself for all its clones
//! together and never retries. What it does not do: store, decide, log.

mod budget;
mod config;
mod error;
mod http;
mod meters;
mod pace;
mod refusal;
mod retry_after;
mod wire;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

pub use self::config::{Config, DepositFields};
pub use self::error::{Error, Outage};
use self::http::{Answer, Http};
pub use self::meters::Meters;
pub use self::pace::{Priority, Speed};
use self::wire::Fields;
pub use self::wire::Profile;
use crate::model::Listing;
use crate::model::account::{Identity, Server};
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::{Deposit, Page, Wallet};
use crate::setting::{Percent, Secret};

/// Which part of a listing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Most items to return, from 1. The server may return fewer, or more.
    pub limit: u32,
    /// How many items to skip.
    pub offset: u64,
    /// Only what belongs to this user.
    pub external_id: Option<ExternalId>,
    /// Only deposits in this status; without effect on wallets.
    pub status: Option<String>,
}

/// The API, with the key of one company. Cheap to clone; clones share connections and pace.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    base_url: Url,
    fields: Fields,
    deposit_fields: DepositFields,
    /// Whose key it is, once that is known; forgotten when the key is refused.
    identity: Mutex<Option<Identity>>,
}

impl Client {
    /// Needs a process-wide rustls provider.
    pub fn new(config: &Config, api_key: Secret) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            http: Http::new(config, api_key)?,
            base_url: config.base_url.get().clone(),
            fields: Fields::compile(&config.deposit_fields),
            deposit_fields: config.deposit_fields.clone(),
            identity: Mutex::default(),
        })))
    }

    /// Leaves the sweep this share of the rate that there is at a time, for all clones. Without it, or with all of the
    /// rate, the sweep takes what nobody else wants, and every second turn where others wait.
    #[must_use]
    pub fn with_sweep_budget(self, share: Percent) -> Self {
        self.0.http.set_sweep_budget(share.fraction());
        self
    }

    /// Where the client looks for the facts about a deposit.
    #[must_use]
    pub fn deposit_fields(&self) -> &DepositFields {
        &self.0.deposit_fields
    }

    /// How fast the client asks at present.
    #[must_use]
    pub fn speed(&self) -> Speed {
        self.0.http.speed()
    }

    /// What all clones have asked so far.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        self.0.http.meters()
    }

    /// The server that is asked.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::of(&self.0.base_url)
    }

    /// The company that the key belongs to, as it describes itself. Lumo need not answer that.
    pub async fn profile(&self) -> Result<Profile, Error> {
        let answer = self.0.http.object(self.url(&["auth", "company", "profile"])).await?;
        wire::profile(answer.body)
    }

    /// Whose key it is: by the company's profile, or else by the first wallet. None if neither names a company. Asked anew
    /// once a request has been refused as unauthorized, and until something is found.
    pub async fn identify(&self) -> Result<Option<Identity>, Error> {
        let mut identity = self.0.identity.lock().await;
        if self.0.http.take_unauthorized() {
            *identity = None;
        }
        if identity.is_none() {
            let company = match self.profile().await {
                Ok(profile) => Some(profile.id),
                Err(_) => {
                    let first = ListQuery { limit: 1, offset: 0, external_id: None, status: None };
                    let page = self.list_wallets(Priority::Fresh, &first).await?;
                    page.items.into_iter().next().map(|wallet| wallet.company_id)
                }
            };
            // That the profile is refused, where lists are not, says nothing.
            self.0.http.take_unauthorized();
            *identity = company.map(|company| Identity { company, server: self.server() });
        }
        Ok(identity.clone())
    }

    /// One page of all user wallets.
    pub async fn list_wallets(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, Error> {
        let answer = self.list(priority, Listing::Wallets, query).await?;
        wire::wallets(answer.body, answer.served_at, query.limit)
    }

    /// One page of the blocked user wallets.
    pub async fn list_blocked(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, Error> {
        let answer = self.list(priority, Listing::Blocked, query).await?;
        wire::wallets(answer.body, answer.served_at, query.limit)
    }

    /// One page of the user deposits.
    pub async fn list_deposits(&self, priority: Priority, query: &ListQuery) -> Result<Page<Deposit>, Error> {
        let answer = self.list(priority, Listing::Deposits, query).await?;
        wire::deposits(answer.body, answer.served_at, query.limit, &self.0.fields)
    }

    /// Creates the wallet of a user, or returns the one that is there. Asking twice does no harm.
    pub async fn create_wallet(&self, external_id: &ExternalId) -> Result<Wallet, Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Create<'a> {
            external_id: &'a str,
        }

        self.write(&["user-wallets"], &Create { external_id: external_id.as_str() }).await
    }

    /// Blocks a wallet and returns it as it is then.
    pub async fn block_wallet(&self, id: &WalletId, reason: &str) -> Result<Wallet, Error> {
        self.write(&["user-wallets", segment(id)?, "block"], &Because { reason }).await
    }

    /// Replaces a wallet and returns the new one, which has another id and address. Not idempotent: after an error that
    /// leaves open whether the request arrived, look before asking again.
    pub async fn replace_wallet(&self, id: &WalletId, reason: &str) -> Result<Wallet, Error> {
        self.write(&["user-wallets", segment(id)?, "replace"], &Because { reason }).await
    }

    async fn list(&self, priority: Priority, listing: Listing, query: &ListQuery) -> Result<Answer<'_>, Error> {
        let (path, status): (&[&str], _) = match listing {
            Listing::Blocked => (&["user-wallets", "blocked"], None),
            Listing::Deposits => (&["user-wallets", "deposits"], query.status.as_deref()),
            Listing::Wallets => (&["user-wallets"], None),
        };
        let mut url = self.url(path);
        url.set_query(Some(&query_string(query, status)));
        self.0.http.get(priority, listing, url).await
    }

    async fn write(&self, path: &[&str], request: &impl Serialize) -> Result<Wallet, Error> {
        let json = serde_json::to_vec(request).map_err(|error| Error::Setup {
            problem: "the request cannot be spelled",
            source: Some(Box::new(error)),
        })?;
        let answer = self.0.http.post(self.url(path), json).await?;
        wire::wallet(answer.body)
    }

    /// The base URL and `path` below it, each segment encoded.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.0.base_url.clone();
        // An http(s) URL always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// What to list, as the query of a URL.
fn query_string(query: &ListQuery, status: Option<&str>) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    if let Some(external_id) = &query.external_id {
        pairs.append_pair("externalId", external_id.as_str());
    }
    if let Some(status) = status {
        pairs.append_pair("status", status);
    }
    pairs.append_pair("limit", &query.limit.to_string());
    pairs.append_pair("offset", &query.offset.to_string());
    // A form spells a space as `+`, which not every server reads as one; every server reads `%20`. A real plus is `%2B`
    // by now.
    pairs.finish().replace('+', "%20")
}

/// The body of a block or a replacement.
#[derive(Serialize)]
struct Because<'a> {
    reason: &'a str,
}

/// An id as a segment of a path. Two ids cannot be one in any spelling: URLs read them as "here" and "up".
fn segment(id: &WalletId) -> Result<&str, Error> {
    match id.as_str() {
        "." | ".." => Err(Error::NotFound { message: "no wallet can have this id".to_owned() }),
        id => Ok(id),
    }
}

#[cfg(test)]
mod tests;
