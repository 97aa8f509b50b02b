//! Parses the profile of the company that a key belongs to. Only its id is used. The rest is shown to people who ask,
//! and is neither stored nor logged.

use std::fmt;

use super::value::{self, Problem};
use super::{Fault, Members};
use crate::model::id::CompanyId;

/// What Lumo says about a company.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: CompanyId,
    pub name: Option<String>,
    pub email: Option<String>,
    pub contact_email: Option<String>,
    pub contact_telegram: Option<String>,
    pub is_active: Option<bool>,
    pub webhook_url: Option<String>,
}

/// Leaves out what describes people.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn read(members: &Members<'_>) -> Result<Profile, Fault> {
    let line = |key| members.get(key).and_then(|value| value::line(value).ok()).filter(|line| !line.is_empty());
    let id = members.get("id").ok_or(Problem::Missing).and_then(value::id_or_number);
    Ok(Profile {
        id: id.map_err(|problem| Fault::new("id", problem))?,
        name: line("name"),
        email: line("email"),
        contact_email: line("contactEmail"),
        contact_telegram: line("contactTelegram"),
        is_active: members.get("isActive").and_then(|value| value::boolean(value).ok()),
        webhook_url: line("webhookUrl"),
    })
}
