//! Tests the walk against a model of a list that changes between requests.

use lumo_simulator::serving;
pub(in crate::sync) use lumo_simulator::serving::Total;
use proptest::prelude::*;

use super::*;

mod again;
mod bounds;
mod early;
mod resumed;
mod totals;

use std::collections::HashSet;

/// A server: a list of ids, which the simulator's model makes pages of.
#[derive(Clone)]
pub(in crate::sync) struct Server {
    pub(in crate::sync) rows: Vec<u64>,
    pub(in crate::sync) cap: u64,
    pub(in crate::sync) refuses: bool,
    pub(in crate::sync) total: Total,
    /// No id comes twice.
    next: u64,
}

/// What happens to a list between two requests.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) enum Write {
    Insert(u64),
    Remove(u64),
    /// New rows at the head.
    Burst(u64),
    /// The first rows go.
    Behead(u64),
    /// New rows at the tail.
    Append(u64),
}

pub(in crate::sync) fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => any::<u64>().prop_map(Write::Insert),
        6 => any::<u64>().prop_map(Write::Remove),
        1 => (1..80_u64).prop_map(Write::Burst),
        1 => (1..80_u64).prop_map(Write::Behead),
        2 => (1..10_u64).prop_map(Write::Append),
    ]
}

impl Server {
    pub(in crate::sync) fn of(rows: u64, cap: u64) -> Self {
        Self { rows: (1..=rows).collect(), cap, refuses: false, total: Total::Present, next: 1_000_000 }
    }

    /// Writes, and takes from `throughout` what was removed.
    pub(in crate::sync) fn write(&mut self, write: Write, throughout: &mut HashSet<u64>) {
        let len = self.rows.len() as u64;
        let next = self.next;
        self.next += 100;
        let place = |place: u64| usize::try_from(place % (len + 1)).unwrap();
        match write {
            Write::Insert(at) => self.rows.insert(place(at), next),
            Write::Remove(at) if len > 0 => {
                throughout.remove(&self.rows.remove(usize::try_from(at % len).unwrap()));
            }
            Write::Remove(_) => {}
            Write::Burst(count) => drop(self.rows.splice(0..0, next..next + count)),
            Write::Behead(count) => {
                self.rows.drain(..usize::try_from(count.min(len)).unwrap()).for_each(|id| {
                    throughout.remove(&id);
                });
            }
            Write::Append(count) => self.rows.extend(next..next + count),
        }
    }

    pub(in crate::sync) fn page(&self, read: Read) -> Option<Seen> {
        let cap = serving::Cap { rows: self.cap, refusal: self.refuses.then_some(()) };
        let window = serving::Window { offset: read.offset, limit: cap.limit(read.limit.into()).ok()? };
        let serving::Page { rows, total } = window.of(self.rows.iter().copied());
        Some(Seen { returned: rows.len() as u64, ids: rows, total: self.total.of(total) })
    }
}

/// Walks to the end. `answer` gets the number of each request, from 0, and makes its page; none if it refuses the limit.
/// Returns what was seen and how it ended.
fn finish(walk: &mut Walk, mut answer: impl FnMut(u64, Read) -> Option<Seen>) -> (HashSet<u64>, Step) {
    let mut seen = HashSet::new();
    for request in 0..100_000 {
        let Some(page) = answer(request, walk.next()) else {
            walk.refused().expect("a single row is never refused here");
            continue;
        };
        seen.extend(page.ids.iter().copied());
        match walk.absorb(&page) {
            Step::Read(read) => assert_eq!(read, walk.next()),
            end => return (seen, end),
        }
    }
    panic!("the walk does not end");
}

/// Walks to the end, letting `meddle` change the server before each request. Returns also the number of requests.
fn walk(server: &mut Server, mut walk: Walk, mut meddle: impl FnMut(&mut Server, u64)) -> (HashSet<u64>, Step, u64) {
    let (seen, end) = finish(&mut walk, |request, read| {
        meddle(server, request);
        server.page(read)
    });
    (seen, end, walk.requests())
}

fn quiet(_: &mut Server, _: u64) {}

#[test]
fn a_quiet_list_is_read_once() {
    for rows in [0, 1, 24, 25, 26, 50, 99, 100, 101, 1_000] {
        let (seen, end, requests) = walk(&mut Server::of(rows, 1_000), Walk::new(25, Some(25)), quiet);
        assert_eq!((seen.len() as u64, end), (rows, Step::End));
        assert!(requests <= rows / 21 + 2, "{rows} rows took {requests} requests");
    }
}

