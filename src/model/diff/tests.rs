//! Differences between listings and tables.

use proptest::prelude::*;

use super::*;
use crate::model::fixture::{deposit, noon, stored};

fn table(records: impl IntoIterator<Item = Deposit>) -> HashMap<DepositId, Stored<Deposit>> {
    records.into_iter().map(|record| (record.id.clone(), stored(record))).collect()
}

/// The changes, where nothing is held.
fn changes(
    listed: impl IntoIterator<Item = Deposit>,
    table: &HashMap<DepositId, Stored<Deposit>>,
    read_at: DateTime<Utc>,
) -> Vec<Change<Deposit>> {
    diff(listed, table, read_at, &Regressions::Apply).changes
}

/// What the rows are once the changes are written.
fn apply(table: &mut HashMap<DepositId, Stored<Deposit>>, changes: &[Change<Deposit>]) {
    for change in changes {
        let record = change.record().clone();
        let row = Stored { version: change.version(), ..stored(record) };
        table.insert(row.record.id.clone(), row);
    }
}

#[test]
fn what_is_new_appears_and_what_differs_changes() {
    let table = table([deposit("a", "new", "1"), deposit("b", "new", "1")]);
    let listed = [deposit("a", "new", "1"), deposit("b", "confirmed", "1"), deposit("c", "new", "1")];
    let changes = changes(listed, &table, noon());
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
    assert_eq!(changes([respelled], &table([deposit("a", "new", "1.5")]), noon()), []);
}

#[test]
fn a_row_that_was_missing_and_is_listed_again_is_a_change() {
    let mut table = table([deposit("a", "new", "1")]);
    table.values_mut().for_each(|row| row.missing_since = Some(noon()));
    assert_eq!(changes([deposit("a", "new", "1")], &table, noon()).len(), 1);
}

#[test]
fn a_page_that_was_asked_for_before_the_row_changed_is_stale() {
    let mut table = table([deposit("a", "new", "1")]);
    let listed = || [deposit("a", "confirmed", "1")];
    let changed_at =
        |table: &mut HashMap<_, Stored<Deposit>>, at| table.values_mut().for_each(|row| row.changed_at = at);
    changed_at(&mut table, noon() + TimeDelta::milliseconds(1));
    assert_eq!(changes(listed(), &table, noon()), []);
    // A row from the far future tells of a clock that was set back, not of newer knowledge.
    changed_at(&mut table, noon() + TimeDelta::hours(1));
    assert_eq!(changes(listed(), &table, noon()).len(), 1);
    changed_at(&mut table, noon());
    assert_eq!(changes(listed(), &table, noon()).len(), 1);
}

#[test]
fn a_regression_waits_until_it_is_confirmed() {
    let table = table([deposit("a", "confirmed", "1"), deposit("b", "confirmed", "1"), deposit("c", "new", "1")]);
    let listed = || [deposit("a", "new", "1"), deposit("b", "paid", "1"), deposit("c", "new", "1")];
    let held = Regressions::HoldUnless(HashSet::new());
    let found = diff(listed(), &table, noon(), &held);
    assert_eq!(found.fates, [Fate::Held, Fate::Changed, Fate::Known]);
    assert_eq!(found.changes.iter().map(|change| change.record().id.as_str()).collect::<Vec<_>>(), ["b"]);

    let confirmed = Regressions::HoldUnless(HashSet::from(["a".parse().unwrap()]));
    for regressions in [confirmed, Regressions::Apply] {
        assert_eq!(diff(listed(), &table, noon(), &regressions).fates, [Fate::Changed, Fate::Changed, Fate::Known]);
    }
}

#[test]
fn what_was_missing_comes_back_at_once_whatever_it_says() {
    let mut table = table([deposit("a", "confirmed", "1")]);
    table.values_mut().for_each(|row| row.missing_since = Some(noon() - TimeDelta::hours(1)));
    let held = Regressions::HoldUnless(HashSet::new());
    assert_eq!(diff([deposit("a", "new", "1")], &table, noon(), &held).fates, [Fate::Changed]);
}

#[test]
fn a_stale_page_is_no_regression() {
    let mut table = table([deposit("a", "confirmed", "1")]);
    table.values_mut().for_each(|row| row.changed_at = noon() + TimeDelta::seconds(1));
    let held = Regressions::HoldUnless(HashSet::new());
    assert_eq!(diff([deposit("a", "new", "1")], &table, noon(), &held).fates, [Fate::Stale]);
}

#[test]
fn only_a_lifted_block_and_a_first_status_are_regressions() {
    use crate::model::fixture::wallet;
    let with = |is_blocked| crate::model::record::Wallet { is_blocked, ..wallet("w", "42") };
    let wallets = [(true, false), (true, true), (false, true), (false, false)];
    let regressing = wallets.map(|(old, new)| with(new).regresses(&with(old)));
    assert_eq!(regressing, [true, false, false, false]);
    let deposits = [("paid", "new"), ("unknown", "new"), ("paid", "pending"), ("new", "paid"), ("new", "new")];
    let regressing = deposits.map(|(old, new)| deposit("d", new, "1").regresses(&deposit("d", old, "2")));
    assert_eq!(regressing, [true, true, false, false, false]);
}

prop_compose! {
    fn any_listing()(rows in proptest::collection::btree_map("[a-f]{1,2}", ("[a-c]", 0..5_u8), 0..12)) -> Vec<Deposit> {
        rows.into_iter().map(|(id, (status, amount))| deposit(&id, &status, &amount.to_string())).collect()
    }
}

proptest! {
    #[test]
    fn a_listing_differs_from_itself_in_nothing(listed in any_listing()) {
        prop_assert_eq!(changes(listed.clone(), &table(listed), noon()), []);
    }

    #[test]
    fn once_the_changes_are_written_nothing_differs(before in any_listing(), after in any_listing()) {
        let mut table = table(before);
        let found = changes(after.clone(), &table, noon());
        apply(&mut table, &found);
        prop_assert_eq!(changes(after, &table, noon()), []);
    }
}
