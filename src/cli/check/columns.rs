//! The columns of the deposits: whether something fills them.

use super::finding::{Finding, Report};
use crate::chain::Chain;
use crate::config::Config;
use crate::store::Store;
use crate::view::EmptyColumn;
use crate::view::empty::unlisted;

const SUBJECT: &str = "columns";

pub(super) async fn check(report: &mut Report<'_>, store: &Store, config: &Config) {
    let columns = match EmptyColumn::load(store, &config.lumo.deposit_fields).await {
        Ok(columns) => columns,
        Err(error) => return report.add(Finding::fail(SUBJECT, Chain(&error))),
    };
    for column in &columns {
        if let Some(hint) = column.hint() {
            report.add(Finding::warn(SUBJECT, column).hint(hint));
        }
    }
    if let Some(unlisted) = unlisted(&columns) {
        report.add(Finding::ok(SUBJECT, unlisted));
    }
}
