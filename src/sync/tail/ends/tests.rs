//! Tests passes over the ends against a model of a list that changes between requests.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::sync::scan::walk::tests::{Server, Total, any_write};

mod runs;

/// What is stored, and what was read.
#[derive(Default)]
struct Mirror {
    known: HashSet<u64>,
}

impl Mirror {
    fn of(server: &Server) -> Self {
        Self { known: server.rows.iter().copied().collect() }
    }

    /// Stores the page as an engine does, and says what was new.
    fn take(&mut self, page: &Seen) -> Vec<Row> {
        page.ids.iter().map(|id| Row { id: *id, unchanged: !self.known.insert(*id) }).collect()
    }
}

/// Runs a pass to its end. Returns how it ended and how many requests it took.
fn run(
    pass: &mut impl EndPass,
    server: &mut Server,
    mirror: &mut Mirror,
    mut meddle: impl FnMut(&mut Server),
) -> (EndStep, u64) {
    for request in 1..10_000 {
        let page = server.page(pass.next()).unwrap();
        let rows = mirror.take(&page);
        match pass.absorb(&page, &rows) {
            EndStep::Read(read) => assert_eq!(read, pass.next()),
            end => return (end, request),
        }
        meddle(server);
    }
    panic!("the pass does not end");
}

fn quiet(_: &mut Server) {}

fn head(server: &Server) -> Anchors {
    Anchors::from_head(&server.rows)
}

fn tail(server: &Server) -> Anchors {
    Anchors::from_tail(&server.rows)
}

#[test]
fn a_quiet_head_takes_one_request() {
    for rows in [1_000, 100, 60] {
        let mut server = Server::of(rows, 50);
        let (anchors, mut mirror) = (head(&server), Mirror::of(&server));
        let mut pass = HeadPass::new(50, Some(50), &anchors);
        assert_eq!(run(&mut pass, &mut server, &mut mirror, quiet), (EndStep::Met, 1));
        assert_eq!(pass.anchors(), anchors);
    }
}

#[test]
fn a_quiet_tail_takes_one_request_if_pages_are_large_enough() {
    for page in [60, 75, 100, 250, 1_000] {
        // Where the page may have been cut, what is behind it is read.
        for (cap, rows, requests) in [(Some(page), 5_000, 1), (Some(page), u64::from(page) + 1, 1), (None, 5_000, 2)] {
            let mut server = Server::of(rows, 1_000);
            let (anchors, mut mirror) = (tail(&server), Mirror::of(&server));
            let mut pass = TailPass::new(page, cap, &anchors, rows);
            assert_eq!(run(&mut pass, &mut server, &mut mirror, quiet), (EndStep::Met, requests), "{page} {cap:?}");
            assert_eq!((pass.anchors(), pass.length()), (anchors, rows));
        }
    }
}

#[test]
fn a_tail_is_met_each_time_without_a_total_as_well() {
    let mut server = Server::of(1_000, 100);
    server.total = Total::Missing;
    let (mut anchors, mut mirror, mut length) = (tail(&server), Mirror::of(&server), 1_000);
    let mut next = 10_000;
    for (new, most) in [(0, 1), (1, 3), (0, 1), (30, 3), (200, 5), (0, 1)] {
        server.rows.extend(next..next + new);
        next += new;
        let mut pass = TailPass::new(100, Some(100), &anchors, length);
        let (end, requests) = run(&mut pass, &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::Met, "{new} new");
        assert!(requests <= most, "{new} new took {requests}");
        assert_eq!(mirror.known.len(), server.rows.len(), "{new} new");
        (anchors, length) = (pass.anchors(), pass.length());
        assert_eq!((length, &anchors), (server.rows.len() as u64, &tail(&server)), "{new} new");
    }
}

#[test]
fn a_quiet_tail_of_small_pages_takes_a_few() {
    for (page, most) in [(50, 1), (40, 1), (39, 2), (25, 3), (10, 9)] {
        let mut server = Server::of(5_000, 1_000);
        let (anchors, mut mirror) = (tail(&server), Mirror::of(&server));
        let mut pass = TailPass::new(page, Some(page), &anchors, 5_000);
        let (end, requests) = run(&mut pass, &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::Met);
        assert!(requests <= most, "pages of {page} took {requests}");
    }
}

