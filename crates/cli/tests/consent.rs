//! Consent through real processes: ask, approve, use, ledger, shield, audit, evidence; `commons dev` in one process, the person and
//! the relying party beside it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that goes wrong should panic")]

mod common;

use std::path::Path;

use common::Dev;
use serde_json::Value;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Until the logs have been published as far as the receipts need.
fn audited(dev: &Dev) -> Value {
    for _ in 0..20 {
        let (exit, audit) = dev.ask(&["audit"]);
        assert_ne!(exit, 4, "{audit}");
        if exit == 0 {
            return audit;
        }
    }
    panic!("the logs are not published");
}

#[test]
fn a_person_is_asked_says_yes_sees_every_use_and_pulls_the_cord() {
    let dev = Dev::start(&[]);
    let one = dev.vector(1, 1);
    let (exit, enrolled) = dev.ask(&["enrol", "--vector", &one]);
    assert_eq!((exit, &enrolled["outcome"]), (0, &"enrolled".into()), "{enrolled}");

    let (exit, rules) = dev.ask(&["charter", "show"]);
    assert_eq!((exit, &rules["version"], &rules["signed"]), (0, &1.into(), &true.into()));

    let (exit, asked) = dev.ask(&["party", "ask", "--party", "demo-market", "--uses", "3", "--note", "rice and oil"]);
    assert_eq!(exit, 0, "{asked}");
    let ask = text(&asked["ask"]).to_owned();
    let (exit, waiting) = dev.ask(&["party", "answer", &ask, "--party", "demo-market"]);
    assert_eq!((exit, &waiting["answered"]), (3, &false.into()));

    let (exit, seen) = dev.ask(&["requests", &ask]);
    assert_eq!((exit, &seen["requests"][0]["terms"]["note"]), (0, &"rice and oil".into()));
    let (exit, unattended) = dev.ask(&["approve", &ask]);
    assert_eq!((exit, &unattended["error"]["code"]), (2, &"not-confirmed".into()));
    let (exit, more) = dev.ask(&["approve", &ask, "--uses", "9", "--yes"]);
    assert_eq!((exit, &more["error"]["code"]), (2, &"ask-exceeded".into()));
    let (exit, approved) = dev.ask(&["approve", &ask, "--yes"]);
    assert_eq!((exit, &approved["finding"], &approved["uses_left"]), (0, &"member".into(), &2.into()), "{approved}");
    let grant = text(&approved["grant"]).to_owned();

    let (exit, heard) = dev.ask(&["party", "answer", &ask, "--party", "demo-market"]);
    assert_eq!((exit, &heard["subject"], &heard["grant"]), (0, &approved["subject"], &approved["grant"]), "{heard}");
    let (exit, used) = dev.ask(&["party", "use", &grant, "--party", "demo-market"]);
    assert_eq!((exit, &used["finding"], &used["uses_left"]), (0, &"member".into(), &1.into()), "{used}");
    let (exit, stranger) = dev.ask(&["party", "use", &grant, "--party", "demo-clinic"]);
    assert_eq!((exit, &stranger["error"]["code"]), (2, &"grant-unknown".into()), "another party has no such grant");

    let page = dev.path("ledger.html");
    let (exit, ledger) = dev.ask(&["ledger", "--html", &page.to_string_lossy()]);
    assert_eq!(exit, 0, "{ledger}");
    assert_eq!(ledger["uses"].as_array().unwrap().len(), 2, "the approval and the use: {ledger}");
    assert_eq!((&ledger["grants"][0]["uses_left"], &ledger["fetched"]), (&1.into(), &1.into()));
    assert!(std::fs::read_to_string(&page).unwrap().contains("demo-market"));

    let (exit, shield) = dev.ask(&["shield", "up"]);
    assert_eq!(exit, 0, "{shield}");
    let (exit, cut) = dev.ask(&["party", "use", &grant, "--party", "demo-market"]);
    assert_eq!((exit, &cut["error"]["code"]), (2, &"grant-not-active".into()), "{cut}");
    let (exit, shielded) = dev.ask(&["grant", "demo-market", "--yes"]);
    assert_eq!((exit, &shielded["error"]["code"]), (2, &"shield-up".into()), "{shielded}");
    let (exit, down) = dev.ask(&["shield", "down", "--restore", &grant[..6]]);
    assert_eq!((exit, &down["ended"]), (0, &0.into()), "{down}");
    assert_eq!(dev.ask(&["party", "use", &grant, "--party", "demo-market"]).0, 0);
    let (exit, spent) = dev.ask(&["party", "use", &grant, "--party", "demo-market"]);
    assert_eq!((exit, &spent["error"]["code"]), (2, &"grant-spent".into()), "{spent}");

    let audit = audited(&dev);
    assert_eq!(audit["faults"], serde_json::json!([]));
    assert_eq!(audit["receipts"], audit["in_logs"]);
    assert_eq!(audit["entries_of_mine"], audit["receipts"], "each entry with this person's mark has its receipt: {audit}");
    let (exit, checked) = dev.ask(&["receipts", "check"]);
    assert_eq!((exit, &checked["good"]), (0, &audit["receipts"]));

    let state = dev.path("monitor");
    let monitor = ["monitor", "--once", "--state", &state.to_string_lossy()];
    let (exit, seen) = dev.ask(&monitor);
    assert_eq!((exit, &seen["well"]), (0, &true.into()), "{seen}");
    assert_eq!(seen["by_kind"]["use"], 2);
    assert_eq!(dev.ask(&monitor).1["new"], 0);
}

