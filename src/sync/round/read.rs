//! Reads the pages of a round, with the page limit that the server accepts, and counts the requests.

use tokio_util::sync::CancellationToken;

use super::Round;
use crate::lumo;
use crate::sync::refuses_limit;
use crate::sync::scan::reader::{Fetched, Reader, Scope};
use crate::sync::scan::walk::{Paging, Read, Walk};
use crate::sync::upstream::{Source, Upstream};

/// What came of the request for the next page of a reading.
pub(in crate::sync) enum Taken<R> {
    Page(Fetched<R>),
    /// The server refused the limit. The next page is smaller.
    Refused,
    Stopped,
}

impl<U: Upstream> Round<'_, U> {
    /// The page size that the server is known to keep to, as full scans have learned it.
    pub(in crate::sync) fn known_page_size(&self) -> Option<u32> {
        let limit = self.progress.page_limit.and_then(|limit| u32::try_from(limit).ok());
        limit.or(self.memory.page)
    }

    /// The `limit` to request.
    pub(in crate::sync) fn page_limit(&self) -> u32 {
        self.known_page_size().unwrap_or(self.syncer.settings.page_size)
    }

    /// A walk from the first row on, in pages of the size that the server is known to keep to.
    pub(in crate::sync) fn walk(&self) -> Walk {
        Walk::new(self.syncer.settings.page_size, self.known_page_size())
    }

    /// A reader of this round's pages. An eager one requests more pages than may be in flight at a time.
    pub(in crate::sync) fn reader<R: Source>(&self, scope: Scope, eager: bool) -> Reader<U, R> {
        let settings = &self.syncer.settings;
        // A configured concurrency of 1 is kept.
        let window = if eager && settings.concurrency > 1 { settings.concurrency * 2 } else { settings.concurrency };
        let sizes = self.syncer.sizes(scope.listing);
        Reader::new(&self.syncer.upstream, &self.syncer.clock, scope, settings.first_wait, window.max(1), sizes)
    }

    /// Reads the next page of a reading, in a smaller size after the server has refused it, and requests those that
    /// will probably follow.
    pub(in crate::sync) async fn page<R: Source>(
        &mut self,
        reader: &mut Reader<U, R>,
        reading: &mut impl Paging,
        stop: &CancellationToken,
    ) -> Result<Taken<R>, lumo::Error> {
        let ahead = reading.ahead(reader.window());
        match self.take(reader, reading.next(), &ahead, stop).await {
            Ok(page) => Ok(page.map_or(Taken::Stopped, Taken::Page)),
            Err(error) if refuses_limit(&error) && reading.refused().is_some() => Ok(Taken::Refused),
            Err(error) => Err(error),
        }
    }

    /// Reads a page, requests those that will probably follow, and counts the requests. None if stopped.
    pub(in crate::sync) async fn take<R: Source>(
        &mut self,
        reader: &mut Reader<U, R>,
        read: Read,
        ahead: &[Read],
        stop: &CancellationToken,
    ) -> Result<Option<Fetched<R>>, lumo::Error> {
        let taken = stop.run_until_cancelled(reader.take(read, ahead)).await;
        self.tally.requests += reader.take_requests();
        taken.transpose()
    }
}
