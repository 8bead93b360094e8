//! What holds for every charter, every grant and every order of events.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected should panic")]

mod support;

use charter::{Act, Charter, Document, Facts, GrantFacts, Permit, Refusal, Rule, decide};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::*;
use types::consent::{GrantState, Narrowing, Operation, Purpose, StandingGrant, Terms, Use};
use types::message::Action;
use types::roster::Roster;
use types::{GrantId, ProfileId, UnixSeconds};

/// Terms from a small world, so that they often fit and often do not.
fn terms() -> impl Strategy<Value = Terms> {
    let party = select(vec!["clinic", "coop", "bank"]);
    let operation = select(vec![Operation::Membership, Operation::Verification]);
    let purpose = select(vec![care(), rations(), Purpose::verification()]);
    let profile = select(vec!["face-512", "voice-512"]);
    let times = (0..6 * DAY, 1..40 * DAY, 0..12u32);
    (party, operation, purpose, profile, times).prop_map(|(party, operation, purpose, profile, (start, length, uses))| {
        Terms {
            party: party_id(party),
            operation,
            profile: (operation == Operation::Verification).then(|| profile_id(profile)),
            purpose,
            note: String::new(),
            not_before: NOW + start,
            expires_at: NOW + start + length,
            uses,
        }
    })
}

/// Terms that [`document`] permits.
fn fitting_terms() -> impl Strategy<Value = Terms> {
    let kind = select(vec![verification_terms(), membership_terms(), clinic_membership()]);
    (kind, 0..3 * DAY, 1..26 * DAY, 1..=10u32).prop_map(|(terms, start, length, uses)| Terms {
        not_before: NOW + start,
        expires_at: NOW + start + length,
        uses,
        ..terms
    })
}

fn clinic_membership() -> Terms {
    Terms { operation: Operation::Membership, profile: None, ..verification_terms() }
}

/// What operators can do to make a charter wider.
#[derive(Debug, Clone, Copy)]
enum Widening {
    AddParty,
    AddPurpose,
    Uses(u32),
    Days(u32),
    AsksPerDay(u32),
    MayVerify,
    MayAskMembership,
    MoreProfiles,
    PurposeServesMore,
    OpenStations,
}

fn widenings() -> impl Strategy<Value = Vec<Widening>> {
    use Widening::*;
    let one = prop_oneof![
        Just(AddParty),
        Just(AddPurpose),
        (1..100u32).prop_map(Uses),
        (1..100u32).prop_map(Days),
        (1..100u32).prop_map(AsksPerDay),
        Just(MayVerify),
        Just(MayAskMembership),
        Just(MoreProfiles),
        Just(PurposeServesMore),
        Just(OpenStations),
    ];
    proptest::collection::vec(one, 1..6)
}

fn insert<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn widen(d: &mut Document, widening: Widening) {
    match widening {
        Widening::AddParty if d.parties.iter().all(|p| p.id != party_id("bank")) => {
            let mut bank = document(&roster()).parties.remove(0);
            (bank.id, bank.name, bank.key) = (party_id("bank"), "The bank".to_owned(), public(13));
            d.parties.push(bank);
        }
        Widening::AddParty => {}
        Widening::AddPurpose => {
            for party in &mut d.parties {
                insert(&mut party.purposes, care());
                insert(&mut party.purposes, rations());
            }
            serve_all(d);
        }
        Widening::Uses(more) => d.parties.iter_mut().for_each(|p| p.max_uses = (p.max_uses + more).min(1_000_000)),
        Widening::Days(more) => d.parties.iter_mut().for_each(|p| p.max_days = (p.max_days + more).min(1800)),
        Widening::AsksPerDay(more) => {
            d.parties.iter_mut().for_each(|p| p.asks_per_day = (p.asks_per_day + more).min(1_000_000))
        }
        Widening::MayVerify => {
            for party in &mut d.parties {
                insert(&mut party.operations, Operation::Verification);
                insert(&mut party.profiles, profile_id("face-512"));
            }
            serve_all(d);
        }
        Widening::MayAskMembership => {
            d.parties.iter_mut().for_each(|party| insert(&mut party.operations, Operation::Membership));
            serve_all(d);
        }
        Widening::MoreProfiles => {
            for party in d.parties.iter_mut().filter(|p| p.operations.contains(&Operation::Verification)) {
                insert(&mut party.profiles, profile_id("voice-512"));
            }
        }
        Widening::PurposeServesMore => serve_all(d),
        Widening::OpenStations => d.modalities.iter_mut().for_each(|m| m.stations = charter::StationRule::Any),
    }
}