#[test]
fn grants_are_narrowed_and_revoked_and_refusals_name_the_rule() {
    let dev = Dev::start(&[]);
    assert_eq!(dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]).0, 0);
    let clinic = ["grant", "demo-clinic", "--yes", "--profile", "voice-256", "--uses", "5"];
    let (exit, granted) = dev.ask(&clinic);
    assert_eq!(exit, 0, "{granted}");
    let grant = text(&granted["grant"]).to_owned();
    let (exit, narrowed) = dev.ask(&["narrow", &grant[..8], "--uses", "3"]);
    assert_eq!((exit, &narrowed["outcome"]), (0, &"narrowed".into()), "{narrowed}");
    let (exit, wider) = dev.ask(&["narrow", &grant, "--uses", "4"]);
    assert_eq!((exit, &wider["error"]["code"]), (2, &"not-narrower".into()), "{wider}");

    let use_with = |sample: &str| dev.ask(&["party", "use", &grant, "--party", "demo-clinic", "--vector", sample]);
    let (exit, same) = use_with(&dev.vector(1, 2));
    assert_eq!((exit, &same["finding"], &same["uses_left"]), (0, &"matched".into(), &2.into()), "{same}");
    let (exit, other) = use_with(&dev.vector(2, 1));
    assert_eq!((exit, &other["finding"], &other["uses_left"]), (1, &"not-matched".into(), &1.into()), "{other}");

    let (exit, revoked) = dev.ask(&["revoke", &grant[..8]]);
    assert_eq!((exit, &revoked["outcome"]), (0, &"revoked".into()), "{revoked}");
    let cases: [(&[&str], &str); 6] = [
        (&["grant", "nobody", "--yes"], "party-unknown"),
        (&["grant", "demo-market", "--yes", "--uses", "101"], "too-many-uses"),
        (&["grant", "demo-market", "--yes", "--until", "400d"], "too-long"),
        (&["grant", "demo-market", "--yes", "--purpose", "dpv:Marketing"], "purpose-unknown"),
        (
            &["grant", "demo-market", "--yes", "--operation", "verification", "--profile", "voice-256"],
            "operation-not-allowed",
        ),
        (&["revoke", "ffffffff"], "grant-unknown"),
    ];
    for (arguments, code) in cases {
        let (exit, refused) = dev.ask(arguments);
        assert_eq!((exit, text(&refused["error"]["code"])), (2, code), "{refused}");
    }
    let (exit, ledger) = dev.ask(&["ledger"]);
    assert_eq!((exit, ledger["ended_grants"].as_array().unwrap().len()), (0, 1), "{ledger}");
    assert_eq!(ledger["uses"].as_array().unwrap().len(), 2);
}

