//! `commons dev`.
use crate::args::Dev;
use crate::context::Context;
use crate::failure::{Exit, Failure};
pub(crate) async fn run(_: &Context, _: Dev) -> Result<Exit, Failure> {
    Ok(Exit::Yes)
}
