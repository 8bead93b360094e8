//! The command line, with examples.

pub(crate) mod consent;
pub(crate) mod party;
pub(crate) mod persona;
pub(crate) mod proof;
pub(crate) mod recovery;
pub(crate) mod wallet;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

const EXITS: &str = "\
Exit codes:
  0  yes, or done
  1  the answer is no: already enrolled, not the same person, not a member
  2  the command or its input cannot be used
  3  nodes do not answer
  4  a node sent something that an honest node does not send

First steps:
  commons dev                     three nodes on this machine, with throw-away keys
  commons enrol me.jpg            in another terminal
  commons verify me-again.jpg
  commons inspect                 what the nodes store about you
  commons ledger                  everything of you that is out there, and who used it";

/// One person, once - without anyone holding a biometric.
///
/// Your template is split on this machine into shares for three nodes; no node ever sees it.
#[derive(Debug, Parser)]
#[command(name = "commons", version, after_help = EXITS, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// For every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "For every command")]
pub(crate) struct Global {
    /// Answer with one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but the answer
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Roster of the commons; without it, the running `commons dev`
    #[arg(long, global = true, value_name = "FILE", env = "COMMONS_ROSTER", hide_env_values = true)]
    pub(crate) roster: Option<PathBuf>,
    /// Whose key on this machine
    #[arg(long, global = true, value_name = "NAME", default_value = "me")]
    pub(crate) member: String,
    /// Read the passphrase of the key from this file (or set COMMONS_PASSPHRASE)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a commons on this machine: three nodes, throw-away keys
    ///
    /// Three nodes in one process, on loopback only, with keys that are thrown away at the end. For trying things out. It protects
    /// nobody: whoever reads this process's memory sees all three shares.
    Dev(Dev),
    /// Become a member, once
    ///
    /// Your template is matched against everybody's on secret shares, and kept as shares if nobody matches. With it goes your
    /// signed consent: to this one use, for fraud prevention (deduplication), expiring in minutes.
    Enrol(Enrol),
    /// Show that you are the member who enrolled
    ///
    /// Your new sample is compared with your own record only, on secret shares. With it goes your signed consent: to this one
    /// use, for identity verification, expiring in minutes.
    Verify(Verify),
    /// Replace your record by one of a newer sample
    ///
    /// It must match your record, and nobody else's; that is found out on secret shares, and you stay the member that you are. With it goes
    /// your signed consent, as when you enrolled. The old record is erased.
    Renew(Renew),
    /// What do the nodes know of you?
    ///
    /// Each node's signed statement is checked, and all three are compared.
    Status(Status),
    /// Take everything back: erase your records on all three nodes
    ///
    /// Your records are masked at once, so that they match nobody, and erased. It cannot be undone.
    Withdraw(Withdraw),
    /// See what each node stores about you, and test that it is noise
    ///
    /// Byte counts, a histogram, and three tests of randomness on a sample of the stored bytes. Each node shows other
    /// coordinates, so that even all three samples together reveal nothing.
    Inspect(Inspect),
    /// The roster of a commons: take a newer one when nodes or profiles change
    Roster(Roster),
    /// The rules in force, and how operators change them
    Charter(proof::Charter),
    /// Let a relying party ask about you, for a purpose, until a time, so many times
    Grant(consent::Grant),
    /// Your standing grants
    Grants(consent::Grants),
    /// Make a standing grant smaller
    Narrow(consent::Narrow),
    /// End a standing grant
    Revoke(consent::Revoke),
    /// Who asks you, what for, what they would learn, until when
    Requests(consent::Requests),
    /// Say yes to a request
    Approve(consent::Approve),
    /// Say no to a request
    Refuse(consent::Refuse),
    /// Everything of you that is out there: to whom, since when, how often used
    Ledger(consent::Ledger),
    /// Stop every use at once, and start again with what you pick
    Shield(consent::Shield),
    /// What was decided about you, with proof
    Receipts(proof::Receipts),
    /// Are all my receipts in the logs, and does nothing in the logs name me without a receipt?
    Audit(proof::Audit),
    /// Follow the three logs: whole, witnessed, and alike? Needs no membership
    Monitor(proof::Monitor),
    /// Proof of what was decided, in one file that anybody can read and check offline
    Evidence(proof::Evidence),
    /// Vouch for a newcomer
    Vouch(consent::Vouch),
    /// Who can help you to a new device when you lose yours
    Guardians(recovery::Guardians),
    /// Be a guardian: keep shares, approve a new device
    Guardian(recovery::Guardian),
    /// A new device takes the lost one's place; the old one can say no
    Recover(recovery::Recover),
    /// As a relying party: ask, hear answers, use grants
    Party(party::Party),
    /// Be somebody else in every place: one person, once, unlinkable
    Persona(persona::Persona),
    /// Sign in to a web site that asks for one person, once
    SignIn(persona::SignIn),
    /// Your membership for verifiers that speak only to wallets
    Wallet(wallet::Wallet),
    /// As a verifier: say who asks whom for what
    Context(persona::ContextArgs),
    /// As a verifier: a challenge for a persona to answer
    Challenge(persona::ChallengeArgs),
    /// As a verifier: is this one enrolled person, once here?
    VerifyProof(persona::VerifyProof),
    /// See it work: real photographs, three nodes, one minute
    Demo(crate::demo::Demo),
    /// How accurate is matching on your own samples, and does private matching decide as plaintext does?
    Evaluate(crate::evaluate::Evaluate),
    /// How fast is it on this machine? Private and plaintext matching in one run
    Bench(crate::bench::Bench),
    /// Completions for your shell
    Completions(Completions),
}

