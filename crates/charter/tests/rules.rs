//! Every rule stops something: for each, a request that it refuses. And what is allowed, is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod recovery;
mod support;

use std::collections::BTreeSet;

use charter::{
    AskFacts, AskedFacts, Charter, Document, EnrolmentRule, EpochFacts, Facts, Permit, Rule, StationRule, decide,
};
use support::*;
use types::consent::{
    Answer, Ask, AskStatement, GrantState, Narrowing, Purpose, Reply, StandingGrant, StationSeal, Terms, Use, Voucher,
};
use types::message::{Action, Former, Submission};
use types::roster::Roster;
use types::sign::Signed;
use types::{AskId, Digest, GrantId, MemberId, OperationId, SubjectId, UnixSeconds, limits};

/// A request with all that it is judged by. Built by each scene, then spoilt by each case.
struct Scene {
    roster: Roster,
    charter: Charter,
    signer: u8,
    now: UnixSeconds,
    action: Action,
    facts: Box<dyn Fn(&mut Facts<'_>)>,
}

impl Scene {
    fn decide(&self) -> Result<Permit, charter::Refusal> {
        let mut facts = Facts::nothing(&self.roster);
        (self.facts)(&mut facts);
        decide(&self.charter, &facts, &request(&self.roster, self.signer, self.action.clone()), self.now)
    }
    #[track_caller]
    fn allowed(&self) -> Permit {
        self.decide().unwrap()
    }
    #[track_caller]
    fn refused(&self, rule: Rule) {
        let refusal = self.decide().expect_err("this must be refused");
        assert_eq!(refusal.rule, rule, "{refusal}");
        SEEN.with_borrow_mut(|seen| seen.insert(rule));
    }
    /// The same with one more fact.
    fn with(mut self, more: impl Fn(&mut Facts<'_>) + 'static) -> Self {
        let before = std::mem::replace(&mut self.facts, Box::new(|_| ()));
        self.facts = Box::new(move |facts| {
            before(facts);
            more(facts);
        });
        self
    }
    fn at(mut self, now: UnixSeconds) -> Self {
        self.now = now;
        self
    }
    fn by(mut self, signer: u8) -> Self {
        self.signer = signer;
        self
    }
    /// The charter in force is this one; consent still names the other.
    fn under(mut self, change: impl FnOnce(&mut Document)) -> Self {
        self.charter = after(&self.charter, &self.roster, change);
        self
    }
}

/// Whose number is the seed of node 1's key in the roster of the tests.
const OPERATOR: u8 = 1;

thread_local! {
    static SEEN: std::cell::RefCell<BTreeSet<Rule>> = const { std::cell::RefCell::new(BTreeSet::new()) };
}

fn scene(charter: Charter, signer: u8, action: Action) -> Scene {
    Scene { roster: roster(), charter, signer, now: NOW, action, facts: Box::new(|_| ()) }
}

fn alice(facts: &mut Facts<'_>) {
    facts.signer = Some(member(ALICE));
}

fn shielded(facts: &mut Facts<'_>) {
    facts.signer.as_mut().unwrap().shielded = true;
}

fn plain() -> Charter {
    charter(&roster())
}

fn charter_with(change: impl FnOnce(&mut Document)) -> Charter {
    let mut document = document(&roster());
    change(&mut document);
    Charter::new(document, &roster()).unwrap()
}

fn enrol(charter: Charter, change: impl FnOnce(&mut Submission)) -> Scene {
    let mut submission = submission(&charter, "face-512", Purpose::deduplication());
    change(&mut submission);
    scene(charter, ALICE, Action::Enrol(submission))
}

fn verify(change: impl FnOnce(&mut Submission)) -> Scene {
    let charter = plain();
    let mut submission = submission(&charter, "face-512", Purpose::verification());
    change(&mut submission);
    scene(charter, ALICE, Action::Verify(submission)).with(alice)
}

fn grant(change: impl FnOnce(&mut Terms)) -> Scene {
    let charter = plain();
    let mut terms = verification_terms();
    change(&mut terms);
    let standing = StandingGrant { charter: charter.digest(), terms };
    scene(charter, ALICE, Action::Grant(standing)).with(alice)
}

fn use_of(terms: Terms, signer: u8, change: impl FnOnce(&mut Use)) -> Scene {
    let charter = plain();
    let submission = terms.profile.as_ref().map(|p| submission(&charter, p.as_str(), terms.purpose.clone()));
    let (party, purpose) = (terms.party.clone(), terms.purpose.clone());
    let mut usage = Use { party, grant: GrantId([9; 16]), purpose, submission };
    change(&mut usage);
    let given = grant_facts(&charter, terms);
    scene(charter, signer, Action::Use(usage)).with(move |facts| facts.grant = Some(given.clone()))
}

fn verification_use(change: impl FnOnce(&mut Use)) -> Scene {
    use_of(verification_terms(), CLINIC, change)
}

fn membership_use() -> Scene {
    use_of(membership_terms(), COOP, |_| ())
}

fn ask(change: impl FnOnce(&mut Ask)) -> Scene {
    let charter = plain();
    let mut ask = Ask { charter: charter.digest(), subject: None, terms: verification_terms(), answer_by: NOW + DAY };
    change(&mut ask);
    scene(charter, CLINIC, Action::Ask(ask))
}

fn ask_by_name() -> Scene {
    let asked = AskedFacts { shielded: false, waiting: 0, last_day: 0 };
    ask(|ask| ask.subject = Some(SubjectId([8; 32]))).with(move |facts| facts.asked = Some(asked))
}

const ASK: AskId = AskId([6; 16]);

fn answer(asked: Terms, subject: Option<SubjectId>, reply: impl FnOnce(&Charter) -> Reply) -> Scene {
    let charter = plain();
    let action = Action::Answer(Answer { ask: ASK, charter: charter.digest(), reply: reply(&charter) });
    let ask = Ask { charter: charter.digest(), subject, terms: asked, answer_by: NOW + DAY };
    let facts = AskFacts { statement: AskStatement { id: ASK, ask, since: NOW }, subject: Some(SubjectId([8; 32])) };
    scene(charter, ALICE, action).with(alice).with(move |f| f.ask = Some(facts.clone()))
}

fn approve(change: impl FnOnce(&mut Terms, &mut Option<Submission>)) -> Scene {
    answer(verification_terms(), None, |charter| {
        let mut terms = verification_terms();
        let mut sample = Some(submission(charter, "face-512", care()));
        change(&mut terms, &mut sample);
        Reply::Approve { terms, submission: sample }
    })
}

fn narrow(narrowing: Narrowing) -> Scene {
    let charter = plain();
    let given = grant_facts(&charter, verification_terms());
    scene(charter, ALICE, Action::Narrow(narrowing)).with(alice).with(move |facts| facts.grant = Some(given.clone()))
}

fn fewer() -> Narrowing {
    Narrowing { grant: GrantId([9; 16]), expires_at: None, uses_left: Some(2) }
}

fn revoke() -> Scene {
    let charter = plain();
    let given = grant_facts(&charter, verification_terms());
    scene(charter, ALICE, Action::Revoke { grant: GrantId([9; 16]) })
        .with(alice)
        .with(move |facts| facts.grant = Some(given.clone()))
}

fn shield_down(restore: Vec<GrantId>) -> Scene {
    scene(plain(), ALICE, Action::ShieldDown { restore })
        .with(alice)
        .with(shielded)
        .with(|facts| facts.suspended = vec![GrantId([1; 16]), GrantId([2; 16])])
}

fn voucher(by: u8, device: u8, expires_at: UnixSeconds) -> Signed<Voucher> {
    let voucher = Voucher { commons: roster().digest(), device: public(device), by: public(by), expires_at };
    Signed::new(voucher, &key(by))
}

fn seal(submission: &Submission, change: impl FnOnce(&mut StationSeal)) -> Signed<StationSeal> {
    let mut seal = StationSeal {
        commons: roster().digest(),
        station: public(STATION),
        profile: submission.profile.clone(),
        commitments: submission.commitments,
        former: submission.former.clone(),
        at: NOW - 30,
    };
    change(&mut seal);
    Signed::new(seal, &key(STATION))
}

fn at_stations(rule: StationRule) -> Charter {
    charter_with(|d| {
        d.modalities[0].stations = rule;
        d.stations = vec![station()];
    })
}

#[test]
fn every_rule_refuses_something() {
    who_and_under_which_charter();
    one_use_consent();
    enrolment();
    stations();
    replacements();
    terms();
    narrowing_and_revoking();
    uses();
    uses_under_a_later_charter();
    samples();
    asks();
    answers();
    shield();
    personas();
    claims();
    charters();
    refreshes();
    recovery::guardians();
    recovery::losing_is_at_once_and_gaining_takes_time();
    recovery::starting();
    recovery::starting_without_a_sample_or_after_a_veto();
    recovery::vetoing_and_finishing();
    let seen = SEEN.with_borrow(Clone::clone);
    let missing: Vec<&Rule> = Rule::ALL.iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(missing.is_empty(), "no request here is refused by {missing:?}");
}

#[test]
fn codes_are_kebab_case_and_distinct_and_every_rule_says_what_to_do() {
    let codes: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len());
    for rule in Rule::ALL {
        assert!(rule.code().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{rule}");
        assert!(rule.advice().len() > 10, "{rule}");
    }
}

fn who_and_under_which_charter() {
    verify(|_| ()).with(|f| f.signer = None).refused(Rule::NotAMember);
    grant(|_| ()).with(|f| f.signer = None).refused(Rule::NotAMember);
    scene(plain(), ALICE, Action::ShieldUp).refused(Rule::NotAMember);
    grant(|_| ()).under(|d| d.summary = "changed".to_owned()).refused(Rule::CharterChanged);
    ask(|_| ()).under(|d| d.summary = "changed".to_owned()).refused(Rule::CharterChanged);
    verify(|_| ()).under(|d| d.summary = "changed".to_owned()).refused(Rule::CharterChanged);
    verify(|s| s.profile = profile_id("iris")).refused(Rule::ModalityNotAllowed);
    verify(|s| s.profile_digest.0[0] ^= 1).refused(Rule::ModalityNotAllowed);
    verify(|s| s.grant.purpose = term("dpv:Marketing")).refused(Rule::PurposeUnknown);
    verify(|s| s.grant.purpose = care()).refused(Rule::PurposeNotAllowed);
    enrol(plain(), |s| s.grant.purpose = Purpose::verification()).refused(Rule::PurposeNotAllowed);
    verify(|_| ()).with(|f| f.signer.as_mut().unwrap().profiles.clear()).refused(Rule::NoRecord);
    verify(|_| ()).with(|f| f.counts.comparisons_last_hour = 20).refused(Rule::VerificationRate);
    assert_eq!(verify(|_| ()).with(|f| f.counts.comparisons_last_hour = 19).allowed(), Permit::Verify);
    for action in [
        Action::Status,
        Action::Inspect { reply_key: [0; 32] },
        Action::Outcome { operation: OperationId([0; 16]) },
        Action::Events { after_batch: 0 },
    ] {
        assert_eq!(scene(plain(), BOB, action).allowed(), Permit::Tell);
    }
    let leave = scene(plain(), ALICE, Action::Withdraw { profile: None });
    assert_eq!(leave.with(alice).with(shielded).allowed(), Permit::Withdraw, "leaving is always allowed");
}

fn one_use_consent() {
    verify(|s| s.grant.uses = 2).refused(Rule::ConsentUses);
    verify(|s| s.grant.uses = 0).refused(Rule::ConsentUses);
    verify(|s| s.grant.note = "x".repeat(201)).refused(Rule::NoteUnfit);
    verify(|s| s.grant.note = "\u{202e}txet desrever".to_owned()).refused(Rule::NoteUnfit);
    verify(|s| s.grant.not_before = NOW + 61).refused(Rule::ConsentTimes);
    verify(|s| (s.grant.not_before, s.grant.expires_at) = (NOW - 200, NOW - 61)).refused(Rule::ConsentTimes);
    verify(|s| (s.grant.not_before, s.grant.expires_at) = (NOW + 30, NOW + 20)).refused(Rule::ConsentTimes);
    // The device's clock may be a minute off, both ways.
    verify(|s| s.grant.not_before = NOW + 60).allowed();
    verify(|s| (s.grant.not_before, s.grant.expires_at) = (NOW - 200, NOW - 60)).allowed();
}

fn enrolment() {
    assert_eq!(enrol(plain(), |_| ()).allowed(), Permit::Enrol { adds_modality: false });
    enrol(plain(), |_| ()).with(alice).refused(Rule::AlreadyEnrolled);
    let invited = || {
        charter_with(|d| {
            d.enrolment.rule = EnrolmentRule::Invited;
            d.enrolment.inviters = vec![public(INVITER)];
        })
    };
    let bring = |charter: Charter, vouchers: &[Signed<Voucher>]| {
        let vouchers = vouchers.to_vec();
        enrol(charter, |s| s.vouchers = vouchers)
    };
    bring(invited(), &[]).refused(Rule::InvitationMissing);
    bring(invited(), &[voucher(INVITER, BOB, NOW)]).refused(Rule::InvitationMissing);
    bring(invited(), &[voucher(BOB, ALICE, NOW)]).refused(Rule::InvitationMissing);
    bring(invited(), &[voucher(INVITER, ALICE, NOW - 1)]).refused(Rule::InvitationMissing);
    let mut forged = voucher(INVITER, BOB, NOW);
    forged.message.device = public(ALICE);
    bring(invited(), &[forged]).refused(Rule::InvitationMissing);
    let mut elsewhere = voucher(INVITER, ALICE, NOW).message;
    elsewhere.commons.0[0] ^= 1;
    bring(invited(), &[Signed::new(elsewhere, &key(INVITER))]).refused(Rule::InvitationMissing);
    bring(invited(), &[voucher(INVITER, ALICE, NOW)]).allowed();
    bring(invited(), &vec![voucher(INVITER, ALICE, NOW); 17]).refused(Rule::TooManyVouchers);

    let vouched = || {
        charter_with(|d| {
            d.enrolment.rule = EnrolmentRule::Vouched;
            d.enrolment.vouchers = 2;
            d.enrolment.inviters = vec![public(INVITER)];
        })
    };
    // 51 and 52 are devices of one member, 53 of another; 54 is a stranger's.
    let members = |f: &mut Facts<'_>| {
        f.vouching = vec![
            (public(51), MemberId([5; 16])),
            (public(52), MemberId([5; 16])),
            (public(53), MemberId([6; 16])),
            (public(ALICE), MemberId([7; 16])),
        ];
    };
    let by = |seeds: &[u8]| seeds.iter().map(|seed| voucher(*seed, ALICE, NOW)).collect::<Vec<_>>();
    for too_few in [&[][..], &[51], &[51, 51], &[51, 52], &[51, 54], &[51, ALICE]] {
        bring(vouched(), &by(too_few)).with(members).refused(Rule::VouchersMissing);
    }
    for enough in [&[51, 53][..], &[51, 52, 53], &[51, INVITER]] {
        bring(vouched(), &by(enough)).with(members).allowed();
    }
    // Who is a member already needs nobody's word for another modality.
    let charter = vouched();
    let voice = submission(&charter, "voice-512", Purpose::deduplication());
    let adds = scene(charter, ALICE, Action::Enrol(voice)).with(alice);
    assert_eq!(adds.allowed(), Permit::Enrol { adds_modality: true });
    adds.with(shielded).refused(Rule::ShieldUp);
}

fn stations() {
    for rule in [StationRule::Enrolment, StationRule::Listed] {
        enrol(at_stations(rule), |_| ()).refused(Rule::StationMissing);
        let sealed = |change: fn(&mut StationSeal)| enrol(at_stations(rule), |s| s.station = Some(seal(s, change)));
        sealed(|_| ()).allowed();
        sealed(|seal| seal.station = public(BOB)).refused(Rule::StationMissing);
        sealed(|seal| seal.commons.0[0] ^= 1).refused(Rule::StationSeal);
        sealed(|seal| seal.profile = profile_id("voice-512")).refused(Rule::StationSeal);
        sealed(|seal| seal.commitments[2].0[0] ^= 1).refused(Rule::StationSeal);
        sealed(|seal| seal.at = NOW - 661).refused(Rule::StationSeal);
        sealed(|seal| seal.at = NOW + 61).refused(Rule::StationSeal);
        enrol(at_stations(rule), |s| {
            let mut signed = seal(s, |_| ());
            signed.message.at += 1;
            s.station = Some(signed);
        })
        .refused(Rule::StationSeal);
    }
    let later = |rule| {
        let charter = at_stations(rule);
        let sample = submission(&charter, "face-512", Purpose::verification());
        scene(charter, ALICE, Action::Verify(sample)).with(alice)
    };
    later(StationRule::Enrolment).allowed();
    later(StationRule::Listed).refused(Rule::StationMissing);
}

/// voice-512 takes the place of face-512 (in the tests both are of faces).
fn moving(change: impl FnOnce(&mut Document)) -> Charter {
    charter_with(|d| {
        d.modalities.iter_mut().find(|m| m.profile == profile_id("voice-512")).unwrap().replaces =
            Some(profile_id("face-512"));
        change(d);
    })
}

fn with_former(charter: &Charter) -> Submission {
    let mut sample = submission(charter, "voice-512", Purpose::deduplication());
    let older = charter.modality(&profile_id("face-512")).unwrap();
    let commitments = [Digest([4; 32]), Digest([5; 32]), Digest([6; 32])];
    sample.former = Some(Former { profile: older.profile.clone(), profile_digest: older.profile_digest, commitments });
    sample
}

fn has(profiles: &'static [&'static str]) -> impl Fn(&mut Facts<'_>) {
    move |facts| {
        let profiles = profiles.iter().map(|id| profile_id(id)).collect();
        facts.signer = Some(charter::MemberFacts { profiles, ..member(ALICE) });
    }
}

