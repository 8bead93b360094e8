//! Command lines of credentials for wallets.

use clap::{Args, Subcommand};

/// `commons wallet`.
#[derive(Debug, Args)]
pub(crate) struct Wallet {
    #[command(subcommand)]
    pub(crate) command: WalletCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Get a batch of membership credentials from an issuer (OpenID4VCI)
    Get(GetCredentials),
    /// What is in it: from whom, until when, and to whom each was shown
    List(ListCredentials),
    /// Show one to a verifier that asks wallets (OpenID4VP)
    Show(ShowCredential),
    /// Keep credentials alive for another epoch
    Renew(RenewCredentials),
    /// End all credentials of an issuer, everywhere
    Retire(RetireCredentials),
}

/// `commons wallet get`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons wallet get https://id.example

Where a site takes your persona itself (`commons sign-in`, `commons persona prove`), use that: a wallet's credential looks the same each time,
so each is shown to one verifier only, and its issuer can tell whose it is.")]
pub(crate) struct GetCredentials {
    /// The issuer's address: that of a `commons-oidc`
    #[arg(value_name = "ISSUER")]
    pub(crate) issuer: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons wallet list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons wallet list
  commons wallet list --check          fetch each issuer's whole status list, as everybody does, and say which still stand")]
pub(crate) struct ListCredentials {
    /// Fetch the status lists
    #[arg(long)]
    pub(crate) check: bool,
}

/// `commons wallet show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons wallet show 'openid4vp://?client_id=...&request_uri=https://id.example/vp/object/...'

You see who asks and what they learn before anything is shown.")]
pub(crate) struct ShowCredential {
    /// The link that the verifier shows, also in its QR code
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `commons wallet renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons wallet renew                         with every issuer
  commons wallet renew https://id.example

Tells the issuer nothing but that the persona it knows is still a member. Not when you are about to show a credential: it could compare times.")]
pub(crate) struct RenewCredentials {
    /// The issuer's address; all in the wallet if not given
    #[arg(value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
}

/// `commons wallet retire`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commons wallet retire https://id.example

They end for every verifier, and the issuer forgets whose they were.")]
pub(crate) struct RetireCredentials {
    /// The issuer's address
    #[arg(value_name = "ISSUER")]
    pub(crate) issuer: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