#[test]
fn a_clamped_limit_is_noticed_and_loses_nothing() {
    for cap in [2, 5, 7, 25, 99] {
        let (server, mut state) = (Server::of(500, cap), Walk::new(100, None));
        let (seen, _) = finish(&mut state, |_, read| server.page(read));
        assert_eq!(seen.len(), 500, "cap {cap}");
        assert_eq!(state.learned_limit(100), Some(u32::try_from(cap).unwrap()));
    }
}

#[test]
fn a_refused_limit_is_halved_until_it_is_taken() {
    let mut server = Server { refuses: true, ..Server::of(500, 50) };
    let (seen, end, _) = walk(&mut server, Walk::new(400, None), quiet);
    assert_eq!((seen.len(), end), (500, Step::End));
}

#[test]
fn without_a_total_the_list_is_read_but_not_proved() {
    let mut server = Server { total: Total::Missing, ..Server::of(130, 50) };
    let (seen, end, _) = walk(&mut server, Walk::new(50, None), quiet);
    assert_eq!((seen.len(), end), (130, Step::Unproved(Doubt::NoTotal)));
}

#[test]
fn a_server_that_clamps_and_tells_no_total_is_read_to_the_end_all_the_same() {
    for (rows, cap) in [(300, 7), (300, 25), (8, 7), (7, 7), (6, 7), (2, 7), (0, 7)] {
        let mut server = Server { total: Total::Missing, ..Server::of(rows, cap) };
        let (seen, end, _) = walk(&mut server, Walk::new(100, None), quiet);
        assert_eq!((seen.len() as u64, end), (rows, Step::Unproved(Doubt::NoTotal)), "cap {cap}");
    }
}

#[test]
fn pages_of_several_sizes_show_the_end_only_beside_a_total_that_reaches_it() {
    let page = |ids: std::ops::RangeInclusive<u64>, total| Seen {
        returned: ids.clone().count() as u64,
        ids: ids.collect(),
        total,
    };
    for (total, is_shown) in [(Some(25), true), (Some(0), false)] {
        let mut walk = Walk::new(20, Some(10));
        for ids in [1..=9, 6..=15, 12..=20, 17..=25, 22..=25, 22..=25] {
            walk.absorb(&page(ids, total));
        }
        assert_eq!((walk.end_offset().is_some(), walk.shows_end()), (true, is_shown), "{total:?}");
    }
}

#[test]
fn pages_of_one_row_prove_nothing() {
    let (seen, end, _) = walk(&mut Server::of(20, 1), Walk::new(50, None), quiet);
    assert_eq!((seen.len(), end), (20, Step::Unproved(Doubt::SingleRows)));
}

#[test]
fn a_list_that_fits_one_page_is_read_twice_before_it_is_believed() {
    let (_, end, requests) = walk(&mut Server::of(10, 1_000), Walk::new(100, None), quiet);
    assert_eq!((end, requests), (Step::End, 2));
}

#[test]
fn removing_the_page_before_makes_the_walk_step_back() {
    let mut server = Server::of(200, 25);
    let throughout: HashSet<u64> = (51..=200).collect();
    let (seen, end, _) = walk(&mut server, Walk::new(25, Some(25)), |server, request| {
        if request == 3 {
            server.rows.drain(0..50);
        }
    });
    assert_eq!(end, Step::End);
    assert!(throughout.is_subset(&seen));
}

#[test]
fn arrivals_faster_than_reading_are_called_unproved() {
    let mut server = Server::of(100, 10);
    let mut id = 1_000;
    let (_, end, _) = walk(&mut server, Walk::new(10, Some(10)), |server, _| {
        for _ in 0..20 {
            id += 1;
            server.rows.push(id);
        }
    });
    assert_eq!(end, Step::Unproved(Doubt::OutOfBudget));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is inserted and removed between the requests, and wherever: a row that was there throughout is seen.
    #[test]
    fn no_row_that_was_there_throughout_is_lost(
        rows in 0..400_u64,
        cap in 5..60_u64,
        writes in proptest::collection::vec(any_write(), 0..120),
    ) {
        let mut server = Server::of(rows, cap);
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut writes = writes.into_iter();
        let (seen, end, _) = walk(&mut server, Walk::new(50, None), |server, request| {
            let per_request = if request == 0 { 0 } else { 3 };
            writes.by_ref().take(per_request).for_each(|write| server.write(write, &mut throughout));
        });
        if end == Step::End {
            prop_assert!(throughout.is_subset(&seen), "lost {:?}", throughout.difference(&seen).collect::<Vec<_>>());
        }
    }
}