fn replacements() {
    let charter = moving(|_| ());
    let enrol = |change: fn(&mut Submission)| {
        let mut sample = with_former(&charter);
        change(&mut sample);
        scene(charter.clone(), ALICE, Action::Enrol(sample))
    };
    assert_eq!(enrol(|_| ()).allowed(), Permit::Enrol { adds_modality: false });
    enrol(|s| s.former = None).refused(Rule::FormerSample);
    enrol(|s| s.former.as_mut().unwrap().profile = profile_id("voice-512")).refused(Rule::FormerSample);
    enrol(|s| s.former.as_mut().unwrap().profile_digest.0[0] ^= 1).refused(Rule::FormerSample);
    enrol(|s| {
        (s.profile, s.profile_digest) = {
            let former = s.former.take().unwrap();
            (former.profile, former.profile_digest)
        }
    })
    .refused(Rule::ModalityReplaced);
    enrol(|_| ()).with(has(&["face-512"])).refused(Rule::RenewInstead);
    enrol(|_| ()).with(has(&["voice-512"])).refused(Rule::AlreadyEnrolled);

    let renew = |change: fn(&mut Submission)| {
        let mut sample = with_former(&charter);
        change(&mut sample);
        scene(charter.clone(), ALICE, Action::Renew(sample))
    };
    for held in [&["face-512"][..], &["voice-512"], &["face-512", "voice-512"]] {
        assert_eq!(renew(|_| ()).with(has(held)).allowed(), Permit::Renew);
        renew(|s| s.former = None).with(has(held)).refused(Rule::FormerSample);
        renew(|_| ()).with(has(held)).with(shielded).refused(Rule::ShieldUp);
    }
    renew(|_| ()).with(has(&[])).refused(Rule::NoRecord);
    // Within the older one, and for comparisons with one record, nothing is different; nowhere else does a former template belong.
    let plain_sample = |purpose| submission(&charter, "face-512", purpose);
    let renewal = scene(charter.clone(), ALICE, Action::Renew(plain_sample(Purpose::deduplication())));
    assert_eq!(renewal.with(has(&["face-512"])).allowed(), Permit::Renew);
    let verify = |sample| scene(charter.clone(), ALICE, Action::Verify(sample)).with(has(&["face-512", "voice-512"]));
    verify(plain_sample(Purpose::verification())).allowed();
    verify(submission(&charter, "voice-512", Purpose::verification())).allowed();
    let mut both = with_former(&charter);
    both.grant.purpose = Purpose::verification();
    verify(both).refused(Rule::FormerSample);
    let unasked = with_former(&plain());
    scene(plain(), ALICE, Action::Enrol(unasked)).refused(Rule::FormerSample);

    // One seal for both templates: those of two people cannot be put together.
    let strict = moving(|d| {
        d.stations = vec![station()];
        d.modalities.iter_mut().for_each(|m| m.stations = StationRule::Enrolment);
    });
    let sealed = |change: fn(&mut StationSeal)| {
        let mut sample = with_former(&strict);
        sample.station = Some(seal(&sample, change));
        scene(strict.clone(), ALICE, Action::Renew(sample)).with(has(&["face-512"]))
    };
    sealed(|_| ()).allowed();
    sealed(|seal| seal.former = None).refused(Rule::StationSeal);
    sealed(|seal| seal.former.as_mut().unwrap().commitments[0].0[0] ^= 1).refused(Rule::StationSeal);
}

