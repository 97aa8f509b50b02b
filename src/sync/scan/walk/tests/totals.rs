//! Tests totals that are untrue: what they may cost, and that no row is lost to them.

use super::*;

/// Walks to the end of a list that stands still, with a `total` of the test's making.
fn walk_told(server: &Server, state: &mut Walk, total: impl Fn(u64) -> u64) -> (u64, Step) {
    let (seen, end) = finish(state, |_, read| {
        let page = server.page(read)?;
        Some(Seen { total: page.total.map(&total), ..page })
    });
    (seen.len() as u64, end)
}

/// What a walk over so many rows may cost at most.
fn most_requests(rows: u64, page: u64) -> u64 {
    // A page for the hidden row, one for the rest, and the request that is one too many.
    32 + 12 * (rows / page.saturating_sub(4).max(1) + 2) + 1
}

#[test]
fn a_list_whose_total_counts_a_hidden_row_ends_where_its_last_row_stands_alone() {
    for page in [6, 22, 100] {
        for rows in [1, 5, 100, 101, 182, 183, 500, 965] {
            let mut state = Walk::new(page, None);
            let (seen, end) = walk_told(&Server::of(rows, 1_000), &mut state, |rows| rows + 1);
            assert_eq!((seen, end, state.end_offset()), (rows, Step::End, Some(rows)), "{rows} rows by {page}");
            let most = rows / u64::from(page).saturating_sub(4).max(1) + 8;
            assert!(state.requests() <= most, "{rows} rows by {page}: {} requests", state.requests());
        }
    }
}

#[test]
fn a_hidden_row_costs_a_long_list_little_more_than_reading_it() {
    for hidden in [1, 7, 100_000] {
        let mut state = Walk::new(100, None);
        let (seen, end) = walk_told(&Server::of(100_000, 100), &mut state, |rows| rows + hidden);
        assert_eq!((seen, end), (100_000, Step::End));
        assert_eq!((state.end_offset(), state.page_size()), (Some(100_000), Some(100)));
        assert!(state.requests() <= 100_000 / 96 + 20, "{} requests", state.requests());
    }
}

#[test]
fn a_surplus_that_is_known_costs_nothing() {
    for (rows, hidden) in [(450, 1), (400, 7), (1, 1), (3, 50)] {
        let known = |walk: Walk| walk.counting_surplus(hidden).ending_as_before_at(rows);
        let (mut state, mut honest) = (known(Walk::new(100, Some(100))), Walk::new(100, Some(100)));
        let server = Server::of(rows, 100);
        assert_eq!(walk_told(&server, &mut state, |rows| rows + hidden), (rows, Step::End));
        assert_eq!(walk_told(&server, &mut honest, |rows| rows), (rows, Step::End));
        assert_eq!(state.requests(), honest.requests());
    }
}

#[test]
fn rows_behind_a_gap_that_pages_do_not_span_are_not_the_end() {
    let mut state = Walk::new(100, None);
    let (_, end) = finish(&mut state, |_, Read { offset, .. }| {
        let ids: Vec<u64> = match offset {
            0..200 => (offset..200).take(100).collect(),
            200..400 => Vec::new(),
            _ => (offset..600).take(100).collect(),
        };
        Some(Seen { returned: ids.len() as u64, ids, total: Some(600) })
    });
    assert_eq!(end, Step::Unproved(Doubt::OutOfBudget));
}

#[test]
fn the_same_rows_at_every_offset_are_recognised_with_the_third_request() {
    for rows in [1, 2, 7, 100] {
        for total in [0, 1, rows, rows + 1, 10_000] {
            let mut state = Walk::new(100, None);
            let page = Seen { returned: rows, ids: (0..rows).collect(), total: Some(total) };
            let (_, end) = finish(&mut state, |_, _| Some(page.clone()));
            assert_eq!((end, state.requests()), (Step::Unproved(Doubt::SameRows), 3), "{rows} rows, total {total}");
        }
    }
}

