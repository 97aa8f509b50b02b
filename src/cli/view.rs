//! How stored things are shown: as rows of a table, in full, and as the JSON of [`crate::view`].

mod action;
pub(super) mod delivery;
pub(super) mod deposit;
pub(super) mod difference;
pub(super) mod endpoint;
pub(super) mod event;
pub(super) mod reject;
pub(super) mod status;
pub(super) mod wallet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::fields::Fields;
use super::filter::Limit;
use super::table::{Cell, Column, Table};

/// A thing that is listed.
pub(super) trait Listed {
    /// What several of them are called.
    const NOUN: &'static str;

    /// What a script gets of it.
    type Json: Serialize;

    fn columns() -> Vec<Column>;
    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell>;
    fn json(&self) -> Self::Json;
}

/// A thing that is also shown in full.
pub(super) trait Detailed: Listed {
    fn fields(&self, now: DateTime<Utc>) -> Fields;
    fn full_json(&self) -> Self::Json;
}

/// Prints a list.
pub(super) fn list<T: Listed>(context: &Context, items: &[T]) -> Result<(), Failure> {
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&items.iter().map(T::json).collect::<Vec<_>>())?);
    }
    if items.is_empty() {
        printer.say(format!("no {}", T::NOUN));
    } else {
        printer.table(&table(items, context.clock().now()));
    }
    Ok(())
}

/// Prints a list that was loaded to its limit and one more, and says so if there is more.
pub(super) fn list_to_limit<T: Listed>(context: &Context, mut items: Vec<T>, limit: Limit) -> Result<(), Failure> {
    let has_more = limit.cut(&mut items);
    list(context, &items)?;
    if has_more {
        context.printer().say("there are more; `--limit` shows them");
    }
    Ok(())
}

/// Prints one thing in full.
pub(super) fn show<T: Detailed>(context: &Context, item: &T) -> Result<(), Failure> {
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&item.full_json())?);
    }
    printer.fields(&item.fields(context.clock().now()));
    Ok(())
}

/// Prints one thing in full, and what belongs to it as a list below; its JSON has both.
pub(super) fn show_with<T: Detailed, U: Listed>(context: &Context, item: &T, parts: &[U]) -> Result<(), Failure> {
    show(context, item)?;
    if context.printer().json() {
        return Ok(());
    }
    if !parts.is_empty() {
        context.printer().line("");
    }
    list(context, parts)
}

/// The things as a table.
pub(super) fn table<T: Listed>(items: &[T], now: DateTime<Utc>) -> Table {
    let mut table = Table::new(T::columns());
    items.iter().for_each(|item| table.row(item.cells(now)));
    table
}

#[cfg(test)]
mod tests;