fn terms() {
    let Permit::CreateGrant { terms, .. } = grant(|_| ()).allowed() else { panic!() };
    assert_eq!(terms, verification_terms());
    grant(|t| t.party = party_id("bank")).refused(Rule::PartyUnknown);
    grant(|t| *t = Terms { party: party_id("coop"), ..t.clone() }).refused(Rule::OperationNotAllowed);
    grant(|t| t.purpose = term("dpv:Marketing")).refused(Rule::PurposeUnknown);
    grant(|t| t.purpose = Purpose::verification()).refused(Rule::PurposeNotAllowed);
    grant(|t| t.profile = Some(profile_id("voice-512"))).refused(Rule::ProfileNotAllowed);
    grant(|t| t.profile = Some(profile_id("iris"))).refused(Rule::ModalityNotAllowed);
    grant(|t| t.profile = None).refused(Rule::TermsContradict);
    grant(|t| *t = Terms { profile: t.profile.clone(), ..membership_terms() }).refused(Rule::TermsContradict);
    grant(|t| t.uses = 0).refused(Rule::TermsContradict);
    grant(|t| t.not_before = t.expires_at).refused(Rule::TermsContradict);
    grant(|t| t.note = "x".repeat(201)).refused(Rule::NoteUnfit);
    grant(|t| (t.not_before, t.expires_at) = (NOW - 2, NOW)).refused(Rule::TermsPast);
    grant(|t| t.uses = 11).refused(Rule::TooManyUses);
    grant(|t| t.expires_at = NOW + 30 * DAY + 61).refused(Rule::TooLong);
    grant(|t| t.expires_at = u64::MAX).refused(Rule::TooLong);
    grant(|_| ()).with(|f| f.signer.as_mut().unwrap().profiles.clear()).refused(Rule::NoRecord);
    grant(|_| ()).with(|f| f.signer.as_mut().unwrap().grants = limits::GRANTS_PER_MEMBER).refused(Rule::TooManyGrants);
    grant(|_| ()).with(shielded).refused(Rule::ShieldUp);
    grant(|t| (t.uses, t.expires_at) = (10, NOW + 30 * DAY)).allowed();
}