#[test]
fn a_walk_in_slices_has_one_budget() {
    let (server, mut walk) = (Server::of(182, 22), Walk::new(22, None));
    let step = loop {
        walk = Walk::resume(walk.save());
        let page = server.page(walk.next()).unwrap();
        match walk.absorb(&Seen { total: Some(183), ..page }) {
            Step::Read(_) => {}
            end => break end,
        }
    };
    assert_eq!(step, Step::Unproved(Doubt::OutOfBudget));
    assert!(walk.requests() <= most_requests(182, 22), "{} requests", walk.requests());
}

#[test]
fn pages_that_become_small_on_the_way_are_no_reason_to_give_up() {
    let mut server = Server::of(3_000, 100);
    let (seen, end, _) = walk(&mut server, Walk::new(100, None), |server, request| {
        server.cap = if request < 10 { 100 } else { 5 };
    });
    assert_eq!((seen.len(), end), (3_000, Step::End));
}

#[test]
fn a_total_that_its_own_page_refutes_is_not_the_end() {
    for (rows, cap, limit) in [(27, 4, 19), (300, 7, 100), (300, 99, 100), (9, 5, 50), (8, 2, 19), (99, 60, 100)] {
        for total in 0..cap {
            for known in [None, Some(limit)] {
                let mut state = Walk::new(limit, known);
                let (seen, end) = walk_told(&Server::of(rows, cap), &mut state, |_| total);
                assert_eq!((seen, end), (rows, Step::End), "cap {cap}, total {total}");
            }
        }
    }
}

#[test]
fn a_total_that_is_refuted_after_a_refusal_is_not_the_end() {
    // The list outgrows a limit that was fine, then pages are cut as well; the first of them brings nothing new.
    let (server, mut state) = (Server::of(200, 100), Walk::new(20, None));
    state.absorb(&server.page(state.next()).unwrap());
    assert_eq!(state.refused(), Some(Read { offset: 16, limit: 10 }));
    let (seen, end) = walk_told(&Server { cap: 4, ..server }, &mut state, |_| 0);
    assert_eq!((seen, end), (184, Step::End));
}

#[test]
fn a_short_list_with_a_total_that_is_refuted_teaches_no_page_size() {
    let mut state = Walk::new(100, None);
    assert_eq!(walk_told(&Server::of(10, 1_000), &mut state, |_| 5), (10, Step::End));
    assert_eq!((state.page_size(), state.learned_limit(100), state.end_offset()), (None, None, Some(10)));
    assert_eq!(state.requests(), 2);
}

#[test]
fn a_list_of_one_row_is_known_by_the_empty_page_behind_it() {
    for (total, end) in [(Total::Present, Step::End), (Total::Missing, Step::Unproved(Doubt::NoTotal))] {
        let (server, mut state) = (Server { total, ..Server::of(1, 1_000) }, Walk::new(50, None));
        assert_eq!(finish(&mut state, |_, read| server.page(read)).1, end);
        assert_eq!(state.requests(), 3);
        assert_eq!((state.rows(), state.end_offset(), state.page_size()), (1, Some(1), None));
    }
}

#[test]
fn an_end_that_is_another_one_each_time_is_given_up() {
    // Two pages, and then a third with another new row whenever it is read.
    let (server, mut state) = (Server::of(36, 18), Walk::new(18, None));
    let (_, end) = finish(&mut state, |request, read| {
        let page = server.page(read)?;
        let ids = if page.returned < 18 { vec![35, 1_000 + request] } else { page.ids };
        Some(Seen { returned: ids.len() as u64, ids, total: None })
    });
    assert_eq!(end, Step::Unproved(Doubt::OutOfBudget));
    assert!(state.requests() < 140, "{} requests", state.requests());
}

#[test]
fn a_capped_total_hides_nothing_and_costs_nothing() {
    for (rows, cap, limit, known) in [(500, 50, 50, Some(50)), (500, 50, 100, Some(50)), (500, 30, 100, None)] {
        let (mut capped, mut honest) = (Walk::new(limit, known), Walk::new(limit, known));
        let server = Server::of(rows, cap);
        assert_eq!(walk_told(&server, &mut capped, |rows| rows.min(100)), (rows, Step::End));
        assert_eq!(walk_told(&server, &mut honest, |rows| rows), (rows, Step::End));
        assert_eq!(capped.requests(), honest.requests());
    }
}

