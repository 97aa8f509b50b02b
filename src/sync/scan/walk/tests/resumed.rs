//! Tests walks that are laid aside and taken up again, and walks that begin in the middle.

use super::*;

fn laid_aside(walk: &Walk) -> Walk {
    let text = serde_json::to_string(&walk.save()).unwrap();
    Walk::resume(serde_json::from_str(&text).unwrap())
}

/// Walks to the end, with a new process for each page.
fn walk_in_slices(
    server: &mut Server,
    mut walk: Walk,
    mut meddle: impl FnMut(&mut Server, u64),
) -> (HashSet<u64>, Step, Walk) {
    let mut seen = HashSet::new();
    for request in 0..100_000 {
        meddle(server, request);
        walk = laid_aside(&walk);
        let page = server.page(walk.next()).unwrap();
        seen.extend(page.ids.iter().copied());
        // A page that must be read twice running is, by the same process.
        let mut step = walk.absorb(&page);
        if step == Step::Read(walk.next()) && walk.confirming.is_some() {
            step = walk.absorb(&server.page(walk.next()).unwrap());
        }
        if !matches!(step, Step::Read(_)) {
            return (seen, step, walk);
        }
    }
    panic!("the walk does not end");
}

#[test]
fn a_walk_in_slices_asks_for_the_same_pages() {
    for rows in [0, 1, 25, 26, 100, 1_000, 5_000] {
        let (seen, end, sliced) = walk_in_slices(&mut Server::of(rows, 25), Walk::new(25, Some(25)), quiet);
        assert_eq!((seen.len() as u64, end), (rows, Step::End));
        let (_, _, requests) = walk(&mut Server::of(rows, 25), Walk::new(25, Some(25)), quiet);
        assert_eq!((sliced.requests(), sliced.rows(), sliced.end_offset()), (requests, rows, Some(rows)));
    }
}

#[test]
fn a_saved_walk_is_small() {
    let server = Server::of(100_000, 100);
    let mut walk = Walk::new(100, Some(100));
    while walk.requests() < 900 {
        walk.absorb(&server.page(walk.next()).unwrap());
    }
    let text = serde_json::to_string(&walk.save()).unwrap();
    assert!(text.len() < 6_000, "{} bytes", text.len());
}

#[test]
fn a_walk_taken_up_after_many_rows_came_or_went_goes_on_near_where_it_stood() {
    for (came, went) in [(5_000, 0), (50_000, 0), (0, 5_000), (20_000, 3_000)] {
        let mut server = Server::of(30_000, 100);
        let mut walk = Walk::new(100, Some(100));
        while walk.next().offset < 20_000 {
            walk.absorb(&server.page(walk.next()).unwrap());
        }
        let before = walk.requests();
        server.rows.drain(..went);
        server.rows.splice(0..0, 1_000_000..1_000_000 + came);
        walk = laid_aside(&walk);
        while let Step::Read(_) = walk.absorb(&server.page(walk.next()).unwrap()) {}
        // Rows that are within reach of what is remembered are read again.
        let most = 10_000 / 96 + came.min(12_900) / 96 + went as u64 / 96 + 30;
        assert!(walk.requests() - before <= most, "+{came} -{went}: {}", walk.requests() - before);
        assert_eq!(walk.end_offset(), Some(server.rows.len() as u64));
    }
}

#[test]
fn a_walk_from_the_middle_begins_anew_where_it_began_if_it_loses_the_chain() {
    let mut server = Server::of(400, 25);
    let mut walk = Walk::starting_at(25, Some(25), 300);
    walk.absorb(&server.page(walk.next()).unwrap());
    server.rows.drain(..60);
    let (seen, _) = finish(&mut walk, |_, read| server.page(read));
    assert_eq!((walk.chains_lost(), walk.end_offset()), (1, Some(340)));
    assert_eq!(walk.rows(), 40);
    assert!((361..=400).all(|id| seen.contains(&id)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_row_is_lost_to_a_walk_in_slices(
        rows in 0..400_u64,
        cap in 5..60_u64,
        writes in proptest::collection::vec(any_write(), 0..120),
    ) {
        let mut server = Server::of(rows, cap);
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut writes = writes.into_iter();
        let (seen, end, _) = walk_in_slices(&mut server, Walk::new(50, None), |server, request| {
            let per_request = if request == 0 { 0 } else { 3 };
            writes.by_ref().take(per_request).for_each(|write| server.write(write, &mut throughout));
        });
        if end == Step::End {
            prop_assert!(throughout.is_subset(&seen), "lost {:?}", throughout.difference(&seen).collect::<Vec<_>>());
        }
    }

    /// A chain from the middle proves what lies behind its first row.
    #[test]
    fn no_row_behind_the_start_is_lost(
        rows in 1..400_u64,
        start in 0..400_u64,
        cap in 5..60_u64,
        writes in proptest::collection::vec(any_write(), 0..60),
    ) {
        let mut server = Server::of(rows, cap);
        let known = Some(u32::try_from(cap).unwrap().min(50));
        let mut walk = Walk::starting_at(50, known, start % rows);
        let mut writes = writes.into_iter();
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut chain = Vec::new();
        let mut chains = 0;
        for request in 0.. {
            let per_request = if request == 0 { 0 } else { 2 };
            writes.by_ref().take(per_request).for_each(|write| server.write(write, &mut throughout));
            let page = server.page(walk.next()).unwrap();
            let step = walk.absorb(&page);
            if walk.chains_lost() > chains {
                chains = walk.chains_lost();
                chain.clear();
            }
            if !walk.is_broken() {
                chain.extend(page.ids);
            }
            match step {
                Step::Read(_) => {}
                Step::Unproved(_) => break,
                Step::End => {
                    // The first row of the chain that is listed still.
                    let places = chain.iter().filter_map(|id| server.rows.iter().position(|row| row == id));
                    let behind = places.min().map_or(server.rows.len(), |place| place);
                    let lost: Vec<&u64> = server.rows[behind..].iter()
                        .filter(|id| throughout.contains(id) && !chain.contains(id)).collect();
                    prop_assert!(lost.is_empty(), "lost {lost:?}");
                    break;
                }
            }
        }
    }
}
