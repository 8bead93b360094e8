//! Standing grants, asks and answers, charters: what members and relying parties do, and what each of them is refused.

use std::time::Duration;

use charter::{Act, Document, EnrolmentRule, Party, PurposeEntry, Station, StationRule};
use types::consent::{
    Answer, Ask, GrantState, Narrowing, Operation, Purpose, Reply, StandingGrant, StationSeal, Terms, Use, Voucher,
};
use types::message::{Action, Finding, Outcome, Request};
use types::sign::{Signed, public_key};
use types::{AskId, GrantId, NodeId, PartyId, SubjectId};

use super::world::{Answers, Call, Person, World, agreed, quantise};
use crate::Error;
use crate::app::config::Clock as _;

pub(super) const DAY_S: u64 = 24 * 3600;

pub(super) fn care() -> Purpose {
    Purpose::new("dpv:ServiceProvision").unwrap()
}

fn clinic_id() -> PartyId {
    PartyId::new("clinic").unwrap()
}

/// A commons with a relying party that may verify and ask for membership, and one member.
pub(super) struct Care {
    pub(super) world: World,
    pub(super) clinic: Person,
    pub(super) ada: Person,
}

impl Care {
    pub(super) async fn new(seed: u64) -> Self {
        let mut world = World::new(seed).await;
        let (clinic, ada) = (world.person(), world.person());
        let key = public_key(&clinic.key);
        world.adopt(|document| allow(document, key)).await;
        let call = world.enrol(&ada);
        world.decide(&call).await;
        Self { world, clinic, ada }
    }

    pub(super) fn terms(&self, operation: Operation, uses: u32) -> Terms {
        let now = self.world.clock.now();
        let verifies = operation == Operation::Verification;
        Terms {
            party: clinic_id(),
            operation,
            profile: verifies.then(|| self.world.roster.profiles[0].id.clone()),
            purpose: care(),
            note: "at the door".to_owned(),
            not_before: now,
            expires_at: now + 7 * DAY_S,
            uses,
        }
    }

    pub(super) fn grant(&mut self, terms: Terms) -> Call {
        let charter = self.world.charter.digest();
        self.world.plain(&self.ada, Action::Grant(StandingGrant { charter, terms }))
    }

    /// Ada grants, and all three nodes agree.
    pub(super) async fn granted(&mut self, operation: Operation, uses: u32) -> GrantId {
        let terms = self.terms(operation, uses);
        let call = self.grant(terms);
        assert_eq!(self.world.decide(&call).await, Outcome::Granted);
        call.signed.message.operation.into()
    }

    pub(super) fn use_membership(&mut self, grant: GrantId) -> Call {
        let usage = Use { party: clinic_id(), grant, purpose: care(), submission: None };
        self.world.plain(&self.clinic, Action::Use(usage))
    }

    pub(super) fn use_sample(&mut self, grant: GrantId, values: &[u32]) -> Call {
        let usage =
            |submission| Action::Use(Use { party: clinic_id(), grant, purpose: care(), submission: Some(submission) });
        self.world.carry(&self.clinic, care(), 0, values, usage, |_| ())
    }

    pub(super) fn ask(&mut self, subject: Option<SubjectId>, terms: Terms) -> Call {
        let (charter, answer_by) = (self.world.charter.digest(), self.world.clock.now() + DAY_S);
        self.world.plain(&self.clinic, Action::Ask(Ask { charter, subject, terms, answer_by }))
    }

    /// The clinic asks, and all three nodes keep the ask.
    async fn asked(&mut self, subject: Option<SubjectId>, terms: Terms) -> AskId {
        let call = self.ask(subject, terms);
        assert_eq!(self.world.decide(&call).await, Outcome::Asked);
        call.signed.message.operation.into()
    }

    pub(super) fn refuse(&mut self, ask: AskId) -> Call {
        let charter = self.world.charter.digest();
        self.world.plain(&self.ada, Action::Answer(Answer { ask, charter, reply: Reply::Refuse }))
    }

    fn approve(&mut self, ask: AskId, terms: Terms) -> Call {
        let (charter, submission) = (self.world.charter.digest(), None);
        self.world.plain(&self.ada, Action::Answer(Answer { ask, charter, reply: Reply::Approve { terms, submission } }))
    }

