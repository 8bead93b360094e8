//! Command lines of rules, receipts, logs and evidence.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `commons charter`.
#[derive(Debug, Args)]
pub(crate) struct Charter {
    #[command(subcommand)]
    pub(crate) command: CharterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CharterCommand {
    /// The rules in force: who may ask what, for what, how long, and what they learn
    #[command(after_help = "\
Examples:
  commons charter show
  commons charter show --diff              what changed since you last read them
  commons charter show --toml > charter.toml")]
    Show {
        /// Only what changed since you last read them
        #[arg(long, conflicts_with = "toml")]
        diff: bool,
        /// The document itself
        #[arg(long)]
        toml: bool,
    },
    /// Operators: begin the next charter from the one in force
    #[command(after_help = "\
Examples:
  commons charter new --out next.toml

Then edit it, `commons charter check`, and have all three operators sign it.")]
    New {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Operators: write a charter in the one form that is signed
    Canonical {
        /// The charter
        file: PathBuf,
        /// Where to write it; without it, it is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Operators: can this be the next charter, and what does it change?
    #[command(after_help = "\
Examples:
  commons charter check next.toml --roster our-commons.toml

Exit code 0: yes. 2: no, with what to change.")]
    Check {
        /// The charter
        file: PathBuf,
    },
    /// Operators: sign a charter with the key of a node
    #[command(after_help = "\
Examples:
  commons charter sign next.toml --identity /var/lib/commons-node --roster our-commons.toml

It writes next.toml.signature-N for node N. Send it to who joins the three.")]
    Sign {
        /// The charter
        file: PathBuf,
        /// Data folder of the node, where its identity.key lies
        #[arg(long, value_name = "DIR")]
        identity: PathBuf,
    },
    /// Operators: join a charter and three signatures
    #[command(after_help = "\
Examples:
  commons charter join next.toml next.toml.signature-1 next.toml.signature-2 next.toml.signature-3 --out next.charter")]
    Join {
        /// The charter
        file: PathBuf,
        /// The signatures of nodes 1, 2 and 3, in any order
        #[arg(num_args = 3, required = true)]
        signatures: Vec<PathBuf>,
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Operators: bring a joined charter to the nodes; from then on it is in force
    ///
    /// Keeps a receipt with the three nodes' signatures and the logs' proofs, for `commons receipts check FILE`.
    Adopt {
        /// The joined charter
        file: PathBuf,
    },
}

/// `commons receipts`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons receipts                       list
  commons receipts show 5e0a             one, in words
  commons receipts check                 every one, offline
  commons receipts check receipt.json --roster our-commons.toml")]
pub(crate) struct Receipts {
    #[command(subcommand)]
    pub(crate) command: Option<ReceiptsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptsCommand {
    /// One, in words
    Show {
        /// First characters of its operation, or a file
        receipt: String,
    },
    /// Check receipts offline: signatures, rules, log proofs
    Check {
        /// First characters of operations, or files, also of a charter's adoption; without it, all of yours
        receipts: Vec<String>,
    },
}

/// `commons audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons audit
  commons audit --json

Exit code 0: all is accounted for. 3: nodes do not answer. 4: something is not as it must be.")]
pub(crate) struct Audit {}

/// `commons monitor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons monitor --once --roster our-commons.toml
  commons monitor --every 60                       until Ctrl-C
  commons monitor --once --html report.html

Exit code 0: the logs are as they must be. 3: nodes do not answer. 4: something is not as it must be.")]
pub(crate) struct Monitor {
    /// Look once
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between looks
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) every: u64,
    /// Write a report as a page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Keep what was followed here; without it, in the data home
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// `commons evidence`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  commons evidence 5e0a --out evidence.html
  commons evidence verify evidence.html --roster our-commons.toml
  commons evidence verify evidence.html --roster our-commons.toml --extract parts"
)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    pub(crate) command: Option<EvidenceCommand>,
    /// First characters of operations, or receipt files
    #[arg(required = true, value_name = "RECEIPT")]
    pub(crate) receipts: Vec<String>,
    /// Where to write the page
    #[arg(long, value_name = "FILE", default_value = "evidence.html")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Check an evidence file offline, with nothing but the roster's public keys
    Verify {
        /// The file
        file: PathBuf,
        /// Write its parts as files for other programs: tlog-proofs, policies, entries, charters, JSON-LD
        #[arg(long, value_name = "DIR")]
        extract: Option<PathBuf>,
    },
}
