//! Command lines of personas, and of those to whom they are shown.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `commons persona`.
#[derive(Debug, Args)]
pub(crate) struct Persona {
    #[command(subcommand)]
    pub(crate) command: PersonaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PersonaCommand {
    /// Be somebody in a context: once, unlinkable to anything else of you
    New(New),
    /// Your personas on this machine, and what they did
    List,
    /// One persona: its mark, its context, its uses
    Show(Show),
    /// Answer a challenge: one person, once here, and what the context asks, nothing else
    Prove(Prove),
    /// Give a persona up; nobody, not even you, can ever be another one there
    Retire(Named),
    /// The code of this moment, to be checked face to face
    Code(Code),
    /// Check the code that somebody shows you
    CheckCode(CheckCode),
    /// Say that two of your personas are one person: to all, or to one who can convince nobody else
    Reveal(Reveal),
    /// Check what somebody revealed
    CheckReveal(CheckReveal),
    /// Fetch credentials of the moment; other commands do it by themselves
    Renew(Renew),
    /// Have your credentials say what a relying party vouches for, such as an age band
    Claim(TakeClaim),
}

/// `commons persona new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona new clinic.json
  commons persona new clinic.json --label clinic
  curl -s https://clinic.example/context.json | commons persona new -

The same context always gives the same persona: one person, once.")]
pub(crate) struct New {
    /// The context: a file, - for standard input, or its JSON
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: String,
    /// Your own word for this persona; the context's id if not given
    #[arg(long, value_name = "WORD")]
    pub(crate) label: Option<String>,
}

/// Where a text goes.
#[derive(Debug, Args)]
pub(crate) struct Out {
    /// Write it here; without it, it is printed
    #[arg(long = "out", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// A verifier's memory of one context.
#[derive(Debug, Args)]
pub(crate) struct State {
    /// Where this verifier remembers challenges and admissions; in the data home if not given
    #[arg(long = "state", value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// A persona by its name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Your word for it, its context's id, or the first characters of its pseudonym
    #[arg(value_name = "PERSONA")]
    pub(crate) persona: String,
}

/// `commons persona show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona show clinic
  commons persona show clinic --svg mark.svg")]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Write its mark as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// `commons persona prove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona prove clinic --challenge challenge.json --to https://clinic.example --out proof.json
  commons persona prove clinic --challenge - --to https://clinic.example --yes < challenge.json

It asks no node: nobody but the verifier learns that you were here.")]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The verifier's challenge: a file, - for standard input, or its JSON, as a QR code holds it
    #[arg(long, value_name = "CHALLENGE")]
    pub(crate) challenge: String,
    /// Whom you are in fact talking to: the origin of the page, the name on the door
    #[arg(long, value_name = "VERIFIER")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons persona code`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona code festival
  commons persona code festival --watch
  commons persona code festival --out code.json")]
pub(crate) struct Code {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Show a new one every ten seconds, until Ctrl-C
    #[arg(long, conflicts_with = "out")]
    pub(crate) watch: bool,
    /// Write the code here
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `commons persona check-code`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona check-code code.json --context festival.json
  commons persona check-code code.json --context festival.json --is 8f0c41

Exit code 0: made by this persona within the last 30 seconds. 1: not.")]
pub(crate) struct CheckCode {
    /// The code: a file, - for standard input, or its JSON
    #[arg(value_name = "CODE")]
    pub(crate) code: String,
    /// The context in which the other person is this persona
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: String,
    /// First characters of the pseudonym that it must be
    #[arg(long, value_name = "PSEUDONYM")]
    pub(crate) is: Option<String>,
}

/// `commons persona reveal`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona reveal clinic co-operative --out reveal.json                     to all: it can be passed on
  commons persona reveal clinic co-operative --to judge.key.json --out reveal.json to one who can convince nobody else")]
pub(crate) struct Reveal {
    /// One persona
    #[arg(value_name = "PERSONA")]
    pub(crate) one: String,
    /// Another; where the other side knows you already, this is \"me\"
    #[arg(value_name = "OTHER")]
    pub(crate) other: String,
    /// To this verifier alone: the public key that `commons context reveal-key` shows there
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<String>,
    /// The other side's question: 64 hexadecimal characters
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons persona check-reveal`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona check-reveal reveal.json
  commons persona check-reveal reveal.json --key judge

Exit code 0: one person. 1: not shown.")]
pub(crate) struct CheckReveal {
    /// The reveal: a file, - for standard input, or its JSON
    #[arg(value_name = "REVEAL")]
    pub(crate) reveal: String,
    /// Name of your own reveal key, where it was made to you alone
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// The question that you asked: 64 hexadecimal characters
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
}

/// `commons persona renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona renew
  commons persona renew --watch       keep credentials fresh, each time at a moment chosen at random

Renew when it suits you, not because somebody asks for a proof: whoever sees both could compare times.")]
pub(crate) struct Renew {
    /// Stay, and renew at random moments, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `commons persona claim`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons persona claim claim.txt
  commons persona claim --forget age-band

A party gets your device key (`commons vouch --who`) and gives you a file (`commons party vouch`). You show what it says where a context asks
for it, each claim by itself, and nowhere else.")]
pub(crate) struct TakeClaim {
    /// The file that the relying party gave you, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "forget")]
    pub(crate) file: Option<String>,
    /// Have them say it no longer: age-band, locality or role
    #[arg(long, value_name = "KIND", conflicts_with = "file")]
    pub(crate) forget: Option<String>,
}

/// `commons sign-in`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons sign-in https://id.example/request/4f0c...     the address on the sign-in page, also in its QR code

You see who asks and what they learn before anything is shown. No node is asked: none learns where you sign in.")]
pub(crate) struct SignIn {
    /// The address that the sign-in page shows
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons context`.
#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    pub(crate) command: ContextCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Write a context: who asks whom for what, and until when
    New(NewContext),
    /// What a context says, in plain words
    Check(CheckContext),
    /// Your key for reveals that are made to you alone
    RevealKey(RevealKeyArgs),
}

/// How often a person is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// One persona for good
    Standing,
    /// Each person once
    OneTime,
    /// Each person once, anonymously, between two times
    Masquerade,
}

/// `commons context new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons context new programme --verifier https://clinic.example --out clinic.json
  commons context new ballot-7 --verifier \"River Co-op\" --kind one-time --closes 2026-12-31 --out ballot.json
  commons context new summer --verifier festival.example --kind masquerade --opens 2h --closes 10h --out festival.json
  commons context new adults --verifier https://bar.example --demand age-band=18-29,30-49,50-69 --out adults.json")]
pub(crate) struct NewContext {
    /// Your own name for it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Who you are to members: the origin of a web site, the name of an organisation
    #[arg(long, value_name = "NAME")]
    pub(crate) verifier: String,
    /// How often a person is admitted
    #[arg(long, value_enum, default_value_t = KindArg::Standing)]
    pub(crate) kind: KindArg,
    /// Not open before: a day, a time, or from now (2h)
    #[arg(long, value_name = "WHEN")]
    pub(crate) opens: Option<String>,
    /// Not open after
    #[arg(long, value_name = "WHEN")]
    pub(crate) closes: Option<String>,
    /// What must be disclosed: ATTRIBUTE, or ATTRIBUTE=VALUE,VALUE (repeatable). Attributes: community, admitted, charter, age-band,
    /// locality, role
    #[arg(long, value_name = "ATTRIBUTE[=VALUES]")]
    pub(crate) demand: Vec<String>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// `commons context check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons context check clinic.json

Exit code 0: it is open now. 1: it is not.")]
pub(crate) struct CheckContext {
    /// The context: a file, - for standard input, or its JSON
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: String,
}

/// `commons context reveal-key`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons context reveal-key judge --out judge.key.json

Give the public key to whom shall be able to reveal something to you alone. Made once, shown again.")]
pub(crate) struct RevealKeyArgs {
    /// Short name on this machine: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// `commons challenge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons challenge clinic.json --out challenge.json
  commons challenge festival.json --qr challenge.svg

A challenge is good for five minutes and takes one answer: `commons verify-proof`.")]
pub(crate) struct ChallengeArgs {
    /// Your context
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: String,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Write a QR code of it as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) qr: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: State,
}

/// `commons verify-proof`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons verify-proof proof.json --context clinic.json
  commons verify-proof - --context clinic.json --json < proof.json

Exit code 0: one enrolled person, by this pseudonym. 1: not shown, or admitted before. Every attempt goes into attempts.log in the
state folder, without anything about a person.")]
pub(crate) struct VerifyProof {
    /// The presentation: a file, - for standard input, or its JSON
    #[arg(value_name = "PROOF")]
    pub(crate) proof: String,
    /// Your context
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) context: String,
    #[command(flatten)]
    pub(crate) state: State,
}
