//! What a verifier accepts, and what it refuses: each refusal is named after its fault.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use credential::{
    Attribute, Attributes, Challenge, Context, Credential, Envelope, Epoch, Error, Gate, Kind, Persona, Presentation,
    present, verify,
};
use proptest::prelude::*;
use support::{Commons, Member, NOW, SITE, bytes, challenge, clinic, festival, fresh};
use types::NodeId;

fn try_present(
    commons: &Commons,
    member: &Member,
    context: &Context,
    audience: &str,
    now: u64,
) -> Result<Presentation, Error> {
    let challenge = Challenge::new(context, bytes(7), now, 60);
    let Member { secret, credentials } = member;
    present(secret, credentials, &commons.issuers, context, &challenge, audience, now, fresh(8))
}

#[test]
fn one_person_has_one_pseudonym_per_context_whichever_nodes_vouch() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let context = clinic();
    let persona = Persona::new(&member.secret, &context);
    for left_out in NodeId::ALL {
        let credentials = member.credentials.iter().filter(|c| c.node() != left_out).cloned().collect();
        let two = Member { secret: member.secret.clone(), credentials };
        let shown = commons.show(&two, &context, 1);
        let verified = commons.verify(&shown, &context, 1).unwrap();
        assert_eq!(verified.pseudonym, *persona.pseudonym());
        assert_eq!(verified.disclosed.get(&Attribute::Community).unwrap(), "river-valley");
        assert_eq!(verified.disclosed.len(), 1);
    }
    assert_ne!(Persona::new(&member.secret, &festival()).pseudonym(), persona.pseudonym());
    assert_ne!(Persona::new(&commons.member(2).secret, &context).pseudonym(), persona.pseudonym());
}

#[test]
fn pseudonyms_outlive_renewal_demands_and_rosters_but_not_events() {
    let (old, new) = (Commons::new(1), Commons::new(2));
    let member = old.member(1);
    let commitment = member.secret.commitment();
    let later = Epoch(new.epoch().0 + 1);
    let attributes = new.attributes();
    let again: Vec<Credential> = [1, 2]
        .map(|n| new.issue(&member.secret, &commitment, NodeId::new(n).unwrap(), later, &attributes).unwrap())
        .to_vec();
    assert_eq!(again[0].epoch(), later);
    let stricter = clinic().demand(Attribute::AgeBand, &["18-29", "30-39"]).unwrap();
    let persona = |context: &Context| *Persona::new(&member.secret, context).pseudonym();
    assert_eq!(persona(&clinic()), persona(&stricter));
    assert_ne!(clinic().digest(), stricter.digest());
    let next = Context::masquerade("summer", "https://festival.example", NOW + 7200, NOW + 9000).unwrap();
    assert_ne!(persona(&festival()), persona(&next));
}

#[test]
fn one_issuer_only() {
    let commons = Commons::new(1);
    let mut member = commons.member(1);
    let context = clinic();
    let shown = commons.show(&member, &context, 1);
    // A member with one node's word cannot even make one.
    member.credentials.truncate(1);
    assert_eq!(try_present(&commons, &member, &context, SITE, NOW), Err(Error::TooFewCredentials { have: 1 }));
    // Nor does the same node's word twice, or half a presentation.
    member.credentials.push(member.credentials[0].clone());
    assert_eq!(try_present(&commons, &member, &context, SITE, NOW), Err(Error::TooFewCredentials { have: 1 }));
    let proof = 0x1f0 + 5;
    let bytes = shown.to_bytes();
    let cut = bytes.len() - 2 * proof;
    let one = [&bytes[..cut - 4], &1u32.to_le_bytes(), &bytes[cut..cut + proof]].concat();
    let twice = [&bytes[..cut], &bytes[cut..cut + proof], &bytes[cut..cut + proof]].concat();
    let exchanged = [&bytes[..cut], &bytes[cut + proof..], &bytes[cut..cut + proof]].concat();
    for wrong in [one, twice, exchanged] {
        let wrong = Presentation::from_bytes(&wrong).expect("well-formed, but not enough");
        assert_eq!(commons.verify(&wrong, &context, 1), Err(Error::OneIssuer));
    }
}

