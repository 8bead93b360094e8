//! One module per command.

pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod charter;
pub(crate) mod completions;
pub(crate) mod dev;
mod dev_rules;
pub(crate) mod enrol;
pub(crate) mod evidence;
mod followed;
pub(crate) mod grant;
mod history;
pub(crate) mod inspect;
pub(crate) mod ledger;
pub(crate) mod monitor;
pub(crate) mod party;
mod receipt;
pub(crate) mod receipts;
pub(crate) mod requests;
mod rules;
pub(crate) mod shield;
pub(crate) mod status;
mod terms;
pub(crate) mod verify;
pub(crate) mod vouch;
pub(crate) mod withdraw;
