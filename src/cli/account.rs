//! `account`: whose data the tables hold, and giving them to another company or server.

use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::fields::Fields;
use super::{safe, user};
use crate::account::Refusal;
use crate::chain::Chain;
use crate::lumo::{Client, Profile};
use crate::model::account::Identity;
use crate::model::id::CompanyId;
use crate::store::{Adopted, Belongs, Store};
use crate::view;

const SHOW_HELP: &str = "\
Example: lumo-bridge account show

Exit code: 0 whatever it says, 1 if the database cannot be read.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show which company and server the tables belong to, and whose key is configured
    #[command(after_help = SHOW_HELP)]
    Show,
    /// Give the tables to the company of the configured key, or to the configured server
    ///
    /// Rows of the company before stay, count for nothing and are never called missing; the lists of the new company are a first
    /// import. Where only the server is another one, everything is kept.
    #[command(after_help = "Example: lumo-bridge account adopt 7c9e6679-7425-40de-944b-e07fc1f90ae7 --yes")]
    Adopt {
        /// The company's id, as `account show` names it
        company_id: CompanyId,
        /// Do it; without this, what would happen is only said
        #[arg(long)]
        yes: bool,
    },
}

/// What `account show` finds.
#[derive(Serialize)]
struct Shown {
    /// Null until it is known.
    account: Option<view::Account>,
    /// What the configured key and server are.
    key: Key,
    /// Whether that is the account of the tables; null if one of the two is not known.
    is_accepted: Option<bool>,
}

#[derive(Serialize)]
struct Key {
    /// Null if it cannot be found out.
    company_id: Option<String>,
    server: String,
    name: Option<String>,
    email: Option<String>,
    contact_email: Option<String>,
    contact_telegram: Option<String>,
    is_active: Option<bool>,
    webhook_url: Option<String>,
    /// Why the company is not known.
    error: Option<String>,
}

impl Key {
    async fn of(client: &Client) -> (Self, Option<Identity>) {
        let (identity, error) = match client.identify().await {
            Ok(identity) => (identity, None),
            Err(error) => (None, Some(Chain(&error).to_string())),
        };
        let profile = client.profile().await.ok();
        let of = |get: fn(&Profile) -> &Option<String>| profile.as_ref().and_then(|profile| get(profile).clone());
        let key = Self {
            company_id: identity.as_ref().map(|identity| identity.company.to_string()),
            server: client.server().to_string(),
            name: of(|profile| &profile.name),
            email: of(|profile| &profile.email),
            contact_email: of(|profile| &profile.contact_email),
            contact_telegram: of(|profile| &profile.contact_telegram),
            is_active: profile.as_ref().and_then(|profile| profile.is_active),
            webhook_url: of(|profile| &profile.webhook_url),
            error,
        };
        (key, identity)
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show => show(context).await,
        Command::Adopt { company_id, yes } => adopt(context, &company_id, yes).await,
    }
}

async fn show(context: &Context) -> Result<(), Failure> {
    let (account, (key, identity)) = context
        .with_store(async |config, store| {
            let client = context.client(config)?;
            Ok((store.account().await?, Key::of(&client).await))
        })
        .await?;
    let refusal = account.as_ref().zip(identity.as_ref()).map(|(own, found)| {
        let is_accepted = own.is(found);
        (!is_accepted).then(|| Refusal::of(own, found))
    });
    let is_accepted = refusal.as_ref().map(Option::is_none);
    let printer = context.printer();
    let account = account.map(view::Account::from);
    if printer.json() {
        return Ok(printer.document(&Shown { account, key, is_accepted })?);
    }
    let now = context.clock().now();
    let mut fields = Fields::new(now);
    fields = match &account {
        Some(account) => fields
            .text("tables", format_args!("company {}, {}", account.company_id, account.server))
            .time("since", account.since),
        None => fields.text("tables", "of no company yet; the first whose key reads has them"),
    };
    let whose =
        key.company_id.as_ref().map_or_else(|| "a company that is not known".to_owned(), |id| format!("company {id}"));
    fields = fields
        .text("key", format_args!("{whose}, {}", key.server))
        .maybe("name", key.name.as_deref())
        .maybe("e-mail", key.email.as_deref())
        .maybe("contact", key.contact_email.as_deref())
        .maybe("Telegram", key.contact_telegram.as_deref())
        .maybe("webhook", key.webhook_url.as_deref())
        .maybe("active", key.is_active.map(|is_active| if is_active { "yes" } else { "no" }))
        .maybe("error", key.error.as_deref());
    printer.fields(&fields);
    if let Some(refusal) = refusal.flatten() {
        printer.say(safe::text(&refusal.to_string()));
        printer.hint(&refusal.hint());
    }
    Ok(())
}

async fn adopt(context: &Context, company: &CompanyId, yes: bool) -> Result<(), Failure> {
    let config = context.load_quietly()?.config;
    let client = context.client(&config)?;
    let identity = client.identify().await.map_err(|error| Failure::work(error.into()))?;
    let Some(found) = identity else {
        let problem = "which company the configured key belongs to cannot be found out: Lumo answers no profile and lists no wallet";
        return Err(Failure::work(anyhow::anyhow!(problem)));
    };
    if found.company != *company {
        let problem = format!("the configured key belongs to company {}, not to {company}", found.company);
        return Err(Failure::usage(problem).with_hint("put the key of that company into `lumo.api_key` first"));
    }
    if yes {
        context.migrate(&config).await?;
    }
    let store = context.store(&config).await?;
    let done = carry_out(context, &store, &found, yes).await;
    store.close().await;
    done
}

async fn carry_out(context: &Context, store: &Store, found: &Identity, yes: bool) -> Result<(), Failure> {
    let before = store.account().await?;
    if !yes && !before.as_ref().is_some_and(|own| own.is(found)) {
        let problem = match &before {
            Some(own) if own.company_id == found.company => {
                format!(
                    "the tables would be filled from {} in place of {}; all that is stored stays",
                    found.server, own.server
                )
            }
            Some(own) => format!(
                "the tables would belong to company {} in place of {}: the rows of that one stay and count for nothing, and the \
                 lists are imported anew",
                found.company, own.company_id
            ),
            None => format!("the tables would belong to company {}, {}", found.company, found.server),
        };
        return Err(Failure::usage(problem).with_hint("say `--yes` to do it"));
    }
    let adopted = store.adopt(found, &user::actor(), context.clock().now()).await?;
    let printer = context.printer();
    if printer.json() {
        let account: Option<view::Account> = store.account().await?.map(Into::into);
        return Ok(printer.document(&account)?);
    }
    let company = &found.company;
    printer.say(match adopted {
        Adopted::Nothing => format!("the tables belong to company {company}, {}, already", found.server),
        Adopted::Server => format!("the tables are filled from {} from now on; all that was stored is kept", found.server),
        Adopted::Company { former_wallets: 0, former_deposits: 0 } => {
            format!("the tables belong to company {company}, {}, from now on", found.server)
        }
        Adopted::Company { former_wallets, former_deposits } => format!(
            "the tables belong to company {company} from now on; its lists are read as a first import. Rows of companies before \
             it, which stay and count for nothing: {former_wallets} wallets, {former_deposits} deposits"
        ),
    });
    Ok(())
}
