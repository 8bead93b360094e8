//! What changes from one charter to the next, in plain words, for the people whom it concerns.

use std::collections::BTreeSet;

use crate::Charter;
use crate::document::{ClaimEntry, Document, EnrolmentRule, Modality, Party, PurposeEntry};

/// What a change does to what others may do with members' bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Allows something that was not allowed.
    Wider,
    /// Allows less.
    Narrower,
    /// Says something differently. Grants whose words change must be given again.
    Other,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In one sentence.
    pub text: String,
    /// What it does.
    pub effect: Effect,
}

/// Every change from `old` to `new`; empty when they say the same. No change ever adds to a grant that was given before.
pub fn diff(old: &Charter, new: &Charter) -> Vec<Change> {
    let mut changes = Changes::default();
    let (old, new) = (old.document(), new.document());
    changes.words(old, new);
    changes.enrolment(old, new);
    changes.number("Decisions can be asked for", "days", old.retention.outcomes_days, new.retention.outcomes_days);
    changes.number("Ended grants stay in members' lists", "days", old.retention.uses_days, new.retention.uses_days);
    let (was, is) = (&old.rates, &new.rates);
    changes.number(
        "Comparisons with one member's records",
        "per hour",
        was.verifications_per_hour,
        is.verifications_per_hour,
    );
    changes.number(
        "Asks of one relying party to one member",
        "per day",
        was.asks_per_member_per_day,
        is.asks_per_member_per_day,
    );
    changes.recovery(old, new);
    changes.entries(&old.modalities, &new.modalities, |m| format!("modality {}", m.profile), Changes::modality);
    changes.entries(&old.purposes, &new.purposes, |p| format!("purpose {} ({})", p.title, p.term), Changes::purpose);
    changes.entries(&old.parties, &new.parties, |p| format!("relying party {} ({})", p.name, p.id), Changes::party);
    changes.entries(&old.claims, &new.claims, |c| format!("claim {}", c.kind), Changes::claim);
    changes.people(old, new);
    changes.0
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn say(&mut self, effect: Effect, text: String) {
        self.0.push(Change { text, effect });
    }

    fn words(&mut self, old: &Document, new: &Document) {
        for (what, old, new) in [
            ("name", &old.name, &new.name),
            ("language", &old.language, &new.language),
            ("summary", &old.summary, &new.summary),
            ("jurisdiction", &old.jurisdiction, &new.jurisdiction),
            ("privacy notice", &old.privacy_notice, &new.privacy_notice),
        ] {
            self.text(&format!("The {what}"), old, new);
        }
    }

    fn text(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            self.say(Effect::Other, format!("{what} changes from \"{old}\" to \"{new}\"."));
        }
    }

    fn number(&mut self, what: &str, unit: &str, old: u32, new: u32) {
        let effect = match new.cmp(&old) {
            std::cmp::Ordering::Equal => return,
            std::cmp::Ordering::Greater => Effect::Wider,
            std::cmp::Ordering::Less => Effect::Narrower,
        };
        self.say(effect, format!("{what}: {new} {unit} instead of {old}."));
    }

    fn enrolment(&mut self, old: &Document, new: &Document) {
        let (old, new) = (&old.enrolment, &new.enrolment);
        // Who may come in: open admits everybody; of the other two neither admits all that the other does.
        let in_words = |e: &crate::Enrolment| match e.rule {
            EnrolmentRule::Open => "everybody may enrol".to_owned(),
            EnrolmentRule::Invited => "whom an inviter invites may enrol".to_owned(),
            EnrolmentRule::Vouched => format!("for whom {} vouch may enrol", e.vouchers),
        };
        if (old.rule, old.vouchers) != (new.rule, new.vouchers) {
            let narrower = old.rule == EnrolmentRule::Open || (old.rule == new.rule && new.vouchers > old.vouchers);
            let effect = if narrower { Effect::Narrower } else { Effect::Wider };
            self.say(effect, format!("Enrolment: now {}; before, {}.", in_words(new), in_words(old)));
        }
        let (was, is): (BTreeSet<_>, BTreeSet<_>) = (old.inviters.iter().collect(), new.inviters.iter().collect());
        for key in is.difference(&was) {
            self.say(Effect::Wider, format!("A new inviter: key {key}."));
        }
        for key in was.difference(&is) {
            self.say(Effect::Narrower, format!("No longer an inviter: key {key}."));
        }
    }

    /// Fewer guardians or less time make it easier to become somebody: wider.
    fn recovery(&mut self, old: &Document, new: &Document) {
        let (old, new) = (old.recovery.clone().unwrap_or_default(), new.recovery.clone().unwrap_or_default());
        let mut harder = |what: &str, unit: &str, old: u32, new: u32| {
            let effect = if new < old { Effect::Wider } else { Effect::Narrower };
            if new != old {
                self.say(effect, format!("Recovery, {what}: {new} {unit} instead of {old}."));
            }
        };
        harder("guardians needed at least", "guardians", old.need_least, new.need_least);
        harder("without a sample", "guardians more", old.without_sample_more, new.without_sample_more);
        harder("time to say no", "seconds", old.delay_s, new.delay_s);
        harder(
            "time to say no where no sample is compared",
            "seconds",
            old.delay_without_sample_s,
            new.delay_without_sample_s,
        );
        harder("time after a veto", "seconds", old.delay_after_veto_s, new.delay_after_veto_s);
        harder("time until new guardians count", "seconds", old.settle_s, new.settle_s);
        self.number("Recovery, guardians needed at most", "guardians", old.need_most, new.need_most);
        self.number("Recovery, time to finish", "seconds", old.finish_within_s, new.finish_within_s);
        self.number("Recovery, failed attempts noted", "per day", old.faults_per_day, new.faults_per_day);
    }

    /// Entries added, removed, or changed under the same name.
    fn entries<T: PartialEq + Named>(
        &mut self,
        old: &[T],
        new: &[T],
        title: impl Fn(&T) -> String,
        changed: impl Fn(&mut Self, &str, &T, &T),
    ) {
        for entry in new {
            match old.iter().find(|other| other.id() == entry.id()) {
                None => self.say(Effect::Wider, format!("New {}{}.", title(entry), entry.detail())),
                Some(before) if before != entry => changed(self, &title(entry), before, entry),
                Some(_) => {}
            }
        }
        for entry in old.iter().filter(|entry| !new.iter().any(|other| other.id() == entry.id())) {
            self.say(Effect::Narrower, format!("Gone: {}.", title(entry)));
        }
    }

    /// Words added to and taken from a list.
    fn list<T: Ord + ToString>(&mut self, what: &str, old: &[T], new: &[T]) {
        let (was, is): (BTreeSet<&T>, BTreeSet<&T>) = (old.iter().collect(), new.iter().collect());
        for word in is.difference(&was) {
            self.say(Effect::Wider, format!("{what}: {} is added.", word.to_string()));
        }
        for word in was.difference(&is) {
            self.say(Effect::Narrower, format!("{what}: {} is taken out.", word.to_string()));
        }
    }

    fn modality(&mut self, title: &str, old: &Modality, new: &Modality) {
        // `any` demands least, `listed` most: the order of the enum.
        if old.stations != new.stations {
            let effect = if new.stations > old.stations { Effect::Narrower } else { Effect::Wider };
            self.say(effect, format!("{title}: samples are taken {}.", new.stations.in_words()));
        }
        if old.replaces != new.replaces {
            let text = match (&new.replaces, &old.replaces) {
                (Some(older), _) => format!("{title}: members move to it from {older}."),
                (None, Some(older)) => format!("{title}: members no longer move to it from {older}."),
                (None, None) => String::new(),
            };
            self.say(Effect::Other, text);
        }
        if old.profile_digest != new.profile_digest || old.threshold != new.threshold {
            self.say(Effect::Wider, format!("{title}: matches at {} instead of {}.", new.threshold, old.threshold));
        }
    }

    fn purpose(&mut self, title: &str, old: &PurposeEntry, new: &PurposeEntry) {
        if (&old.title, &old.text) != (&new.title, &new.text) {
            let text = format!(
                "{title}: its meaning changes from \"{}: {}\" to \"{}: {}\". Grants for it must be given again.",
                old.title, old.text, new.title, new.text
            );
            self.say(Effect::Wider, text);
        }
        let names = |p: &PurposeEntry| p.operations.iter().map(|a| a.name().to_owned()).collect::<Vec<_>>();
        self.list(&format!("{title}, what may be done"), &names(old), &names(new));
    }

    fn party(&mut self, title: &str, old: &Party, new: &Party) {
        if old.name != new.name {
            let text = format!("{title}: it was called {}. Grants to it must be given again.", old.name);
            self.say(Effect::Wider, text);
        }
        self.text(&format!("{title}: its contact"), &old.contact, &new.contact);
        if old.key != new.key {
            self.say(
                Effect::Wider,
                format!("{title}: it has a new key, {}; grants to it hold for who has that key.", new.key),
            );
        }
        let names = |p: &Party| p.operations.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>();
        self.list(&format!("{title}, what it may ask"), &names(old), &names(new));
        self.list(&format!("{title}, what for"), &old.purposes, &new.purposes);
        self.list(&format!("{title}, against what"), &old.profiles, &new.profiles);
        self.number(&format!("{title}, uses in one grant"), "uses", old.max_uses, new.max_uses);
        self.number(&format!("{title}, longest grant"), "days", old.max_days, new.max_days);
        self.number(&format!("{title}, asks"), "per day", old.asks_per_day, new.asks_per_day);
    }

    fn claim(&mut self, title: &str, old: &ClaimEntry, new: &ClaimEntry) {
        self.list(&format!("{title}, what can be vouched for"), &old.values, &new.values);
        self.list(&format!("{title}, who may vouch"), &old.parties, &new.parties);
    }

    fn people(&mut self, old: &Document, new: &Document) {
        let stations = |d: &Document| d.stations.iter().map(|s| format!("{} (key {})", s.name, s.key)).collect::<Vec<_>>();
        self.list("Capture stations", &stations(old), &stations(new));
        let other = |what: &str, old: Vec<String>, new: Vec<String>, changes: &mut Self| {
            let (was, is) = (old.join(", "), new.join(", "));
            changes.text(what, &was, &is);
        };
        let controllers = |d: &Document| d.controllers.iter().map(|c| format!("{} ({})", c.name, c.contact)).collect();
        other("Who answers for personal data", controllers(old), controllers(new), self);
        let witnesses = |d: &Document| d.witnesses.iter().map(|w| format!("{} ({}, {})", w.name, w.url, w.vkey)).collect();
        other("Witnesses", witnesses(old), witnesses(new), self);
    }
}

