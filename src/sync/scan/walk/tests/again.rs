//! Tests a list of one page that is read again and again.

use super::*;

/// Walks to the end; says how many requests that took.
fn walk(server: &Server, known: Option<u64>) -> (u64, Walk) {
    let mut walk = Walk::new(100, None).knowing_page(known);
    let (_, end) = finish(&mut walk, |_, read| server.page(read));
    assert_eq!(end, Step::End);
    (walk.requests(), walk)
}

#[test]
fn the_same_page_is_the_same_list() {
    for rows in [0, 1, 2, 50, 99, 100] {
        let server = Server::of(rows, 1_000);
        let (requests, first) = walk(&server, None);
        assert!(requests >= 2 && !first.rests_on_known_page(), "{rows} rows: {requests}");
        let (requests, again) = walk(&server, first.only_page());
        assert_eq!((requests, again.rests_on_known_page(), again.end_offset()), (1, true, Some(rows)), "{rows} rows");
        assert_eq!((again.rows(), again.only_page()), (rows, first.only_page()), "{rows} rows");
    }
}

#[test]
fn a_list_of_several_pages_has_no_such_page() {
    for rows in [101, 196, 250] {
        let (_, walk) = walk(&Server::of(rows, 1_000), None);
        assert_eq!(walk.only_page(), None, "{rows} rows");
    }
}

#[test]
fn a_page_that_was_not_the_whole_list_when_it_was_read_is_not_known_as_that() {
    let mut walk = Walk::new(100, None);
    // Two rows leave after each look at the first page, and come back before the next.
    let (_, end) = finish(&mut walk, |_, read| {
        Some(match read.offset {
            0 => Seen { returned: 1, ids: vec![1], total: Some(3) },
            _ => Seen { returned: 0, ids: Vec::new(), total: Some(1) },
        })
    });
    assert_eq!((end, walk.end_offset(), walk.only_page()), (Step::End, Some(1), None));
}

proptest! {
    #[test]
    fn another_page_is_read_as_if_none_were_known(
        rows in 1..100_u64,
        writes in proptest::collection::vec(any_write(), 1..4),
    ) {
        let mut server = Server::of(rows, 1_000);
        let (_, before) = walk(&server, None);
        let mut throughout = HashSet::new();
        writes.into_iter().for_each(|write| server.write(write, &mut throughout));
        let is_same = server.rows == (1..=rows).collect::<Vec<_>>();
        let (requests, known) = walk(&server, before.only_page());
        prop_assert_eq!(known.rests_on_known_page(), is_same);
        prop_assert!(is_same || requests == walk(&server, None).0);
        prop_assert_eq!(known.end_offset(), Some(server.rows.len() as u64));
    }
}