fn narrowing_and_revoking() {
    let Permit::NarrowGrant { terms, uses_left, .. } = narrow(fewer()).allowed() else { panic!() };
    assert_eq!((terms.uses, uses_left), (2, 2));
    // Two of five made, and then one left: three in all.
    let Permit::NarrowGrant { terms, uses_left, .. } = narrow(Narrowing { uses_left: Some(1), ..fewer() })
        .with(|f| f.grant.as_mut().unwrap().statement.uses_left = 3)
        .allowed()
    else {
        panic!()
    };
    assert_eq!((terms.uses, uses_left), (3, 1));
    narrow(Narrowing { uses_left: Some(6), ..fewer() }).refused(Rule::NotNarrower);
    narrow(Narrowing { uses_left: None, ..fewer() }).refused(Rule::NotNarrower);
    narrow(Narrowing { expires_at: Some(NOW + 11 * DAY), ..fewer() }).refused(Rule::NotNarrower);
    narrow(Narrowing { uses_left: None, expires_at: Some(NOW + DAY), ..fewer() }).allowed();
    narrow(fewer()).with(shielded).allowed();
    narrow(Narrowing { grant: GrantId([3; 16]), ..fewer() }).refused(Rule::GrantUnknown);
    narrow(fewer()).with(|f| f.signer = Some(member(BOB))).refused(Rule::GrantUnknown);
    revoke().allowed();
    revoke().with(shielded).under(|d| d.parties.clear()).allowed();
    revoke().with(|f| f.grant = None).refused(Rule::GrantUnknown);
    revoke().with(|f| f.grant.as_mut().unwrap().statement.state = GrantState::Revoked).refused(Rule::GrantEnded);
}

