//! The wallet on disk, and keeping it bound and fresh.

use client::native::NativeClient;
use client::personas::{Bound, bound};
use client::wallet::{PersonaAct, WALLET_BYTES, Wallet};
use client::{MemberKey, Platform as _, Proof};
use credential::{Fresh, MemberSecret};
use ed25519_dalek::SigningKey;
use types::Digest;
use types::persona::Claim;
use types::sign::Signed;
use zeroize::Zeroizing;

use crate::commands::receipt;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::{read_limited, write_private};

/// A member's key with their wallet in one commons.
pub(crate) struct Purse {
    pub(crate) key: MemberKey,
    pub(crate) commons: Digest,
    pub(crate) wallet: Wallet,
}

impl Purse {
    /// The wallet of this member, if there is one. What is over is erased from it, also on the disk.
    pub(crate) fn open(context: &Context, key: MemberKey, commons: Digest, now: u64) -> Result<Option<Self>, Failure> {
        let path = context.home.wallet(&context.member, &commons);
        let bytes = match read_limited(&path, WALLET_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::read(&path, &error)),
        };
        let (wallet, erased) = Wallet::open(&bytes, &key, &commons, now)
            .map_err(|error| Failure::from(error).coded("wallet").about(path.display()))?;
        let purse = Self { key, commons, wallet };
        if erased {
            purse.save(context)?;
        }
        Ok(Some(purse))
    }

    /// This member's wallet for a command that needs one and asks no node.
    pub(crate) fn existing(context: &Context, now: u64) -> Result<Self, Failure> {
        let commons = context.roster()?.digest();
        let key = context.member_key(false)?;
        Self::open(context, key, commons, now)?.ok_or_else(|| {
            Failure::input("there are no personas of yours on this machine", "make one with `commons persona new CONTEXT`")
                .coded("no-wallet")
        })
    }

    /// Notes what was done with a credential of the persona that `issuer` knows.
    pub(crate) fn note_carried(&mut self, issuer: &str, act: PersonaAct, at: u64) {
        let known = self.wallet.personas().iter().find(|kept| kept.context.verifier() == issuer);
        if let Some(pseudonym) = known.map(|kept| kept.pseudonym) {
            self.wallet.note(&pseudonym, at, act);
        }
    }

    pub(crate) fn save(&self, context: &Context) -> Result<(), Failure> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|_| client::Error::NoRandomness)?;
        let path = context.home.wallet(&context.member, &self.commons);
        let bytes = self.wallet.seal(&self.key, &nonce)?;
        write_private(&path, &bytes).map_err(|error| Failure::write(&path, &error))
    }
}

/// 32 fresh random bytes for one proof.
pub(crate) fn fresh() -> Result<Fresh, Failure> {
    Ok(Fresh::new(random()?))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| client::Error::NoRandomness)?;
    Ok(bytes)
}

/// What was done to make a wallet usable.
#[derive(Default)]
pub(crate) struct Done {
    /// The membership was bound just now.
    pub(crate) bound: Option<(Proof, receipt::Keeping)>,
    /// Credentials were fetched just now, from so many nodes.
    pub(crate) fetched: Option<usize>,
}

/// A wallet that is bound and has the credentials of the moment. To be called when a member uses their device, or at a moment chosen
/// at random: never because somebody asks for a presentation.
pub(crate) async fn ready(
    context: &Context,
    client: &NativeClient,
    key: MemberKey,
    device: &SigningKey,
) -> Result<(Purse, Done), Failure> {
    let (commons, now) = (client.commons().digest(), client.platform().now());
    let mut done = Done::default();
    let mut purse = match Purse::open(context, key.clone(), commons, now)? {
        Some(purse) => purse,
        None => {
            let secret = Zeroizing::new(random::<32>()?);
            let wallet = Wallet::new(commons, &MemberSecret::generate(Fresh::new(*secret)));
            let purse = Purse { key, commons, wallet };
            // Before the nodes hear of it: a secret that only they know would be lost.
            purse.save(context)?;
            purse
        }
    };
    if !purse.wallet.is_bound() {
        done.bound = bind(context, client, device, &mut purse).await?;
    }
    done.fetched = renew(context, client, device, &mut purse).await?;
    Ok((purse, done))
}