/// `commons dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons dev
  commons dev --port-base 7400 --data-dir ./dev-data     keep keys and records for the next run
  commons dev --profile my-extractor.toml                match your own kind of template, too
  commons dev --json --ready-file /tmp/ready             for scripts: one object when ready")]
pub(crate) struct Dev {
    /// First of nine consecutive ports, of which the last three serve browsers; without it, free ones
    #[arg(long, value_name = "PORT")]
    pub(crate) port_base: Option<u16>,
    /// Keep keys and records here; without it they are thrown away at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write this file when all three nodes are ready (its content: the path of the roster)
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Match this modality profile, too (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Vec<PathBuf>,
    /// How long a recovery waits here, in seconds; a real commons takes days
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(crate) recovery_delay: u32,
    /// Folder with the page for browsers; without it, what `./x web` made in this checkout
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,
    /// Length of an epoch of credentials, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = types::Epochs::DAILY.length_s)]
    pub(crate) epoch: u32,
}

/// What a template is made from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Your sample")]
pub(crate) struct SampleArgs {
    /// Photograph of your face: JPEG, PNG or PGM
    #[arg(value_name = "PHOTO", help_heading = "Arguments")]
    pub(crate) photo: Option<PathBuf>,
    /// Vector of your own extractor instead: .json, or .npy with --row
    #[arg(long, value_name = "FILE")]
    pub(crate) vector: Option<PathBuf>,
    /// Iris codes instead, packed bits in .npy, with --masks and --row
    #[arg(long, value_name = "CODES.npy", requires = "masks")]
    pub(crate) iris: Option<PathBuf>,
    /// Masks of the iris codes
    #[arg(long, value_name = "MASKS.npy")]
    pub(crate) masks: Option<PathBuf>,
    /// Row of the .npy file, counted from 0
    #[arg(long, value_name = "N")]
    pub(crate) row: Option<usize>,
    /// Modality profile: an id of the commons, or a profile file
    #[arg(long, value_name = "ID|FILE")]
    pub(crate) profile: Option<String>,
}

/// A sample that is kept as shares.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeptArgs {
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// With --vector, while one profile replaces another: the vector of the same sample in the older one
    #[arg(long, value_name = "FILE", requires = "vector")]
    pub(crate) former: Option<PathBuf>,
    /// A note for your consent and receipt
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Key file of the capture station that took the sample
    #[arg(long, value_name = "FILE")]
    pub(crate) station_key: Option<PathBuf>,
}

/// Become a member, once: your template is matched against everybody's on secret shares, and kept as shares if nobody matches.
///
/// With it goes your signed consent: to this one use, for fraud prevention (deduplication), expiring in minutes.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(false).args(["photo", "vector", "iris", "bulk"]),
    after_help = "\
Examples:
  commons enrol me.jpg
  commons enrol --vector embedding.json --profile my-extractor
  commons enrol --vector embeddings.npy --row 17
  commons enrol --iris codes.npy --masks masks.npy --row 0
  commons enrol --bulk index.csv --templates embeddings.npy   run again to continue