fn uses() {
    let used = Permit::UseGrant { grant: GrantId([9; 16]), uses_left_after: 4, compares: true };
    assert_eq!(verification_use(|_| ()).allowed(), used);
    let used = Permit::UseGrant { grant: GrantId([9; 16]), uses_left_after: 4, compares: false };
    assert_eq!(membership_use().allowed(), used);
    verification_use(|u| u.party = party_id("bank")).refused(Rule::PartyUnknown);
    membership_use().by(CLINIC).refused(Rule::PartyKey);
    membership_use().by(ALICE).refused(Rule::PartyKey);
    membership_use().with(|f| f.grant = None).refused(Rule::GrantUnknown);
    verification_use(|u| u.grant = GrantId([3; 16])).refused(Rule::GrantUnknown);
    // One party's grant in another's hands.
    use_of(membership_terms(), CLINIC, |u| u.party = party_id("clinic")).refused(Rule::GrantUnknown);
    for state in [GrantState::Suspended, GrantState::Revoked] {
        membership_use().with(move |f| f.grant.as_mut().unwrap().statement.state = state).refused(Rule::GrantNotActive);
    }
    membership_use().with(|f| f.grant.as_mut().unwrap().giver.shielded = true).refused(Rule::GrantNotActive);
    verification_use(|_| ()).with(|f| f.grant.as_mut().unwrap().giver.profiles.clear()).refused(Rule::GrantNotActive);
    membership_use().with(|f| f.grant.as_mut().unwrap().statement.uses_left = 0).refused(Rule::GrantSpent);
    verification_use(|u| u.purpose = rations()).refused(Rule::GrantPurpose);
    verification_use(|u| u.submission.as_mut().unwrap().grant.purpose = Purpose::verification()).refused(Rule::GrantPurpose);
    verification_use(|_| ()).with(|f| f.counts.comparisons_last_hour = 20).refused(Rule::VerificationRate);
    membership_use().with(|f| f.counts.comparisons_last_hour = 20).allowed();
    // To the second, by every clock.
    membership_use().at(NOW - 1).refused(Rule::GrantNotYet);
    membership_use().at(NOW + 10 * DAY - 1).allowed();
    membership_use().at(NOW + 10 * DAY).refused(Rule::GrantExpired);
}

