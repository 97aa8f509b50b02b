//! Tests runs of known rows, and the anchors in them.

use super::*;

fn known(ids: impl IntoIterator<Item = u64>) -> Vec<Row> {
    ids.into_iter().map(|id| Row { id, unchanged: true }).collect()
}

fn met(anchors: &Anchors, pages: &[Vec<Row>]) -> bool {
    let mut run = Run::new(anchors);
    pages.iter().for_each(|page| run.absorb(page));
    run.is_met()
}

fn ids(ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.collect()
}

#[test]
fn anchors_are_the_rows_nearest_to_the_end() {
    let list = |anchors: &Anchors| serde_json::from_value::<Vec<u64>>(serde_json::to_value(anchors).unwrap()).unwrap();
    assert_eq!(list(&Anchors::from_head(&ids(0..100))), ids(0..64));
    assert_eq!(list(&Anchors::from_tail(&ids(0..100))), (36..100).rev().collect::<Vec<_>>());
    assert_eq!(list(&Anchors::from_head(&[1, 1, u64::MAX])), [1, u64::MAX]);
    let text = serde_json::to_string(&Anchors::from_head(&[u64::MAX, 2])).unwrap();
    assert_eq!(serde_json::from_str::<Anchors>(&text).unwrap(), Anchors::from_head(&[u64::MAX, 2]));
}

#[test]
fn a_run_is_met_at_its_depth_and_not_before() {
    let anchors = Anchors::from_head(&ids(0..32));
    assert!(!met(&anchors, &[known(0..23)]));
    assert!(met(&anchors, &[known(0..24)]));
}

#[test]
fn a_run_may_begin_behind_anchors_that_are_gone_if_enough_are_left() {
    assert!(!met(&Anchors::from_head(&ids(0..32)), &[known(9..100)]));
    assert!(met(&Anchors::from_head(&ids(0..32)), &[known(8..100)]));
}

#[test]
fn where_anchors_are_few_nothing_is_met() {
    assert!(!met(&Anchors::from_head(&[1, 2, 3]), &[known(0..40)]));
    assert!(!met(&Anchors::from_head(&ids(0..23)), &[known(0..40)]));
    assert!(!met(&Anchors::default(), &[known(0..40)]));
}

#[test]
fn a_new_row_breaks_the_run() {
    let anchors = Anchors::from_head(&ids(0..32));
    let mut page = known(0..40);
    page[20].unchanged = false;
    assert!(!met(&anchors, &[page]));
}

#[test]
fn rows_that_two_pages_share_count_once_and_break_nothing() {
    let anchors = Anchors::from_head(&ids(0..32));
    let mut again = known(8..14);
    // A row that changed a moment after it was read.
    again[1].unchanged = false;
    assert!(!met(&anchors, &[known(0..12), again.clone(), known(10..22)]));
    assert!(met(&anchors, &[known(0..12), again, known(10..24)]));
}

#[test]
fn a_row_that_joins_among_those_already_read_does_not_lengthen_the_run() {
    let anchors = Anchors::from_head(&ids(0..32));
    let joined = known([90, 91, 92, 9, 10, 11]);
    assert!(!met(&anchors, &[known(0..12), joined.clone(), known(11..23)]));
    assert!(met(&anchors, &[known(0..12), joined, known(11..24)]));
}

#[test]
fn a_page_that_shares_nothing_breaks_the_run() {
    let anchors = Anchors::from_head(&ids(0..32));
    assert!(!met(&anchors, &[known(0..12), known(12..30)]));
}

#[test]
fn rows_that_are_no_anchors_do_not_count() {
    // Rows learned elsewhere, before anchors and between them: nothing says what joined beneath before they came.
    let anchors = Anchors::from_head(&ids(0..32));
    assert!(!met(&anchors, &[known((100..116).chain(0..10))]));
    assert!(!met(&anchors, &[known((0..10).chain(100..130).chain(10..20))]));
    assert!(met(&anchors, &[known((0..10).chain(100..130).chain(10..24))]));
    let mut tail = Run::new(&Anchors::from_tail(&ids(0..100)));
    tail.absorb(&known((90..100).chain(200..240)));
    assert!(!tail.is_met());
    let mut tail = Run::new(&Anchors::from_tail(&ids(0..100)));
    tail.absorb(&known(76..100));
    assert!(tail.is_met());
}
