//! Command lines of relying parties.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SampleArgs;
use super::consent::TermsArgs;
use super::persona::Out;

/// `commons party`.
#[derive(Debug, Args)]
pub(crate) struct Party {
    #[command(subcommand)]
    pub(crate) command: PartyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// Keys of relying parties on this machine
    Key(Key),
    /// Ask a member: one person, once? or: the same person?
    Ask(Ask),
    /// What became of an ask?
    Answer(Answer),
    /// Use a standing grant
    Use(Use),
    /// Grants to this relying party, and asks that wait
    Grants(PartyGrants),
    /// Vouch for something about a member, such as an age band, where the charter names you for it
    Vouch(PartyVouch),
}

/// `commons party key`.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key; its public half goes into the charter
    #[command(after_help = "\
Examples:
  commons party key new river-clinic

The operators list the public key that it prints under [[parties]] of the next charter.")]
    New {
        /// Short name: a-z, 0-9 and -
        name: String,
    },
    /// Show the public key again
    Show {
        /// Short name
        name: String,
    },
}

/// `commons party ask`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons party ask --party demo-market
  commons party ask --party demo-clinic --operation verification --uses 5 --until 30d --qr ask.svg
  commons party ask --party demo-market --subject 8b0c...41      somebody you have met before

Give the ask's id to the member, as text or as the QR code; without --subject, whoever has it can answer.")]
pub(crate) struct Ask {
    /// As whom; may be left out where there is one key
    #[arg(long, value_name = "NAME")]
    pub(crate) party: Option<String>,
    #[command(flatten)]
    pub(crate) terms: TermsArgs,
    /// Whom: the name by which you know the member, from an earlier answer
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<String>,
    /// No answer after, as --until
    #[arg(long, value_name = "WHEN", default_value = "1d")]
    pub(crate) answer_by: String,
    /// Write the QR code as SVG; without it, it is shown in the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) qr: Option<PathBuf>,
}

/// `commons party answer`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons party answer 9c41d0f2a6b37e5588aa01c9f4e2d713
  commons party answer 9c41d0f2a6b37e5588aa01c9f4e2d713 --wait

Exit code 0: yes. 1: no, or not the same person. 3: nobody has answered yet.")]
pub(crate) struct Answer {
    /// Which ask
    pub(crate) ask: String,
    /// As whom; may be left out where there is one key
    #[arg(long, value_name = "NAME")]
    pub(crate) party: Option<String>,
    /// Wait for the answer
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `commons party use`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons party use 3f2a
  commons party use 3f2a visitor.jpg                 where the grant is for a verification

Exit code 0: yes. 1: not the same person.")]
pub(crate) struct Use {
    /// Which grant: its id, or the first characters of it
    #[arg(value_name = "GRANT")]
    pub(crate) grant: String,
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// As whom; may be left out where there is one key
    #[arg(long, value_name = "NAME")]
    pub(crate) party: Option<String>,
    /// Key file of the capture station that took the sample
    #[arg(long, value_name = "FILE")]
    pub(crate) station_key: Option<PathBuf>,
}

/// `commons party vouch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons party vouch age-band 18-29 --for 3b6a27bc...d4 --party demo-clinic --until 365d --out claim.txt

What can be vouched for, in which words and by whom stands in the charter: `commons charter show`.")]
pub(crate) struct PartyVouch {
    /// What: age-band, locality or role
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
    /// How it is with them: a value that the charter lists
    #[arg(value_name = "VALUE")]
    pub(crate) value: String,
    /// About whom: the device key that `commons vouch --who` shows on their machine
    #[arg(long = "for", value_name = "KEY")]
    pub(crate) device: String,
    /// Until when: a day, a time, or from now (365d)
    #[arg(long, value_name = "WHEN", default_value = "365d")]
    pub(crate) until: String,
    /// As whom; may be left out where there is one key
    #[arg(long, value_name = "NAME")]
    pub(crate) party: Option<String>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// `commons party grants`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons party grants --party demo-market --json")]
pub(crate) struct PartyGrants {
    /// As whom; may be left out where there is one key
    #[arg(long, value_name = "NAME")]
    pub(crate) party: Option<String>,
}