#[test]
fn with_a_capped_total_an_end_where_it_was_before_is_believed_if_the_page_size_is_known() {
    let server = Server::of(500, 100);
    let mut state = Walk::starting_at(100, Some(100), 450).ending_as_before_at(500);
    assert_eq!(walk_told(&server, &mut state, |_| 100), (50, Step::End));
    assert_eq!(state.requests(), 1);
    // A cap that nobody knows of, and that cuts the page right there.
    let cut = Server::of(500, 50);
    let mut state = Walk::starting_at(100, None, 400).ending_as_before_at(450);
    assert_eq!(walk_told(&cut, &mut state, |_| 100), (100, Step::End));
}

#[test]
fn without_a_total_an_end_where_it_was_before_is_read_once() {
    let server = Server { total: Total::Missing, ..Server::of(500, 100) };
    for (before, is_over) in [(500, true), (499, false)] {
        let mut state = Walk::starting_at(100, Some(100), 450).ending_as_before_at(before);
        let step = state.absorb(&server.page(state.next()).unwrap());
        assert_eq!(step == Step::Unproved(Doubt::NoTotal), is_over, "{before}: {step:?}");
    }
}

/// As many rows as the server gives were all that there were, and the total is still that of then.
#[test]
fn an_end_where_it_was_before_is_not_believed_while_the_page_size_is_unknown() {
    let mut state = Walk::new(12, None).ending_as_before_at(2);
    assert_eq!(walk_told(&Server::of(5, 2), &mut state, |_| 2), (5, Step::End));
}

#[test]
fn single_rows_are_read_to_the_last_whatever_the_total_says() {
    for total in [0, 1, 30, 167, 168] {
        for known in [None, Some(1)] {
            let mut state = Walk::new(50, known);
            let (seen, end) = walk_told(&Server::of(168, 1), &mut state, |rows| rows.min(total));
            assert_eq!((seen, end), (168, Step::Unproved(Doubt::SingleRows)), "total {total}");
            assert_eq!((state.rows(), state.requests(), state.end_offset()), (168, 169, Some(168)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A total that never changes, and may be anything, even the size of the very page it comes with.
    #[test]
    fn no_row_is_lost_to_a_total_that_is_made_up(
        rows in 0..300_u64,
        cap in 1..40_u64,
        limit in 1..60_u32,
        knows_cap: bool,
        total in 0..120_u64,
    ) {
        let server = Server::of(rows, cap);
        let known = knows_cap.then(|| u32::try_from(cap).unwrap().min(limit));
        let mut state = Walk::new(limit, known);
        let (seen, end) = walk_told(&server, &mut state, |_| total);
        prop_assert!(seen == rows || end == Step::Unproved(Doubt::OutOfBudget), "{seen} of {rows}: {end:?}");
        if total <= rows {
            prop_assert_eq!(seen, rows);
        }
        let most = most_requests(rows.max(total), cap.min(u64::from(limit)).min(rows));
        prop_assert!(state.requests() <= most, "{} requests", state.requests());
    }

    /// The same while rows come and go: a total that is off by anything, on any page.
    #[test]
    fn no_row_is_lost_to_hidden_rows_and_capped_totals(
        rows in 0..300_u64,
        cap in 2..60_u64,
        hidden in 0..3_u64,
        most in 0..400_u64,
        writes in proptest::collection::vec(any_write(), 0..60),
    ) {
        let mut server = Server::of(rows, cap);
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut writes = writes.into_iter();
        let known = u32::try_from(cap).unwrap().min(50);
        let mut state = Walk::new(50, Some(known));
        let (seen, end) = finish(&mut state, |request, read| {
            let per_request = if request == 0 { 0 } else { 2 };
            writes.by_ref().take(per_request).for_each(|write| server.write(write, &mut throughout));
            let page = server.page(read)?;
            Some(Seen { total: page.total.map(|rows| (rows + hidden).min(most)), ..page })
        });
        prop_assert!(end != Step::End || throughout.is_subset(&seen));
    }
}