#[test]
fn evidence_convinces_offline_and_nothing_in_it_can_be_changed() {
    let dev = Dev::start(&[]);
    assert_eq!(dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]).0, 0);
    let (_, granted) = dev.ask(&["grant", "demo-market", "--yes", "--uses", "2"]);
    let grant = text(&granted["grant"]).to_owned();
    let (_, used) = dev.ask(&["party", "use", &grant, "--party", "demo-market"]);
    audited(&dev);
    let file = dev.path("evidence.html");
    let out = file.to_string_lossy().into_owned();
    let operations = [text(&granted["operation"]), text(&used["operation"])].map(|id| id[..8].to_owned());
    let (exit, made) = dev.ask(&["evidence", &operations[0], &operations[1], "--out", &out]);
    assert_eq!(exit, 0, "{made}");
    let roster = dev.path("roster.toml");
    std::fs::copy(dev.path("dev/roster.toml"), &roster).unwrap();
    let roster = roster.to_string_lossy().into_owned();
    let mut dev = dev;
    assert_eq!(dev.stop(), 0, "from here on nothing can be asked");

    let verify = |file: &Path| dev.ask(&["evidence", "verify", &file.to_string_lossy(), "--roster", &roster]);
    let (exit, verified) = verify(&file);
    assert_eq!((exit, &verified["good"]), (0, &true.into()), "{verified}");
    assert_eq!(verified["receipts"].as_array().unwrap().len(), 2);
    assert_eq!(verified["receipts"][1]["log"]["opened"], true, "the member opens the seal on the use");

    let good = std::fs::read_to_string(&file).unwrap();
    for fetched in ["<script", "<link", "src=", "href=", "url(", "@import"] {
        assert!(!good.contains(fetched), "it needs nothing from elsewhere: {fetched}");
    }
    let bundle = good.split_once("<pre id=\"evidence\">").unwrap().1;
    let bundle = bundle.split_once("</pre>").unwrap().0.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    let parts: Value = serde_json::from_str(&bundle.replace("&#39;", "'").replace("&amp;", "&")).unwrap();
    let one = &parts["receipts"][0];
    let pieces = [
        ("request", text(&one["receipt"]["request"])),
        ("certificate", text(&one["receipt"]["certificate"])),
        ("charter", text(&one["receipt"]["charter_signed"])),
        ("salt", text(&one["receipt"]["log_salt"])),
        ("entry", text(&one["log"]["entry"])),
        ("the time in the summary", &format!("&quot;decided_at&quot;: {}", one["summary"]["decided_at"])),
        ("the words", "A member granted a use"),
        ("the rules' text", "hands out one ration"),
    ];
    let tampered = dev.path("tampered.html");
    for (what, piece) in pieces {
        let mut changed = piece.to_owned();
        let middle = piece.len() / 2;
        let old = piece.as_bytes()[middle];
        changed.replace_range(
            middle..=middle,
            if old == b'A' {
                "B"
            } else if old.is_ascii_digit() {
                "a"
            } else {
                "A"
            },
        );
        assert!(good.contains(piece), "{what} stands in the file");
        std::fs::write(&tampered, good.replacen(piece, &changed, 1)).unwrap();
        let (exit, refused) = verify(&tampered);
        assert!(exit == 4 || exit == 2, "{what}: {refused}");
        assert!(!text(&refused["error"]["what"]).is_empty());
    }
    for node in 0..3 {
        // One letter of each proof's last line, a cosignature.
        let proof = text(&one["log"]["proofs"][node]);
        let line = proof.trim_end().lines().last().unwrap();
        let at = line.len() - 12;
        let letter = if line.as_bytes()[at] == b'x' { "y" } else { "x" };
        let changed = [&line[..at], letter, &line[at + 1..]].concat();
        std::fs::write(&tampered, good.replace(line, &changed)).unwrap();
        let (exit, refused) = verify(&tampered);
        assert_eq!((exit, &refused["error"]["code"]), (4, &"log".into()), "proof {node}: {refused}");
    }
    std::fs::write(&tampered, &good[..good.len() / 2]).unwrap();
    assert_eq!(verify(&tampered).1["error"]["code"], "bad-file");
    let parts = dev.path("parts");
    let extract = ["evidence", "verify", &out, "--roster", &roster, "--extract", &parts.to_string_lossy()];
    assert_eq!(dev.ask(&extract).0, 0);
    assert!(parts.join(format!("{}.node-2.tlog-proof", operations[1])).exists());
}

