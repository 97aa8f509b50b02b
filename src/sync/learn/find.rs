//! Searches a list in which new rows appear anywhere for rows that `total` counts and that are not stored.

use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::store::Ending;
use crate::sync::Error;
use crate::sync::learn::gap::Comparison;
use crate::sync::learn::locate::{Blocks, Locate, LocateStep, Stretch};
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::{Read, Seen};
use crate::sync::upstream::{Source, Upstream};

impl<U: Upstream> Round<'_, U> {
    /// Looks for `missing` rows, if the blocks of the list are known. Returns whether the counts agree afterwards.
    pub(in crate::sync) async fn find<R: Source>(
        &mut self,
        total: Option<u64>,
        missing: u64,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let (Some(total), Order::Scattered) = (total, self.memory.order.order()) else { return Ok(false) };
        let Some(blocks) = Blocks::load(&self.syncer.store.blocks(self.listing).await?) else { return Ok(false) };
        let listed = total.saturating_sub(self.memory.gap.surplus());
        let mut locate = Locate::new(blocks, listed).expecting(missing);
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Fresh), false);
        let mut total = Some(total);
        loop {
            match locate.step() {
                LocateStep::Done => break,
                LocateStep::TooCostly => return Ok(false),
                LocateStep::Probe(read) => {
                    let Some(seen) = self.probe(&mut reader, read, stop).await? else { return Ok(false) };
                    total = seen.total.or(total);
                    locate.absorb(&seen);
                }
                LocateStep::Stretch { from, until } => {
                    let page_size = self.syncer.settings.page_size;
                    let mut stretch = Stretch::new(page_size, self.known_page_size(), from, until);
                    let mut next = Some(stretch.next());
                    while let Some(read) = next {
                        let Some(seen) = self.probe(&mut reader, read, stop).await? else { return Ok(false) };
                        total = seen.total.or(total);
                        next = stretch.absorb(&seen);
                    }
                    locate.found(stretch.ids());
                }
            }
        }
        let changed = locate.into_blocks().take_dirty();
        self.syncer.store.update_blocks(self.listing, &changed, self.fence()).await?;
        let listed = self.syncer.store.row_counts(self.listing).await?.listed;
        Ok(!matches!(self.memory.gap.compare(total, listed), Comparison::Missing(_)))
    }

    /// Stores where the blocks of the list begin, after it was read whole. They outlive the process.
    pub(in crate::sync) async fn keep_blocks(&self, mut blocks: Blocks) -> Result<(), Error> {
        if self.is_guest() || self.options.ending == Ending::RollBack {
            return Ok(());
        }
        let chunks = blocks.take_dirty();
        Ok(self.syncer.store.replace_blocks(self.listing, &chunks, self.fence()).await?)
    }

    /// One page, read and stored; none if stopped.
    async fn probe<R: Source>(
        &mut self,
        reader: &mut Reader<U, R>,
        read: Read,
        stop: &CancellationToken,
    ) -> Result<Option<Seen>, Error> {
        let Some(page) = self.take(reader, read, &[], stop).await? else { return Ok(None) };
        let seen = page.seen();
        self.keep(page).await?;
        Ok(Some(seen))
    }
}
