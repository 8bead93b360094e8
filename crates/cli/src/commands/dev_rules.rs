//! The rules of `commons dev`: a charter with two relying parties whose keys lie in the data home, so that asking, approving and
//! using can be tried at once. All three operators' signatures are made here, which only works where all keys lie in one place.

use std::path::Path;

use charter::{Act, Charter, ClaimEntry, Document, Party, PurposeEntry, Recovery};
use client::PartyKey;
use client::native::NativeClient;
use node::identity::Identity;
use types::consent::{CharterDocument, Operation, Purpose, SignedCharter};
use types::persona::ClaimKind;
use types::roster::Roster;
use types::sign::sign;
use types::{DeviceKey, NodeId, PartyId};

use crate::commands::charter::bring;
use crate::commands::party::make_key;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// A market stall that asks for membership: one person, one ration.
pub(crate) const MARKET: &str = "demo-market";
/// A clinic that compares who comes with who was there before.
pub(crate) const CLINIC: &str = "demo-clinic";

/// Has the nodes adopt the demonstration's charter, unless one was adopted before.
pub(crate) async fn prepare(
    context: &Context,
    roster: &Roster,
    folder: &Path,
    recovery_delay_s: u32,
) -> Result<(), Failure> {
    let client = NativeClient::connect(roster.clone())?;
    if client.charter().await?.charter.version() > 0 {
        return Ok(());
    }
    let (market, clinic) = (key(context, MARKET)?, key(context, CLINIC)?);
    let charter = Charter::new(document(roster, market.public(), clinic.public(), recovery_delay_s)?, roster)?;
    let document = CharterDocument(charter.bytes().to_vec());
    let sign_as = |node: NodeId| {
        let identity = Identity::load(&folder.join(format!("node-{node}")))
            .map_err(|error| Failure::message(Exit::Input, error.code(), &error.to_string()))?;
        Ok::<_, Failure>(sign(&document, identity.signing_key()))
    };
    let [one, two, three] = NodeId::ALL;
    let signatures = [sign_as(one)?, sign_as(two)?, sign_as(three)?];
    bring(context, &client, SignedCharter { document: charter.bytes().to_vec(), signatures }).await?;
    Ok(())
}

fn key(context: &Context, name: &str) -> Result<PartyKey, Failure> {
    let id = PartyId::new(name)?;
    if context.home.party_key(&id).exists() { context.party(Some(name)) } else { make_key(context, id) }
}

fn document(roster: &Roster, market: DeviceKey, clinic: DeviceKey, recovery_delay_s: u32) -> Result<Document, Failure> {
    let default = Charter::default_for(roster);
    let mut document = default.document().clone();
    let (rations, care) = (Purpose::new("dpv:DeliveryOfGoods")?, Purpose::new("dpv:ServiceProvision")?);
    document.version = 1;
    document.previous = default.digest();
    "For trying out on one machine: open to everybody, with a market and a clinic that may ask."
        .clone_into(&mut document.summary);
    // Short enough to try: a person must not wait a week here.
    document.recovery = Some(Recovery {
        need_least: 1,
        delay_s: recovery_delay_s,
        delay_without_sample_s: recovery_delay_s.saturating_mul(2),
        delay_after_veto_s: recovery_delay_s.saturating_mul(2),
        settle_s: recovery_delay_s,
        finish_within_s: 7 * 86_400,
        ..Recovery::default()
    });
    document.rates.asks_per_member_per_day = 20;
    let purpose = |term: &Purpose, title: &str, text: &str, act| PurposeEntry {
        term: term.clone(),
        title: title.to_owned(),
        text: text.to_owned(),
        operations: vec![act],
    };
    document.purposes.extend([
        purpose(
            &rations,
            "One ration each",
            "The market sees that you are one person, once, and hands out one ration.",
            Act::Membership,
        ),
        purpose(
            &care,
            "Care by appointment",
            "The clinic sees that you are the one who was there before.",
            Act::Verification,
        ),
    ]);
    let profiles = roster.profiles.iter().map(|profile| profile.id.clone()).collect();
    let party = |id: &str, name: &str, key, operation, purpose: &Purpose, profiles| {
        Ok::<_, Failure>(Party {
            id: PartyId::new(id)?,
            name: name.to_owned(),
            contact: "on this machine only".to_owned(),
            key,
            operations: vec![operation],
            purposes: vec![purpose.clone()],
            profiles,
            max_uses: 100,
            max_days: 366,
            asks_per_day: 1000,
        })
    };
    document.parties = vec![
        party(MARKET, "The demo market", market, Operation::Membership, &rations, Vec::new())?,
        party(CLINIC, "The demo clinic", clinic, Operation::Verification, &care, profiles)?,
    ];
    let bands = ["under-18", "18-29", "30-49", "50-69", "70-or-more"];
    document.claims = vec![ClaimEntry {
        kind: ClaimKind::AgeBand,
        values: bands.map(str::to_owned).to_vec(),
        parties: vec![PartyId::new(CLINIC)?],
    }];
    Ok(document)
}