async fn bind(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
    purse: &mut Purse,
) -> Result<Option<(Proof, receipt::Keeping)>, Failure> {
    let spinner = context.out.spinner("Binding your membership to one secret, in shares of three nodes");
    let decided = client.bind_wallet(device, &mut purse.wallet).await;
    spinner.finish_and_clear();
    let decided = decided.map_err(|error| match error {
        client::Error::NotAMember => Failure {
            exit: Exit::No,
            code: "not-a-member".to_owned(),
            what: "the nodes know no member with this key".to_owned(),
            hint: "enrol first with `commons enrol`".to_owned(),
        },
        client::Error::BoundElsewhere => {
            let what = "this membership is bound to a secret that is not on this machine";
            let hint =
                "bring the wallet from the machine where your personas are, or recover it; there is never a second secret";
            Failure::input(what, hint).coded("already-bound")
        }
        other => other.into(),
    })?;
    purse.save(context)?;
    match decided {
        None => Ok(None),
        Some(proof) => {
            let keeping = receipt::keep(context, client, &proof, None).await?;
            Ok(Some((proof, keeping)))
        }
    }
}

/// Fetches credentials where it is time. Returns from how many nodes. What is vouched for about the member goes into them, as long as
/// the nodes accept it.
pub(crate) async fn renew(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
    purse: &mut Purse,
) -> Result<Option<usize>, Failure> {
    let claims = purse.wallet.claims(client.platform().now());
    match renew_with(context, client, device, purse, &claims).await {
        Err(failure) if failure.code.starts_with("claim-") => {
            context.out.warn(&format!("{}: your credentials say nothing that is vouched for", failure.what));
            renew_with(context, client, device, purse, &[]).await
        }
        fetched => fetched,
    }
}

/// The same, with exactly these claims.
pub(crate) async fn renew_with(
    context: &Context,
    client: &NativeClient,
    device: &SigningKey,
    purse: &mut Purse,
    claims: &[Signed<Claim>],
) -> Result<Option<usize>, Failure> {
    let spinner = context.out.spinner("Fetching credentials from three nodes");
    let collected = client.renew_wallet_with(device, &mut purse.wallet, claims).await;
    spinner.finish_and_clear();
    let Some(collected) = collected? else { return Ok(None) };
    for (_, error) in &collected.missing {
        if matches!(error, client::Error::Misbehaved { .. }) {
            context.out.warn(&error.to_string());
        }
    }
    purse.save(context)?;
    Ok(Some(collected.credentials.len()))
}

/// In passing, for commands that a member runs for another reason: keeps a wallet fresh that is there, and says nothing of what does
/// not work.
pub(crate) async fn in_passing(context: &Context, client: &NativeClient, key: MemberKey, device: &SigningKey) {
    let (commons, now) = (client.commons().digest(), client.platform().now());
    if let Ok(Some(mut purse)) = Purse::open(context, key, commons, now)
        && purse.wallet.is_bound()
        && let Err(failure) = renew(context, client, device, &mut purse).await
    {
        context.out.note(&format!("Your personas' credentials were not renewed: {}.", failure.what));
    }
}

/// On the device of a member who recovered: the secret behind their personas comes back from two nodes' shares. Which personas there
/// were, only the lost device knew; the same context gives the same persona. Returns whether there is a wallet with the secret now.
pub(crate) fn restore(
    context: &Context,
    client: &NativeClient,
    key: MemberKey,
    released: &[(types::NodeId, types::recovery::Released)],
    bound: &Digest,
) -> Result<bool, Failure> {
    let (commons, now) = (client.commons().digest(), client.platform().now());
    let secret = match client::personas::restore(released, bound) {
        Ok(secret) => secret,
        Err(error) => {
            context
                .out
                .warn(&format!("your personas' secret did not come back: {error}. Run this again when all nodes answer"));
            return Ok(false);
        }
    };
    if let Some(purse) = Purse::open(context, key.clone(), commons, now)?
        && purse.wallet.secret()? == secret
    {
        return Ok(true);
    }
    let mut wallet = Wallet::new(commons, &secret);
    wallet.set_bound();
    Purse { key, commons, wallet }.save(context)?;
    Ok(true)
}

/// After a withdrawal: if nothing is left of the membership, the nodes have erased the binding. The secret stays on this machine, so that
/// who enrols again is the same person everywhere; with `forget`, that goes as well.
pub(crate) async fn left(
    context: &Context,
    client: &NativeClient,
    key: MemberKey,
    device: &SigningKey,
    forget: bool,
) -> Result<(), Failure> {
    let commons = client.commons().digest();
    let Some(mut purse) = Purse::open(context, key, commons, client.platform().now())? else { return Ok(()) };
    if forget {
        let (wallet, cards) =
            (context.home.wallet(&context.member, &commons), context.home.credentials(&context.member, &commons));
        for path in [wallet, cards].iter().filter(|path| path.exists()) {
            std::fs::remove_file(path).map_err(|error| Failure::write(path, &error))?;
        }
        return Ok(());
    }
    if matches!(bound(&client.status(device).await?), Ok(Bound::NoMember)) {
        purse.wallet.set_unbound();
        purse.save(context)?;
    }
    Ok(())
}