fn serve_all(d: &mut Document) {
    for purpose in d.purposes.iter_mut().filter(|p| [care(), rations()].contains(&p.term)) {
        insert(&mut purpose.operations, Act::Membership);
        insert(&mut purpose.operations, Act::Verification);
    }
}

/// A use of `grant` that its party would make under `charter`, with what the party claims.
fn attempt(
    roster: &Roster,
    charter: &Charter,
    grant: Option<&GrantFacts>,
    claim: &Claim,
    now: UnixSeconds,
) -> Result<Permit, Refusal> {
    let mut submission = claim.sample.as_ref().map(|p| submission(charter, p.as_str(), claim.purpose.clone()));
    if let Some(sample) = &mut submission {
        (sample.grant.not_before, sample.grant.expires_at) = (now, now + 60);
    }
    let usage = Use { party: party_id(claim.party), grant: GrantId([9; 16]), purpose: claim.purpose.clone(), submission };
    let mut facts = Facts::nothing(roster);
    facts.grant = grant.cloned();
    let request = request(roster, claim.signer, Action::Use(usage));
    let decision = decide(charter, &facts, &request, now);
    assert_eq!(decide(charter, &facts, &request, now), decision, "the same question has the same answer");
    decision
}

#[derive(Debug, Clone)]
struct Claim {
    party: &'static str,
    signer: u8,
    purpose: Purpose,
    sample: Option<ProfileId>,
}

impl Claim {
    /// What the grant's own party would say.
    fn honest(terms: &Terms) -> Self {
        let (party, signer) = if terms.party == party_id("clinic") { ("clinic", CLINIC) } else { ("coop", COOP) };
        Self { party, signer, purpose: terms.purpose.clone(), sample: terms.profile.clone() }
    }
}

fn claim() -> impl Strategy<Value = Claim> {
    let who = select(vec![("clinic", CLINIC), ("coop", COOP), ("bank", 13), ("clinic", COOP), ("coop", ALICE)]);
    let purpose = select(vec![care(), rations(), Purpose::verification()]);
    let sample = select(vec![None, Some("face-512"), Some("voice-512")]);
    (who, purpose, sample).prop_map(|((party, signer), purpose, sample)| Claim {
        party,
        signer,
        purpose,
        sample: sample.map(profile_id),
    })
}