#[test]
fn new_rows_are_read_until_the_known_ones_are_met() {
    for new in [1, 30, 90, 500] {
        let mut server = Server::of(5_000, 100);
        let (head, tail, mut mirror) = (head(&server), tail(&server), Mirror::of(&server));
        server.rows.splice(0..0, 10_000..10_000 + new);
        server.rows.extend(20_000..20_000 + new);
        let mut first = HeadPass::new(100, Some(100), &head);
        let (end, requests) = run(&mut first, &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::Met);
        assert!(requests <= new / 96 + 2);
        // Rows that joined at the head push the tail away from where it was; the page there is old news.
        let mut last = TailPass::new(100, Some(100), &tail, 5_000 + new);
        let (end, requests) = run(&mut last, &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::Met);
        assert!(requests <= new / 96 + 3, "{new} rows took {requests}");
        assert!(server.rows.iter().all(|id| mirror.known.contains(id)));
        assert_eq!((first.anchors(), last.anchors()), (self::head(&server), self::tail(&server)));
        assert_eq!(last.length(), server.rows.len() as u64);
    }
}

#[test]
fn a_known_row_on_top_does_not_hide_unknown_ones_beneath() {
    let mut server = Server::of(1_000, 50);
    let (anchors, mut mirror) = (head(&server), Mirror::of(&server));
    // A hundred rows of which only those in the middle are known: learned elsewhere, or by a pass that was cut short.
    server.rows.splice(0..0, 10_000..10_100);
    mirror.known.extend(10_010..10_070);
    let (end, _) = run(&mut HeadPass::new(50, Some(50), &anchors), &mut server, &mut mirror, quiet);
    assert_eq!(end, EndStep::Met);
    assert!(server.rows.iter().all(|id| mirror.known.contains(id)));
}

#[test]
fn without_anchors_or_with_all_of_them_gone_the_whole_list_is_read() {
    let mut server = Server::of(1_000, 100);
    let gone: Vec<u64> = (7_000..7_040).collect();
    let lost = (Anchors::from_head(&gone), Anchors::from_tail(&gone));
    // Too few to be met, though they are all there.
    let few = (Anchors::from_head(&server.rows[..RUN_ROWS - 1]), Anchors::from_tail(&server.rows[977..]));
    for (head, tail, most) in [(Anchors::default(), Anchors::default(), 11), (few.0, few.1, 11), (lost.0, lost.1, 22)] {
        let mut mirror = Mirror::of(&server);
        let (end, _) = run(&mut HeadPass::new(100, Some(100), &head), &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::WholeList);
        let mut pass = TailPass::new(100, Some(100), &tail, 1_000);
        let (end, requests) = run(&mut pass, &mut server, &mut mirror, quiet);
        assert_eq!(end, EndStep::WholeList);
        assert!(requests <= most, "{requests}, more than {most}");
    }
}

#[test]
fn a_row_that_joined_behind_the_few_there_were_is_found() {
    let mut server = Server::of(2, 12);
    let (anchors, mut mirror) = (head(&server), Mirror::of(&server));
    server.rows.splice(0..0, 10..20);
    server.rows.insert(12, 99);
    let (end, _) = run(&mut HeadPass::new(12, Some(12), &anchors), &mut server, &mut mirror, quiet);
    assert_eq!(end, EndStep::WholeList);
    assert!(mirror.known.contains(&99));
}

#[test]
fn a_tail_that_was_cut_is_looked_for_further_back() {
    for gone in [10, 40, 60, 200] {
        let mut server = Server::of(2_000, 100);
        let mut anchors: Vec<u64> = server.rows.clone();
        anchors.truncate(2_000 - gone + 10);
        let (anchors, mut mirror) = (Anchors::from_tail(&anchors), Mirror::of(&server));
        server.rows.truncate(2_000 - gone);
        let mut pass = TailPass::new(100, Some(100), &anchors, 2_000);
        let (end, requests) = run(&mut pass, &mut server, &mut mirror, quiet);
        assert_eq!((end, pass.length()), (EndStep::Met, 2_000 - gone as u64));
        assert!(requests <= 4, "{requests}");
    }
}

#[test]
fn a_head_that_is_read_further_than_a_page_is_read_ahead() {
    let mut server = Server::of(5_000, 100);
    let (anchors, mut mirror) = (head(&server), Mirror::of(&server));
    server.rows.splice(0..0, 10_000..11_000);
    let mut pass = HeadPass::new(100, Some(100), &anchors);
    let mut wanted = Vec::new();
    while wanted.len() < 4 {
        wanted.push(pass.ahead(3).len());
        let page = server.page(pass.next()).unwrap();
        pass.absorb(&page, &mirror.take(&page));
    }
    assert_eq!(wanted, [0, 1, 2, 3]);
}

