//! The acts, in their order, through the public client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use biometric::Template;
use biometric::oracle::{self, Gallery};
use client::native::NativeClient;
use client::{Error, Platform, Proof, request};
use ed25519_dalek::SigningKey;
use mpc::evaluate::{Options, decide_all};
use tokio::task::JoinSet;
use types::message::Outcome;
use types::profile::Profile;
use types::{NodeId, OperationId, ProfileId};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::demo::disk::Place;
use crate::demo::nodes::Nodes;
use crate::demo::people::{Cast, Member};
use crate::demo::picture;
use crate::demo::story::{Counts, Dissolved, Figures, Leaving, Outage, Person, Stored, Story};
use crate::failure::{Exit, Failure};
use crate::noise;
use crate::words::figure;

/// Requests under way at one time, where order does not matter.
const IN_FLIGHT: usize = 16;
/// The node that is stopped.
const STOPPED: NodeId = NodeId::ALL[1];
/// How long the stopped node stays away.
const AWAY: Duration = Duration::from_millis(800);
/// How long things that happen by themselves may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member with the key that enrolled.
struct Enrolled<'a> {
    member: &'a Member,
    device: SigningKey,
    operation: OperationId,
}

/// What one request under way is about.
type Asked = (usize, Result<Outcome, Error>);

