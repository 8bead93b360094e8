//! A commons with three issuers, and members in it.
#![allow(dead_code, reason = "each test file uses its own part")]

use credential::{
    Attribute, Attributes, Challenge, Context, Credential, Epoch, Epochs, Error, Fresh, IssuerKey, Issuers, Kind,
    MemberSecret, Presentation, Verified, present, verify,
};
use types::{Digest, NodeId};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const SITE: &str = "https://clinic.example";

pub(crate) struct Commons {
    pub(crate) keys: [IssuerKey; 3],
    pub(crate) issuers: Issuers,
}

pub(crate) struct Member {
    pub(crate) secret: MemberSecret,
    pub(crate) credentials: Vec<Credential>,
}

/// Bytes that never repeat within one test run, given different numbers.
pub(crate) fn fresh(number: u64) -> Fresh {
    Fresh::new(bytes(number))
}

pub(crate) fn bytes(number: u64) -> [u8; 32] {
    Digest::of("test", &[&number.to_le_bytes()]).0
}

impl Commons {
    pub(crate) fn new(seed: u64) -> Self {
        let keys = [1, 2, 3].map(|node| IssuerKey::from_material(bytes(1000 * seed + node)));
        let public = [0, 1, 2].map(|i: usize| keys[i].public());
        let issuers = Issuers::new(Digest(bytes(seed)), Epochs::DAILY, public).unwrap();
        Self { keys, issuers }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.issuers.epochs().at(NOW)
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let base = Attributes::new("river-valley", Epoch(20_000), 3).unwrap();
        base.with(Attribute::AgeBand, "18-29").unwrap()
    }

    /// Enrols: one commitment to all, a signature by each.
    pub(crate) fn member(&self, seed: u64) -> Member {
        self.member_with(seed, &self.attributes())
    }

    pub(crate) fn member_with(&self, seed: u64, attributes: &Attributes) -> Member {
        let secret = MemberSecret::generate(fresh(seed));
        let commitment = secret.request(fresh(seed + 1_000_000)).verify().unwrap();
        let issue = |node| self.issue(&secret, &commitment, node, self.epoch(), attributes).unwrap();
        let credentials = NodeId::ALL.map(issue).to_vec();
        Member { secret, credentials }
    }

    pub(crate) fn issue(
        &self,
        secret: &MemberSecret,
        commitment: &credential::Commitment,
        node: NodeId,
        epoch: Epoch,
        attributes: &Attributes,
    ) -> Result<Credential, Error> {
        let issued = self.keys[node.index()].issue(&self.issuers.name(node), epoch, commitment, attributes)?;
        Credential::accept(secret, &self.issuers, node, epoch, attributes, &issued)
    }

    /// A presentation to an honest verifier.
    pub(crate) fn show(&self, member: &Member, context: &Context, number: u64) -> Presentation {
        self.answer(member, context, &challenge(context, number), number)
    }

    pub(crate) fn answer(&self, member: &Member, context: &Context, challenge: &Challenge, number: u64) -> Presentation {
        let Member { secret, credentials } = member;
        let fresh = fresh(2_000_000 + number);
        present(secret, credentials, &self.issuers, context, challenge, context.verifier(), NOW, fresh).unwrap()
    }

    pub(crate) fn verify(&self, presentation: &Presentation, context: &Context, number: u64) -> Result<Verified, Error> {
        verify(presentation, context, &challenge(context, number), NOW, &self.issuers)
    }
}

pub(crate) fn challenge(context: &Context, number: u64) -> Challenge {
    Challenge::new(context, bytes(3_000_000 + number), NOW, 120)
}

pub(crate) fn clinic() -> Context {
    Context::new("programme", SITE, Kind::Standing).unwrap().demand(Attribute::Community, &["river-valley"]).unwrap()
}

pub(crate) fn festival() -> Context {
    Context::masquerade("summer", "https://festival.example", NOW - 3600, NOW + 3600).unwrap()
}
