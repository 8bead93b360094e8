//! One module per command.

pub(crate) mod bulk;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod enrol;
pub(crate) mod inspect;
mod receipt;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod withdraw;
