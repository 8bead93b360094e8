//! What a persona costs: issuing, showing, checking, revealing; and how many bytes travel.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops on the first fault, and says the sizes")]

use credential::code::Code;
use credential::reveal::{Reveal, RevealKey, Side};
use credential::{
    Attribute, Attributes, Challenge, Context, Credential, Envelope, Epoch, Epochs, Fresh, IssuerKey, Issuers, Kind,
    MemberSecret, Persona, present, verify,
};
use criterion::{Criterion, criterion_group, criterion_main};
use types::{Digest, NodeId};

const NOW: u64 = 1_800_000_000;

fn persona(c: &mut Criterion) {
    let keys = [1, 2, 3].map(|seed| IssuerKey::from_material([seed; 32]));
    let [one, two, three] = &keys;
    let issuers = Issuers::new(Digest([1; 32]), Epochs::DAILY, [one.public(), two.public(), three.public()]).unwrap();
    let epoch = issuers.epochs().at(NOW);
    let attributes = Attributes::new("river-valley", Epoch(20_000), 3).unwrap();
    let secret = MemberSecret::generate(Fresh::new([1; 32]));
    let request = secret.request(Fresh::new([2; 32]));
    let commitment = request.verify().unwrap();
    let issue = |node: NodeId, key: &IssuerKey| key.issue(&issuers.name(node), epoch, &commitment, &attributes).unwrap();
    let accept = |node, key| Credential::accept(&secret, &issuers, node, epoch, &attributes, &issue(node, key)).unwrap();
    let [n1, n2, _] = NodeId::ALL;
    let credentials = [accept(n1, one), accept(n2, two)];
    let site = "https://clinic.example";
    let context =
        Context::new("programme", site, Kind::Standing).unwrap().demand(Attribute::Community, &["river-valley"]).unwrap();
    let challenge = Challenge::new(&context, [3; 32], NOW, 60);
    let make = || present(&secret, &credentials, &issuers, &context, &challenge, site, NOW, Fresh::new([4; 32])).unwrap();
    let shown = make();
    println!(
        "presentation: {} bytes, in JSON {}; request: {}; credential: {}",
        shown.to_bytes().len(),
        shown.to_json().len(),
        request.to_bytes().len(),
        credentials.first().map_or(0, |c| c.to_bytes().len())
    );

    c.bench_function("present, two issuers", |b| b.iter(make));
    c.bench_function("verify, two issuers", |b| b.iter(|| verify(&shown, &context, &challenge, NOW, &issuers).unwrap()));
    c.bench_function("commit", |b| b.iter(|| secret.request(Fresh::new([2; 32]))));
    c.bench_function("check a commitment", |b| b.iter(|| request.verify().unwrap()));
    c.bench_function("issue, one node", |b| b.iter(|| issue(n1, one)));
    let issued = issue(n1, one);
    c.bench_function("accept, one node", |b| {
        b.iter(|| Credential::accept(&secret, &issuers, n1, epoch, &attributes, &issued).unwrap());
    });
    let other = Context::masquerade("summer", site, NOW - 1, NOW + 1).unwrap();
    let (here, there) = (Persona::new(&secret, &context), Persona::new(&secret, &other));
    let key = RevealKey::generate(Fresh::new([5; 32]));
    let public = key.public();
    let to_one = || Reveal::to_one(&public, &here, &there, [0; 32], Fresh::new([6; 32])).unwrap();
    let reveal = to_one();
    let sides = [Side::new(&context, *here.pseudonym()), Side::new(&other, *there.pseudonym())];
    let [a, b] = &sides;
    println!("reveal to one: {} bytes; code: {} bytes", reveal.to_bytes().len(), Code::new(&here, NOW).to_bytes().len());
    c.bench_function("reveal to one", |bench| bench.iter(to_one));
    c.bench_function("verify a reveal to one", |bench| bench.iter(|| reveal.verify(a, b, &[0; 32], Some(&public)).unwrap()));
    c.bench_function("make a code", |bench| bench.iter(|| Code::new(&here, NOW)));
    let code = Code::new(&here, NOW);
    c.bench_function("verify a code", |bench| bench.iter(|| code.verify(&context, NOW).unwrap()));
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = persona }
criterion_main!(benches);
