//! Properties of every signed message: one value, one encoding; a changed byte is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use types::consent::Purpose;
use types::message::{Action, Certificate, Decision, Former, Grant, Outcome, Request, Submission, VERSION};
use types::persona::{Claim, ClaimKind};
use types::roster::{Roster, RosterNode};
use types::sign::{Message, Signed, public_key, sign};
use types::{DeviceKey, Digest, Error, MemberId, NodeId, OperationId, PartyId, ProfileId};

const PROFILE: &str = "id = 'face-512'\nversion = 1\nmodality = 'face'\ndescription = 'd'\n[matching]\nkind = 'embedding'\n\
    dimensions = 512\nscale = 148\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.9\nnorm_max = 1.05\n";

fn roster(keys: &[SigningKey; 3]) -> Roster {
    let node = |id: NodeId| RosterNode {
        id,
        operator: format!("operator {id}"),
        url: format!("https://node{id}.example"),
        peer_address: format!("node{id}.example:7000"),
        signing_key: public_key(&keys[id.index()]),
        log_key: public_key(&SigningKey::from_bytes(&[100 + id.number(); 32])),
        seal_key: Digest([id.number(); 32]),
        issuer_key: types::IssuerPublicKey([id.number(); 96]),
        tls_key: Digest([10 + id.number(); 32]),
    };
    let profiles = vec![types::profile::Profile::from_toml(PROFILE).unwrap()];
    let commons = "a commons".to_owned();
    Roster {
        version: types::roster::VERSION,
        commons,
        throw_away: false,
        epochs: types::Epochs::DAILY,
        nodes: NodeId::ALL.map(node).to_vec(),
        profiles,
        successions: Vec::new(),
        additions: Vec::new(),
    }
}

fn keys() -> [SigningKey; 3] {
    [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]))
}

fn action() -> impl Strategy<Value = Action> {
    let submission = (any::<[u8; 32]>(), ".{0,40}", any::<u64>(), any::<bool>()).prop_map(|(bytes, note, time, dedup)| {
        let purpose = if dedup { Purpose::deduplication() } else { Purpose::verification() };
        let grant = Grant { purpose, note, not_before: time / 2, expires_at: time, uses: 1, charter: Digest(bytes) };
        let commitments = [Digest(bytes), Digest([1; 32]), Digest([2; 32])];
        let (profile, profile_digest) = (ProfileId::new("face-512").unwrap(), Digest(bytes));
        let former = Some(Former { profile: profile.clone(), profile_digest, commitments });
        Submission { profile, profile_digest, commitments, former, grant, station: None, vouchers: Vec::new() }
    });
    prop_oneof![
        submission.clone().prop_map(Action::Enrol),
        submission.prop_map(Action::Verify),
        Just(Action::Status),
        Just(Action::Withdraw { profile: None }),
        Just(Action::Withdraw { profile: Some(ProfileId::new("iris-12800").unwrap()) }),
        any::<[u8; 32]>().prop_map(|reply_key| Action::Inspect { reply_key }),
        any::<[u8; 16]>().prop_map(|id| Action::Outcome { operation: OperationId(id) }),
        (any::<[u8; 32]>(), any::<u8>()).prop_map(|(id, byte)| {
            Action::Bind(types::persona::Binding { commitment: Digest(id), request: [byte; 144], slope: [byte; 48] })
        }),
        (any::<u32>(), proptest::collection::vec(claim(), 0..4))
            .prop_map(|(epoch, claims)| Action::Issue { epoch: types::Epoch(epoch), claims }),
    ]
}

fn claim() -> impl Strategy<Value = Signed<Claim>> {
    (any::<[u8; 32]>(), ".{0,16}", any::<u64>(), 0usize..3).prop_map(|(bytes, value, expires_at, kind)| {
        let (kind, party) = (ClaimKind::ALL[kind], PartyId::new("river-clinic").unwrap());
        let key = SigningKey::from_bytes(&bytes);
        let claim = Claim { commons: Digest(bytes), device: public_key(&key), kind, value, party, expires_at };
        Signed::new(claim, &key)
    })
}

fn request() -> impl Strategy<Value = Request> {
    (any::<[u8; 32]>(), any::<[u8; 16]>(), any::<u64>(), any::<u64>(), action()).prop_map(
        |(commons, operation, issued_at, expires_at, action)| Request {
            version: VERSION,
            commons: Digest(commons),
            operation: OperationId(operation),
            device: public_key(&SigningKey::from_bytes(&[9; 32])),
            issued_at,
            expires_at,
            trace: Digest(commons),
            action,
        },
    )
}