/// Everything that the acts need.
pub(crate) struct Stage<'a> {
    context: &'a Context,
    nodes: &'a mut Nodes,
    profile: &'a Profile,
    cast: &'a Cast,
    client: Arc<NativeClient>,
    counts: Counts,
    latencies: Vec<f64>,
    /// Templates of the active records, to check the nodes' decisions against plaintext matching.
    active: Vec<Template>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        context: &'a Context,
        nodes: &'a mut Nodes,
        profile: &'a Profile,
        cast: &'a Cast,
    ) -> Result<Self, Failure> {
        let client = Arc::new(nodes.client()?);
        Ok(Self {
            context,
            nodes,
            profile,
            cast,
            client,
            counts: Counts::default(),
            latencies: Vec::new(),
            active: Vec::new(),
        })
    }

    /// Plays all acts. Returns the story and the time of each single enrolment in milliseconds.
    pub(crate) async fn play(mut self) -> Result<(Story, Vec<f64>), Failure> {
        let enrolled = self.enrol_members().await?;
        let refused = self.come_again(&enrolled).await?;
        self.strangers().await?;
        self.verify(&enrolled).await?;
        let bytes_per_comparison = self.compare_with_plaintext()?;
        let dissolved = match enrolled.first() {
            Some(one) => Some(self.dissolve(one).await?),
            None => None,
        };
        let one = enrolled
            .first()
            .ok_or_else(|| Failure::input("no photograph was good enough", "fetch them anew with `./x assets`"))?;
        let outage = self.outage(one).await?;
        let leaving = self.leave(enrolled.last().unwrap_or(one)).await?;
        self.count_records().await;
        let people = self.people(&refused);
        let figures = Figures { bytes_per_comparison, ..Figures::default() };
        let story = Story {
            when: String::new(),
            cores: 0,
            counts: self.counts,
            figures,
            people,
            dissolved: dissolved.flatten(),
            outage,
            leaving,
        };
        Ok((story, self.latencies))
    }

    fn note(&self, text: &str) {
        self.context.out.note(text);
    }

    fn new_device(&self) -> Result<SigningKey, Failure> {
        Ok(SigningKey::from_bytes(&self.client.platform().random()?))
    }

    /// One after another, so that each time is that of one enrolment alone.
    async fn enrol_members(&mut self) -> Result<Vec<Enrolled<'a>>, Failure> {
        let bar = self.context.out.bar(self.cast.members.len() as u64, "Enrolling");
        let mut enrolled = Vec::new();
        for member in &self.cast.members {
            bar.inc(1);
            let Some(shot) = member.shots.first() else {
                self.note(&format!("✗ no photograph of {} is good enough", member.name));
                continue;
            };
            let device = self.new_device()?;
            let begun = Instant::now();
            let proof = enrol(&self.client, &device, &self.profile.id, &shot.template).await?;
            self.latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
            self.counts.certificates_checked += 1;
            self.check_enrolment(&shot.template, &[], proof.outcome());
            if matches!(proof.outcome(), Outcome::Enrolled { .. }) {
                self.counts.enrolled += 1;
                enrolled.push(Enrolled { member, device, operation: proof.certificate.decision.operation });
            } else {
                self.note(&format!("✗ {} was taken for somebody who had enrolled before", member.name));
            }
        }
        bar.finish_and_clear();
        self.note(&format!("✓ {} people enrolled, one photograph each", self.counts.enrolled));
        Ok(enrolled)
    }

    /// Second photographs under new keys. Returns for each enrolled person whether the nodes refused.
    async fn come_again(&mut self, enrolled: &[Enrolled<'_>]) -> Result<Vec<(String, Option<bool>)>, Failure> {
        let mut asked = Vec::new();
        for (i, one) in enrolled.iter().enumerate() {
            if let Some(shot) = one.member.shots.get(1) {
                asked.push((i, self.new_device()?, Ask::Enrol, shot.template.clone()));
            }
        }
        let mut refused: Vec<(String, Option<bool>)> = enrolled.iter().map(|one| (one.member.name.clone(), None)).collect();
        let seconds: Vec<Template> = asked.iter().map(|(_, _, _, template)| template.clone()).collect();
        for (i, outcome) in self.ask_all(asked, "The same people again").await? {
            let outcome = outcome?;
            if let Some(shot) = enrolled.get(i).and_then(|one| one.member.shots.get(1)) {
                self.check_enrolment(&shot.template, &seconds, outcome);
            }
            let duplicate = matches!(outcome, Outcome::Duplicate);
            *(if duplicate { &mut self.counts.duplicates_refused } else { &mut self.counts.duplicates_missed }) += 1;
            if let Some((_, refused)) = refused.get_mut(i) {
                *refused = Some(duplicate);
            }
        }
        self.note(&format!(
            "✓ {} came a second time and were refused; {} were missed",
            self.counts.duplicates_refused, self.counts.duplicates_missed
        ));
        Ok(refused)
    }

    async fn strangers(&mut self) -> Result<(), Failure> {
        let mut asked = Vec::new();
        for (i, template) in self.cast.strangers.iter().enumerate() {
            asked.push((i, self.new_device()?, Ask::Enrol, template.clone()));
        }
        for (i, outcome) in self.ask_all(asked, "Strangers").await? {
            let outcome = outcome?;
            if let Some(template) = self.cast.strangers.get(i) {
                self.check_enrolment(template, &self.cast.strangers, outcome);
            }
            let accepted = matches!(outcome, Outcome::Enrolled { .. });
            *(if accepted { &mut self.counts.strangers_enrolled } else { &mut self.counts.strangers_refused }) += 1;
        }
        self.note(&format!(
            "✓ {} strangers accepted, {} refused",
            self.counts.strangers_enrolled, self.counts.strangers_refused
        ));
        Ok(())
    }

    /// Everybody with a third photograph of their own, then with that of the next person.
    async fn verify(&mut self, enrolled: &[Enrolled<'_>]) -> Result<(), Failure> {
        let third = |i: usize| enrolled.get(i % enrolled.len().max(1)).and_then(|one| one.member.shots.last());
        for (shift, what) in [(0, "The right person"), (1, "Somebody else")] {
            let asked = enrolled.iter().enumerate().filter_map(|(i, one)| {
                let shot = third(i + shift)?;
                Some((i, one.device.clone(), Ask::Verify, shot.template.clone()))
            });
            let asked: Vec<_> = asked.collect();
            for (i, outcome) in self.ask_all(asked, what).await? {
                let matched = matches!(outcome?, Outcome::Verified { matched: true });
                if let (Some(record), Some(probe)) =
                    (enrolled.get(i).and_then(|one| one.member.shots.first()), third(i + shift))
                {
                    self.counts.decisions_unlike_plaintext +=
                        u64::from(self.alike(&probe.template, &record.template) != matched);
                }
                let c = &mut self.counts;
                *(match (shift, matched) {
                    (0, true) => &mut c.genuine_accepted,
                    (0, false) => &mut c.genuine_rejected,
                    (_, true) => &mut c.impostors_accepted,
                    (_, false) => &mut c.impostors_rejected,
                }) += 1;
            }
        }
        let c = &self.counts;
        self.note(&format!(
            "✓ {} verified as themselves, {} not; {} impostors turned away, {} accepted",
            c.genuine_accepted, c.genuine_rejected, c.impostors_rejected, c.impostors_accepted
        ));
        Ok(())
    }

    fn alike(&self, probe: &Template, record: &Template) -> bool {
        oracle::matches(probe, record, &self.profile.matching).unwrap_or(false)
    }

    /// Compares the nodes' decision with plaintext matching. Who resembles one of `beside`, who enrolled at the same time, may be
    /// decided either way: it depends on who came first.
    fn check_enrolment(&mut self, template: &Template, beside: &[Template], outcome: Outcome) {
        let enrolled = matches!(outcome, Outcome::Enrolled { .. });
        let known = self.active.iter().any(|record| self.alike(template, record));
        // A template resembles itself: one likeness is its own.
        let open = beside.iter().filter(|other| self.alike(template, other)).count() > 1;
        if known == enrolled && (known || !open) {
            self.counts.decisions_unlike_plaintext += 1;
        }
        if enrolled {
            self.active.push(template.clone());
        }
    }

    /// Sends many requests, some at a time; returns the outcomes in any order.
    async fn ask_all(&mut self, asked: Vec<(usize, SigningKey, Ask, Template)>, what: &str) -> Result<Vec<Asked>, Failure> {
        let bar = self.context.out.bar(asked.len() as u64, what);
        let mut running = JoinSet::new();
        let mut waiting = asked.into_iter();
        let mut outcomes = Vec::new();
        loop {
            while running.len() < IN_FLIGHT
                && let Some((i, device, ask, template)) = waiting.next()
            {
                let (client, profile) = (Arc::clone(&self.client), self.profile.id.clone());
                running.spawn(async move {
                    let proof = match ask {
                        Ask::Enrol => enrol(&client, &device, &profile, &template).await,
                        Ask::Verify => verify(&client, &device, &profile, &template).await,
                    };
                    (i, proof.map(|proof| proof.outcome()))
                });
            }
            let Some(finished) = running.join_next().await else { break };
            let finished: Asked =
                finished.map_err(|_| Failure::input("a request ended early", "run the demonstration again"))?;
            self.counts.certificates_checked += u64::from(finished.1.is_ok());
            outcomes.push(finished);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(outcomes)
    }

    /// Every pair of this demonstration's templates, on shares in memory and in the clear. Returns the bytes that one node sends
    /// for one comparison.
    fn compare_with_plaintext(&mut self) -> Result<f64, Failure> {
        let members = self.cast.members.iter().flat_map(|member| member.shots.iter().map(|shot| &shot.template));
        let templates: Vec<&Template> = members.chain(&self.cast.strangers).collect();
        let inputs: Vec<Vec<u32>> = templates.iter().map(|template| template.input_values()).collect();
        let options = Options { seed: self.client.platform().random()?, threads: 2, adder: mpc::Adder::Ripple };
        let decisions = decide_all(&self.profile.matching, &inputs, &options, &|_, _| {});
        let decisions = decisions.map_err(|error| Failure::message(Exit::Input, "matching", &error.to_string()))?;
        let gallery = Gallery::new(&self.profile.matching, templates.iter().copied())?;
        gallery.for_each_pair(0..gallery.len(), |a, b, score| {
            self.counts.pairs_compared += 1;
            self.counts.private_plaintext_differences += u64::from(decisions.matched(a, b) != Some(score >= 0));
        });
        #[expect(clippy::cast_precision_loss, reason = "some millions of bytes")]
        let per_comparison =
            decisions.sent_bytes.iter().copied().max().unwrap_or(0) as f64 / decisions.comparisons.max(1) as f64;
        Ok(per_comparison)
    }

    /// One member's photograph, template, and what lies on the three disks.
    async fn dissolve(&self, one: &Enrolled<'_>) -> Result<Option<Dissolved>, Failure> {
        let Some(shot) = one.member.shots.first() else { return Ok(None) };
        let (Some(pgm), Some(coordinates)) = (&shot.picture, shot.template.coordinates()) else { return Ok(None) };
        let statements = self.client.inspect(&one.device).await?;
        let mut nodes = Vec::new();
        for statement in statements.valid() {
            let Some(member) = &statement.member else { continue };
            let Some(record) = member.records.first() else { continue };
            let length = usize::try_from(record.share_bytes).unwrap_or(0);
            let place = Place::find(&self.nodes.data_dir(statement.node), self.profile.id.as_str(), &one.operation, length);
            let Some(stored) = place.and_then(|place| place.read_values()) else { continue };
            nodes.push(Stored {
                node: statement.node.number(),
                share_bytes: record.share_bytes,
                noise: noise::test(&stored),
                field: stored.iter().map(|&value| f64::from(value) / 65_535.0).collect(),
            });
        }
        let plain: Vec<u16> = coordinates.iter().map(|&v| i16::from(v).cast_unsigned()).collect();
        // Mid-grey is zero; three times the usual spread fills the range.
        let shade = |&v: &i8| 0.5 + f64::from(v) / 40.0;
        let all = nodes.len() == 3 && nodes.iter().all(|node| node.noise.is_noise());
        self.note(if all {
            "✓ what each node stores of one face looks like noise"
        } else {
            "✗ what a node stores does not look like noise"
        });
        Ok(Some(Dissolved {
            face: picture::mosaic(pgm, 22).unwrap_or_default(),
            template: coordinates.iter().map(shade).collect(),
            template_noise: noise::test(&plain),
            nodes,
        }))
    }

    /// One node stops; the others say so at once and go on when it is back.
    async fn outage(&mut self, one: &Enrolled<'_>) -> Result<Outage, Failure> {
        let Some(shot) = one.member.shots.last() else {
            return Err(Failure::input("there is no third photograph", "report this"));
        };
        self.nodes.stop(STOPPED).await;
        let stopped = Instant::now();
        let refusal = verify(&self.client, &one.device, &self.profile.id, &shot.template).await;
        let refusal_ms = stopped.elapsed().as_secs_f64() * 1000.0;
        let stranger = self.new_device()?;
        let second = enrol(&self.client, &stranger, &self.profile.id, &shot.template).await;
        let names =
            |answer: &Result<Proof, Error>| matches!(answer, Err(Error::Unavailable { nodes }) if nodes == &[STOPPED]);
        for answer in [&refusal, &second] {
            *(if answer.is_ok() { &mut self.counts.node_down_decided } else { &mut self.counts.node_down_refused }) += 1;
        }
        let named = names(&refusal) && names(&second);
        let told = refusal.err().map_or_else(|| "(it was decided)".to_owned(), |error| sentence(&error.to_string()));
        self.note(&format!("✓ node {STOPPED} stopped; refused in {} ms: {told}", figure(refusal_ms)));
        tokio::time::sleep(AWAY.saturating_sub(stopped.elapsed())).await;
        let restarted_s = stopped.elapsed().as_secs_f64();
        self.nodes.start_again(STOPPED).await?;
        self.nodes.until_ready().await?;
        // Connections to the stopped node are dead: a member who comes later has none either.
        self.client = Arc::new(self.nodes.client()?);
        loop {
            match verify(&self.client, &one.device, &self.profile.id, &shot.template).await {
                Ok(_) => break,
                Err(error) if stopped.elapsed() > PATIENCE => return Err(error.into()),
                Err(Error::Unavailable { .. } | Error::TryAgain { .. } | Error::Undecided { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.counts.certificates_checked += 1;
        let healed_s = stopped.elapsed().as_secs_f64();
        self.note(&format!(
            "✓ node {STOPPED} started again; deciding after {} s, by itself",
            figure(healed_s - restarted_s)
        ));
        Ok(Outage { node: STOPPED.number(), named, told, refusal_ms, restarted_s, healed_s })
    }

    /// One member withdraws, is a stranger, and enrols again.
    async fn leave(&mut self, one: &Enrolled<'_>) -> Result<Leaving, Failure> {
        let before = share_bytes(&self.client, &one.device).await?;
        let length = |node: NodeId| before.get(node.index()).and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
        let find = |node| Place::find(&self.nodes.data_dir(node), self.profile.id.as_str(), &one.operation, length(node));
        let places: Vec<Place> = NodeId::ALL.into_iter().filter_map(find).collect();
        let proof = self.client.withdraw(&one.device, None).await?;
        self.counts.certificates_checked += 1;
        self.counts.withdrawn += u64::from(matches!(proof.outcome(), Outcome::Withdrawn { records: 1.. }));
        let begun = Instant::now();
        while !places.iter().all(Place::is_zero) && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let zeroed_on_disk = places.len() == 3 && places.iter().all(Place::is_zero);
        let after = share_bytes(&self.client, &one.device).await?;
        let shot = one.member.shots.first().ok_or_else(|| Failure::input("there is no photograph", "report this"))?;
        let then = match verify(&self.client, &one.device, &self.profile.id, &shot.template).await {
            Err(Error::Refused { detail, .. }) => sentence(&detail),
            Err(error) => sentence(&error.to_string()),
            Ok(_) => "(a verification was decided)".to_owned(),
        };
        let again = enrol(&self.client, &self.new_device()?, &self.profile.id, &shot.template).await?;
        self.counts.certificates_checked += 1;
        self.counts.enrolled_again += u64::from(matches!(again.outcome(), Outcome::Enrolled { .. }));
        self.note("✓ one person withdrew, was a stranger to the nodes, and enrolled again");
        Ok(Leaving { name: one.member.name.clone(), bytes_before: before, bytes_after: after, zeroed_on_disk, then })
    }

    async fn count_records(&mut self) {
        let facts = self.client.public_facts().await;
        let records: Vec<Option<u64>> =
            facts.iter().map(|fact| fact.as_ref().ok().map(|fact| fact.records.values().sum())).collect();
        self.counts.records_after = records.iter().flatten().copied().next().unwrap_or(0);
        self.counts.nodes_agree = records.iter().all(|n| *n == Some(self.counts.records_after));
    }

    fn people(&self, refused: &[(String, Option<bool>)]) -> Vec<Person> {
        let picture = |member: &Member, i: usize| {
            member.shots.get(i).and_then(|shot| shot.picture.as_deref()).and_then(picture::photograph).unwrap_or_default()
        };
        let person = |member: &Member| {
            let refused = refused.iter().find(|(name, _)| *name == member.name).and_then(|(_, refused)| *refused);
            Person { name: member.name.clone(), enrolled: picture(member, 0), second: picture(member, 1), refused }
        };
        self.cast.members.iter().map(person).collect()
    }
}

/// Begins with a capital and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// The two requests that carry a template.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Enrol,
    Verify,
}

async fn enrol(
    client: &NativeClient,
    device: &SigningKey,
    profile: &ProfileId,
    template: &Template,
) -> Result<Proof, Error> {
    let values = Zeroizing::new(template.input_values());
    client.enrol(device, request::Template { profile, values: &values }, "demonstration").await
}

async fn verify(
    client: &NativeClient,
    device: &SigningKey,
    profile: &ProfileId,
    template: &Template,
) -> Result<Proof, Error> {
    let values = Zeroizing::new(template.input_values());
    client.verify(device, request::Template { profile, values: &values }, "demonstration").await
}

/// Bytes of share that each node says it stores about the member of `device`.
async fn share_bytes(client: &NativeClient, device: &SigningKey) -> Result<[u64; 3], Failure> {
    let statements = client.status(device).await?;
    Ok(statements.all()?.map(|statement| {
        let records = statement.member.iter().flat_map(|member| &member.records);
        records.map(|record| record.share_bytes).sum()
    }))
}
