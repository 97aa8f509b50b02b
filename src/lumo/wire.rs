//! Parses the bytes of an answer into records.
//!
//! A listing is split into its items, and each item is parsed on its own: an unreadable one becomes a [`Reject`] and
//! does not affect the others. A fault of the answer as a whole is [`Error::Contract`]. Numbers are read from their
//! digits, the text of each item is kept as it came, and messages never quote what the server sent.

mod deposit;
mod envelope;
mod fields;
mod profile;
mod value;
mod wallet;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

pub(super) use self::fields::Fields;
pub use self::profile::Profile;
use crate::lumo::Error;
use crate::model::diff::Record;
use crate::model::fingerprint::Members;
use crate::model::id::DepositId;
use crate::model::raw::Raw;
use crate::model::record::{Deposit, Page, Reject, Wallet};

/// Longest text of one item, in bytes; a real one has a few hundred.
const MAX_ITEM_BYTES: usize = 256 * 1024;

/// Parses a listing of wallets. `limit` is the page size that was requested.
pub(super) fn wallets(body: Vec<u8>, served_at: Option<DateTime<Utc>>, limit: u32) -> Result<Page<Wallet>, Error> {
    page(body, "wallets", limit, served_at, wallet::read)
}

/// Parses a listing of deposits.
pub(super) fn deposits(
    body: Vec<u8>,
    served_at: Option<DateTime<Utc>>,
    limit: u32,
    fields: &Fields,
) -> Result<Page<Deposit>, Error> {
    page(body, "deposits", limit, served_at, |raw, members| deposit::read(raw, members, fields))
}

/// Parses the wallet in the answer to a write.
pub(super) fn wallet(body: Vec<u8>) -> Result<Wallet, Error> {
    object(body, |text, members| wallet::read(text.into(), members))
}

/// Parses a company's profile.
pub(super) fn profile(body: Vec<u8>) -> Result<Profile, Error> {
    object(body, |_, members| profile::read(members))
}

fn object<T>(body: Vec<u8>, read: impl Fn(&str, &Members<'_>) -> Result<T, Fault>) -> Result<T, Error> {
    let text = readable(body);
    let text = text.trim();
    let value = serde_json::from_str(text).map_err(|error| envelope::not_json(text, &error))?;
    let members = Members::of(value).map_err(|malformed| Error::contract("body", malformed.to_string()))?;
    read(text, &members).map_err(|fault| Error::contract(fault.field, fault.problem))
}

/// Where an item is unreadable, and why.
#[derive(Debug)]
struct Fault {
    field: String,
    problem: String,
}

impl Fault {
    fn new(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { field: field.into(), problem: problem.to_string() }
    }

    /// A fault of the item as a whole.
    fn whole(problem: impl fmt::Display) -> Self {
        Self::new("item", problem)
    }
}

/// The body as text. Invalid UTF-8 bytes become escapes of half a surrogate pair, `\udc80` to `\udcff`: a field that
/// needs the exact text is then unreadable, the rest of the item is not.
fn readable(body: Vec<u8>) -> String {
    let body = match String::from_utf8(body) {
        Ok(text) => return text,
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(body.len() + 64);
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let is_escaped = text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
            // No escape begins with such a byte, so none may arise by accident.
            let spelled = if is_escaped { char::REPLACEMENT_CHARACTER.to_string() } else { format!("\\udc{byte:02x}") };
            text.push_str(&spelled);
        }
    }
    text
}

fn page<T: Record>(
    body: Vec<u8>,
    list: &'static str,
    limit: u32,
    served_at: Option<DateTime<Utc>>,
    read: impl Fn(Raw, &Members<'_>) -> Result<T, Fault>,
) -> Result<Page<T>, Error> {
    let text = Arc::new(readable(body));
    let envelope = envelope::open(&text, list, limit)?;

    let returned = envelope.items.len();
    let mut page = Page { items: Vec::with_capacity(returned), rejects: Vec::new(), returned, total: None, served_at };
    page.total = envelope.total;
    let mut positions = Vec::with_capacity(returned);
    for (position, raw) in envelope.items.into_iter().enumerate() {
        match read_item(&text, raw, &read) {
            Ok(item) => {
                positions.push(position);
                page.items.push(item);
            }
            Err((id, Fault { field, problem })) => {
                page.rejects.push(Reject::new(position, id, raw.get(), field, problem))
            }
        }
    }
    leave_out_repeated(&mut page, &positions);
    keep_apart(&mut page);
    Ok(page)
}

/// Keeps the first of the items that share an id; `positions` are the items' places on the page.
fn leave_out_repeated<T: Record>(page: &mut Page<T>, positions: &[usize]) {
    let mut firsts = HashMap::with_capacity(positions.len());
    let mut is_first = Vec::with_capacity(positions.len());
    for (item, &position) in page.items.iter().zip(positions) {
        match firsts.entry(item.id_str()) {
            Entry::Vacant(entry) => {
                entry.insert(item.fingerprint());
                is_first.push(true);
                continue;
            }
            Entry::Occupied(first) if *first.get() == item.fingerprint() => {}
            // Nothing says which of the two is newer. The first is kept, so that the same page always means the same.
            Entry::Occupied(_) => page.rejects.push(Reject::new(
                position,
                Some(item.id_str().to_owned()),
                item.raw(),
                "id".to_owned(),
                "stands twice in the page with different content".to_owned(),
            )),
        }
        is_first.push(false);
    }
    if is_first.contains(&false) {
        let mut is_first = is_first.into_iter();
        page.items.retain(|_| is_first.next().unwrap_or(true));
        page.rejects.sort_by_key(|reject| reject.position);
    }
}

/// Makes sure that no two items of the page are known under one id.
fn keep_apart<T: Record>(page: &mut Page<T>) {
    if page.rejects.is_empty() {
        return;
    }
    let mut keys: HashSet<String> = page.items.iter().map(|item| item.id_str().to_owned()).collect();
    let rejects = std::mem::take(&mut page.rejects).into_iter();
    page.rejects =
        rejects.map(|reject| if keys.insert(reject.key.clone()) { reject } else { reject.apart() }).collect();
}

/// Parses one item. On failure returns the problem, and the item's id if that is readable.
fn read_item<T>(
    page: &Arc<String>,
    item: &RawValue,
    read: impl Fn(Raw, &Members<'_>) -> Result<T, Fault>,
) -> Result<T, (Option<String>, Fault)> {
    let raw = item.get();
    let read = || {
        if raw.len() > MAX_ITEM_BYTES {
            return Err(Fault::whole(format_args!("is larger than {MAX_ITEM_BYTES} bytes")));
        }
        read(Raw::part(page, raw), &Members::of(item).map_err(Fault::whole)?)
    };
    read().map_err(|fault| (id(raw), fault))
}

/// The id of an unreadable item, if that much is readable.
fn id(raw: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let named: Named<'_> = serde_json::from_str(raw).ok()?;
    value::id_or_number::<DepositId>(named.id.get()).ok().map(String::from)
}

#[cfg(test)]
mod tests;
