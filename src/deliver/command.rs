//! What operators order beside the running deliveries: replays, retries and test events.

pub mod replay;
pub mod retry;
pub mod trial;