fn moment() -> impl Strategy<Value = UnixSeconds> {
    NOW - DAY..NOW + 45 * DAY
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_grant_no_use(wider in widenings(), claim in claim(), now in moment()) {
        let roster = roster();
        let charter = after(&charter(&roster), &roster, |d| wider.iter().for_each(|w| widen(d, *w)));
        prop_assert!(attempt(&roster, &charter, None, &claim, now).is_err());
    }

    #[test]
    fn a_grant_covers_nothing_but_its_own_terms(terms in fitting_terms(), claim in claim(), now in moment()) {
        let roster = roster();
        let charter = charter(&roster);
        let grant = grant_facts(&charter, terms.clone());
        let fits = Claim::honest(&terms);
        if attempt(&roster, &charter, Some(&grant), &claim, now).is_ok() {
            prop_assert_eq!((claim.party, claim.signer), (fits.party, fits.signer));
            prop_assert_eq!((claim.purpose, claim.sample), (fits.purpose, fits.sample));
            prop_assert!(terms.not_before <= now && now < terms.expires_at);
        } else {
            let right = (claim.party, claim.signer, claim.purpose, claim.sample) == (fits.party, fits.signer, fits.purpose, fits.sample);
            prop_assert!(!(right && (terms.not_before..terms.expires_at).contains(&now)));
        }
    }

    #[test]
    fn a_wider_charter_adds_nothing_to_an_older_grant(
        terms in fitting_terms(),
        wider in widenings(),
        claim in claim(),
        honest: bool,
        left in 0..=10u32,
        now in moment(),
    ) {
        let roster = roster();
        let old = charter(&roster);
        let new = after(&old, &roster, |d| wider.iter().for_each(|w| widen(d, *w)));
        prop_assert!(!new.document().parties.is_empty());
        let mut grant = grant_facts(&old, terms.clone());
        grant.statement.uses_left = left.min(terms.uses);
        let claim = if honest { Claim::honest(&terms) } else { claim };
        let before = attempt(&roster, &old, Some(&grant), &claim, now);
        let since = attempt(&roster, &new, Some(&grant), &claim, now);
        prop_assert_eq!(before.is_ok(), since.is_ok(), "before {:?}, since {:?}", before, since);
        if let (Ok(before), Ok(since)) = (before, since) {
            prop_assert_eq!(before, since);
        }
    }

    #[test]
    fn widenings_are_called_wider(wider in widenings()) {
        let roster = roster();
        let old = charter(&roster);
        let new = after(&old, &roster, |d| wider.iter().for_each(|w| widen(d, *w)));
        let same = Document { version: new.version(), previous: old.digest(), ..old.document().clone() };
        prop_assert_eq!(old.is_widened_by(&new), same != *new.document());
        prop_assert!(!new.is_widened_by(&old));
    }

    #[test]
    fn narrowed_terms_permit_nothing_more(
        terms in fitting_terms(),
        left in 1..=10u32,
        expires in proptest::option::of(moment()),
        uses in proptest::option::of(0..12u32),
        claim in claim(),
        honest: bool,
        now in moment(),
    ) {
        let roster = roster();
        let charter = charter(&roster);
        let mut grant = grant_facts(&charter, terms.clone());
        grant.statement.uses_left = left.min(terms.uses);
        let mut facts = Facts::nothing(&roster);
        facts.signer = Some(member(ALICE));
        facts.grant = Some(grant.clone());
        let narrowing = Narrowing { grant: GrantId([9; 16]), expires_at: expires, uses_left: uses };
        let decision = decide(&charter, &facts, &request(&roster, ALICE, Action::Narrow(narrowing)), NOW);
        let Ok(Permit::NarrowGrant { terms: narrowed, uses_left, .. }) = decision else { return Ok(()) };
        prop_assert!(narrowed.expires_at <= terms.expires_at && uses_left <= grant.statement.uses_left);
        prop_assert_eq!(narrowed.uses - uses_left, terms.uses - grant.statement.uses_left, "uses made stay made");
        let mut less = grant.clone();
        (less.statement.terms, less.statement.uses_left) = (narrowed, uses_left);
        let claim = if honest { Claim::honest(&terms) } else { claim };
        if attempt(&roster, &charter, Some(&less), &claim, now).is_ok() {
            prop_assert!(attempt(&roster, &charter, Some(&grant), &claim, now).is_ok());
        }
    }

    #[test]
    fn what_members_may_give_the_charter_allows(terms in terms()) {
        let roster = roster();
        let charter = charter(&roster);
        let mut facts = Facts::nothing(&roster);
        let mut alice = member(ALICE);
        alice.profiles.push(profile_id("voice-512"));
        facts.signer = Some(alice);
        let standing = StandingGrant { charter: charter.digest(), terms: terms.clone() };
        let request = request(&roster, ALICE, Action::Grant(standing));
        let party = charter.party(&terms.party);
        let allowed = party.is_some_and(|p| {
            p.operations.contains(&terms.operation)
                && p.purposes.contains(&terms.purpose)
                && terms.profile.as_ref().is_none_or(|profile| p.profiles.contains(profile))
                && (1..=p.max_uses).contains(&terms.uses)
                && terms.expires_at <= NOW + u64::from(p.max_days) * DAY + 60
        });
        prop_assert_eq!(decide(&charter, &facts, &request, NOW).is_ok(), allowed);
    }
}

/// What can happen to one member's grant to one party.
#[derive(Debug, Clone)]
enum Step {
    Grant(Terms),
    Narrow { expires_at: Option<UnixSeconds>, uses_left: Option<u32> },
    Revoke,
    ShieldUp,
    ShieldDown { restore: bool },
    Use,
    Wait(u64),
    Charter(Edit),
}

#[derive(Debug, Clone)]
enum Edit {
    Widen(Vec<Widening>),
    DropParty(Index),
    RestoreParties,
    Caps { uses: u32, days: u32 },
    Rename,
    Reword,
}

fn step() -> impl Strategy<Value = Step> {
    let edit = prop_oneof![
        3 => widenings().prop_map(Edit::Widen),
        1 => any::<Index>().prop_map(Edit::DropParty),
        2 => Just(Edit::RestoreParties),
        2 => (1..12u32, 1..40u32).prop_map(|(uses, days)| Edit::Caps { uses, days }),
        1 => Just(Edit::Rename),
        1 => Just(Edit::Reword),
    ];
    prop_oneof![
        4 => fitting_terms().prop_map(Step::Grant),
        2 => (proptest::option::of(moment()), proptest::option::of(0..12u32))
            .prop_map(|(expires_at, uses_left)| Step::Narrow { expires_at, uses_left }),
        1 => Just(Step::Revoke),
        1 => Just(Step::ShieldUp),
        3 => any::<bool>().prop_map(|restore| Step::ShieldDown { restore }),
        16 => Just(Step::Use),
        3 => (0..4 * DAY).prop_map(Step::Wait),
        2 => edit.prop_map(Step::Charter),
    ]
}

