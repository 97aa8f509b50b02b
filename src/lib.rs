//! lumo-bridge.

pub mod chain;
pub mod clock;
pub mod model;
pub mod setting;
pub mod store;
