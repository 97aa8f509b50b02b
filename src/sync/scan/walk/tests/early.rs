//! Tests pages that are read early: which ones the walk names, and that old answers do no harm.

use std::collections::VecDeque;

use super::*;

/// Walks as a reader does that keeps `window` requests under way: an early answer is used if the walk asks for just
/// that page, else all of them are thrown away. Returns the server's answers that were used, and how many were not.
fn walk_ahead(
    server: &mut Server,
    mut walk: Walk,
    window: usize,
    mut meddle: impl FnMut(&mut Server),
) -> (HashSet<u64>, Step, usize) {
    let mut seen = HashSet::new();
    let mut early: VecDeque<(Read, Seen)> = VecDeque::new();
    let mut wasted = 0;
    for _ in 0..100_000 {
        let read = walk.next();
        let page = match early.pop_front() {
            Some((asked, page)) if asked == read => page,
            other => {
                wasted += early.len() + usize::from(other.is_some());
                early.clear();
                meddle(server);
                server.page(read).unwrap()
            }
        };
        seen.extend(page.ids.iter().copied());
        let step = walk.absorb(&page);
        if !matches!(step, Step::Read(_)) {
            return (seen, step, wasted + early.len());
        }
        let wanted = std::iter::once(walk.next()).chain(walk.ahead(window));
        for read in wanted.skip(early.len()).take(window.saturating_sub(early.len())).collect::<Vec<_>>() {
            // A page that is read to make sure of the end is never read early.
            if !walk.ahead(1).is_empty() {
                meddle(server);
                early.push_back((read, server.page(read).unwrap()));
            }
        }
    }
    panic!("the walk does not end");
}

#[test]
fn nothing_is_wanted_ahead_before_the_length_is_known_or_while_the_chain_is_broken() {
    let server = Server::of(500, 25);
    let mut walk = Walk::new(25, Some(25));
    assert_eq!(walk.ahead(9), []);
    walk.absorb(&server.page(walk.next()).unwrap());
    assert_eq!(walk.ahead(2), [Read { offset: 42, limit: 25 }, Read { offset: 63, limit: 25 }]);
    walk.absorb(&Seen { returned: 25, ids: (901..926).collect(), total: Some(500) });
    assert_eq!(walk.ahead(9), []);

    let mut untold = Walk::new(25, Some(25));
    untold.absorb(&Seen { total: None, ..server.page(untold.next()).unwrap() });
    assert_eq!(untold.ahead(9), []);
}

#[test]
fn a_quiet_list_wastes_no_early_page() {
    for rows in [0, 1, 24, 25, 26, 88, 100, 1_000] {
        let mut server = Server::of(rows, 25);
        let (seen, end, wasted) = walk_ahead(&mut server, Walk::new(25, Some(25)), 8, |_| {});
        assert_eq!((seen.len() as u64, end, wasted), (rows, Step::End, 0), "{rows} rows");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_wanted_ahead_is_what_is_asked_for_if_nothing_moves(
        rows in 0..600_u64,
        cap in 1..120_u64,
        limit in 1..120_u32,
        knows_cap: bool,
        depth in 1..40_usize,
    ) {
        let server = Server::of(rows, cap);
        let known = u32::try_from(cap).unwrap().min(limit);
        let mut walk = Walk::new(limit, knows_cap.then_some(known));
        let mut asked = vec![walk.next()];
        let mut wanted = vec![walk.ahead(depth)];
        while let Step::Read(read) = walk.absorb(&server.page(walk.next()).unwrap()) {
            asked.push(read);
            wanted.push(walk.ahead(depth));
        }
        for (number, wanted) in wanted.iter().enumerate() {
            let followed: Vec<Read> = asked.iter().copied().skip(number + 1).take(depth).collect();
            prop_assert!(followed.starts_with(wanted), "{:?} before {:?}", wanted, followed);
            // All are foreseen but the end: it may be read twice, or be an empty page.
            if number > 0 && wanted.len() < followed.len() {
                prop_assert!(number + wanted.len() + 3 >= asked.len(), "{:?} before {:?}", wanted, followed);
            }
        }
    }

    /// Pages that were read early show older states of the list than those before them do; nothing is lost all the
    /// same.
    #[test]
    fn no_row_is_lost_to_pages_that_were_read_early(
        rows in 0..600_u64,
        cap in 5..60_u64,
        window in 1..12_usize,
        writes in proptest::collection::vec(any_write(), 0..160),
    ) {
        let mut server = Server::of(rows, cap);
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut writes = writes.into_iter();
        let mut is_first = true;
        let (seen, end, _) = walk_ahead(&mut server, Walk::new(50, None), window, |server| {
            if !std::mem::take(&mut is_first) {
                writes.by_ref().take(2).for_each(|write| server.write(write, &mut throughout));
            }
        });
        if end == Step::End {
            prop_assert!(throughout.is_subset(&seen), "lost {:?}", throughout.difference(&seen).collect::<Vec<_>>());
        }
    }
}
