//! lumo-bridge.
#![doc = include_str!("../ARCHITECTURE.md")]

pub mod account;
pub mod admin;
pub mod app;
pub mod backfill;
pub mod callback;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod deliver;
pub mod lifecycle;
pub mod lumo;
pub mod model;
pub mod outage;
pub mod renewable;
pub mod retention;
pub mod roots;
pub mod schedule;
pub mod setting;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod trace;
pub mod view;
pub mod wallets;