#[test]
fn operators_change_the_rules_and_members_are_told() {
    let dev = Dev::start(&["--data-dir", "HOME/data"]);
    assert_eq!(dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]).0, 0);
    let path = |name: &str| dev.path(name).to_string_lossy().into_owned();
    let next = path("next.toml");
    assert_eq!(dev.ask(&["charter", "new", "--out", &next]).0, 0);
    let text_of = std::fs::read_to_string(&next).unwrap().replace("max_uses = 100", "max_uses = 200");
    std::fs::write(&next, text_of).unwrap();
    let (exit, checked) = dev.ask(&["charter", "check", &next]);
    assert_eq!((exit, &checked["wider"]), (0, &true.into()), "{checked}");
    for node in 1..=3 {
        let identity = path(&format!("data/node-{node}"));
        let (exit, signed) = dev.ask(&["charter", "sign", &next, "--identity", &identity]);
        assert_eq!((exit, &signed["node"]), (0, &node.into()), "{signed}");
    }
    let signature = |node: u8| format!("{next}.signature-{node}");
    let joined = path("next.charter");
    let twice = ["charter", "join", &next, &signature(1), &signature(2), &signature(2), "--out", &joined];
    assert_eq!(dev.ask(&twice).0, 2);
    let join = ["charter", "join", &next, &signature(3), &signature(1), &signature(2), "--out", &joined];
    assert_eq!(dev.ask(&join).0, 0);
    let (exit, adopted) = dev.ask(&["charter", "adopt", &joined]);
    assert_eq!((exit, &adopted["adopted"], &adopted["in_logs"]), (0, &2.into(), &true.into()), "{adopted}");
    // The operators' receipt: checked offline, and not with one letter changed.
    let receipt = text(&adopted["receipt"]).to_owned();
    let (exit, checked) = dev.ask(&["receipts", "check", &receipt]);
    assert_eq!((exit, &checked["good"], &checked["in_logs"]), (0, &1.into(), &1.into()), "{checked}");
    let proof = std::fs::read_to_string(&receipt).unwrap();
    let value: Value = serde_json::from_str(&proof).unwrap();
    for piece in ["request", "certificate", "charter", "log_salt"].map(|name| text(&value[name])) {
        let at = piece.len() / 2;
        let letter = if &piece[at..=at] == "a" { "b" } else { "a" };
        let changed = [&piece[..at], letter, &piece[at + 1..]].concat();
        std::fs::write(&receipt, proof.replacen(piece, &changed, 1)).unwrap();
        assert_eq!(dev.ask(&["receipts", "check", &receipt]).0, 4, "{at} of {piece}");
    }
    let (exit, again) = dev.ask(&["charter", "adopt", &joined]);
    assert_eq!((exit, &again["error"]["code"]), (2, &"charter-invalid".into()), "{again}");
    let (exit, changes) = dev.ask(&["charter", "show", "--diff"]);
    assert_eq!((exit, &changes["from"], &changes["to"]), (0, &1.into(), &2.into()));
    assert_eq!(changes["changes"].as_array().unwrap().len(), 2, "{changes}");
    assert_eq!(dev.ask(&["charter", "show", "--diff"]).1["changes"], serde_json::json!([]), "they have been read now");
}

