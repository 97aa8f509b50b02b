//! Differences between listings and tables.

use proptest::prelude::*;

use super::*;
use crate::model::fixture::{deposit, noon, stored};

fn table(records: impl IntoIterator<Item = Deposit>) -> HashMap<DepositId, Stored<Deposit>> {
    records.into_iter().map(|record| (record.id.clone(), stored(record))).collect()
}

/// What the rows are once the changes are written.
fn apply(table: &mut HashMap<DepositId, Stored<Deposit>>, changes: &[Change<Deposit>]) {
    for change in changes {
        let record = change.new_record().clone();
        let row = Stored { version: change.version(), ..stored(record) };
        table.insert(row.record.id.clone(), row);
    }
}

#[test]
fn what_is_new_appears_and_what_differs_changes() {
    let table = table([deposit("a", "new", "1"), deposit("b", "new", "1")]);
    let listed = [deposit("a", "new", "1"), deposit("b", "confirmed", "1"), deposit("c", "new", "1")];
    let changes = diff(listed, &table, noon());
    assert!(matches!(&changes[..], [Change::Changed { old, new }, Change::Appeared(appeared)]
        if old.record.status == "new" && new.status == "confirmed" && appeared.id.as_str() == "c"));
    assert_eq!(changes.iter().map(Change::version).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn the_spelling_of_an_item_is_no_change() {
    let mut respelled = deposit("a", "new", "1.50");
    respelled.fingerprint = crate::model::fingerprint::fingerprint(
        r#" { "amount" : 15e-1, "status":"new", "id":"a", "externalId": "42" } "#,
    );
    assert_eq!(diff([respelled], &table([deposit("a", "new", "1.5")]), noon()), []);
}

#[test]
fn a_row_that_was_missing_and_is_listed_again_is_a_change() {
    let mut table = table([deposit("a", "new", "1")]);
    table.values_mut().for_each(|row| row.missing_since = Some(noon()));
    assert_eq!(diff([deposit("a", "new", "1")], &table, noon()).len(), 1);
}

#[test]
fn a_page_that_was_asked_for_before_the_row_changed_is_stale() {
    let mut table = table([deposit("a", "new", "1")]);
    let listed = || [deposit("a", "confirmed", "1")];
    let changed_at =
        |table: &mut HashMap<_, Stored<Deposit>>, at| table.values_mut().for_each(|row| row.changed_at = at);
    changed_at(&mut table, noon() + TimeDelta::milliseconds(1));
    assert_eq!(diff(listed(), &table, noon()), []);
    // A row from the far future tells of a clock that was set back, not of newer knowledge.
    changed_at(&mut table, noon() + TimeDelta::hours(1));
    assert_eq!(diff(listed(), &table, noon()).len(), 1);
    changed_at(&mut table, noon());
    assert_eq!(diff(listed(), &table, noon()).len(), 1);
}

prop_compose! {
    fn any_listing()(rows in proptest::collection::btree_map("[a-f]{1,2}", ("[a-c]", 0..5_u8), 0..12)) -> Vec<Deposit> {
        rows.into_iter().map(|(id, (status, amount))| deposit(&id, &status, &amount.to_string())).collect()
    }
}

proptest! {
    #[test]
    fn a_listing_differs_from_itself_in_nothing(listed in any_listing()) {
        prop_assert_eq!(diff(listed.clone(), &table(listed), noon()), []);
    }

    #[test]
    fn once_the_changes_are_written_nothing_differs(before in any_listing(), after in any_listing()) {
        let mut table = table(before);
        let changes = diff(after.clone(), &table, noon());
        apply(&mut table, &changes);
        prop_assert_eq!(diff(after, &table, noon()), []);
    }
}
