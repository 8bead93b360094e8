//! The file with a member's credentials for wallets and their keys: sealed to the member's key.

use std::path::PathBuf;

use client::MemberKey;
use oidc::wallet::holder::{Wallet, WalletError};
use types::Digest;

use crate::commands::paper::{read_sealed_within, write_sealed};
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Bytes of the file: a thousand credentials, sealed.
const FILE_BYTES: usize = 5 * 1024 * 1024;

/// Credentials for wallets, of one member in one commons.
pub(crate) struct Cards {
    pub(crate) wallet: Wallet,
    path: PathBuf,
}

impl Cards {
    /// This member's; empty where there is no file.
    pub(crate) fn open(context: &Context, key: &MemberKey, commons: &Digest) -> Result<Self, Failure> {
        let path = context.home.credentials(&context.member, commons);
        let wallet = match read_sealed_within(&path, &key.files(), FILE_BYTES)? {
            None => Wallet::new(),
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).unwrap_or_default();
                Wallet::from_text(text).map_err(|error| refused(&error).about(path.display()))?
            }
        };
        Ok(Self { wallet, path })
    }

    pub(crate) fn save(&self, key: &MemberKey) -> Result<(), Failure> {
        write_sealed(&self.path, &key.files(), self.wallet.to_text().as_bytes())
    }

    /// Each issuer once.
    pub(crate) fn issuers(&self) -> Vec<String> {
        let mut all: Vec<String> = self.wallet.summaries().into_iter().map(|summary| summary.issuer).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// What a wallet cannot do, with its code.
pub(crate) fn refused(error: &WalletError) -> Failure {
    let code = match error {
        WalletError::NoneFits => "none-fits",
        WalletError::AllShown => "all-shown",
        WalletError::Request(_) => "bad-request",
        WalletError::Issuer(_) => "bad-issuer",
        _ => "wallet",
    };
    let failure = Failure::message(Exit::Input, code, &error.to_string());
    match error {
        WalletError::Request(_) => {
            Failure { hint: "ask the verifier for a new one, or use another wallet".to_owned(), ..failure }
        }
        WalletError::Issuer(_) => Failure { hint: "nothing was kept; tell the issuer's people".to_owned(), ..failure },
        _ => failure,
    }
}
