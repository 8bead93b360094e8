//! What personas, verifiers and nodes send each other, and what a device keeps.

use std::sync::OnceLock;

use client::showing::{RevealFile, RevealKeyFile};
use credential::code::Code;
use credential::escrow::{Half, Share, Slope, split};
use credential::reveal::{Reveal, RevealKey, Side};
use credential::{
    Attributes, Challenge, Commitment, CommitmentRequest, Context, Credential, Envelope, Epoch, Fresh, IssuerKey, Issuers,
    Kind, MemberSecret, Persona, Presentation, present, verify,
};
use types::{Digest, Epochs, NodeId};

use super::one_encoding;

const NOW: u64 = 1_800_000_000;
const SITE: &str = "https://clinic.example";

struct Scene {
    secret: MemberSecret,
    issuers: Issuers,
    context: Context,
    challenge: Challenge,
    credentials: Vec<Credential>,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let keys = [1u8, 2, 3].map(|node| IssuerKey::from_material([node; 32]));
        let public = keys.each_ref().map(IssuerKey::public);
        let issuers = Issuers::new(Digest([9; 32]), Epochs::DAILY, public).expect("three keys");
        let secret = MemberSecret::generate(Fresh::new([4; 32]));
        let (epoch, attributes) = (Epochs::DAILY.at(NOW), Attributes::new("a commons", Epoch(5), 1).expect("attributes"));
        let issue = |(node, key): (NodeId, &IssuerKey)| {
            let issued = key.issue(&issuers.name(node), epoch, &secret.commitment(), &attributes).expect("a signature");
            Credential::accept(&secret, &issuers, node, epoch, &attributes, &issued).expect("a credential")
        };
        let credentials = NodeId::ALL.into_iter().zip(&keys).map(issue).collect();
        let context = Context::new("programme", SITE, Kind::Standing).expect("a context");
        let challenge = Challenge::new(&context, [7; 32], NOW, 120);
        Scene { secret, issuers, context, challenge, credentials }
    })
}

/// Every value of a persona, as bytes and as JSON. What is accepted has one encoding, and checking it does not panic.
pub fn persona(bytes: &[u8]) {
    let scene = scene();
    envelope::<Context>(bytes);
    envelope::<Challenge>(bytes);
    if let Some(presentation) = envelope::<Presentation>(bytes) {
        let _ = verify(&presentation, &scene.context, &scene.challenge, NOW, &scene.issuers);
    }
    if let Some(code) = envelope::<Code>(bytes) {
        let _ = (code.verify(&scene.context, NOW), code.beads());
    }
    if let Some(reveal) = envelope::<Reveal>(bytes) {
        let [one, other] = reveal.sides().clone();
        let _ = reveal.verify(&one, &other, &[0; 32], None);
    }
    if let Ok(credential) = Credential::from_bytes(bytes) {
        one_encoding(bytes, &credential.to_bytes());
    }
    if let Ok(attributes) = Attributes::from_bytes(bytes) {
        one_encoding(bytes, &attributes.to_bytes());
    }
    let _ = serde_json::from_slice::<Context>(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = RevealKeyFile::read(text);
    if let Ok(file) = RevealFile::from_json(text) {
        let _ = file.check(&[0; 32], None);
    }
}

fn envelope<E: Envelope>(bytes: &[u8]) -> Option<E> {
    let value = E::from_bytes(bytes).ok();
    if let Some(value) = &value {
        one_encoding(bytes, &value.to_bytes());
    }
    value.or_else(|| E::from_json(std::str::from_utf8(bytes).ok()?).ok())
}

/// Seeds of [`persona`].
pub(crate) fn personas() -> Vec<Vec<u8>> {
    let Scene { secret, issuers, context, challenge, credentials } = scene();
    let shown = present(secret, credentials, issuers, context, challenge, SITE, NOW, Fresh::new([8; 32])).expect("a proof");
    let other = Context::masquerade("summer", "festival", NOW - 10, NOW + 10).expect("a masquerade");
    let (one, two) = (Persona::new(secret, context), Persona::new(secret, &other));
    let reveal = Reveal::to_all(&one, &two, [0; 32], Fresh::new([9; 32]));
    let _ = Side::new(context, *one.pseudonym());
    let code = Code::new(&one, NOW);
    let mut seeds = vec![
        context.to_bytes(),
        other.to_bytes(),
        challenge.to_bytes(),
        shown.to_bytes(),
        reveal.to_bytes(),
        code.to_bytes(),
    ];
    seeds.extend([shown.to_json(), challenge.to_json(), code.to_json()].map(String::into_bytes));
    seeds.extend(credentials.first().map(Credential::to_bytes));
    seeds.push(Attributes::new("a commons", Epoch(5), 1).expect("attributes").to_bytes());
    seeds.push(serde_json::to_vec(context).expect("JSON"));
    let key = RevealKey::generate(Fresh::new([6; 32])).public();
    seeds.push(RevealKeyFile::new("judge", &key).to_json().into_bytes());
    let mut wallet = client::Wallet::new(Digest([9; 32]), secret);
    let mut name = |place: &Context| wallet.persona(place, "x", NOW).expect("a persona").0.pseudonym;
    let pair = (name(context), name(&other));
    let file = wallet.reveal((&pair.0, &pair.1), None, [0; 32], NOW, Fresh::new([5; 32])).expect("a reveal");
    seeds.push(file.to_json().into_bytes());
    seeds
}

/// A member's commitment, and shares of a secret.
pub fn escrow(bytes: &[u8]) {
    if let Some(request) = bytes.first_chunk::<{ CommitmentRequest::LEN }>() {
        let _ = CommitmentRequest::from_bytes(*request).verify();
    }
    if let Ok(share) = Share::from_bytes(bytes) {
        one_encoding(bytes, &share.to_bytes());
        let _ = share.check(&scene().secret.commitment(), &Slope::from_bytes([1; 48]));
        let _ = share.check(&Commitment::from_bytes([2; 48]), &Slope::from_bytes([1; 48]));
    }
    let _ = Half::from_bytes(bytes);
}

/// Seeds of [`escrow`].
pub(crate) fn shares() -> Vec<Vec<u8>> {
    let secret = &scene().secret;
    let (shares, _) = split(secret, Fresh::new([1; 32]));
    let mut seeds: Vec<Vec<u8>> = shares.iter().map(|share| share.to_bytes().to_vec()).collect();
    seeds.push(secret.request(Fresh::new([2; 32])).to_bytes().to_vec());
    seeds
}

/// A wallet file.
pub fn wallet(bytes: &[u8]) {
    let key = client::MemberKey::from_random(&[1; 32]);
    let _ = client::Wallet::open(bytes, &key, &Digest([9; 32]), NOW);
}

/// Seeds of [`wallet`].
pub(crate) fn wallets() -> Vec<Vec<u8>> {
    let key = client::MemberKey::from_random(&[1; 32]);
    let wallet = client::Wallet::new(Digest([9; 32]), &scene().secret);
    vec![wallet.seal(&key, &[3; 24]).expect("a wallet")]
}