#[test]
fn rogue_node_alone() {
    // Node 1 signs for somebody who was never admitted; nobody else does.
    let commons = Commons::new(1);
    let rogue = Commons {
        keys: [1001, 77, 78].map(|s| credential::IssuerKey::from_material(bytes(s))),
        issuers: commons.issuers.clone(),
    };
    let secret = credential::MemberSecret::generate(fresh(99));
    let commitment = secret.commitment();
    let issue = |n: u8| rogue.issue(&secret, &commitment, NodeId::new(n).unwrap(), rogue.epoch(), &rogue.attributes());
    assert!(issue(1).is_ok());
    assert_eq!(issue(2), Err(Error::Issued { node: NodeId::new(2).unwrap() }));
}

#[test]
fn mixed_members() {
    let commons = Commons::new(1);
    let (one, other) = (commons.member(1), commons.member(2));
    let credentials = vec![one.credentials[0].clone(), other.credentials[1].clone()];
    let mixed = Member { secret: one.secret.clone(), credentials };
    let shown = commons.show(&mixed, &clinic(), 1);
    let failed = commons.verify(&shown, &clinic(), 1);
    assert!(matches!(failed, Err(Error::Proof { .. } | Error::Signatures)), "{failed:?}");
    // The halves of two members' presentations beside each other.
    let (a, b) = (commons.show(&one, &clinic(), 1).to_bytes(), commons.show(&other, &clinic(), 1).to_bytes());
    let half = a.len() - (0x1f0 + 5);
    let spliced = Presentation::from_bytes(&[&a[..half], &b[half..]].concat()).unwrap();
    assert_eq!(commons.verify(&spliced, &clinic(), 1), Err(Error::Proof { node: NodeId::new(2).unwrap() }));
}

#[test]
fn different_attributes_at_two_nodes() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let changed = commons.attributes().with(Attribute::AgeBand, "30-39").unwrap();
    let second = commons.member_with(1, &changed);
    let credentials = vec![member.credentials[0].clone(), second.credentials[1].clone()];
    let two_faced = Member { secret: member.secret.clone(), credentials };
    let failed = try_present(&commons, &two_faced, &clinic(), SITE, NOW);
    assert_eq!(failed, Err(Error::TooFewCredentials { have: 1 }));
}

#[test]
fn old_roster() {
    let (commons, before) = (Commons::new(1), Commons::new(2));
    let shown = before.show(&before.member(1), &clinic(), 1);
    assert!(before.verify(&shown, &clinic(), 1).is_ok());
    assert_eq!(commons.verify(&shown, &clinic(), 1), Err(Error::Proof { node: NodeId::new(1).unwrap() }));
}

#[test]
fn wrong_context_and_audience() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let shown = commons.show(&member, &clinic(), 1);
    let stricter = clinic().demand(Attribute::Admitted, &[]).unwrap();
    let elsewhere = Context::new("programme", "https://other.example", Kind::Standing).unwrap();
    for other in [stricter, elsewhere, festival()] {
        assert_eq!(commons.verify(&shown, &other, 1), Err(Error::WrongContext));
        // The member refuses to answer for one context what was asked for another.
        let crossed = challenge(&other, 1);
        let Member { secret, credentials } = &member;
        let failed = present(secret, credentials, &commons.issuers, &clinic(), &crossed, SITE, NOW, fresh(1));
        assert_eq!(failed, Err(Error::WrongContext));
    }
    // Another site that asks in the clinic's name learns nothing.
    let phished = try_present(&commons, &member, &clinic(), "https://clinic.example.evil", NOW);
    assert_eq!(phished, Err(Error::WrongAudience));
}

#[test]
fn stale_nonce() {
    let commons = Commons::new(1);
    let context = clinic();
    let shown = commons.show(&commons.member(1), &context, 1);
    assert_eq!(commons.verify(&shown, &context, 2), Err(Error::WrongNonce));
    let mine = challenge(&context, 1);
    let at = |now| verify(&shown, &context, &mine, now, &commons.issuers);
    assert!(at(NOW).is_ok() && at(NOW + 120).is_ok());
    assert_eq!(at(NOW + 121), Err(Error::Stale));
    assert_eq!(at(NOW - 1), Err(Error::Stale));
    // The same nonce with another life is another challenge.
    let longer = Challenge::new(&context, *mine.nonce(), NOW, 121);
    let failed = verify(&shown, &context, &longer, NOW, &commons.issuers);
    assert_eq!(failed, Err(Error::Proof { node: NodeId::new(1).unwrap() }));
}