fn uses_under_a_later_charter() {
    membership_use().under(|d| d.parties.retain(|p| p.id != party_id("coop"))).refused(Rule::PartyUnknown);
    membership_use().under(|d| d.parties[1].key = public(13)).refused(Rule::PartyKey);
    membership_use().under(|d| d.parties[1].key = public(13)).by(13).allowed();
    membership_use().under(|d| d.parties[1].purposes = vec![care()]).refused(Rule::PurposeNotAllowed);
    membership_use().under(|d| d.parties[1].max_days = 5).at(NOW + 6 * DAY).refused(Rule::TooLong);
    membership_use().under(|d| d.parties[1].max_days = 5).at(NOW + 4 * DAY).allowed();
    let lowered = || membership_use().under(|d| d.parties[1].max_uses = 2);
    lowered().with(|f| f.grant.as_mut().unwrap().statement.uses_left = 4).allowed();
    lowered().with(|f| f.grant.as_mut().unwrap().statement.uses_left = 3).refused(Rule::TooManyUses);
    // The same names for something else.
    let care_entry = |d: &mut Document, change: fn(&mut charter::PurposeEntry)| {
        change(d.purposes.iter_mut().find(|p| p.term == rations()).unwrap());
    };
    membership_use().under(|d| care_entry(d, |p| p.text = "Everything.".to_owned())).refused(Rule::MeaningChanged);
    membership_use().under(|d| care_entry(d, |p| p.title = "All".to_owned())).refused(Rule::MeaningChanged);
    membership_use().under(|d| d.parties[1].name = "The Bank".to_owned()).refused(Rule::MeaningChanged);
    membership_use().under(|d| d.parties[1].contact = "elsewhere".to_owned()).allowed();
}

fn samples() {
    verification_use(|u| u.submission = None).refused(Rule::SampleMissing);
    let charter = plain();
    use_of(membership_terms(), COOP, |u| u.submission = Some(submission(&charter, "face-512", rations())))
        .refused(Rule::SampleUnexpected);
    verification_use(|u| u.submission.as_mut().unwrap().profile = profile_id("voice-512")).refused(Rule::SampleProfile);
    verification_use(|u| u.submission.as_mut().unwrap().grant.uses = 2).refused(Rule::ConsentUses);
    approve(|_, sample| *sample = None).refused(Rule::SampleMissing);
    approve(|_, sample| sample.as_mut().unwrap().grant.purpose = rations()).refused(Rule::GrantPurpose);
}

