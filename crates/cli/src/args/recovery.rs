//! Command lines of recovery: of the member, of a guardian, and of a new device.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::SampleArgs;

/// `commons guardians`.
#[derive(Debug, Args)]
pub(crate) struct Guardians {
    #[command(subcommand)]
    pub(crate) command: GuardiansCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardiansCommand {
    /// Name who can help you to a new device, and how many of them it takes
    ///
    /// Each guardian gets a sealed share, one file for each. It says neither for whom nor anything about you; give it to them however
    /// you like. The nodes learn how many guardians there are and never who they are.
    #[command(after_help = "\
Examples:
  commons guardians set --need 2 bo.guardian carla.guardian dana.guardian     files of `commons guardian key show --out`
  commons guardians set --need 2 bo=guardian:3Vk... carla=guardian:9aP... dana=guardian:uT1...

The first guardians count at once. Those named later, and another --need, count after a while (`commons charter show`), so that a
thief with your phone cannot put guardians of their own in place before you have noticed.")]
    Set {
        /// How many of them must approve a new device
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
        need: u8,
        /// Files with guardians' codes, named by the file; or NAME=CODE
        #[arg(value_name = "FILE|NAME=CODE", required = true)]
        guardians: Vec<String>,
        /// Write the shares into this folder
        #[arg(long, value_name = "DIR", default_value = "shares")]
        out: PathBuf,
    },
    /// Your guardians, whether each counts, and recoveries of yours
    #[command(after_help = "\
Examples:
  commons guardians list")]
    List,
    /// Take one guardian's share away and give another one a share
    #[command(after_help = "\
Examples:
  commons guardians replace bo emil.guardian

The old share counts no more at once, as long as enough others do. The new one counts after a while.")]
    Replace {
        /// Whom
        #[arg(value_name = "NAME")]
        old: String,
        /// By whom: a file with a guardian's code, or NAME=CODE
        #[arg(value_name = "FILE|NAME=CODE")]
        new: String,
        /// Write the new share into this folder
        #[arg(long, value_name = "DIR", default_value = "shares")]
        out: PathBuf,
    },
    /// Take guardians' shares away
    #[command(after_help = "\
Examples:
  commons guardians remove bo
  commons guardians remove bo carla --need 1
  commons guardians remove --all            after a while, nobody can recover for you any more")]
    #[command(group = ArgGroup::new("whom").required(true).args(["names", "all"]))]
    Remove {
        /// Whom
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
        /// How many of those that remain must approve; without it, as before
        #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..), conflicts_with = "all")]
        need: Option<u8>,
    },
}

/// `commons guardian`.
#[derive(Debug, Args)]
pub(crate) struct Guardian {
    #[command(subcommand)]
    pub(crate) command: GuardianCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardianCommand {
    /// Your guardian's key, to which members seal shares
    Key(GuardianKey),
    /// Keep a share that a member gave you
    #[command(after_help = "\
Examples:
  commons guardian accept for-bo.share --from amina

What you keep is sealed to your key: the file on your machine says neither for whom it is nor anything about them.")]
    Accept {
        /// The share's file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Your own word for whom it is; only you can read it
        #[arg(long, value_name = "NAME")]
        from: String,
    },
    /// The shares you keep, and what a new device's request says
    #[command(after_help = "\
Examples:
  commons guardian requests
  commons guardian requests ask.txt          who asks? Call them, and compare the device's number")]
    Requests {
        /// A request for approval
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say that this new device is the person's
    ///
    /// Talk to the person first, in a way that a thief cannot fake: meet, or call. Compare the device's number. Your approval is for this
    /// one device and ends by itself.
    #[command(after_help = "\
Examples:
  commons guardian approve ask.txt --share amina --out yes-from-bo.txt")]
    Approve {
        /// The request for approval
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// For whom: your word for the share; may be left out where you keep one
        #[arg(long, value_name = "NAME")]
        share: Option<String>,
        /// Until when it counts: a day (2026-12-31), or from now (7d, 12h)
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        until: String,
        /// Write the approval here; without it, it is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Write it as a QR code, too (SVG)
        #[arg(long, value_name = "FILE")]
        qr: Option<PathBuf>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Although you refused this device before
        #[arg(long)]
        even_so: bool,
    },
    /// Remember that this device is not the person's
    #[command(after_help = "\
Examples:
  commons guardian refuse ask.txt

Nobody is told. Tell the person that somebody asked in their name.")]
    Refuse {
        /// The request for approval
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `commons guardian key`.
#[derive(Debug, Args)]
pub(crate) struct GuardianKey {
    #[command(subcommand)]
    pub(crate) command: GuardianKeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardianKeyCommand {
    /// Make a key, if there is none, and show its code
    New(GuardianCode),
    /// Show the code of your key. It is no secret: give it to who names you as guardian
    Show(GuardianCode),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons guardian key new --out bo.guardian
  commons guardian key show --qr bo.svg")]
pub(crate) struct GuardianCode {
    /// Write the code here
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write it as a QR code, too (SVG)
    #[arg(long, value_name = "FILE")]
    pub(crate) qr: Option<PathBuf>,
}

/// `commons recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    #[command(subcommand)]
    pub(crate) command: RecoverCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// On a new device: write the request that your guardians approve
    #[command(after_help = "\
Examples:
  commons recover ask --out ask.txt
  commons recover ask --qr ask.svg

Give it to your guardians however you like, and let them call you: they compare the number of your device.")]
    Ask {
        /// Write it here; without it, it is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Write it as a QR code, too (SVG)
        #[arg(long, value_name = "FILE")]
        qr: Option<PathBuf>,
    },
    /// On a new device: begin, with your guardians' approvals and your face
    #[command(after_help = "\
Examples:
  commons recover start me-now.jpg --approval yes-from-bo.txt yes-from-carla.txt
  commons recover start --without-sample --approval yes-from-*.txt       more guardians, and more time

The nodes compare the photograph with your record, on shares. Then a delay begins in which your old device, if you still have it, can
say no. Exit code 0: it waits. 1: it did not begin, and why.")]
    #[command(group = ArgGroup::new("face").required(true).args(["photo", "vector", "iris", "without_sample"]))]
    Start {
        #[command(flatten)]
        sample: SampleArgs,
        /// Your guardians' approvals
        #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
        approval: Vec<PathBuf>,
        /// Compare nothing: for who has no usable sample
        #[arg(long)]
        without_sample: bool,
        /// Key file of the capture station that took the sample
        #[arg(long, value_name = "FILE")]
        station_key: Option<PathBuf>,
    },
    /// Where the recovery to this device stands
    #[command(after_help = "\
Examples:
  commons recover status")]
    Status,
    /// On the new device, after the delay: become yourself again
    ///
    /// The old device is nobody's from that moment on, on all three nodes. Your member id, record, personas and names stay. Your grants
    /// wait under the shield for you to pick.
    #[command(after_help = "\
Examples:
  commons recover finish

Exit code 0: this device is yours. 1: the delay is not over.")]
    Finish,
    /// On the old device: say no to a recovery that you did not begin
    #[command(after_help = "\
Examples:
  commons recover veto
  commons recover veto 9c41")]
    Veto {
        /// Which: its id, or the first characters of it; may be left out where one waits
        #[arg(value_name = "RECOVERY")]
        recovery: Option<String>,
    },
}
