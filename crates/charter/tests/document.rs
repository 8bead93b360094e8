//! Charter documents: the example, canonical form, every fault and what its error says, adoption, what changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use charter::{
    Act, Charter, ClaimEntry, Document, Effect, EnrolmentRule, Error, Party, Recovery, Reveal, StationRule, Witness,
};
use proptest::prelude::*;
use support::*;
use types::consent::{Operation, Purpose};
use types::profile::Profile;
use types::roster::Roster;
use types::{Digest, NodeId, limits};

const EXAMPLE: &str = include_str!("../../../docs/charter.example.toml");

/// A roster of the profiles that this project ships, for which the example is written.
fn example_roster() -> Roster {
    let profile = Profile::from_toml(include_str!("../../../profiles/face-512.toml")).unwrap();
    Roster { profiles: vec![profile], ..roster() }
}

#[test]
fn the_example_is_a_charter() {
    let roster = example_roster();
    let mut example = Document::from_toml(EXAMPLE).unwrap();
    assert_eq!(Charter::new(example.clone(), &roster), Err(Error::WrongCommons { expected: roster.digest().to_hex() }));
    let default = Charter::default_for(&roster);
    (example.commons, example.previous) = (roster.digest(), default.digest());
    let charter = Charter::new(example, &roster).unwrap();
    assert_eq!(charter.document().parties.len(), 2);
    assert_eq!(charter.document().witnesses.len(), 1);
    assert_eq!(default.adopts(&signed(&charter), &roster), Ok(charter.clone()));
    assert!(default.is_widened_by(&charter));
}

/// The documentation lists every rule, as the code has it.
#[test]
fn the_rules_are_documented() {
    const PAGE: &str = include_str!("../../../docs/charters.md");
    let rows: Vec<&str> = PAGE.lines().skip_while(|line| *line != "| rule | what to do |").skip(2).collect();
    let rules: Vec<String> =
        charter::Rule::ALL.iter().map(|rule| format!("| `{}` | {} |", rule.code(), rule.advice())).collect();
    assert_eq!(rows, rules);
}