fn asks() {
    assert_eq!(ask(|_| ()).allowed(), Permit::OpenAsk);
    ask(|a| a.terms.party = party_id("bank")).refused(Rule::PartyUnknown);
    ask(|_| ()).by(COOP).refused(Rule::PartyKey);
    ask(|a| a.terms.uses = 11).refused(Rule::TooManyUses);
    for answer_by in [NOW, NOW + limits::ASK_LIFETIME_S + 61, NOW + 11 * DAY] {
        ask(|a| a.answer_by = answer_by).refused(Rule::AskTimes);
    }
    ask(|_| ()).with(|f| f.counts.party_asks_last_day = 100).refused(Rule::PartyRate);
    ask(|_| ()).with(|f| f.counts.party_asks_waiting = limits::ASKS_PER_PARTY).refused(Rule::TooManyAsks);
    assert_eq!(ask_by_name().allowed(), Permit::OpenAsk);
    ask_by_name().with(|f| f.asked = None).refused(Rule::SubjectUnknown);
    ask_by_name().with(|f| f.asked.as_mut().unwrap().last_day = 3).refused(Rule::MemberRate);
    // To the party, a shield and a full letterbox look like a no.
    let shielded = ask_by_name().with(|f| f.asked.as_mut().unwrap().shielded = true);
    assert_eq!(shielded.allowed(), Permit::DeclineAsk);
    let busy = ask_by_name().with(|f| f.asked.as_mut().unwrap().waiting = limits::ASKS_PER_MEMBER);
    assert_eq!(busy.allowed(), Permit::DeclineAsk);
}

fn answers() {
    let Permit::ApproveAsk { ask, terms, uses_left_after, compares, .. } = approve(|_, _| ()).allowed() else { panic!() };
    assert_eq!((ask, terms.uses, uses_left_after, compares), (ASK, 5, 4, true));
    let narrower = approve(|terms, _| (terms.uses, terms.expires_at) = (1, NOW + DAY));
    assert!(matches!(narrower.allowed(), Permit::ApproveAsk { uses_left_after: 0, .. }));
    let changes: [fn(&mut Terms); 7] = [
        |t| t.uses = 6,
        |t| t.expires_at += 1,
        |t| t.not_before -= 1,
        |t| t.purpose = rations(),
        |t| t.party = party_id("coop"),
        |t| t.profile = None,
        |t| t.note = "something else".to_owned(),
    ];
    for change in changes {
        approve(|terms, _| change(terms)).refused(Rule::AskExceeded);
    }
    approve(|_, _| ()).with(shielded).refused(Rule::ShieldUp);
    approve(|_, _| ()).under(|d| d.summary = "changed".to_owned()).refused(Rule::CharterChanged);
    approve(|_, _| ()).with(|f| f.ask = None).refused(Rule::AskUnknown);
    approve(|_, _| ()).with(|f| f.ask.as_mut().unwrap().statement.id = AskId([0; 16])).refused(Rule::AskUnknown);
    approve(|_, _| ()).with(|f| f.ask.as_mut().unwrap().statement.ask.answer_by = NOW - 1).refused(Rule::AskExpired);
    approve(|terms, _| terms.not_before = NOW + 61).refused(Rule::GrantNotYet);
    approve(|_, _| ()).with(|f| f.counts.comparisons_last_hour = 20).refused(Rule::VerificationRate);

    let no = |subject| answer(verification_terms(), subject, |_| Reply::Refuse);
    assert_eq!(no(None).allowed(), Permit::RefuseAsk { ask: ASK });
    assert_eq!(no(Some(SubjectId([8; 32]))).with(shielded).allowed(), Permit::RefuseAsk { ask: ASK }, "no is a right");
    no(Some(SubjectId([7; 32]))).refused(Rule::AskUnknown);
    no(Some(SubjectId([8; 32]))).with(|f| f.ask.as_mut().unwrap().subject = None).refused(Rule::AskUnknown);
    no(None).with(|f| f.signer = None).refused(Rule::NotAMember);
    let see = |subject| {
        let mut scene = no(subject);
        scene.action = Action::See { ask: ASK };
        scene
    };
    assert_eq!(see(None).allowed(), Permit::Tell);
    see(Some(SubjectId([7; 32]))).refused(Rule::AskUnknown);
}

fn shield() {
    assert_eq!(scene(plain(), ALICE, Action::ShieldUp).with(alice).allowed(), Permit::RaiseShield);
    assert_eq!(scene(plain(), ALICE, Action::ShieldUp).with(alice).with(shielded).allowed(), Permit::RaiseShield);
    let one = vec![GrantId([1; 16])];
    assert_eq!(shield_down(one.clone()).allowed(), Permit::LowerShield { restore: one.clone() });
    assert_eq!(shield_down(vec![]).allowed(), Permit::LowerShield { restore: vec![] });
    shield_down(vec![GrantId([3; 16])]).refused(Rule::RestoreUnknown);
    shield_down(vec![GrantId([1; 16]); 2]).refused(Rule::RestoreUnknown);
    shield_down(one).with(|f| f.signer.as_mut().unwrap().shielded = false).refused(Rule::ShieldNotUp);
    verify(|_| ()).with(shielded).refused(Rule::ShieldUp);
}

