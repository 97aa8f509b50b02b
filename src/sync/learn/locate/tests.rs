//! Tests the search against a model of a list in a random but fixed order.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::sync::scan::walk::tests::Server;
use crate::sync::scan::walk::{Paging, Step, Walk};

/// A list and what is known of it.
struct World {
    server: Server,
    known: HashSet<u64>,
    rng: StdRng,
    next: u64,
}

impl World {
    fn of(rows: u64, page: u64, seed: u64) -> Self {
        let server = Server::of(rows, page);
        Self { known: server.rows.iter().copied().collect(), server, rng: StdRng::seed_from_u64(seed), next: 1 << 40 }
    }

    fn insert(&mut self, count: u64) {
        for _ in 0..count {
            self.next += 1;
            let place = self.rng.random_range(0..=self.server.rows.len());
            self.server.rows.insert(place, self.next);
        }
    }

    fn remove(&mut self, count: u64) {
        for _ in 0..count.min(self.server.rows.len() as u64) {
            let place = self.rng.random_range(0..self.server.rows.len());
            self.server.rows.remove(place);
        }
    }

    fn total(&self) -> u64 {
        self.server.rows.len() as u64
    }

    fn unknown(&self) -> usize {
        self.server.rows.iter().filter(|id| !self.known.contains(id)).count()
    }

    /// The index that a sweep makes.
    fn blocks(&self) -> Blocks {
        let page = u32::try_from(self.server.cap).unwrap();
        let mut walk = Walk::new(page, Some(page));
        let mut blocks = Blocks::builder();
        loop {
            let seen = self.server.page(walk.next()).unwrap();
            let fresh: Vec<u64> = seen.ids.iter().copied().filter(|id| !walk.has_seen(*id)).collect();
            blocks.push(&fresh, fresh.len() as u64);
            if walk.absorb(&seen) == Step::End {
                return blocks.build();
            }
        }
    }

    fn read(&mut self, read: Read) -> Seen {
        let seen = self.server.page(read).unwrap();
        self.known.extend(&seen.ids);
        seen
    }

    /// Searches to the end. Returns how it ended, and how many pages were read.
    fn search(&mut self, locate: &mut Locate, mut meddle: impl FnMut(&mut Self)) -> (LocateStep, u64) {
        let mut requests = 0;
        loop {
            let step = locate.step();
            assert_eq!(step, locate.step());
            match step {
                LocateStep::Probe(read) => {
                    requests += 1;
                    let seen = self.read(read);
                    locate.absorb(&seen);
                }
                LocateStep::Stretch { from, until } => {
                    let page = u32::try_from(self.server.cap).unwrap();
                    let mut stretch = Stretch::new(page, Some(page), from, until);
                    let mut next = Some(stretch.next());
                    while let Some(read) = next {
                        requests += 1;
                        let seen = self.read(read);
                        next = stretch.absorb(&seen);
                        meddle(self);
                    }
                    locate.found(stretch.ids());
                }
                end => return (end, requests),
            }
            meddle(self);
        }
    }
}

fn quiet(_: &mut World) {}

/// What `k` rows among `n` may cost.
fn bound(n: u64, page: u64, k: u64) -> u64 {
    let ratio = (n / (k.max(1) * page)).max(1);
    k * (u64::from(ratio.next_power_of_two().ilog2()) + 4) + 2
}

#[test]
fn nothing_is_asked_for_where_nothing_is_missing() {
    let mut world = World::of(1_000, 50, 1);
    let mut locate = Locate::new(world.blocks(), 1_000);
    assert_eq!(world.search(&mut locate, quiet), (LocateStep::Done, 0));
    assert_eq!(Locate::new(Blocks::default(), 0).step(), LocateStep::Done);
    assert_eq!(Locate::new(Blocks::default(), 5).step(), LocateStep::TooCostly);
}

#[test]
fn one_row_in_a_hundred_thousand_takes_a_dozen_pages() {
    for seed in 0..20 {
        let mut world = World::of(100_000, 100, seed);
        let blocks = world.blocks();
        world.insert(1);
        let mut locate = Locate::new(blocks, world.total());
        let (end, requests) = world.search(&mut locate, quiet);
        assert_eq!((end, world.unknown(), locate.rows_found()), (LocateStep::Done, 0, 1));
        assert!(requests <= 13, "{requests}");
    }
}

#[test]
fn rows_at_the_ends_are_found() {
    for place in [0, 1, 4_999, 5_000] {
        let mut world = World::of(5_000, 50, 1);
        let blocks = world.blocks();
        world.server.rows.insert(place, 1 << 50);
        let mut locate = Locate::new(blocks, world.total());
        assert_eq!(world.search(&mut locate, quiet).0, LocateStep::Done);
        assert_eq!(world.unknown(), 0);
    }
}