#[test]
fn replay() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let mut gate = Gate::new(clinic());
    let challenge = gate.challenge(bytes(1), NOW).unwrap();
    let shown = commons.answer(&member, &clinic(), &challenge, 1);
    let first = gate.admit(&shown, NOW, &commons.issuers).unwrap();
    assert_eq!(gate.admit(&shown, NOW, &commons.issuers), Err(Error::WrongNonce));
    // A standing context takes the same person again, with a new answer.
    let challenge = gate.challenge(bytes(2), NOW).unwrap();
    let again = commons.answer(&member, &clinic(), &challenge, 2);
    assert_eq!(gate.admit(&again, NOW, &commons.issuers).unwrap().pseudonym, first.pseudonym);
}

#[test]
fn second_admission_to_a_masquerade_and_after_closing() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let mut gate = Gate::new(festival());
    let enter = |gate: &mut Gate, number, now| {
        let challenge = gate.challenge(bytes(number), NOW)?;
        gate.admit(&commons.answer(&member, &festival(), &challenge, number), now, &commons.issuers)
    };
    assert!(enter(&mut gate, 1, NOW).is_ok());
    assert_eq!(enter(&mut gate, 2, NOW), Err(Error::Again));
    assert_eq!(gate.admitted(), 1);
    assert_eq!(enter(&mut gate, 3, NOW + 3600), Err(Error::Closed));
    assert_eq!(gate.challenge(bytes(4), NOW + 3600), Err(Error::Closed));
    assert_eq!(gate.challenge(bytes(4), NOW - 3601), Err(Error::NotOpen));
    let shown = commons.show(&member, &festival(), 5);
    let late = verify(&shown, &festival(), &challenge(&festival(), 5), NOW + 3600, &commons.issuers);
    assert!(matches!(late, Err(Error::Stale | Error::Closed)));
    assert_eq!(try_present(&commons, &member, &festival(), festival().verifier(), NOW + 3600), Err(Error::Closed));
    assert_eq!(try_present(&commons, &member, &festival(), festival().verifier(), NOW - 3601), Err(Error::NotOpen));
}

#[test]
fn another_epoch() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let epochs = *commons.issuers.epochs();
    let two_days = NOW + 2 * u64::from(epochs.length_s);
    let failed = try_present(&commons, &member, &clinic(), SITE, two_days);
    assert_eq!(failed, Err(Error::TooFewCredentials { have: 0 }));
    let context = clinic();
    let challenge = Challenge::new(&context, bytes(1), NOW, 60);
    let shown = commons.answer(&member, &context, &challenge, 1);
    let later = Commons::new(1);
    // A verifier whose clock is right refuses what a wrong clock made.
    let day = Challenge::new(&context, bytes(1), two_days, 60);
    assert_eq!(verify(&shown, &context, &day, two_days, &later.issuers), Err(Error::Epoch));
}

#[test]
fn altered_attribute() {
    let commons = Commons::new(1);
    let context = clinic().demand(Attribute::AgeBand, &["18-29", "30-39"]).unwrap();
    let shown = commons.show(&commons.member(1), &context, 1).to_bytes();
    let place = shown.windows(5).position(|w| w == b"18-29").unwrap();
    let mut older = shown.clone();
    older[place..place + 5].copy_from_slice(b"30-39");
    let older = Presentation::from_bytes(&older).unwrap();
    assert_eq!(commons.verify(&older, &context, 1), Err(Error::Proof { node: NodeId::new(1).unwrap() }));
    let mut unlisted = shown;
    unlisted[place] = b'9';
    let unlisted = Presentation::from_bytes(&unlisted).unwrap();
    assert_eq!(commons.verify(&unlisted, &context, 1), Err(Error::Demand { attribute: Attribute::AgeBand }));
}

#[test]
fn demands_that_are_not_met_or_not_made() {
    let commons = Commons::new(1);
    let member = commons.member(1);
    let role = Context::new("staff", SITE, Kind::Standing).unwrap().demand(Attribute::Role, &["healer"]).unwrap();
    let failed = try_present(&commons, &member, &role, SITE, NOW);
    assert_eq!(failed, Err(Error::Demand { attribute: Attribute::Role }));
    let any = Context::new("staff", SITE, Kind::Standing).unwrap().demand(Attribute::Role, &[]).unwrap();
    let shown = commons.show(&member, &any, 1);
    assert_eq!(commons.verify(&shown, &any, 1).unwrap().disclosed.get(&Attribute::Role).unwrap(), "");
}

#[test]
fn a_masquerade_asks_nothing_that_narrows_people_down() {
    for attribute in [Attribute::Admitted, Attribute::Charter, Attribute::Locality, Attribute::Role] {
        assert!(matches!(festival().demand(attribute, &[]), Err(Error::Context(_))), "{attribute}");
    }
    assert!(festival().demand(Attribute::AgeBand, &["18-29"]).is_ok());
    assert!(Context::masquerade("x", "y", 10, 10).is_err());
    assert!(Context::masquerade("x", "y", 0, 32 * 24 * 3600).is_err());
    assert!(clinic().demand(Attribute::Community, &[]).is_err(), "twice");
}

