//! Tests that what the walk remembers is bounded, and that it claims nothing that it cannot prove.

use super::window::CAPACITY;
use super::*;

#[test]
fn a_long_list_is_read_with_a_short_memory() {
    let rows = 2 * CAPACITY as u64;
    let server = Server::of(rows, 1_000);
    let mut walk = Walk::new(1_000, Some(1_000));
    while let Step::Read(_) = walk.absorb(&server.page(walk.next()).unwrap()) {
        assert!(walk.covered.len() <= CAPACITY + 1_000);
    }
    assert_eq!((walk.rows(), walk.end_offset()), (rows, Some(rows)));
    assert!(!walk.has_seen(1) && walk.has_seen(rows));
}

#[test]
fn a_step_back_out_of_memory_starts_the_chain_anew() {
    let rows = 4 * CAPACITY as u64;
    let mut server = Server::of(rows, 1_000);
    let gone = 3 * CAPACITY - 100;
    let throughout: HashSet<u64> = (gone as u64 + 1..=rows).collect();
    let mut state = Walk::new(1_000, Some(1_000));
    let (seen, step) = finish(&mut state, |request, read| {
        if request == 150 {
            server.rows.drain(..gone);
        }
        server.page(read)
    });
    assert_eq!((step, state.chains_lost(), state.rows()), (Step::End, 1, rows - gone as u64));
    assert!(throughout.is_subset(&seen));
}

#[test]
fn an_id_on_two_pages_is_forgotten_with_the_later_one() {
    let mut window = Window::default();
    let capacity = CAPACITY as u64;
    assert_eq!(window.insert(&[1, 2]), 2);
    assert_eq!(window.insert(&[2, 3]), 1);
    window.insert(&(10..9 + capacity).collect::<Vec<_>>());
    assert_eq!((window.contains(1), window.contains(2), window.contains(3)), (false, true, true));
    assert_eq!(window.len(), CAPACITY + 1);
    window.insert(&[4, 5]);
    assert_eq!((window.contains(2), window.contains(10), window.has_forgotten()), (false, true, true));
}

#[test]
fn rows_strung_together_one_by_one_are_not_called_complete_when_the_pages_grow_again() {
    let mut server = Server::of(60, 10);
    let (_, end, _) = walk(&mut server, Walk::new(10, None), |server, request| match request {
        2 => server.cap = 1,
        // Nobody notices this one.
        8 => drop(server.rows.remove(0)),
        12 => server.cap = 10,
        _ => {}
    });
    assert_eq!(end, Step::Unproved(Doubt::SingleRows));
}

#[test]
fn the_end_is_where_the_list_ends() {
    for rows in [0, 1, 9, 10, 11, 100] {
        let mut walk = Walk::new(10, None);
        let server = Server::of(rows, 10);
        assert_eq!(walk.end_offset(), None);
        while let Step::Read(_) = walk.absorb(&server.page(walk.next()).unwrap()) {}
        assert_eq!(walk.end_offset(), Some(rows));
    }
}

#[test]
fn a_start_behind_the_end_is_the_end_of_a_shorter_list() {
    let server = Server::of(30, 10);
    let mut walk = Walk::starting_at(10, Some(10), 80);
    assert_eq!(walk.absorb(&server.page(walk.next()).unwrap()), Step::End);
    assert_eq!((walk.end_offset(), walk.rows()), (Some(30), 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A page size that changes with each request, and totals that are off now and then.
    #[test]
    fn no_row_is_lost_to_a_server_of_moods(
        rows in 0..300_u64,
        caps in proptest::collection::vec(2..30_u64, 1..200),
        torn in proptest::collection::vec((0..8_u8, 0..40_u64), 1..50),
        writes in proptest::collection::vec(any_write(), 0..60),
        changes_cap: bool,
    ) {
        let mut server = Server::of(rows, caps[0]);
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut writes = writes.into_iter();
        let mut state = Walk::new(30, Some(u32::try_from(caps[0]).unwrap()));
        let mut moods = caps.iter().cycle().zip(torn.iter().cycle());
        let (seen, end) = finish(&mut state, |request, read| {
            if request > 0 {
                writes.by_ref().take(1).for_each(|write| server.write(write, &mut throughout));
            }
            let (cap, torn) = moods.next()?;
            if changes_cap {
                server.cap = *cap;
            }
            let page = server.page(read)?;
            let off = if !changes_cap && torn.0 == 0 { torn.1 } else { 0 };
            Some(Seen { total: page.total.map(|total| total.saturating_sub(off)), ..page })
        });
        prop_assert!(end != Step::End || throughout.is_subset(&seen));
    }
}