proptest! {
    #[test]
    fn a_signed_request_survives_its_encoding_and_no_changed_byte_verifies(
        request in request(), position in any::<prop::sample::Index>(), flip in 1u8..
    ) {
        let signed = Signed::new(request, &SigningKey::from_bytes(&[9; 32]));
        let bytes = signed.to_bytes();
        let read = Signed::<Request>::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &signed);
        prop_assert!(read.verify(&read.message.device).is_ok());

        let mut altered = bytes.clone();
        altered[position.index(bytes.len())] ^= flip;
        if let Ok(read) = Signed::<Request>::from_bytes(&altered) {
            prop_assert_eq!(read.to_bytes(), altered, "one value, one encoding");
            prop_assert!(read.verify(&read.message.device).is_err());
        }
        let mut longer = bytes;
        longer.push(0);
        prop_assert!(Signed::<Request>::from_bytes(&longer).is_err(), "trailing bytes");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Signed::<Request>::from_bytes(&bytes);
        let _ = Certificate::from_bytes(&bytes);
        let _ = types::share::SamplePackage::from_bytes(&bytes);
        let _ = Signed::<types::message::Statement>::from_bytes(&bytes);
    }
}

#[test]
fn an_oversized_request_is_refused_before_it_is_parsed() {
    let bytes = vec![0; Request::LIMIT + 65];
    assert!(matches!(Signed::<Request>::from_bytes(&bytes), Err(Error::TooLarge { .. })));
}

#[test]
fn a_signature_does_not_serve_another_kind_of_message() {
    let key = SigningKey::from_bytes(&[1; 32]);
    assert_ne!(<Request as Message>::DOMAIN, <Decision as Message>::DOMAIN);
    let small_order = DeviceKey([0; 32]);
    let decision = decision(&roster(&keys()));
    assert!(types::sign::verify(&decision, &small_order, &sign(&decision, &key)).is_err());
}

fn decision(roster: &Roster) -> Decision {
    let outcome = Outcome::Enrolled { member: MemberId([5; 16]) };
    let (operation, request) = (OperationId([6; 16]), Digest([7; 32]));
    let (version, commons, charter, log_index) = (VERSION, roster.digest(), Digest([8; 32]), 4);
    Decision { version, commons, operation, request, batch: 3, decided_at: 9, charter, log_index, outcome }
}

#[test]
fn a_certificate_needs_all_three_nodes_in_order() {
    let (keys, roster) = (keys(), roster(&keys()));
    let decision = decision(&roster);
    let signatures = [0, 1, 2].map(|i| sign(&decision, &keys[i]));
    let good = Certificate { decision: decision.clone(), signatures };
    assert_eq!(Certificate::from_bytes(&good.to_bytes()).unwrap().verify(&roster), Ok(()));

    let two_nodes = Certificate { signatures: [signatures[0], signatures[1], signatures[1]], ..good.clone() };
    assert!(two_nodes.verify(&roster).is_err());
    let swapped = Certificate { signatures: [signatures[1], signatures[0], signatures[2]], ..good.clone() };
    assert!(swapped.verify(&roster).is_err());
    let mut other = good;
    other.decision.outcome = Outcome::Duplicate;
    assert!(other.verify(&roster).is_err());
}

#[test]
fn a_roster_survives_its_file_and_its_digest_binds_keys_and_profiles_but_not_addresses() {
    let original = roster(&keys());
    let read = Roster::from_toml(&original.to_toml().unwrap()).unwrap();
    assert_eq!(read, original);
    let mut moved = read.clone();
    moved.nodes[1].url = "https://elsewhere.example".to_owned();
    assert_eq!(moved.digest(), original.digest());
    let mut rekeyed = read.clone();
    rekeyed.nodes[1].seal_key = Digest([99; 32]);
    assert_ne!(rekeyed.digest(), original.digest());
    let mut reissued = read.clone();
    reissued.nodes[1].issuer_key = types::IssuerPublicKey([99; 96]);
    assert_ne!(reissued.digest(), original.digest());
    let mut longer = read.clone();
    longer.epochs.length_s *= 2;
    assert_ne!(longer.digest(), original.digest());
    longer.epochs.length_s = 0;
    assert!(longer.check().is_err());
    let mut twice = read;
    twice.nodes[1].signing_key = twice.nodes[0].signing_key;
    assert!(twice.check().is_err());
}