#[test]
fn a_batch_in_one_place_is_read_as_one_stretch() {
    let mut world = World::of(20_000, 50, 1);
    let blocks = world.blocks();
    let new: Vec<u64> = (1 << 50..(1 << 50) + 1_000).collect();
    world.server.rows.splice(7_000..7_000, new);
    let mut locate = Locate::new(blocks, world.total());
    let (end, requests) = world.search(&mut locate, quiet);
    assert_eq!((end, world.unknown()), (LocateStep::Done, 0));
    assert!(requests <= 50, "{requests}");
}

#[test]
fn so_many_rows_that_a_sweep_does_better_are_left_to_it() {
    let mut world = World::of(5_000, 50, 1);
    let blocks = world.blocks();
    world.insert(500);
    let mut locate = Locate::new(blocks, world.total());
    let (end, requests) = world.search(&mut locate, quiet);
    assert_eq!(end, LocateStep::TooCostly);
    assert!(requests <= 60, "{requests}");
}

#[test]
fn a_row_that_went_does_not_hide_one_that_came_elsewhere() {
    let mut found = 0;
    for seed in 0..40 {
        let mut world = World::of(20_000, 50, seed);
        let blocks = world.blocks();
        world.remove(3);
        world.insert(1);
        let mut locate = Locate::new(blocks, world.total()).expecting(1);
        let (end, requests) = world.search(&mut locate, quiet);
        assert_eq!(end, LocateStep::Done);
        assert!(requests <= MAX_PAGES_ON_EVEN_PARTS + 16, "{requests}");
        found += usize::from(world.unknown() == 0);
    }
    assert!(found >= 34, "{found} of 40");
}

#[test]
fn what_was_found_is_not_looked_for_again() {
    let mut world = World::of(20_000, 50, 3);
    let mut blocks = world.blocks();
    for _ in 0..10 {
        world.insert(5);
        let mut locate = Locate::new(blocks, world.total());
        assert_eq!(world.search(&mut locate, quiet).0, LocateStep::Done);
        assert_eq!(world.unknown(), 0);
        blocks = locate.into_blocks();
    }
    let mut locate = Locate::new(blocks, world.total());
    assert_eq!(world.search(&mut locate, quiet), (LocateStep::Done, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_new_rows_are_found_at_the_cost_of_a_bisection(
        rows in 2_000..30_000_u64,
        page in 20..100_u64,
        new in 1..30_u64,
        seed: u64,
    ) {
        let mut world = World::of(rows, page, seed);
        let blocks = world.blocks();
        world.insert(new);
        let mut locate = Locate::new(blocks, world.total());
        let (end, requests) = world.search(&mut locate, quiet);
        if end == LocateStep::Done {
            prop_assert_eq!((world.unknown(), locate.rows_found()), (0, new));
        } else {
            prop_assert!(bound(rows, page, new) > rows / page / 2, "gave up on {new} among {rows}");
        }
        prop_assert!(requests <= bound(rows, page, new), "{requests} pages for {new} among {rows}, {page} a page");
    }

    /// Done means that no part is suspected: once the list stands still, searching on finds all there is, or leaves it
    /// to a sweep. And no search costs more than half of one, give or take what moved meanwhile.
    #[test]
    fn nothing_untrue_is_claimed_while_the_list_moves(
        rows in 500..5_000_u64,
        page in 20..100_u64,
        new in 1..20_u64,
        moves in proptest::collection::vec((0..3_u64, 0..3_u64), 0..60),
        removes: bool,
        seed: u64,
    ) {
        let mut world = World::of(rows, page, seed);
        let mut blocks = world.blocks();
        world.insert(new);
        let mut moves = moves.into_iter();
        let mut locate = Locate::new(blocks, world.total());
        let (_, requests) = world.search(&mut locate, |world| {
            let (came, went) = moves.next().unwrap_or_default();
            world.insert(came);
            world.remove(if removes { went } else { 0 });
        });
        prop_assert!(requests <= (rows + 500) / (page - 4), "{requests} for {rows}");
        let mut end = LocateStep::Done;
        for _ in 0..5 {
            blocks = locate.into_blocks();
            locate = Locate::new(blocks, world.total());
            end = world.search(&mut locate, quiet).0;
        }
        if end == LocateStep::Done && !removes {
            prop_assert_eq!(world.unknown(), 0);
        }
    }
}
