//! Runs commands of operators beside the running deliveries: replays, retries and test events.

pub mod replay;
pub mod retry;
pub mod trial;