#[test]
fn newcomers_are_vouched_for_and_taken_at_a_station_where_the_rules_say_so() {
    let dev = Dev::start(&["--data-dir", "HOME/data"]);
    let path = |name: &str| dev.path(name).to_string_lossy().into_owned();
    assert_eq!(dev.ask(&["enrol", "--vector", &dev.vector(1, 1)]).0, 0);
    let (exit, ferry) = dev.ask(&["party", "key", "new", "ferry-landing"]);
    assert_eq!(exit, 0, "{ferry}");
    let (_, other) = dev.ask(&["party", "key", "new", "back-door"]);
    let next = path("next.toml");
    assert_eq!(dev.ask(&["charter", "new", "--out", &next]).0, 0);
    let before = std::fs::read_to_string(&next).unwrap();
    let station = format!("[[stations]]\nname = \"Ferry landing\"\nkey = \"{}\"\n\n[[purposes]]", text(&ferry["key"]));
    let after = before
        .replace("rule = \"open\"\nvouchers = 0", "rule = \"vouched\"\nvouchers = 1")
        .replace("stations = \"any\"", "stations = \"enrolment\"")
        .replacen("[[purposes]]", &station, 1);
    std::fs::write(&next, after).unwrap();
    for node in 1..=3 {
        let (exit, signed) = dev.ask(&["charter", "sign", &next, "--identity", &path(&format!("data/node-{node}"))]);
        assert_eq!(exit, 0, "{signed}");
    }
    let signature = |node: u8| format!("{next}.signature-{node}");
    let joined = path("next.charter");
    assert_eq!(dev.ask(&["charter", "join", &next, &signature(1), &signature(2), &signature(3), "--out", &joined]).0, 0);
    assert_eq!(dev.ask(&["charter", "adopt", &joined]).0, 0);

    // Amina comes alone; with a voucher and no station; with one that is not listed; with a voucher for somebody else.
    let (_, who) = dev.ask(&["vouch", "--who", "--member", "amina"]);
    let (_, nobody) = dev.ask(&["vouch", "--who", "--member", "nobody"]);
    let (ours, others) = (path("amina.voucher"), path("nobody.voucher"));
    let (exit, vouched) = dev.ask(&["vouch", text(&who["device"]), "--out", &ours]);
    assert_eq!(exit, 0, "{vouched}");
    assert_eq!(dev.ask(&["vouch", text(&nobody["device"]), "--out", &others]).0, 0);
    let sample = dev.vector(2, 1);
    let (landing, door) = (text(&ferry["file"]), text(&other["file"]));
    let enrol = |more: &[&str]| dev.ask(&[&["enrol", "--vector", &sample, "--member", "amina"], more].concat());
    let cases: [(&[&str], &str); 5] = [
        (&[], "station-missing"),
        (&["--voucher", &ours], "station-missing"),
        (&["--voucher", &ours, "--station-key", door], "station-missing"),
        (&["--station-key", landing], "vouchers-missing"),
        (&["--voucher", &others, "--station-key", landing], "vouchers-missing"),
    ];
    for (arguments, rule) in cases {
        let (exit, refused) = enrol(arguments);
        assert_eq!((exit, text(&refused["error"]["code"])), (2, rule), "{arguments:?}: {refused}");
    }
    // Who is no member cannot vouch, and an altered voucher is none.
    let (exit, stranger) = dev.ask(&["vouch", text(&who["device"]), "--member", "nobody"]);
    assert_ne!(exit, 0, "{stranger}");
    let altered = path("altered.voucher");
    let whole = std::fs::read_to_string(&ours).unwrap();
    let at = whole.len() / 2;
    std::fs::write(&altered, [&whole[..at], if &whole[at..=at] == "A" { "B" } else { "A" }, &whole[at + 1..]].concat())
        .unwrap();
    assert_eq!(enrol(&["--voucher", &altered, "--station-key", landing]).0, 2);

    let (exit, enrolled) = enrol(&["--voucher", &ours, "--station-key", landing]);
    assert_eq!((exit, &enrolled["outcome"]), (0, &"enrolled".into()), "{enrolled}");
    // Later her own device will do: the rule is for enrolment.
    let again = dev.vector(2, 2);
    let (exit, verified) = dev.ask(&["verify", "--vector", &again, "--member", "amina"]);
    assert_eq!(exit, 0, "{verified}");
    // And now her word counts.
    let (_, who) = dev.ask(&["vouch", "--who", "--member", "ben"]);
    let hers = path("ben.voucher");
    assert_eq!(dev.ask(&["vouch", text(&who["device"]), "--member", "amina", "--out", &hers]).0, 0);
    let ben = dev.vector(3, 1);
    let (exit, enrolled) =
        dev.ask(&["enrol", "--vector", &ben, "--member", "ben", "--voucher", &hers, "--station-key", landing]);
    assert_eq!((exit, &enrolled["outcome"]), (0, &"enrolled".into()), "{enrolled}");
}