fn personas() {
    let binding = |n: u8| types::persona::Binding { commitment: types::Digest([n; 32]), request: [n; 144], slope: [n; 48] };
    let bind = |n| scene(plain(), ALICE, Action::Bind(binding(n)));
    let bound = |f: &mut Facts<'_>| f.signer.as_mut().unwrap().bound = Some(types::Digest([1; 32]));
    bind(1).refused(Rule::NotAMember);
    assert_eq!(bind(1).with(alice).allowed(), Permit::Bind);
    bind(1).with(alice).with(shielded).refused(Rule::ShieldUp);
    bind(1).with(alice).with(bound).refused(Rule::AlreadyBound);
    bind(2).with(alice).with(bound).refused(Rule::AlreadyBound);
    let present = roster().epochs.at(NOW);
    let issue = |epoch| scene(plain(), ALICE, Action::Issue { epoch, claims: Vec::new() });
    issue(present).with(alice).refused(Rule::NotBound);
    assert_eq!(issue(present).with(alice).with(bound).allowed(), Permit::Issue);
    issue(present).with(alice).with(bound).with(shielded).refused(Rule::ShieldUp);
    issue(types::Epoch(present.0 - 1)).with(alice).with(bound).refused(Rule::EpochNotIssued);
    issue(types::Epoch(present.0 + 2)).with(alice).with(bound).refused(Rule::EpochNotIssued);
}

/// What a party vouches for counts if the charter lists it, and if it is this device's, of this time, and signed by that party.
fn claims() {
    use types::persona::{Claim, ClaimKind};
    let vouching = charter_with(|d| d.claims = vec![ages()]);
    let present = roster().epochs.at(NOW);
    let claim = |change: &dyn Fn(&mut Claim), signer: u8| {
        let (commons, device, party) = (roster().digest(), public(ALICE), party_id("clinic"));
        let (kind, value) = (ClaimKind::AgeBand, "18-29".to_owned());
        let mut claim = Claim { commons, device, kind, value, party, expires_at: NOW };
        change(&mut claim);
        Signed::new(claim, &key(signer))
    };
    let bound = |f: &mut Facts<'_>| f.signer.as_mut().unwrap().bound = Some(types::Digest([1; 32]));
    let issue = |charter: &Charter, claims| {
        scene(charter.clone(), ALICE, Action::Issue { epoch: present, claims }).with(alice).with(bound)
    };
    let good = || claim(&|_| (), CLINIC);
    assert_eq!(issue(&vouching, vec![good()]).allowed(), Permit::Issue);
    issue(&plain(), vec![good()]).refused(Rule::ClaimNotAllowed);
    issue(&vouching, vec![good(), good()]).refused(Rule::ClaimNotAllowed);
    issue(&vouching, vec![good(), good(), good(), good()]).refused(Rule::ClaimNotAllowed);
    for change in [
        (&|c: &mut Claim| c.value = "50-69".to_owned()) as &dyn Fn(&mut Claim),
        &|c| c.kind = ClaimKind::Role,
        &|c| c.party = party_id("coop"),
        &|c| c.party = party_id("nobody"),
    ] {
        issue(&vouching, vec![claim(change, CLINIC)]).refused(Rule::ClaimNotAllowed);
    }
    for change in
        [(&|c: &mut Claim| c.device = public(BOB)) as &dyn Fn(&mut Claim), &|c| c.commons = types::Digest([9; 32]), &|c| {
            c.expires_at = NOW - 1
        }]
    {
        issue(&vouching, vec![claim(change, CLINIC)]).refused(Rule::ClaimInvalid);
    }
    issue(&vouching, vec![claim(&|_| (), COOP)]).refused(Rule::ClaimInvalid);
    let mut altered = good();
    altered.message.value = "30-49".to_owned();
    issue(&vouching, vec![altered]).refused(Rule::ClaimInvalid);
}

fn charters() {
    let (roster, first) = (roster(), plain());
    let next = after(&first, &roster, |d| d.summary = "new".to_owned());
    // Anybody may bring it.
    let scene = |signed| scene(first.clone(), 99, Action::Charter(signed));
    assert_eq!(scene(signed(&next)).allowed(), Permit::AdoptCharter(Box::new(next.clone())));
    let mut unsigned = signed(&next);
    unsigned.signatures.swap(0, 1);
    scene(unsigned).refused(Rule::CharterInvalid);
    scene(signed(&first)).refused(Rule::CharterInvalid);
}

fn refreshes() {
    let of = |present, coming: Option<u64>| move |facts: &mut Facts<'_>| facts.epoch = EpochFacts { present, coming };
    let refresh = |epoch| scene(plain(), OPERATOR, Action::Refresh { epoch });
    assert_eq!(refresh(1).allowed(), Permit::BeginRefresh { epoch: 1 });
    assert_eq!(refresh(8).with(of(7, None)).allowed(), Permit::BeginRefresh { epoch: 8 });
    refresh(1).by(ALICE).with(alice).refused(Rule::NotAnOperator);
    refresh(1).with(of(0, Some(1))).refused(Rule::RefreshRunning);
    refresh(2).with(of(0, Some(1))).refused(Rule::RefreshRunning);
    for epoch in [0, 6, 7, 9] {
        refresh(epoch).with(of(7, None)).refused(Rule::EpochUnknown);
    }
    refresh(0).with(of(u64::MAX, None)).refused(Rule::EpochUnknown);
    // Nodes end it by themselves, whoever is named as who began it.
    let switch = |epoch| scene(plain(), ALICE, Action::Switch { epoch });
    assert_eq!(switch(8).with(of(7, Some(8))).allowed(), Permit::EndRefresh { epoch: 8 });
    switch(8).with(of(7, None)).refused(Rule::EpochUnknown);
    switch(9).with(of(7, Some(8))).refused(Rule::EpochUnknown);
}
