//! `status`: what is wrong, if anything is; then each listing and each endpoint.

use super::context::Context;
use super::failure::Failure;
use super::health::trouble_writing;
use super::printer::CUT;
use super::view::status::{is_cut, lines};
use crate::app;
use crate::view::{Endpoint, Status};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let now = context.clock().now();
    let status = context.with_store(async |config, store| {
        let endpoints = Endpoint::load(store, &config.callbacks.endpoints).await?;
        let overdue_after = app::overdue_after(config, now);
        let fields = &config.lumo.deposit_fields;
        let status = Status::load(store, endpoints, overdue_after, fields, app::watch_plan(config), now).await?;
        Ok((status, config.server.listen))
    });
    let (status, listen) = status.await?;
    let trouble = match listen {
        Some(listen) => trouble_writing(listen).await,
        None => None,
    };
    let status = match trouble {
        Some(trouble) => status.with(trouble, now),
        None => status,
    };
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&status)?);
    }
    lines(&status, printer.width(), now).iter().for_each(|line| printer.line(line));
    if is_cut(&status, printer.width(), now) {
        printer.say(CUT);
    }
    Ok(())
}
