//! The account guard: the tables belong to one company on one server, and a key of another company, or another server, is
//! refused before anything is read into them or written at Lumo.

use chrono::{DateTime, Utc};

use crate::lumo;
use crate::model::account::Identity;
use crate::store::{self, Account, Noting, Store};

/// Why a key is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the API key belongs to company {found}, and the tables to company {own}")]
    Company { own: String, found: String },
    #[error("the tables are filled from {own}, and `lumo.base_url` names {found}")]
    Server { company: String, own: String, found: String },
    #[error("which company the API key belongs to cannot be found out, and the tables belong to company {own}")]
    Unnamed { own: String },
}

/// Why a key could not be admitted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the API key's company not asked for")]
    Upstream(#[from] lumo::Error),
    #[error("account not looked up")]
    Store(#[from] store::Error),
}

impl Refusal {
    /// The refusal of what was found where the tables have this account.
    #[must_use]
    pub fn of(own: &Account, found: &Identity) -> Self {
        Self::between((own.company_id.as_str(), &own.server), (found.company.as_str(), found.server.as_str()))
    }

    /// The refusal of the company and the server that were found, where the tables have their own.
    #[must_use]
    pub fn between((own_company, own_server): (&str, &str), (found_company, found_server): (&str, &str)) -> Self {
        if own_company == found_company {
            let (company, own, found) = (own_company.to_owned(), own_server.to_owned(), found_server.to_owned());
            Self::Server { company, own, found }
        } else {
            Self::Company { own: own_company.to_owned(), found: found_company.to_owned() }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Company { own, found } => format!(
                "put the key of company {own} into `lumo.api_key`, then reload the daemon, or another database into \
                 `database.url`, then restart it; `lumo-bridge account adopt {found} --yes` gives these tables to the \
                 key's company"
            ),
            Self::Server { company, .. } => format!(
                "correct `lumo.base_url`, then reload the daemon; if the company has moved there, `lumo-bridge account adopt \
                 {company} --yes` keeps everything that is stored"
            ),
            Self::Unnamed { .. } => {
                "it goes on by itself once Lumo answers `GET /auth/company/profile` or lists a wallet; \
                                     until then nothing proves whose data this is"
                    .to_owned()
            }
        }
    }
}

/// Makes sure that what `identify` finds is what the tables are filled from. Where the tables belong to nobody yet, they
/// belong to it from now on, as far as `noting` goes; where nothing is found, nothing is in the way.
///
/// # Errors
/// [`Error::Refused`] if it is somebody else's, or else what kept it from being known.
pub async fn admit(
    store: &Store,
    identify: impl Future<Output = Result<Option<Identity>, lumo::Error>>,
    noting: Noting,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Some(found) = identify.await? else {
        return match store.account().await? {
            Some(own) => Err(Refusal::Unnamed { own: own.company_id.to_string() }.into()),
            None => Ok(()),
        };
    };
    store.admit(&found, noting, now).await?.map_err(|own| Refusal::of(&own, &found).into())
}