/// The state a node keeps, changed only as permits say.
struct Node {
    roster: Roster,
    charter: Charter,
    now: UnixSeconds,
    shielded: bool,
    grant: Option<GrantFacts>,
}

/// What the member signed and what was used: kept apart from [`Node`], and simpler.
struct Promise {
    signed: Terms,
    party_name: String,
    purpose_text: String,
    given_at: UnixSeconds,
    used: u32,
    /// The least total that terms and narrowings leave.
    most: u32,
    until: UnixSeconds,
    ended: bool,
    /// The shield went up since, and the member has not picked this grant again.
    cut: bool,
}

impl Node {
    fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::nothing(&self.roster);
        let mut alice = member(ALICE);
        alice.shielded = self.shielded;
        facts.grant = self.grant.clone().map(|grant| GrantFacts { giver: alice.clone(), ..grant });
        let suspended = |g: &&GrantFacts| g.statement.state == GrantState::Suspended;
        facts.suspended = self.grant.iter().filter(suspended).map(|g| g.statement.grant).collect();
        facts.signer = Some(alice);
        facts
    }
    fn decide(&self, signer: u8, action: Action) -> Result<Permit, Refusal> {
        decide(&self.charter, &self.facts(), &request(&self.roster, signer, action), self.now)
    }
    fn edit(&mut self, edit: &Edit) {
        let original = document(&self.roster);
        let next = after(&self.charter, &self.roster, |d| match edit {
            Edit::Widen(widenings) => widenings.iter().for_each(|w| widen(d, *w)),
            Edit::DropParty(index) if !d.parties.is_empty() => drop(d.parties.remove(index.index(d.parties.len()))),
            Edit::DropParty(_) => {}
            Edit::RestoreParties => d.parties = original.parties,
            Edit::Caps { uses, days } => {
                d.parties.iter_mut().for_each(|p| (p.max_uses, p.max_days) = (*uses, *days));
            }
            Edit::Rename => d.parties.iter_mut().for_each(|p| p.name.push('!')),
            Edit::Reword => d.purposes.iter_mut().for_each(|p| p.text.push('!')),
        });
        let permit = self.decide(99, Action::Charter(signed(&next))).unwrap();
        assert_eq!(permit, Permit::AdoptCharter(Box::new(next.clone())));
        self.charter = next;
    }
}

impl Promise {
    /// By the member's words and the charter's, is a use now right?
    fn allows(&self, node: &Node) -> bool {
        let Some(party) = node.charter.party(&self.signed.party) else { return false };
        let Some(purpose) = node.charter.purpose(&self.signed.purpose) else { return false };
        let member = !self.ended && !self.cut && !node.shielded && self.used < self.most;
        let time = self.signed.not_before <= node.now && node.now < self.until;
        let charter = party.operations.contains(&self.signed.operation)
            && party.purposes.contains(&self.signed.purpose)
            && purpose.operations.contains(&self.signed.operation.into())
            && self.signed.profile.as_ref().is_none_or(|p| party.profiles.contains(p))
            && self.used < party.max_uses
            && node.now < self.given_at + u64::from(party.max_days) * DAY + 60;
        member && time && charter && party.name == self.party_name && purpose.text == self.purpose_text
    }
}

/// Plays the steps; after each, node and promise must agree. Returns how many uses there were.
fn play(steps: &[Step]) -> u32 {
    let roster = roster();
    let mut node = Node { charter: charter(&roster), roster, now: NOW, shielded: false, grant: None };
    let (mut promise, mut uses): (Option<Promise>, u32) = (None, 0);
    for step in steps {
        match step {
            Step::Wait(seconds) => node.now += seconds,
            Step::Charter(edit) => node.edit(edit),
            Step::Use => {
                let terms = promise.as_ref().map_or_else(verification_terms, |p| p.signed.clone());
                let claim = Claim::honest(&terms);
                let decision = attempt(&node.roster, &node.charter, node.facts().grant.as_ref(), &claim, node.now);
                let right = promise.as_ref().is_some_and(|promise| promise.allows(&node));
                assert_eq!(decision.is_ok(), right, "{decision:?}");
                if let (Ok(Permit::UseGrant { uses_left_after, .. }), Some(promise)) = (decision, &mut promise) {
                    node.grant.as_mut().unwrap().statement.uses_left = uses_left_after;
                    (promise.used, uses) = (promise.used + 1, uses + 1);
                    assert!(promise.used <= promise.signed.uses);
                    assert_eq!(promise.most - promise.used, uses_left_after);
                }
            }
            _ => member_step(&mut node, &mut promise, step),
        }
    }
    uses
}