/// An entry that keeps its name when it changes.
trait Named {
    fn id(&self) -> &str;
    /// What a newcomer of its kind may do, after its title.
    fn detail(&self) -> String;
}

impl Named for Modality {
    fn id(&self) -> &str {
        self.profile.as_str()
    }
    fn detail(&self) -> String {
        let moves = self.replaces.as_ref().map(|older| format!("; members move to it from {older}"));
        format!(": matches at {}{}", self.threshold, moves.unwrap_or_default())
    }
}

impl Named for PurposeEntry {
    fn id(&self) -> &str {
        self.term.as_str()
    }
    fn detail(&self) -> String {
        let acts: Vec<&str> = self.operations.iter().map(|a| a.name()).collect();
        format!(": {} Allows {}", self.text, acts.join(", "))
    }
}

impl Named for ClaimEntry {
    fn id(&self) -> &str {
        self.kind.name()
    }
    fn detail(&self) -> String {
        let parties: Vec<&str> = self.parties.iter().map(|party| party.as_str()).collect();
        format!(": {} may vouch for {}; shown only by the member", parties.join(", "), self.values.join(", "))
    }
}

impl Named for Party {
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn detail(&self) -> String {
        let operations: Vec<&str> = self.operations.iter().map(|o| o.name()).collect();
        let purposes: Vec<&str> = self.purposes.iter().map(|p| p.as_str()).collect();
        format!(
            ": may ask members for {} for {}, at most {} uses and {} days in one grant",
            operations.join(", "),
            purposes.join(", "),
            self.max_uses,
            self.max_days
        )
    }
}