    fn approve_with(&mut self, ask: AskId, terms: Terms, values: &[u32]) -> Call {
        let charter = self.world.charter.digest();
        let answer =
            |sample| Action::Answer(Answer { ask, charter, reply: Reply::Approve { terms, submission: Some(sample) } });
        self.world.carry(&self.ada, care(), 0, values, answer, |_| ())
    }

    /// All nodes start again, with the clocks and the patience that the world now says.
    pub(super) async fn restart(&mut self) {
        for node in NodeId::ALL {
            self.world.kill(node).await;
            self.world.start(node, |_| false).await;
        }
        self.world.mend();
        self.world.settle().await;
    }

    pub(super) async fn refused(&self, call: &Call, rule: &str) {
        for answer in self.world.send(call).await {
            let error = answer.unwrap_err();
            assert_eq!((error.code(), error.rule()), ("not-permitted", Some(rule)), "{error}");
        }
    }

    pub(super) fn name(&self) -> SubjectId {
        self.ada.trace().subject(&clinic_id())
    }

    /// What each node knows of Ada's first grant.
    pub(super) async fn grants(&mut self) -> Vec<Option<(GrantState, u32)>> {
        let mut all = Vec::new();
        for node in NodeId::ALL {
            let member = self.world.member(node, &self.ada.clone()).await;
            all.push(member.grants.first().map(|grant| (grant.state, grant.uses_left)));
        }
        all
    }
}