fn member_step(node: &mut Node, promise: &mut Option<Promise>, step: &Step) {
    let id = GrantId([9; 16]);
    match step {
        Step::Grant(terms) => {
            let shift = node.now - NOW;
            let terms =
                Terms { not_before: terms.not_before + shift, expires_at: terms.expires_at + shift, ..terms.clone() };
            let standing = StandingGrant { charter: node.charter.digest(), terms: terms.clone() };
            let Ok(Permit::CreateGrant { terms: created, meaning }) = node.decide(ALICE, Action::Grant(standing)) else {
                return;
            };
            assert!(!node.shielded);
            assert_eq!(created, terms);
            let mut facts = grant_facts(&node.charter, created);
            (facts.statement.since, facts.meaning) = (node.now, meaning);
            node.grant = Some(facts);
            *promise = Some(Promise {
                party_name: node.charter.party(&terms.party).unwrap().name.clone(),
                purpose_text: node.charter.purpose(&terms.purpose).unwrap().text.clone(),
                given_at: node.now,
                used: 0,
                most: terms.uses,
                until: terms.expires_at,
                ended: false,
                cut: false,
                signed: terms,
            });
        }
        Step::Narrow { expires_at, uses_left } => {
            let narrowing = Narrowing { grant: id, expires_at: *expires_at, uses_left: *uses_left };
            if let Ok(Permit::NarrowGrant { terms, uses_left: left, .. }) = node.decide(ALICE, Action::Narrow(narrowing)) {
                let statement = &mut node.grant.as_mut().unwrap().statement;
                (statement.terms, statement.uses_left) = (terms, left);
                let promise = promise.as_mut().unwrap();
                promise.until = promise.until.min(expires_at.unwrap_or(promise.until));
                promise.most = promise.most.min(uses_left.map_or(promise.most, |left| promise.used + left));
            }
        }
        Step::Revoke => {
            if node.decide(ALICE, Action::Revoke { grant: id }).is_ok() {
                node.grant.as_mut().unwrap().statement.state = GrantState::Revoked;
                promise.as_mut().unwrap().ended = true;
            }
        }
        Step::ShieldUp => {
            assert_eq!(node.decide(ALICE, Action::ShieldUp), Ok(Permit::RaiseShield));
            node.shielded = true;
            if let Some(grant) = node.grant.as_mut().filter(|g| g.statement.state == GrantState::Active) {
                grant.statement.state = GrantState::Suspended;
            }
            promise.iter_mut().for_each(|p| p.cut = true);
        }
        Step::ShieldDown { restore } => {
            let restore = if *restore { vec![id] } else { vec![] };
            let Ok(Permit::LowerShield { restore }) = node.decide(ALICE, Action::ShieldDown { restore }) else { return };
            node.shielded = false;
            if let Some(grant) = node.grant.as_mut().filter(|g| g.statement.state == GrantState::Suspended) {
                let back = restore.contains(&id);
                grant.statement.state = if back { GrantState::Active } else { GrantState::Revoked };
                promise.as_mut().unwrap().cut = !back;
            }
        }
        Step::Use | Step::Wait(_) | Step::Charter(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// In any order of events, exactly those uses happen that the member's signed words and the charter in force both allow.
    #[test]
    fn uses_are_what_was_promised(steps in proptest::collection::vec(step(), 1..60)) {
        play(&steps);
    }
}

#[test]
fn the_model_does_use_grants() {
    let steps = [Step::Grant(verification_terms()), Step::Use, Step::Use, Step::ShieldUp, Step::Use];
    assert_eq!(play(&steps), 2);
    let on = [Step::ShieldDown { restore: true }, Step::Use, Step::Charter(Edit::Rename), Step::Use];
    assert_eq!(play(&[&steps[..], &on[..]].concat()), 3);
}

#[test]
fn a_rate_is_the_only_limit_that_a_wider_charter_lifts_for_a_grant() {
    let roster = roster();
    let old = charter(&roster);
    let new = after(&old, &roster, |d| d.rates.verifications_per_hour += 1);
    for (charter, refused) in [(&old, true), (&new, false)] {
        let mut facts = Facts::nothing(&roster);
        facts.grant = Some(grant_facts(&old, verification_terms()));
        facts.counts.comparisons_last_hour = 20;
        let submission = Some(submission(charter, "face-512", care()));
        let usage = Use { party: party_id("clinic"), grant: GrantId([9; 16]), purpose: care(), submission };
        let decision = decide(charter, &facts, &request(&roster, CLINIC, Action::Use(usage)), NOW);
        assert_eq!(decision.is_err_and(|r| r.rule == Rule::VerificationRate), refused);
    }
}