#[test]
fn an_item_that_could_not_be_read_hides_nothing() {
    let server = Server::of(1_000, 100);
    let (anchors, mut mirror) = (head(&server), Mirror::of(&server));
    let mut pass = HeadPass::new(100, Some(100), &anchors);
    let page = server.page(pass.next()).unwrap();
    let rows = mirror.take(&page);
    assert!(matches!(pass.absorb(&page, &rows[1..]), EndStep::Read(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// New rows join within reach of an end while others go anywhere; rounds of writes and passes, with more writes
    /// between the requests. What was listed throughout a pass that ended well is known.
    #[test]
    fn a_pass_that_ends_well_leaves_nothing_unknown_at_its_end(
        rows in 0..400_u64,
        page in 8..100_u32,
        at_head: bool,
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0..RUN_ROWS as u64, any::<u64>(), 0..4_u8, any::<bool>()), 0..60), 0..3_usize), 1..8),
    ) {
        let mut server = Server::of(rows, u64::from(page));
        let mut mirror = Mirror::of(&server);
        let mut anchors = if at_head { head(&server) } else { tail(&server) };
        let mut length = rows;
        let mut next = 1_000_000;
        for (writes, between) in rounds {
            let mut gone = HashSet::new();
            let mut write = |server: &mut Server, known: &mut HashSet<u64>, (depth, place, kind, learned): (u64, u64, u8, bool)| {
                let len = server.rows.len() as u64;
                if kind == 0 && len > 0 {
                    gone.insert(server.rows.remove(usize::try_from(place % len).unwrap()));
                    return;
                }
                let depth = if kind == 1 { depth.min(len) } else { 0 };
                let place = if at_head { depth } else { len - depth };
                next += 1;
                server.rows.insert(usize::try_from(place).unwrap(), next);
                if learned {
                    known.insert(next);
                }
            };
            let half = writes.len() / 2;
            for item in &writes[..half] {
                write(&mut server, &mut mirror.known, *item);
            }
            let throughout = server.rows.clone();
            let mut later = writes[half..].iter();
            let mut learned = HashSet::new();
            let meddle = |server: &mut Server| later.by_ref().take(between).for_each(|item| write(server, &mut learned, *item));
            let end;
            if at_head {
                let mut pass = HeadPass::new(page, Some(page), &anchors);
                end = run(&mut pass, &mut server, &mut mirror, meddle).0;
                if matches!(end, EndStep::Met | EndStep::WholeList) {
                    anchors = pass.anchors();
                }
            } else {
                let mut pass = TailPass::new(page, Some(page), &anchors, length);
                end = run(&mut pass, &mut server, &mut mirror, meddle).0;
                if matches!(end, EndStep::Met | EndStep::WholeList) {
                    anchors = pass.anchors();
                }
                length = pass.length();
            }
            if matches!(end, EndStep::Met | EndStep::WholeList) {
                let lost: Vec<&u64> = throughout.iter().filter(|id| !mirror.known.contains(id) && !gone.contains(id)).collect();
                prop_assert!(lost.is_empty(), "lost {lost:?}");
            }
            mirror.known.extend(learned);
        }
    }

    /// Whatever happens to the list, a whole list is whole.
    #[test]
    fn a_pass_without_anchors_proves_the_whole_list(
        rows in 0..300_u64,
        page in 8..60_u32,
        writes in proptest::collection::vec(any_write(), 0..60),
        at_head: bool,
    ) {
        let mut server = Server::of(rows, u64::from(page));
        let mut throughout: HashSet<u64> = server.rows.iter().copied().collect();
        let mut mirror = Mirror::default();
        let mut writes = writes.into_iter();
        let meddle = |server: &mut Server| writes.by_ref().take(2).for_each(|write| server.write(write, &mut throughout));
        let lost = Anchors::from_head(&[5, 6]);
        let end = if at_head {
            run(&mut HeadPass::new(page, Some(page), &Anchors::default()), &mut server, &mut mirror, meddle).0
        } else {
            run(&mut TailPass::new(page, Some(page), &lost, rows), &mut server, &mut mirror, meddle).0
        };
        prop_assert!(end != EndStep::WholeList || throughout.is_subset(&mirror.known));
    }
}