Exit code 0: enrolled. 1: somebody with a matching template is already enrolled; nothing was kept.")]
pub(crate) struct Enrol {
    #[command(flatten)]
    pub(crate) kept: KeptArgs,
    /// Who vouches for you: files that `commons vouch` wrote (repeatable)
    #[arg(long, value_name = "FILE", conflicts_with = "bulk")]
    pub(crate) voucher: Vec<PathBuf>,
    /// Enrol many people: CSV with the columns row, subject, sample
    #[arg(
        long,
        value_name = "INDEX.csv",
        requires = "templates",
        conflicts_with = "station_key",
        help_heading = "Many at once"
    )]
    pub(crate) bulk: Option<PathBuf>,
    /// The templates, one row each: vectors or packed iris codes
    #[arg(long, value_name = "FILE.npy", requires = "bulk", help_heading = "Many at once")]
    pub(crate) templates: Option<PathBuf>,
    /// Which samples of each subject
    #[arg(long, value_enum, default_value_t = Subjects::All, requires = "bulk", help_heading = "Many at once")]
    pub(crate) subjects: Subjects,
    /// Enrolments under way at one time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024), requires = "bulk", help_heading = "Many at once")]
    pub(crate) in_flight: u16,
}

/// Which rows of a bulk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subjects {
    /// Every row; second samples of a person are refused as duplicates
    All,
    /// The first row of each subject
    First,
}

/// Show that you are the member who enrolled: your new sample is compared with your own record only, on secret shares.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(false).args(["photo", "vector", "iris"]),
    after_help = "\
Examples:
  commons verify me-again.jpg
  commons verify --vector embedding.json && echo same person

Exit code 0: the same person. 1: not the same person.")]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// A note for your consent and receipt
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Key file of the capture station that took the sample
    #[arg(long, value_name = "FILE")]
    pub(crate) station_key: Option<PathBuf>,
}

/// Replace your record by one of a newer sample, which must match your record and nobody else's.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(false).args(["photo", "vector", "iris"]),
    after_help = "\
Examples:
  commons renew me-years-later.jpg
  commons renew --vector embedding.json --json
  commons renew me.jpg --profile face-512-mirrored   move to a better model

Exit code 0: renewed. 1: not renewed, your record is as it was.")]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) kept: KeptArgs,
}

/// The file with the operators' keys.
#[derive(Debug, Args)]
pub(crate) struct Roster {
    #[command(subcommand)]
    pub(crate) command: RosterCommand,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(crate) enum RosterCommand {
    /// Take a newer roster in the place of the one that you trust
    ///
    /// Taken only if it continues the same commons: every node that was replaced since must have been replaced with the signatures of the two
    /// others, every profile that was added have those of all three. Whoever gave you the file need not be trusted.
    #[command(after_help = "\
Examples:
  commons roster accept new-roster.toml --roster roster.toml

Exit code 0: taken, or nothing new in it. 2: refused, nothing was changed.")]
    Accept(AcceptRoster),
}

/// `commons roster accept`.
#[derive(Debug, Args)]
pub(crate) struct AcceptRoster {
    /// The newer roster
    #[arg(value_name = "FILE")]
    pub(crate) newer: PathBuf,
}

/// What do the nodes know of you? Each node's signed statement is checked, and all three are compared.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons status
  commons status --json --roster our-commons.toml

Exit code 0: you are a member. 1: you are not.")]
pub(crate) struct Status {}

/// `commons withdraw`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons withdraw
  commons withdraw --profile iris-12800 --yes
  commons withdraw --yes --forget-key")]
pub(crate) struct Withdraw {
    /// Only the record of this modality profile
    #[arg(long, value_name = "ID")]
    pub(crate) profile: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Then delete the key on this machine, too; it is of no more use
    #[arg(long, conflicts_with = "profile")]
    pub(crate) forget_key: bool,
}

/// `commons inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons inspect
  commons inspect --json")]
pub(crate) struct Inspect {}

/// Completions for your shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons completions bash > ~/.local/share/bash-completion/completions/commons
  commons completions fish > ~/.config/fish/completions/commons.fish")]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}
