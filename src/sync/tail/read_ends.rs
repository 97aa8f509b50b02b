//! Reads the ends of a list, page by page until no new row there can have been missed, and stores the pages.

use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::store::Fate;
use crate::sync::Error;
use crate::sync::learn::order::{Order, Place};
use crate::sync::round::{Round, Taken};
use crate::sync::scan::reader::{Fetched, Reader, Scope};
use crate::sync::scan::walk::Doubt;
use crate::sync::tail::ends::{Edge, EndPass, EndStep, HeadPass, Row, TailPass};
use crate::sync::upstream::{Source, Upstream};

/// What reading the ends has shown.
pub(in crate::sync) struct Ends {
    pub(in crate::sync) certified: Result<(), Doubt>,
    pub(in crate::sync) total: Option<u64>,
}

impl<U: Upstream> Round<'_, U> {
    /// Reads the ends where rows may have joined.
    pub(in crate::sync) async fn ends<R: Source>(&mut self, stop: &CancellationToken) -> Result<Option<Ends>, Error> {
        let order = self.memory.order.order();
        let mut ends = Ends { certified: Ok(()), total: None };
        if order.wants_head() || self.extent.looks_behind {
            let Some(certified) = self.head::<R>(stop).await? else { return Ok(None) };
            ends = Ends { certified, total: self.tally.total };
        }
        // In a list without an order, only the count proves anything.
        let wants_tail = (order.wants_tail() && self.extent.has_all_ends()) || self.extent.looks_behind;
        if wants_tail && order != Order::Unstable && ends.certified.is_ok() {
            let Some(certified) = self.tail::<R>(stop).await? else { return Ok(None) };
            ends = Ends { certified, total: self.tally.total };
        }
        Ok(Some(ends))
    }

    /// Reads the end where new rows join, of a list that has such an end. None if stopped.
    pub(in crate::sync) async fn joining_end<R: Source>(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Option<Result<(), Doubt>>, Error> {
        let order = self.memory.order.order();
        if order == Order::Oldest { self.tail::<R>(stop).await } else { self.head::<R>(stop).await }
    }

    async fn head<R: Source>(&mut self, stop: &CancellationToken) -> Result<Option<Result<(), Doubt>>, Error> {
        let pass = HeadPass::new(self.syncer.settings.page_size, self.known_page_size(), &self.memory.head);
        let mut pass = pass.counting_surplus(self.memory.gap.surplus());
        let read = self.end::<R>(Place::Head, &mut pass, stop).await?;
        if let Some(Ok(())) = read {
            self.memory.head = pass.anchors();
        }
        Ok(read)
    }

    async fn tail<R: Source>(&mut self, stop: &CancellationToken) -> Result<Option<Result<(), Doubt>>, Error> {
        let length = self.memory.length;
        let pass = TailPass::new(self.syncer.settings.page_size, self.known_page_size(), &self.memory.tail, length);
        let mut pass = pass.counting_surplus(self.memory.gap.surplus());
        let read = self.end::<R>(Place::Tail, &mut pass, stop).await?;
        if let Some(Ok(())) = read {
            self.memory.tail = pass.anchors();
            self.memory.length = pass.length();
        }
        Ok(read)
    }

    /// Reads one end until it is proved; none if stopped.
    async fn end<R: Source>(
        &mut self,
        place: Place,
        pass: &mut impl EndPass,
        stop: &CancellationToken,
    ) -> Result<Option<Result<(), Doubt>>, Error> {
        let order = self.memory.order.order();
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Fresh), false);
        loop {
            let page = match self.page(&mut reader, pass, stop).await? {
                Taken::Page(page) => page,
                Taken::Refused => continue,
                Taken::Stopped => return Ok(None),
            };
            let (seen, offset) = (page.seen(), page.read.offset);
            let rejects: Vec<bool> =
                page.page.rejects.iter().map(|reject| self.is_kept(self.listing, reject)).collect();
            self.note_edge(place, order, &page);
            let fates = self.keep(page).await?;
            self.tally.rows += seen.returned;
            self.note_places(offset, &fates, seen.total);
            // Items that could not be read come after the others.
            let unchanged = fates.iter().map(|fate| *fate == Fate::Known).chain(rejects);
            let rows: Vec<Row> = seen.ids.iter().zip(unchanged).map(|(&id, unchanged)| Row { id, unchanged }).collect();
            (self.options.observe)(&self.tally);
            match pass.absorb(&seen, &rows) {
                // New rows join anywhere; the first page is read only for its `total`.
                _ if place == Place::Head && matches!(order, Order::Scattered | Order::Unstable) => {
                    return Ok(Some(Ok(())));
                }
                EndStep::Read(_) => {}
                EndStep::Met | EndStep::WholeList => return Ok(Some(Ok(()))),
                EndStep::Unproved(doubt) => return Ok(Some(Err(doubt))),
            }
        }
    }

    /// Notes how far the end where new rows join was read: to the last page of the head, or the first of the tail.
    fn note_edge<R: Source>(&mut self, place: Place, order: Order, page: &Fetched<R>) {
        let mut dates = page.page.items.iter().filter_map(R::created_at);
        let returned = u64::try_from(page.page.returned).unwrap_or(u64::MAX);
        let edge = match (place, order) {
            (Place::Head, Order::Newest) => {
                dates.last().map(|created_at| Edge { offset: page.read.offset.saturating_add(returned), created_at })
            }
            (Place::Tail, Order::Oldest) => {
                dates.next().map(|created_at| Edge { offset: page.read.offset, created_at })
            }
            _ => return,
        };
        let further = |edge: &Edge| self.extent.edge.is_none_or(|known| edge.created_at < known.created_at);
        self.extent.edge = edge.filter(further).or(self.extent.edge);
    }
}