#[test]
fn contexts_can_be_written_by_hand() {
    let text = r#"{"version":1,"id":"summer","verifier":"https://festival.example","kind":"masquerade",
        "opens":1799996400,"closes":1800003600,"demands":[]}"#;
    let context: Context = serde_json::from_str(text).unwrap();
    assert_eq!(context, festival());
    assert_eq!(serde_json::from_str::<Context>(&serde_json::to_string(&context).unwrap()).unwrap(), context);
    for wrong in [
        text.replace("1799996400", "1900000000"),
        text.replace("\"version\":1", "\"version\":2"),
        text.replace("summer", ""),
    ] {
        assert!(serde_json::from_str::<Context>(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn envelopes_say_what_they_are() {
    let commons = Commons::new(1);
    let shown = commons.show(&commons.member(1), &clinic(), 1);
    let json = shown.to_json();
    assert!(json.starts_with(r#"{"type":"trust-commons/presentation","version":1,"data":""#), "{json}");
    assert_eq!(Presentation::from_json(&json).unwrap(), shown);
    assert_eq!(Challenge::from_json(&json), Err(Error::Envelope { expected: "challenge" }));
    let newer = json.replace("\"version\":1", "\"version\":2");
    assert_eq!(Presentation::from_json(&newer), Err(Error::Version { what: "presentation", got: 2, known: 1 }));
    let huge = vec![1, 0, 7].into_iter().chain(std::iter::repeat_n(0, 5000)).collect::<Vec<u8>>();
    assert!(matches!(Presentation::from_bytes(&huge), Err(Error::Encoding(_))));
    let credential = commons.member(1).credentials[0].clone();
    assert_eq!(Credential::from_bytes(&credential.to_bytes()).unwrap(), credential);
    assert!(!format!("{credential:?}").contains("signature"));
}

#[test]
fn values_with_two_encodings_have_one() {
    // Borsh by itself would read a map in any order.
    let context = clinic().demand(Attribute::AgeBand, &[]).unwrap();
    let commons = Commons::new(1);
    let bytes = commons.show(&commons.member(1), &context, 1).to_bytes();
    let place = bytes.windows(12).position(|w| w == b"river-valley").unwrap() - 5;
    let (community, age) = (&bytes[place..place + 17], &bytes[place + 17..place + 27]);
    let exchanged = [&bytes[..place], age, community, &bytes[place + 27..]].concat();
    assert!(matches!(Presentation::from_bytes(&exchanged), Err(Error::Encoding(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_altered_byte_is_refused(place in 0usize..1140, bit in 0u8..8) {
        let commons = Commons::new(1);
        let mut bytes = commons.show(&commons.member(1), &clinic(), 1).to_bytes();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let accepted = Presentation::from_bytes(&bytes).and_then(|shown| commons.verify(&shown, &clinic(), 1));
        prop_assert!(accepted.is_err());
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let versioned = [&[1u8, 0], bytes.as_slice()].concat();
        let _ = Presentation::from_bytes(&versioned);
        let _ = Context::from_bytes(&versioned);
        let _ = Challenge::from_bytes(&versioned);
        let _ = Credential::from_bytes(&versioned);
        let _ = credential::code::Code::from_bytes(&versioned);
        let _ = credential::reveal::Reveal::from_bytes(&versioned);
    }

    #[test]
    fn attributes_are_signed_as_they_are(community in "[a-z]{1,20}", admitted in 0u32..99_999, age in "[0-9]{2}-[0-9]{2}") {
        let commons = Commons::new(1);
        let attributes = Attributes::new(&community, Epoch(admitted), 1).unwrap().with(Attribute::AgeBand, &age).unwrap();
        let member = commons.member_with(5, &attributes);
        let context = Context::new("c", SITE, Kind::OneTime).unwrap()
            .demand(Attribute::AgeBand, &[]).unwrap().demand(Attribute::Admitted, &[]).unwrap();
        let shown = commons.show(&member, &context, 1);
        let verified = commons.verify(&shown, &context, 1).unwrap();
        prop_assert_eq!(verified.disclosed.get(&Attribute::AgeBand).unwrap(), &age);
        prop_assert_eq!(verified.disclosed.get(&Attribute::Admitted).unwrap(), &admitted.to_string());
    }
}
