//! Reads the ends of a list page by page, until each is proved, and stores the pages.

use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::store::Fate;
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::reader::{Fetched, Reader, Scope};
use crate::sync::scan::walk::{Doubt, Read, Seen};
use crate::sync::tail::ends::{Edge, EndStep, HeadPass, Row, TailPass};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, refuses_limit};

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
        if order.wants_head() || self.looks_behind {
            let Some(certified) = self.head::<R>(order, stop).await? else { return Ok(None) };
            ends = Ends { certified, total: self.tally.total };
        }
        // In a list without an order, only the count proves anything.
        if (order.wants_tail() || self.looks_behind) && order != Order::Unstable && ends.certified.is_ok() {
            let Some(certified) = self.tail::<R>(stop).await? else { return Ok(None) };
            ends = Ends { certified, total: self.tally.total };
        }
        Ok(Some(ends))
    }

    /// Reads the end where new rows join, of a list that has such an end. None if stopped.
    pub(in crate::sync) async fn joining_end<R: Source>(
        &mut self,
        order: Order,
        stop: &CancellationToken,
    ) -> Result<Option<Result<(), Doubt>>, Error> {
        if order == Order::Oldest { self.tail::<R>(stop).await } else { self.head::<R>(order, stop).await }
    }

    async fn head<R: Source>(
        &mut self,
        order: Order,
        stop: &CancellationToken,
    ) -> Result<Option<Result<(), Doubt>>, Error> {
        let pass = HeadPass::new(self.syncer.settings.page_size, self.known_page_size(), &self.memory.head);
        let mut pass = pass.counting_surplus(self.memory.gap.surplus());
        let Some(step) = self.end::<R>(&mut End::Head(&mut pass, order), stop).await? else { return Ok(None) };
        if let EndStep::Unproved(doubt) = step {
            return Ok(Some(Err(doubt)));
        }
        self.memory.head = pass.anchors();
        Ok(Some(Ok(())))
    }

    async fn tail<R: Source>(&mut self, stop: &CancellationToken) -> Result<Option<Result<(), Doubt>>, Error> {
        let length = self.memory.length;
        let pass = TailPass::new(self.syncer.settings.page_size, self.known_page_size(), &self.memory.tail, length);
        let mut pass = pass.counting_surplus(self.memory.gap.surplus());
        let Some(step) = self.end::<R>(&mut End::Tail(&mut pass), stop).await? else { return Ok(None) };
        if let EndStep::Unproved(doubt) = step {
            return Ok(Some(Err(doubt)));
        }
        self.memory.tail = pass.anchors();
        self.memory.length = pass.length();
        Ok(Some(Ok(())))
    }

    /// Reads one end until it is proved; none if stopped.
    async fn end<R: Source>(&mut self, end: &mut End<'_>, stop: &CancellationToken) -> Result<Option<EndStep>, Error> {
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Fresh), false);
        loop {
            let (read, ahead) = (end.next(), end.ahead(self.syncer.settings.concurrency));
            let page = match self.take(&mut reader, read, &ahead, stop).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(None),
                Err(error) if refuses_limit(&error) && end.refused() => continue,
                Err(error) => return Err(error.into()),
            };
            let seen = page.seen();
            let rejects: Vec<bool> =
                page.page.rejects.iter().map(|reject| self.is_kept(self.listing, reject)).collect();
            self.note_edge(end, &page);
            let fates = self.keep(page).await?;
            self.tally.rows += seen.returned;
            self.note_places(read.offset, &fates, seen.total);
            // Items that could not be read come after the others.
            let unchanged = fates.iter().map(|fate| *fate == Fate::Known).chain(rejects);
            let rows: Vec<Row> = seen.ids.iter().zip(unchanged).map(|(&id, unchanged)| Row { id, unchanged }).collect();
            (self.options.observe)(&self.tally);
            if let End::Head(_, Order::Scattered | Order::Unstable) = end {
                // New rows join anywhere; the first page is read only for its `total`.
                end.absorb(&seen, &rows);
                return Ok(Some(EndStep::Met));
            }
            match end.absorb(&seen, &rows) {
                EndStep::Read(_) => {}
                step => return Ok(Some(step)),
            }
        }
    }

    /// Notes how far the end where new rows join was read: to the last page of the head, or the first of the tail.
    fn note_edge<R: Source>(&mut self, end: &End<'_>, page: &Fetched<R>) {
        let mut dates = page.page.items.iter().filter_map(R::created_at);
        let returned = u64::try_from(page.page.returned).unwrap_or(u64::MAX);
        let edge = match (end, self.memory.order.order()) {
            (End::Head(..), Order::Newest) => {
                dates.last().map(|created_at| Edge { offset: page.read.offset.saturating_add(returned), created_at })
            }
            (End::Tail(_), Order::Oldest) => {
                dates.next().map(|created_at| Edge { offset: page.read.offset, created_at })
            }
            _ => return,
        };
        let further = |edge: &Edge| self.edge.is_none_or(|known| edge.created_at < known.created_at);
        self.edge = edge.filter(further).or(self.edge);
    }
}

/// One end of the list, while it is read.
enum End<'a> {
    Head(&'a mut HeadPass, Order),
    Tail(&'a mut TailPass),
}

impl End<'_> {
    fn next(&self) -> Read {
        match self {
            Self::Head(pass, _) => pass.next(),
            Self::Tail(pass) => pass.next(),
        }
    }

    fn ahead(&self, most: usize) -> Vec<Read> {
        match self {
            Self::Head(_, Order::Scattered | Order::Unstable) => Vec::new(),
            Self::Head(pass, _) => pass.ahead(most),
            Self::Tail(pass) => pass.ahead(most),
        }
    }

    fn refused(&mut self) -> bool {
        match self {
            Self::Head(pass, _) => pass.refused().is_some(),
            Self::Tail(pass) => pass.refused().is_some(),
        }
    }

    fn absorb(&mut self, seen: &Seen, rows: &[Row]) -> EndStep {
        match self {
            Self::Head(pass, _) => pass.absorb(seen, rows),
            Self::Tail(pass) => pass.absorb(seen, rows),
        }
    }
}