/// The clinic's party in a charter.
pub(super) fn allow(document: &mut Document, key: types::DeviceKey) {
    let title = "Care".to_owned();
    let text = "Whether you are who comes for care.".to_owned();
    let operations = vec![Act::Membership, Act::Verification];
    document.purposes.push(PurposeEntry { term: care(), title, text, operations });
    document.parties.push(Party {
        id: clinic_id(),
        name: "The clinic".to_owned(),
        contact: "hello@clinic.example".to_owned(),
        key,
        operations: vec![Operation::Membership, Operation::Verification],
        purposes: vec![care()],
        profiles: document.modalities.iter().map(|modality| modality.profile.clone()).collect(),
        max_uses: 10,
        max_days: 30,
        asks_per_day: 20,
    });
    document.rates.asks_per_member_per_day = 3;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_used_as_often_as_it_says_and_counted_alike_on_all_nodes() {
    let mut care = Care::new(41).await;
    let grant = care.granted(Operation::Membership, 2).await;
    assert_eq!(care.grants().await, [Some((GrantState::Active, 2)); 3]);
    let party = care.world.state(NodeId::ALL[1], &care.clinic.clone(), Action::Status).await.unwrap().party.unwrap();
    assert_eq!((party.grants.len(), party.grants[0].grant, party.grants[0].subject), (1, grant, care.name()));

    for uses_left in [1, 0] {
        let call = care.use_membership(grant);
        let (subject, finding) = (care.name(), Finding::Member);
        let expected = Outcome::Answered { ask: None, grant, subject, finding, uses_left };
        assert_eq!(care.world.decide(&call).await, expected);
    }
    let call = care.use_membership(grant);
    care.refused(&call, "grant-spent").await;
    assert_eq!(care.grants().await, [None; 3], "a spent grant is no longer among those that stand");
    // Nobody but the party, and for nothing else.
    let second = care.granted(Operation::Membership, 2).await;
    let stranger = Care { clinic: care.world.person(), ..care };
    let mut care = stranger;
    let call = care.use_membership(second);
    care.refused(&call, "party-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_compares_with_the_givers_record_and_no_other() {
    let mut care = Care::new(42).await;
    let grant = care.granted(Operation::Verification, 3).await;
    let (same, other) = (care.world.again(&care.ada.clone()), care.world.person());
    let expected = |finding, uses_left, subject| Outcome::Answered { ask: None, grant, subject, finding, uses_left };
    let call = care.use_sample(grant, &quantise(&same.face));
    let matched = expected(Finding::Compared { matched: true }, 2, care.name());
    assert_eq!(care.world.decide(&call).await, matched);
    let call = care.use_sample(grant, &quantise(&other.face));
    assert_eq!(care.world.decide(&call).await, expected(Finding::Compared { matched: false }, 1, care.name()));
    // What is no template spends the use as well.
    let call = care.use_sample(grant, &[0; 64]);
    assert_eq!(care.world.decide(&call).await, expected(Finding::InvalidTemplate, 0, care.name()));
    let call = care.use_sample(grant, &quantise(&same.face));
    care.refused(&call, "grant-spent").await;
    let bare = care.granted(Operation::Verification, 1).await;
    let call = care.use_membership(bare);
    care.refused(&call, "sample-missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_narrows_and_revokes_and_nobody_widens() {
    let mut care = Care::new(43).await;
    let grant = care.granted(Operation::Membership, 5).await;
    let narrow = |care: &mut Care, person: &Person, expires_at, uses_left| {
        care.world.plain(person, Action::Narrow(Narrowing { grant, expires_at, uses_left }))
    };
    let ada = care.ada.clone();
    let call = narrow(&mut care, &ada, None, Some(2));
    assert_eq!(care.world.decide(&call).await, Outcome::Narrowed { grant });
    assert_eq!(care.grants().await, [Some((GrantState::Active, 2)); 3]);
    let call = narrow(&mut care, &ada, None, Some(3));
    care.refused(&call, "not-narrower").await;
    let soon = care.world.clock.now() + 100;
    let call = narrow(&mut care, &ada, Some(soon), None);
    care.world.decide(&call).await;
    let ben = care.world.person();
    let call = care.world.enrol(&ben);
    care.world.decide(&call).await;
    let call = narrow(&mut care, &ben, None, Some(1));
    care.refused(&call, "grant-unknown").await;

    let call = care.use_membership(grant);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 1, .. }));
    care.world.clock.advance(100);
    let call = care.use_membership(grant);
    care.refused(&call, "grant-expired").await;

    let second = care.granted(Operation::Membership, 5).await;
    let call = care.world.plain(&ada, Action::Revoke { grant: second });
    assert_eq!(care.world.decide(&call).await, Outcome::Revoked { grant: second });
    let call = care.use_membership(second);
    care.refused(&call, "grant-not-active").await;
    let call = care.world.plain(&ada, Action::Revoke { grant: second });
    care.refused(&call, "grant-ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_beyond_the_charter_are_refused_by_rule() {
    let mut care = Care::new(44).await;
    type Change = fn(&mut Terms);
    let cases: [(&str, Change); 8] = [
        ("party-unknown", |t| t.party = PartyId::new("nobody").unwrap()),
        ("purpose-unknown", |t| t.purpose = Purpose::new("dpv:Marketing").unwrap()),
        ("purpose-not-allowed", |t| t.purpose = Purpose::verification()),
        ("too-many-uses", |t| t.uses = 11),
        ("too-long", |t| t.expires_at += 40 * DAY_S),
        ("terms-past", |t| (t.not_before, t.expires_at) = (t.not_before - 100, t.not_before)),
        ("terms-contradict", |t| t.uses = 0),
        ("terms-contradict", |t| t.profile = Some(types::ProfileId::new("vector-64").unwrap())),
    ];
    for (rule, change) in cases {
        let mut terms = care.terms(Operation::Membership, 1);
        change(&mut terms);
        let call = care.grant(terms);
        care.refused(&call, rule).await;
    }
    let (terms, charter) = (care.terms(Operation::Membership, 1), types::Digest([9; 32]));
    let call = care.world.plain(&care.ada.clone(), Action::Grant(StandingGrant { charter, terms: terms.clone() }));
    care.refused(&call, "charter-changed").await;
    let (nobody, charter) = (care.world.person(), care.world.charter.digest());
    let call = care.world.plain(&nobody, Action::Grant(StandingGrant { charter, terms }));
    assert!(care.world.send(&call).await.iter().all(|a| matches!(a, Err(Error::UnknownMember))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_asks_and_the_member_answers() {
    let mut care = Care::new(45).await;
    let ada = care.ada.clone();
    // They have not met: the id travels another way.
    let terms = care.terms(Operation::Verification, 3);
    let first = care.ask(None, terms.clone());
    assert_eq!(care.world.decide(&first).await, Outcome::Asked);
    let ask = AskId::from(first.signed.message.operation);
    assert!(care.world.member(NodeId::ALL[0], &ada).await.asks.is_empty());
    let seen = care.world.state(NodeId::ALL[2], &ada, Action::See { ask }).await.unwrap().ask.unwrap();
    assert_eq!((seen.id, seen.ask.terms.clone()), (ask, terms.clone()));
    // Narrower than asked is fine, wider is not.
    let wider = Terms { uses: 4, ..terms.clone() };
    let face = quantise(&care.world.again(&ada).face);
    let call = care.approve_with(ask, wider, &face);
    care.refused(&call, "ask-exceeded").await;
    let call = care.approve_with(ask, Terms { uses: 2, ..terms.clone() }, &face);
    let grant = GrantId::from(call.signed.message.operation);
    let (subject, finding) = (care.name(), Finding::Compared { matched: true });
    let answered = Outcome::Answered { ask: Some(ask), grant, subject, finding, uses_left: 1 };
    assert_eq!(care.world.decide(&call).await, answered);
    // The party hears of it by the id of its ask.
    let clinic = care.clinic.clone();
    assert_eq!(agreed(&care.world.outcome(&clinic, first.signed.message.operation).await, &care.world.roster), answered);
    let call = care.use_sample(grant, &face);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { ask: None, uses_left: 0, .. }));
    let call = care.approve(ask, terms);
    care.refused(&call, "ask-unknown").await;

    // Now the clinic knows her by name. She says no.
    let terms = care.terms(Operation::Membership, 1);
    let named = care.ask(Some(subject), terms.clone());
    assert_eq!(care.world.decide(&named).await, Outcome::Asked);
    let ask = AskId::from(named.signed.message.operation);
    for node in NodeId::ALL {
        let asks = care.world.member(node, &ada).await.asks;
        assert_eq!((asks.len(), asks[0].id), (1, ask));
    }
    let ben = care.world.person();
    let none = care.world.state(NodeId::ALL[0], &ben, Action::See { ask }).await.unwrap_err();
    assert_eq!(none.rule(), Some("ask-unknown"), "an ask to her is not his to see");
    let call = care.refuse(ask);
    assert_eq!(care.world.decide(&call).await, Outcome::Declined { ask });
    let told = care.world.outcome(&clinic, named.signed.message.operation).await;
    assert_eq!(agreed(&told, &care.world.roster), Outcome::Declined { ask });
    let call = care.ask(Some(SubjectId([7; 32])), terms);
    care.refused(&call, "subject-unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_expires_unanswered_and_asking_is_rationed() {
    let mut care = Care::new(46).await;
    let terms = care.terms(Operation::Membership, 1);
    let ask = care.asked(None, terms.clone()).await;
    care.world.clock.advance(DAY_S + 1);
    let call = care.approve(ask, terms);
    care.refused(&call, "ask-expired").await;
    let party = care.world.state(NodeId::ALL[0], &care.clinic.clone(), Action::Status).await.unwrap().party.unwrap();
    assert!(party.asks.is_empty());

    // Known by name through a grant. Three asks a day to one member.
    care.granted(Operation::Membership, 1).await;
    let (name, terms) = (care.name(), care.terms(Operation::Membership, 1));
    for _ in 0..3 {
        care.asked(Some(name), terms.clone()).await;
    }
    let call = care.ask(Some(name), terms.clone());
    care.refused(&call, "member-rate").await;
    care.world.clock.advance(DAY_S);
    let terms = care.terms(Operation::Membership, 1);
    care.asked(Some(name), terms).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_every_event_about_them_and_nobody_elses() {
    let mut care = Care::new(47).await;
    let (ada, clinic, ben) = (care.ada.clone(), care.clinic.clone(), care.world.person());
    let call = care.world.enrol(&ben);
    care.world.decide(&call).await;
    let grant = care.granted(Operation::Membership, 2).await;
    let call = care.use_membership(grant);
    care.world.decide(&call).await;
    let terms = care.terms(Operation::Membership, 1);
    let named = care.asked(Some(care.name()), terms).await;
    let call = care.refuse(named);
    care.world.decide(&call).await;
    let mut lists = Vec::new();
    for node in NodeId::ALL {
        let events = care.world.state(node, &ada, Action::Events { after_batch: 0 }).await.unwrap().events;
        for event in &events {
            event.request.verify(&event.request.message.device).unwrap();
            event.certificate.verify(&care.world.roster).unwrap();
            use types::sign::Message as _;
            assert_eq!(event.certificate.decision.request, event.request.message.digest());
        }
        let later = events[2].certificate.decision.batch;
        let rest = care.world.state(node, &ada, Action::Events { after_batch: later }).await.unwrap().events;
        assert_eq!(rest, events[3..]);
        lists.push(events.iter().map(|e| e.certificate.decision.outcome.name()).collect::<Vec<_>>());
    }
    assert!(lists.iter().all(|list| *list == ["enrolled", "granted", "answered", "asked", "declined"]), "{lists:?}");
    let bens = care.world.state(NodeId::ALL[0], &ben, Action::Events { after_batch: 0 }).await.unwrap().events;
    assert_eq!(bens.len(), 1);
    let nothing = care.world.state(NodeId::ALL[0], &clinic, Action::Events { after_batch: 0 }).await;
    assert!(matches!(nothing, Err(Error::UnknownMember)));

    // Who leaves takes everything along.
    let before = care.world.member(NodeId::ALL[0], &ada).await.metadata_bytes;
    assert!(before > 1000, "{before}");
    let call = care.world.plain(&ada, Action::Withdraw { profile: None });
    assert!(matches!(care.world.decide(&call).await, Outcome::Withdrawn { records: 1 }));
    let call = care.use_membership(grant);
    care.refused(&call, "grant-unknown").await;
    for node in NodeId::ALL {
        assert_eq!(care.world.state(node, &ada, Action::Status).await.unwrap().member, None);
        care.world.kill(node).await;
        let store = super::world::open(&care.world.path(node), node, &care.world.roster).await;
        let member = types::MemberId::derive(&care.world.roster.digest(), &public_key(&ada.key));
        assert_eq!(store.consent_bytes(&member).await.unwrap(), 0, "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charter_is_adopted_once_by_all_and_widens_no_older_grant() {
    let mut care = Care::new(48).await;
    let bearer = care.world.person();
    let first = care.granted(Operation::Membership, 5).await;
    // Two that follow the same one: the second comes too late.
    let (before, key) = (care.world.charter.clone(), public_key(&care.clinic.key));
    let late = care.world.sign_charter(&before, |document| document.summary = "another".to_owned());
    care.world.adopt(|document| document.parties[0].max_uses = 100).await;
    for (signed, what) in [(late.clone(), "another's predecessor"), (late, "the same again")] {
        let call = care.world.plain(&bearer, Action::Charter(signed));
        care.refused(&call, "charter-invalid").await;
        assert!(!what.is_empty());
    }
    // Mis-signed; over-broad; not one at all.
    let mut forged = care.world.sign_charter(&care.world.charter, |document| document.summary = "mine".to_owned());
    forged.signatures[1] = forged.signatures[0];
    let broad = care.world.sign_charter(&care.world.charter, |document| document.parties[0].max_uses = u32::MAX);
    let garbage = types::consent::SignedCharter { document: b"not toml".to_vec(), ..forged.clone() };
    for signed in [forged, broad, garbage] {
        let call = care.world.plain(&bearer, Action::Charter(signed));
        care.refused(&call, "charter-invalid").await;
    }
    for node in NodeId::ALL {
        let body = care.world.app(node).charter();
        assert_eq!((body.version, body.digest), (2, care.world.charter.digest().to_hex()));
        assert!(body.signed.is_some());
    }
    // More uses for new grants; the old one keeps its five.
    assert_eq!(care.grants().await, [Some((GrantState::Active, 5)); 3]);
    let terms = care.terms(Operation::Membership, 100);
    let call = care.grant(terms);
    assert_eq!(care.world.decide(&call).await, Outcome::Granted);
    // The same names with other words: the old grant covers nothing any more.
    care.world.adopt(|document| document.purposes.last_mut().unwrap().text = "Whatever we like.".to_owned()).await;
    let call = care.use_membership(first);
    care.refused(&call, "meaning-changed").await;
    // It survives a restart.
    for node in NodeId::ALL {
        care.world.kill(node).await;
        care.world.start(node, |_| false).await;
        assert_eq!(care.world.app(node).charter().version, 3);
    }
    care.world.mend();
    care.world.settle().await;
    let call = care.use_membership(first);
    care.refused(&call, "meaning-changed").await;
    assert_eq!(care.world.charter.document().parties[0].key, key);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_id_that_was_decided_cannot_name_another() {
    let mut care = Care::new(49).await;
    let grant = care.granted(Operation::Membership, 3).await;
    // Long after the id was forgotten as seen, its grant is still there: the id is taken, and no node falls over it.
    care.world.clock.advance(3600);
    let mut call = care.use_membership(grant);
    let mut request = call.signed.message.clone();
    request.operation = types::OperationId(grant.0);
    call.signed = types::sign::Signed::new(request, &care.clinic.key);
    let answers: Answers = care.world.send(&call).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Replayed))), "{answers:?}");
    let call = care.use_membership(grant);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 2, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_disagree_end_a_grant_early_and_never_late() {
    let mut care = Care::new(50).await;
    let [_, two, three] = NodeId::ALL;
    let mut terms = care.terms(Operation::Membership, 5);
    terms.expires_at = care.world.clock.now() + 30;
    let call = care.grant(terms);
    care.world.decide(&call).await;
    let (short, long) = (call.signed.message.operation.into(), care.granted(Operation::Membership, 5).await);

    // Within what is tolerated: the fastest clock ends the grant, and the nodes decide everything else together.
    care.world.patience.answer = Duration::from_secs(3);
    care.world.ahead_s[two.index()] = 50;
    care.restart().await;
    let call = care.use_membership(short);
    let answers = care.world.send(&call).await;
    assert_eq!(answers[two.index()].as_ref().unwrap_err().rule(), Some("grant-expired"));
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    let call = care.use_membership(long);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 4, .. }));

    // By minutes: nothing is decided until somebody sets the clock, and nothing is lost.
    care.world.ahead_s = [0, 0, 180];
    care.restart().await;
    let call = care.use_membership(long);
    let answers = care.world.send(&call).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    care.world.ahead_s = [0; 3];
    care.restart().await;
    assert_eq!(care.world.app(three).readiness().obstacle, None);
    let call = care.use_membership(long);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 3, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_enrol_and_where_is_the_charters_to_say() {
    let mut care = Care::new(51).await;
    let (commons, now) = (care.world.roster.digest(), care.world.clock.now());
    let station = care.world.person();
    let key = public_key(&station.key);
    care.world
        .adopt(|document| {
            (document.enrolment.rule, document.enrolment.vouchers) = (EnrolmentRule::Vouched, 1);
            document.stations.push(Station { name: "Ferry landing".to_owned(), key });
            document.modalities.iter_mut().for_each(|modality| modality.stations = StationRule::Enrolment);
        })
        .await;
    let (ada, newcomer) = (care.ada.clone(), care.world.person());
    let device = public_key(&newcomer.key);
    let seal = |by: &Person, request: &mut Request| {
        let Action::Enrol(sample) = &mut request.action else { panic!("no enrolment") };
        let (profile, commitments, former) = (sample.profile.clone(), sample.commitments, sample.former.clone());
        let seal = StationSeal { commons, station: public_key(&by.key), profile, commitments, former, at: now };
        sample.station = Some(Signed::new(seal, &by.key));
    };
    let vouch = |by: &Person, request: &mut Request| {
        let Action::Enrol(sample) = &mut request.action else { panic!("no enrolment") };
        let voucher = Voucher { commons, device, by: public_key(&by.key), expires_at: now + 100 };
        sample.vouchers.push(Signed::new(voucher, &by.key));
    };
    let stranger = care.world.person();
    let call = care.world.enrol(&newcomer);
    care.refused(&call, "station-missing").await;
    let call = care.world.call(&newcomer, Purpose::deduplication(), |request| seal(&stranger, request));
    care.refused(&call, "station-missing").await;
    let call = care.world.call(&newcomer, Purpose::deduplication(), |request| seal(&station, request));
    care.refused(&call, "vouchers-missing").await;
    let call = care.world.call(&newcomer, Purpose::deduplication(), |request| {
        seal(&station, request);
        vouch(&stranger, request);
    });
    care.refused(&call, "vouchers-missing").await;
    let call = care.world.call(&newcomer, Purpose::deduplication(), |request| {
        seal(&station, request);
        vouch(&ada, request);
    });
    assert!(matches!(care.world.decide(&call).await, Outcome::Enrolled { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_with_one_members_record_are_rationed_whoever_asks() {
    let mut care = Care::new(52).await;
    care.world.adopt(|document| document.rates.verifications_per_hour = 3).await;
    let ada = care.ada.clone();
    let grant = care.granted(Operation::Verification, 9).await;
    let face = quantise(&ada.face);
    for _ in 0..2 {
        let call = care.use_sample(grant, &face);
        care.world.decide(&call).await;
    }
    let call = care.world.verify(&ada);
    assert_eq!(care.world.decide(&call).await, Outcome::Verified { matched: true });
    let call = care.use_sample(grant, &face);
    care.refused(&call, "verification-rate").await;
    let call = care.world.verify(&ada);
    care.refused(&call, "verification-rate").await;
    care.world.clock.advance(3600);
    let call = care.use_sample(grant, &face);
    assert!(matches!(care.world.decide(&call).await, Outcome::Answered { uses_left: 6, .. }));
}
