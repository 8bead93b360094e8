//! Command lines of consent: rules, grants, requests, shield, ledger.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use types::consent;

use super::SampleArgs;

/// What a relying party can ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Is the person a member, counted once?
    Membership,
    /// Is the person before the camera the member? Takes a fresh sample each time
    Verification,
}

impl From<Operation> for consent::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Membership => Self::Membership,
            Operation::Verification => Self::Verification,
        }
    }
}

/// Terms of a grant or an ask.
#[derive(Debug, Args)]
pub(crate) struct TermsArgs {
    /// What may be asked; may be left out where the rules leave no choice
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) operation: Option<Operation>,
    /// What for, such as dpv:ServiceProvision; may be left out where the rules leave no choice
    #[arg(long, value_name = "TERM")]
    pub(crate) purpose: Option<String>,
    /// Against which record, for a verification; may be left out where the rules leave no choice
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// Until when: a day (2026-12-31), a time (2026-12-31T18:00+01:00), or from now (30d, 12h)
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) until: String,
    /// A few words beside the purpose, shown wherever the grant is
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// `commons grant`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons grant demo-market --uses 10 --until 30d
  commons grant demo-clinic --operation verification --purpose dpv:ServiceProvision --uses 5 --until 2026-12-31

Take it back at any time with `commons revoke`, or all at once with `commons shield up`.")]
pub(crate) struct Grant {
    /// To whom: a relying party of the rules (`commons charter show`)
    pub(crate) party: String,
    #[command(flatten)]
    pub(crate) terms: TermsArgs,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons grants`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons grants
  commons grants --json")]
pub(crate) struct Grants {}

/// `commons narrow`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("less").required(true).multiple(true).args(["until", "uses"]),
    after_help = "\
Examples:
  commons narrow 3f2a --uses 1
  commons narrow 3f2a --until 7d")]
pub(crate) struct Narrow {
    /// Which grant: its id, or the first characters of it
    pub(crate) grant: String,
    /// An earlier end, as in `commons grant`
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Fewer uses from now on
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u32>,
}

/// `commons revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons revoke 3f2a")]
pub(crate) struct Revoke {
    /// Which grant: its id, or the first characters of it
    pub(crate) grant: String,
}

/// `commons requests`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons requests
  commons requests 9c41d0f2a6b37e5588aa01c9f4e2d713     one whose id you were given, such as by a QR code")]
pub(crate) struct Requests {
    /// An ask whose id came to you by another way
    pub(crate) ask: Option<String>,
}

/// `commons approve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons approve 9c41
  commons approve 9c41 me-again.jpg               where a fresh photograph is asked for
  commons approve 9c41 --uses 1 --until 1h        to less than was asked

It answers once now, and grants the rest of the uses that you approve.")]
pub(crate) struct Approve {
    /// Which ask: its id, or the first characters of one in `commons requests`
    #[arg(value_name = "ASK")]
    pub(crate) ask: String,
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// Fewer uses than asked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: Option<u32>,
    /// An earlier end than asked, as in `commons grant`
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Key file of the capture station that took the sample
    #[arg(long, value_name = "FILE")]
    pub(crate) station_key: Option<PathBuf>,
}

/// `commons refuse`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons refuse 9c41

The relying party learns that the answer is no, and not who said it.")]
pub(crate) struct Refuse {
    /// Which ask: its id, or the first characters of one in `commons requests`
    #[arg(value_name = "ASK")]
    pub(crate) ask: String,
}

/// `commons ledger`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons ledger
  commons ledger --html ledger.html")]
pub(crate) struct Ledger {
    /// Write it as a page, too
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// `commons shield`.
#[derive(Debug, Args)]
pub(crate) struct Shield {
    #[command(subcommand)]
    pub(crate) command: ShieldCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShieldCommand {
    /// Stop everything at once: every grant, every session, every waiting request
    ///
    /// One signed act to all three nodes. Each applies it by itself; one that is down applies it before it serves again.
    #[command(after_help = "\
Examples:
  commons shield up

Exit code 0: up on all three nodes. 3: up where a node answered; run it again for the others.")]
    Up,
    /// Take it down: only the grants that you name come back, all others end
    #[command(after_help = "\
Examples:
  commons shield down                          no grant comes back
  commons shield down --restore 3f2a 77b0")]
    Down {
        /// Suspended grants that may be used again: ids, or the first characters of them
        #[arg(long, value_name = "GRANT", num_args = 1..)]
        restore: Vec<String>,
    },
}

/// `commons vouch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons vouch 5d1c...e2 --out voucher-for-amina.txt    the device key that `commons vouch --who` shows on Amina's machine
  commons vouch --who                                   your own device key, to be vouched for
  commons enrol me.jpg --voucher voucher-for-amina.txt")]
pub(crate) struct Vouch {
    /// Device key of the newcomer
    #[arg(value_name = "DEVICE", required_unless_present = "who")]
    pub(crate) device: Option<String>,
    /// Show the device key of --member, making the key if there is none
    #[arg(long, conflicts_with = "device")]
    pub(crate) who: bool,
    /// Until when, as in `commons grant`
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    pub(crate) until: String,
    /// Write the voucher here; without it, it is printed
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
