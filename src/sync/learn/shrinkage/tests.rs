//! Tests which counts of rounds and full scans show that rows have left a list.

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(30) + TimeDelta::seconds(second)
}

/// A list of which so many rows are stored as listed, and as many are counted.
fn counted(listed: i64, total: i64) -> Counted {
    Counted { listed, gap: total - listed, absent: 0 }
}

/// After a full scan that found everything as it should be.
fn proved(rows: i64) -> Shrinkage {
    let mut shrinkage = Shrinkage::default();
    shrinkage.note_scan(at(0), Some(counted(rows, rows)), at(1));
    shrinkage
}

/// What several rounds say that count the same.
fn said(mut shrinkage: Shrinkage, counted: Counted) -> Option<u64> {
    (0..5).for_each(|round| shrinkage.note_round(Some(counted), at(10 * round)));
    shrinkage.rows()
}

#[test]
fn a_list_that_came_back_with_a_quarter_of_its_rows_is_noticed_in_the_second_round() {
    let mut shrinkage = proved(1_100);
    shrinkage.note_round(Some(counted(1_587, 1_587)), at(10));
    shrinkage.note_round(Some(counted(1_587, 361)), at(20));
    assert_eq!((shrinkage.rows(), shrinkage.wants_scan(at(20))), (None, false), "one round may be mistaken");
    shrinkage.note_round(Some(counted(1_587, 361)), at(30));
    assert_eq!((shrinkage.rows(), shrinkage.wants_scan(at(30))), (Some(1_226), true));
    shrinkage.note_round(Some(counted(1_587, 1_587)), at(40));
    assert_eq!((shrinkage.rows(), shrinkage.wants_scan(at(40))), (None, false), "they are back");
}

#[test]
fn a_few_rows_are_no_news_and_neither_is_a_small_part_of_the_list() {
    for (listed, left, is_news) in [
        (30, 19, false),
        (30, 20, true),
        (400, 20, true),
        (401, 20, false),
        (100_000, 4_999, false),
        (100_000, 5_000, true),
    ] {
        let said = said(proved(listed), counted(listed, listed - left));
        assert_eq!(said.is_some(), is_news, "{left} of {listed}");
    }
}

#[test]
fn a_total_that_does_not_fall_tells_of_nothing_that_left() {
    // It is capped: rows join, and it stays.
    let mut capped = Shrinkage::default();
    capped.note_scan(at(0), Some(counted(12_000, 10_000)), at(1));
    assert_eq!(said(capped, counted(14_000, 10_000)), None);
    // It is of a moment ago: a thousand rows have joined since, and were found.
    assert_eq!(said(proved(2_000), counted(3_000, 2_000)), None);
    // It counts hidden rows or too few, and always did.
    for gap in [7, -500] {
        let mut untrue = Shrinkage::default();
        untrue.note_scan(at(0), Some(counted(2_000, 2_000 + gap)), at(1));
        assert_eq!(said(untrue.clone(), counted(2_000, 2_000 + gap)), None, "{gap}");
        assert_eq!(said(untrue, counted(2_000, 1_500 + gap)), Some(500), "{gap}");
    }
}

#[test]
fn nothing_is_said_before_a_full_scan_or_without_a_total() {
    assert_eq!(said(Shrinkage::default(), counted(2_000, 3)), None);
    let mut shrinkage = proved(2_000);
    for second in [10, 20, 30] {
        shrinkage.note_round(None, at(second));
        assert_eq!(shrinkage.rows(), None);
    }
}

#[test]
fn rows_that_a_scan_found_gone_are_known_whether_they_are_marked_or_not() {
    let mut shrinkage = Shrinkage::default();
    shrinkage.note_scan(at(0), Some(Counted { absent: 500, ..counted(2_000, 1_500) }), at(1));
    let later = |marked: i64, left: i64| Counted {
        absent: 500 - marked.unsigned_abs(),
        ..counted(2_000 - marked, 1_500 - left)
    };
    for marked in [0, 30, 500] {
        assert_eq!(said(shrinkage.clone(), later(marked, 0)), None, "{marked} are marked");
        assert_eq!(said(shrinkage.clone(), later(marked, 300)), Some(300), "{marked} are marked");
    }
}

#[test]
fn a_scan_that_passed_rows_before_they_left_does_not_explain_them() {
    let mut shrinkage = proved(1_000);
    // It found 100 of 400 rows gone; of the others it had read the pages before.
    shrinkage.note_scan(at(20), Some(Counted { listed: 1_000, gap: -100, absent: 100 }), at(60));
    let now = Counted { absent: 100, ..counted(1_000, 600) };
    shrinkage.note_round(Some(now), at(70));
    shrinkage.note_round(Some(now), at(80));
    assert_eq!((shrinkage.rows(), shrinkage.wants_scan(at(80))), (Some(300), true));
}

#[test]
fn a_scan_that_explains_nothing_is_not_made_again_and_again() {
    let fallen = counted(1_000, 400);
    let proofs = [None, Some(counted(1_000, 1_000))];
    for proof in proofs {
        let mut shrinkage = proved(1_000);
        let shows = |shrinkage: &mut Shrinkage, second| {
            shrinkage.note_round(Some(fallen), at(second));
            shrinkage.note_round(Some(fallen), at(second + 10));
            assert_eq!(shrinkage.rows(), Some(600), "{proof:?}");
            shrinkage.wants_scan(at(second + 10))
        };
        assert!(shows(&mut shrinkage, 10));
        shrinkage.note_scan(at(5), proof, at(25));
        assert!(shows(&mut shrinkage, 30), "that one began before it was known");
        shrinkage.note_scan(at(40), proof, at(50));
        assert!(!shows(&mut shrinkage, 60));
        assert!(!shows(&mut shrinkage, 3_630));
        assert!(shows(&mut shrinkage, 3_640), "an hour after the last");
        assert!(shrinkage.wants_scan(at(-1_000)), "the clock was set back");
    }
}

#[test]
fn what_leaves_after_a_scan_that_found_rows_gone_is_looked_for_as_soon() {
    let mut shrinkage = proved(1_000);
    let leave = |shrinkage: &mut Shrinkage, absent: u64, total, second| {
        for second in [second, second + 10] {
            shrinkage.note_round(Some(Counted { absent, ..counted(1_000, total) }), at(second));
        }
        shrinkage.wants_scan(at(second + 10))
    };
    assert!(leave(&mut shrinkage, 0, 700, 10));
    shrinkage.note_scan(at(20), Some(Counted { absent: 300, ..counted(1_000, 700) }), at(30));
    assert_eq!((shrinkage.rows(), shrinkage.wants_scan(at(30))), (None, false));
    assert!(leave(&mut shrinkage, 300, 500, 40));
    assert_eq!(shrinkage.rows(), Some(200));
}

proptest! {
    #[test]
    fn any_numbers_are_judged_and_kept(numbers in any::<[(i64, i64, u64); 3]>(), second in 0..10_000_i64) {
        let [proof, first, last] = numbers.map(|(listed, gap, absent)| Counted { listed, gap, absent });
        let mut shrinkage = Shrinkage::default();
        shrinkage.note_scan(at(0), Some(proof), at(second));
        shrinkage.note_round(Some(first), at(second));
        shrinkage.note_round(Some(last), at(second));
        let text = serde_json::to_string(&shrinkage).unwrap();
        prop_assert_eq!(serde_json::from_str::<Shrinkage>(&text).unwrap(), shrinkage);
    }
}