#[test]
fn a_charter_that_says_nothing_of_recovery_means_the_default_and_keeps_its_bytes() {
    let roster = roster();
    let silent = charter(&roster);
    assert!(!String::from_utf8_lossy(silent.bytes()).contains("recovery"));
    assert_eq!(silent.recovery(), Recovery::default());
    let spoken = after(&silent, &roster, |d| d.recovery = Some(Recovery::default()));
    assert_eq!(Charter::from_document(spoken.bytes(), &roster).as_ref(), Ok(&spoken));
    assert_eq!(spoken.recovery(), silent.recovery());
    let refused = |change: fn(&mut Recovery)| {
        let mut document = document(&roster);
        let mut rules = Recovery::default();
        change(&mut rules);
        document.recovery = Some(rules);
        match Charter::new(document, &roster) {
            Err(Error::Bounds { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|r| r.need_least = 0), "recovery.need_least");
    assert_eq!(refused(|r| r.need_most = 17), "recovery.need_most");
    assert_eq!(refused(|r| r.without_sample_more = 0), "recovery.without_sample_more");
    assert_eq!(refused(|r| r.delay_s = 3600), "recovery.delay_s", "a person must have time to notice");
    assert_eq!(refused(|r| r.settle_s = r.delay_s - 1), "recovery.settle_s");
    assert_eq!(refused(|r| r.delay_after_veto_s = r.delay_s - 1), "recovery.delay_after_veto_s");
    assert_eq!(refused(|r| r.delay_without_sample_s = r.delay_s - 1), "recovery.delay_without_sample_s");
}

#[test]
fn the_default_follows_from_the_roster_alone() {
    let roster = roster();
    let default = Charter::default_for(&roster);
    assert_eq!(default.version(), 0);
    assert_eq!(default.document().modalities.len(), roster.profiles.len());
    assert!(default.document().parties.is_empty());
    assert_eq!(Charter::from_document(default.bytes(), &roster).as_ref(), Ok(&default));
    // What may differ between the rosters of two nodes does not change it.
    let mut moved = roster.clone();
    moved.nodes[0].url = "https://elsewhere.example".to_owned();
    moved.nodes[0].operator = "renamed".to_owned();
    assert_eq!(Charter::default_for(&moved).digest(), default.digest());
    let other = Document { version: 0, ..document(&roster) };
    assert_eq!(Charter::new(other, &roster), Err(Error::NotDefault));
    // But for its number it passes the checks of every other charter.
    let numbered = Document { version: 1, ..default.document().clone() };
    Charter::new(numbered, &roster).unwrap();
}

#[test]
fn canonical_bytes_read_back_and_name_the_charter() {
    let roster = roster();
    let charter = charter(&roster);
    assert_eq!(Charter::from_document(charter.bytes(), &roster).as_ref(), Ok(&charter));
    assert_eq!(signed(&charter).digest(), charter.digest());
    let text = String::from_utf8(charter.bytes().to_vec()).unwrap();
    assert_eq!(Document::from_toml(&text).as_ref(), Ok(charter.document()));
    // The bytes are fixed for all time: a change here breaks every charter that was ever signed.
    assert!(text.starts_with("format = 1\nversion = 1\ncommons = \""), "{text}");
    assert!(text.contains("\n[enrolment]\nrule = \"open\"\nvouchers = 0\ninviters = []\n"), "{text}");
    let coop = "\n[[parties]]\nid = \"coop\"\nname = \"The coop\"\ncontact = \"hello@coop.example\"\nkey = \"";
    assert!(text.contains(coop), "{text}");
}

#[test]
fn claims_are_of_listed_parties_and_in_few_words() {
    let roster = roster();
    let with = |change: &dyn Fn(&mut ClaimEntry)| {
        let mut document = document(&roster);
        let mut claim = ages();
        change(&mut claim);
        document.claims.push(claim);
        Charter::new(document, &roster)
    };
    let fine = with(&|_| ()).unwrap();
    let text = String::from_utf8(fine.bytes().to_vec()).unwrap();
    let entry = "\n[[claims]]\nkind = \"age-band\"\nvalues = [\"18-29\", \"30-49\"]\nparties = [\"clinic\"]\n";
    assert!(text.contains(entry), "{text}");
    assert_eq!(Charter::from_document(fine.bytes(), &roster).as_ref(), Ok(&fine));
    assert!(matches!(with(&|claim| claim.parties = vec![party_id("nobody")]), Err(Error::Contradiction { .. })));
    assert!(matches!(with(&|claim| claim.parties.clear()), Err(Error::Empty { .. })));
    assert!(matches!(with(&|claim| claim.values.clear()), Err(Error::Empty { .. })));
    assert!(matches!(with(&|claim| claim.values.push("18-29".to_owned())), Err(Error::Duplicate { .. })));
    assert!(matches!(with(&|claim| claim.values.push(String::new())), Err(Error::Text { .. })));
    assert!(matches!(with(&|claim| claim.values.push("x".repeat(65))), Err(Error::Text { .. })));
    let mut twice = document(&roster);
    twice.claims = vec![ages(), ages()];
    assert!(matches!(Charter::new(twice, &roster), Err(Error::Duplicate { .. })));
}

#[test]
fn what_is_not_canonical_is_refused_and_can_be_made_so() {
    let roster = roster();
    let charter = charter(&roster);
    let text = String::from_utf8(charter.bytes().to_vec()).unwrap();
    let summary = "summary = \"A commons for tests.\"";
    for other in [
        format!("# a comment\n{text}"),
        format!("{text}\n"),
        text.replace("vouchers = 0\n", ""),
        text.replace("format = 1", "format = 0x1"),
        text.replace(summary, "summary = '''A commons for tests.'''"),
        text.replace(summary, "summary = \"  A commons for tests.\\n\""),
        text.replace("[\"membership\", \"verification\"]", "[\"verification\", \"membership\"]"),
        text.replace('\n', "\r\n"),
    ] {
        assert_ne!(other, text);
        assert_eq!(Charter::from_document(other.as_bytes(), &roster), Err(Error::NotCanonical), "{other}");
        assert_eq!(Charter::new(Document::from_toml(&other).unwrap(), &roster).as_ref(), Ok(&charter));
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let roster = roster();
    let text = String::from_utf8(charter(&roster).bytes().to_vec()).unwrap();
    assert_eq!(Charter::from_document(&[0xff, 0xfe], &roster), Err(Error::NotText));
    let large = vec![b'#'; limits::CHARTER_BYTES + 1];
    let too_large = Error::TooLarge { got: large.len(), limit: limits::CHARTER_BYTES };
    assert_eq!(Charter::from_document(&large, &roster), Err(too_large));
    for (bad, line) in [
        (text.replace("language = \"en\"", "language = 7"), 6),
        (format!("{text}[secret]\n"), text.lines().count() + 1),
        (text.replace("version = 1\n", "version = 1\nextra = 2\n"), 3),
        (text.replace("rule = \"open\"", "rule = \"anyone\""), 12),
    ] {
        match Document::from_toml(&bad) {
            Err(Error::Malformed { line: got, reason }) => assert_eq!(got, line, "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Document::from_toml(&text.replace("format = 1\n", "")), Err(Error::Malformed { .. })));
}

/// Refused with this error, by the same document changed so.
#[track_caller]
fn refused(change: impl FnOnce(&mut Document)) -> Error {
    let roster = roster();
    let mut document = document(&roster);
    change(&mut document);
    let error = Charter::new(document, &roster).expect_err("this must be refused");
    assert!(!error.to_string().is_empty());
    error
}

fn text_of(error: &Error) -> &str {
    match error {
        Error::Text { field, .. }
        | Error::Bounds { field, .. }
        | Error::Unknown { field, .. }
        | Error::Contradiction { field, .. }
        | Error::Empty { field, .. } => field,
        Error::Duplicate { name, .. } => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_that_cannot_stand() {
    assert!(matches!(refused(|d| d.format = 2), Error::Format { got: 2, known: 1 }));
    assert!(matches!(refused(|d| d.commons = Digest([1; 32])), Error::WrongCommons { .. }));
    for text in ["", "  \n ", "a\u{7}b", "a\u{202e}b", "a\u{2066}b", "a\u{200b}b", "a\u{feff}b"] {
        let error = refused(|d| d.summary = text.to_owned());
        assert!(matches!(&error, Error::Text { field, .. } if field == "summary"), "{text:?}: {error:?}");
    }
    assert_eq!(text_of(&refused(|d| d.name = "x".repeat(121))), "name");
    assert_eq!(text_of(&refused(|d| d.privacy_notice = "x".repeat(4001))), "privacy_notice");
    for language in ["", "english language", "e", "EN", "en-", "en--US"] {
        assert_eq!(text_of(&refused(|d| d.language = language.to_owned())), "language", "{language}");
    }
    let party = |change: fn(&mut Party)| refused(|d| change(&mut d.parties[0]));
    assert_eq!(text_of(&party(|p| p.name.clear())), "parties.clinic.name");
    assert_eq!(text_of(&party(|p| p.contact.clear())), "parties.clinic.contact");
    assert_eq!(text_of(&refused(|d| d.purposes[0].text.clear())), "purposes.dpv:FraudPreventionAndDetection.text");
    assert_eq!(text_of(&refused(|d| d.purposes[0].title.clear())), "purposes.dpv:FraudPreventionAndDetection.title");
}

#[test]
fn what_is_over_broad_or_nothing() {
    for (change, field) in [
        ((|d| d.retention.outcomes_days = 0) as fn(&mut Document), "retention.outcomes_days"),
        (|d| d.retention.uses_days = 3661, "retention.uses_days"),
        (|d| d.rates.verifications_per_hour = 0, "rates.verifications_per_hour"),
        (|d| d.rates.asks_per_member_per_day = 65, "rates.asks_per_member_per_day"),
        (|d| d.parties[0].max_uses = 0, "parties.clinic.max_uses"),
        (|d| d.parties[0].max_uses = limits::GRANT_USES + 1, "parties.clinic.max_uses"),
        (|d| d.parties[0].max_days = 1831, "parties.clinic.max_days"),
        (|d| d.parties[0].asks_per_day = 0, "parties.clinic.asks_per_day"),
        (|d| (d.enrolment.rule, d.enrolment.vouchers) = (EnrolmentRule::Vouched, 0), "enrolment.vouchers"),
        (|d| (d.enrolment.rule, d.enrolment.vouchers) = (EnrolmentRule::Vouched, 17), "enrolment.vouchers"),
    ] {
        let error = refused(change);
        assert!(matches!(error, Error::Bounds { .. }), "{error:?}");
        assert_eq!(text_of(&error), field);
    }
    for (change, field) in [
        ((|d| d.controllers.clear()) as fn(&mut Document), "controllers"),
        (|d| d.modalities.clear(), "modalities"),
        (|d| d.purposes.clear(), "purposes"),
        (|d| d.purposes[1].operations.clear(), "purposes.dpv:IdentityVerification.operations"),
        (|d| d.parties[0].operations.clear(), "parties.clinic.operations"),
        (|d| d.parties[0].purposes.clear(), "parties.clinic.purposes"),
        (|d| d.enrolment.rule = EnrolmentRule::Invited, "enrolment.inviters"),
    ] {
        let error = refused(change);
        assert!(matches!(error, Error::Empty { .. }), "{error:?}");
        assert_eq!(text_of(&error), field);
    }
    let many = refused(|d| {
        d.controllers =
            (0..257).map(|i| charter::Controller { name: format!("controller {i}"), contact: "x".to_owned() }).collect();
    });
    assert!(matches!(many, Error::Bounds { got: 257, .. }), "{many:?}");
    let large = refused(|d| {
        d.controllers = (0..256)
            .map(|i| charter::Controller { name: format!("{i} {}", "y".repeat(110)), contact: "x".repeat(120) })
            .collect();
    });
    assert!(matches!(large, Error::TooLarge { .. }), "{large:?}");
}

#[test]
fn what_contradicts_itself() {
    for (change, field) in [
        ((|d| d.enrolment.vouchers = 1) as fn(&mut Document), "enrolment"),
        (|d| d.enrolment.inviters = vec![public(INVITER)], "enrolment"),
        (
            |d| {
                d.enrolment.rule = EnrolmentRule::Invited;
                d.enrolment.inviters = vec![public(INVITER)];
                d.enrolment.vouchers = 1;
            },
            "enrolment.vouchers",
        ),
        (|d| d.stations = vec![station()], "stations"),
        (|d| d.parties[0].profiles.clear(), "parties.clinic.profiles"),
        (|d| d.parties[1].profiles = vec![profile_id("face-512")], "parties.coop.profiles"),
        (|d| d.parties[1].purposes.push(Purpose::deduplication()), "parties.coop.purposes"),
        (|d| d.parties[0].purposes = vec![rations()], "parties.clinic.operations"),
        (|d| d.purposes.retain(|p| p.term != Purpose::deduplication()), "purposes"),
    ] {
        let error = refused(change);
        assert!(matches!(error, Error::Contradiction { .. }), "{error:?}");
        assert_eq!(text_of(&error), field);
    }
    for (change, name) in [
        ((|d| d.parties[0].purposes.push(term("dpv:Marketing"))) as fn(&mut Document), "dpv:Marketing"),
        (|d| d.parties[0].profiles.push(profile_id("iris")), "iris"),
    ] {
        assert!(matches!(refused(change), Error::Unknown { name: got, .. } if got == name));
    }
}

#[test]
fn what_is_listed_twice() {
    for change in [
        (|d| d.parties[1].id = party_id("clinic")) as fn(&mut Document),
        |d| d.parties[0].operations.push(Operation::Membership),
        |d| d.parties[0].purposes.push(care()),
        |d| d.parties[0].profiles.push(profile_id("face-512")),
        |d| d.purposes.push(purpose(care(), "Again", &[Act::Membership])),
        |d| d.purposes[0].operations.push(Act::Enrolment),
        |d| d.modalities.push(d.modalities[0].clone()),
        |d| d.controllers.push(d.controllers[0].clone()),
        |d| {
            d.enrolment.rule = EnrolmentRule::Invited;
            d.enrolment.inviters = vec![public(INVITER); 2];
        },
        |d| {
            d.modalities[0].stations = StationRule::Listed;
            d.stations = vec![station(), station()];
        },
        |d| d.witnesses = vec![witness(), witness()],
    ] {
        let error = refused(change);
        assert!(matches!(error, Error::Duplicate { .. }), "{error:?}");
    }
}

#[test]
fn keys_have_one_role() {
    for key in [1, 4] {
        let error = refused(|d| d.parties[0].key = public(key));
        assert!(matches!(&error, Error::SharedKey { one, .. } if one.starts_with("node 1")), "{error:?}");
    }
    assert!(matches!(refused(|d| d.parties[0].key = public(COOP)), Error::SharedKey { .. }));
    let at_station = |key| {
        refused(|d| {
            d.modalities[0].stations = StationRule::Listed;
            d.stations = vec![charter::Station { name: "Ferry".to_owned(), key }];
        })
    };
    assert!(matches!(at_station(public(COOP)), Error::SharedKey { .. }));
    // The neutral point: everybody can sign for it.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(matches!(at_station(types::DeviceKey(neutral)), Error::BadKey { .. }));
    assert!(matches!(at_station(types::DeviceKey([2; 32])), Error::BadKey { .. }));
}

#[test]
fn what_the_roster_and_the_system_say_cannot_be_said_otherwise() {
    assert!(matches!(refused(|d| d.modalities[0].profile = profile_id("iris")), Error::Modality { .. }));
    assert!(matches!(refused(|d| d.modalities[0].profile_digest = Digest([0; 32])), Error::Modality { .. }));
    assert!(matches!(refused(|d| d.modalities[0].threshold = "very strict".to_owned()), Error::Modality { .. }));
    assert!(matches!(refused(|d| d.modalities[0].stations = StationRule::Listed), Error::Modality { .. }));
    fn replace(d: &mut Document, newer: usize, older: &str) {
        d.modalities[newer].replaces = Some(profile_id(older));
    }
    for (what, change) in [
        ("itself", (|d| replace(d, 0, "face-512")) as fn(&mut Document)),
        ("one that is not listed", |d| {
            replace(d, 1, "face-512");
            d.modalities.remove(0);
            d.parties.iter_mut().for_each(|party| {
                party.profiles.iter_mut().for_each(|profile| *profile = profile_id("voice-512"));
            });
        }),
        ("each other", |d| {
            replace(d, 0, "voice-512");
            replace(d, 1, "face-512");
        }),
        ("one whose samples are taken more carefully", |d| {
            replace(d, 1, "face-512");
            d.stations = vec![station()];
            d.modalities[0].stations = StationRule::Listed;
        }),
    ] {
        assert!(matches!(refused(change), Error::Modality { .. }), "{what}");
    }
    assert_eq!(refused(|d| d.answers.membership = vec![Reveal::Membership]), Error::Answers);
    assert_eq!(refused(|d| d.answers.verification.push(Reveal::Membership)), Error::Answers);
}

fn witness() -> Witness {
    Witness {
        name: "Archive".to_owned(),
        vkey: "witness.example/river+654bc685+BGKmEbRy2JsOX8k8BpufcAtMVS1VvA6HtWAI7xe2sr6+".to_owned(),
        url: "https://witness.example".to_owned(),
    }
}

#[test]
fn witnesses_have_a_key_and_an_address() {
    let roster = roster();
    for url in ["https://w.example:8443/x", "http://127.0.0.1:9000", "http://localhost/x", "http://[::1]"] {
        let with = Document { witnesses: vec![Witness { url: url.to_owned(), ..witness() }], ..document(&roster) };
        Charter::new(with, &roster).unwrap();
    }
    for url in ["", "http://w.example", "https://", "ftp://w.example", "http://localhost.evil.example", "https://w\u{a0}x"] {
        let error = refused(|d| d.witnesses = vec![Witness { url: url.to_owned(), ..witness() }]);
        assert_eq!(text_of(&error), "witnesses.Archive.url", "{url}");
    }
    let vkey = witness().vkey;
    for bad in [
        String::new(),
        vkey.replace("654bc685", "654bc686"),
        vkey.replace("river", "lake"),
        // Type 1: a log's own signature.
        vkey.replace("+BG", "+AW"),
        vkey.replace("sr6+", ""),
        vkey.replace("witness.example/river", ""),
    ] {
        let error = refused(|d| d.witnesses = vec![Witness { vkey: bad.clone(), ..witness() }]);
        assert_eq!(text_of(&error), "witnesses.Archive.vkey", "{bad}");
    }
}

#[test]
fn only_the_next_charter_signed_by_all_three_is_adopted() {
    let roster = roster();
    let (default, first) = (Charter::default_for(&roster), charter(&roster));
    assert_eq!(default.adopts(&signed(&first), &roster).as_ref(), Ok(&first));
    let second = after(&first, &roster, |d| d.parties.truncate(1));
    assert_eq!(first.adopts(&signed(&second), &roster).as_ref(), Ok(&second));
    assert_eq!(Charter::from_signed(&signed(&second), &roster), Ok(second.clone()));

    assert_eq!(first.adopts(&signed(&first), &roster), Err(Error::Version { got: 1, next: 2 }));
    assert_eq!(default.adopts(&signed(&second), &roster), Err(Error::Version { got: 2, next: 1 }));
    // Of two that follow one charter, the second comes too late.
    let rival = after(&first, &roster, |d| d.parties.clear());
    let third = after(&rival, &roster, |_| ());
    assert_eq!(second.adopts(&signed(&third), &roster), Err(Error::Previous { expected: second.digest().to_hex() }));
    for node in NodeId::ALL {
        let mut unsigned = signed(&second);
        unsigned.signatures[node.index()].0[0] ^= 1;
        assert_eq!(first.adopts(&unsigned, &roster), Err(Error::Signature { node }));
        assert_eq!(Charter::from_signed(&unsigned, &roster), Err(Error::Signature { node }));
    }
    let mut altered = signed(&second);
    altered.document = after(&first, &roster, |d| d.parties.clear()).bytes().to_vec();
    assert_eq!(first.adopts(&altered, &roster), Err(Error::Signature { node: NodeId::ALL[0] }));
    let mut other = roster.clone();
    other.commons = "Elsewhere".to_owned();
    assert!(matches!(first.adopts(&signed(&second), &other), Err(Error::WrongCommons { .. })));
}

#[test]
fn changes_are_told_in_plain_words_with_their_effect() {
    let roster = roster();
    let old = charter(&roster);
    let told = |change: fn(&mut Document)| {
        let new = after(&old, &roster, change);
        old.changes(&new).into_iter().map(|c| (c.effect, c.text)).collect::<Vec<_>>()
    };
    assert_eq!(told(|_| ()), vec![]);
    let one = |effect, text: &str| vec![(effect, text.to_owned())];
    assert_eq!(
        told(|d| d.parties[0].max_uses = 20),
        one(Effect::Wider, "relying party The clinic (clinic), uses in one grant: 20 uses instead of 10.")
    );
    assert_eq!(told(|d| drop(d.parties.remove(1))), one(Effect::Narrower, "Gone: relying party The coop (coop)."));
    assert_eq!(
        told(|d| d.purposes[0].text = "More.".to_owned()),
        one(
            Effect::Wider,
            "purpose Rations (dpv:DeliveryOfGoods): its meaning changes from \"Rations: What Rations means here.\" to \"Rations: \
             More.\". Grants for it must be given again."
        )
    );
    assert_eq!(
        told(|d| (d.enrolment.rule, d.enrolment.vouchers) = (EnrolmentRule::Vouched, 2)),
        one(Effect::Narrower, "Enrolment: now for whom 2 vouch may enrol; before, everybody may enrol.")
    );
    // Easier to become somebody is wider; the default written out is no change.
    let rules = Recovery { delay_s: 3 * 24 * 3600, ..Recovery::default() };
    assert_eq!(told(|d| d.recovery = Some(Recovery::default())), vec![]);
    let new = after(&old, &roster, |d| d.recovery = Some(rules));
    let changes: Vec<_> = old.changes(&new).into_iter().map(|c| (c.effect, c.text)).collect();
    assert_eq!(changes, one(Effect::Wider, "Recovery, time to say no: 259200 seconds instead of 604800."));
    assert_eq!(
        told(|d| d.jurisdiction = "CH".to_owned()),
        one(Effect::Other, "The jurisdiction changes from \"ZZ\" to \"CH\".")
    );
    let stations = told(|d| {
        d.modalities[0].stations = StationRule::Listed;
        d.stations = vec![station()];
    });
    assert_eq!(
        stations[0],
        (Effect::Narrower, "modality face-512: samples are taken at a listed station, always.".to_owned())
    );
    // Who may vouch for what.
    let older = after(&old, &roster, |d| d.claims = vec![ages()]);
    assert_eq!(
        old.changes(&older)[0].text,
        "New claim age-band: clinic may vouch for 18-29, 30-49; shown only by the member."
    );
    let wider = after(&older, &roster, |d| {
        d.claims[0].values.push("50-69".to_owned());
        d.claims[0].parties = vec![party_id("coop")];
    });
    let told_of_claims: Vec<_> = older.changes(&wider).into_iter().map(|c| (c.effect, c.text)).collect();
    let expected = [
        (Effect::Wider, "claim age-band, what can be vouched for: 50-69 is added."),
        (Effect::Wider, "claim age-band, who may vouch: coop is added."),
        (Effect::Narrower, "claim age-band, who may vouch: clinic is taken out."),
    ];
    assert_eq!(told_of_claims, expected.map(|(effect, text)| (effect, text.to_owned())));
    // Every field: no change goes untold.
    let changes: [fn(&mut Document); 15] = [
        |d| d.claims = vec![ages()],
        |d| d.name.push('!'),
        |d| d.language = "fr".to_owned(),
        |d| d.summary.push('!'),
        |d| d.privacy_notice.push('!'),
        |d| d.retention.outcomes_days += 1,
        |d| d.retention.uses_days += 1,
        |d| d.rates.verifications_per_hour += 1,
        |d| d.rates.asks_per_member_per_day -= 1,
        |d| d.controllers[0].contact.push('!'),
        |d| d.parties[0].contact.push('!'),
        |d| d.parties[0].key = public(14),
        |d| d.parties[0].asks_per_day += 1,
        |d| d.parties[0].max_days += 1,
        |d| d.witnesses = vec![witness()],
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert_eq!(told(change).len(), 1, "change {i}");
    }
}

proptest! {
    /// Whatever people write, the canonical bytes read back as the same document and are their own canonical form.
    #[test]
    fn canonical_form_is_a_fixed_point(texts in proptest::collection::vec("(?s).{0,40}", 8), shuffle: bool, version in 0..=i64::MAX as u64) {
        let roster = roster();
        let mut d = document(&roster);
        let mut texts = texts.into_iter();
        let slots = [&mut d.name, &mut d.language, &mut d.summary, &mut d.jurisdiction, &mut d.privacy_notice];
        slots.into_iter().for_each(|slot| *slot = texts.next().unwrap());
        d.controllers[0].name = texts.next().unwrap();
        d.parties[0].name = texts.next().unwrap();
        d.purposes[0].text = texts.next().unwrap();
        d.version = version;
        if shuffle {
            d.parties.reverse();
            d.purposes.reverse();
            d.parties.iter_mut().for_each(|p| p.operations.reverse());
        }
        let bytes = d.canonical();
        let again = Document::from_toml(std::str::from_utf8(&bytes).unwrap()).unwrap();
        prop_assert_eq!(&again.canonical(), &bytes);
        if let Ok(charter) = Charter::new(d, &roster) {
            prop_assert_eq!(charter.bytes(), bytes);
            let read = Charter::from_document(charter.bytes(), &roster);
            prop_assert_eq!(read.as_ref(), Ok(&charter));
        }
    }

    /// Bytes that are accepted are canonical; nothing panics.
    #[test]
    fn any_bytes_are_read_or_refused(text in "(?s).{0,200}", at in any::<proptest::sample::Index>()) {
        let roster = roster();
        let mut bytes = charter(&roster).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes.splice(at..at, text.bytes());
        if let Ok(read) = Charter::from_document(&bytes, &roster) {
            prop_assert_eq!(read.bytes(), bytes);
        }
    }
}
