//! The report of a demonstration: one file, no network, pleasant to read.

use std::fmt::Write;

use crate::demo::picture::field;
use crate::demo::story::{Dissolved, Outage, Person, Story};
use crate::sheet::{Sheet, text};
use crate::words::{count, figure};

/// The whole page.
pub(crate) fn page(story: &Story) -> String {
    let counts = &story.counts;
    let lead = format!(
        "{} people became members from one photograph each. Three nodes then decided on secret shares who came a second time, who \
         was new, and who was who. None of the three ever held a face, a template or a score.",
        counts.enrolled
    );
    let mut sheet = Sheet::new("One person, once, and nobody holds their faces", &lead);
    sheet.section("What happened", "");
    sheet.table(&rows(story));
    if let Some(dissolved) = &story.dissolved {
        dissolve(&mut sheet, dissolved);
    }
    faces(&mut sheet, &story.people);
    outage(&mut sheet, &story.outage);
    leaving(&mut sheet, story);
    measured(&mut sheet, story);
    sheet.section("What this does not show", "");
    sheet.paragraph(
        "All three nodes ran in one process on this machine, with keys that are thrown away; in earnest three independent \
         operators run them. Two nodes that conspire could put a template together again. A forged photograph is not \
         detected. Forty people photographed in one place are a demonstration and no measure of accuracy: for that there is \
         commons evaluate.",
    );
    sheet.finish(&[
        format!("Made by commons demo {} on {}.", env!("CARGO_PKG_VERSION"), story.when),
        "Photographs of members: the ORL database of faces, AT&T Laboratories Cambridge. Strangers: portraits of tabler-ui, not \
         shown here. Face models: faceplugin-face-recognition-js."
            .to_owned(),
    ])
}

fn rows(story: &Story) -> Vec<[String; 3]> {
    let c = &story.counts;
    let of = |part: u64, rest: u64| format!("{} of {}", count(part), count(part + rest));
    let row = |label: &str, value: String, remark: &str| [label.to_owned(), value, remark.to_owned()];
    vec![
        row("Enrolled", count(c.enrolled), "first usable photograph of each person"),
        row(
            "Came again, refused",
            of(c.duplicates_refused, c.duplicates_missed),
            "another photograph, a new key: deduplication",
        ),
        row("Strangers, accepted", of(c.strangers_enrolled, c.strangers_refused), "people who were not yet members"),
        row(
            "Right person, verified",
            of(c.genuine_accepted, c.genuine_rejected),
            "a third photograph against the own record",
        ),
        row(
            "Wrong person, turned away",
            of(c.impostors_rejected, c.impostors_accepted),
            "somebody else with the member's key",
        ),
        row(
            "One node stopped",
            format!("{} decided", c.node_down_decided),
            "refused at once, nothing lost, healed by itself",
        ),
        row("Left", count(c.withdrawn), "erased on all three nodes"),
    ]
}

fn dissolve(sheet: &mut Sheet, dissolved: &Dissolved) {
    sheet.section(
        "A face turns to noise",
        "On the member's own device the photograph becomes a template: 512 small numbers. The template is split into shares. Each \
         node gets a share that by itself is as likely for any other person; the template exists nowhere any more.",
    );
    let mut parts = String::from("<div class=\"parts\">");
    let mut part = |svg: String, name: &str, words: &str| {
        let _ = write!(parts, "<div>{svg}<b>{}</b>{}</div>", text(name), text(words));
    };
    part(field(&dissolved.face, "a face, in coarse squares"), "Photograph", "Stays on the device; shown here coarsely.");
    let plain = if dissolved.template_noise.is_noise() { "Looks like noise." } else { "Tests find a pattern at once." };
    part(
        field(&dissolved.template, "the template as grey squares"),
        "Template",
        &format!("Deleted after the split. {plain}"),
    );
    for node in &dissolved.nodes {
        let verdict = if node.noise.is_noise() { "Tests find no pattern" } else { "Tests find a pattern" };
        let words = format!(
            "{} bytes of share. {verdict} (chi-square p = {}).",
            count(node.share_bytes),
            figure(node.noise.p_value)
        );
        let svg = field(&node.field, &format!("what node {} stores, as grey squares: noise", node.node));
        part(svg, &format!("Node {}", node.node), &words);
    }
    parts.push_str("</div>");
    sheet.figure(
        &parts,
        "Each square is one number, 484 of the 512 shown. What the nodes store was read from their files on disk, and the \
         tests ran on all of it. Anyone can run them on their own record with commons inspect.",
    );
}

fn faces(sheet: &mut Sheet, people: &[Person]) {
    if people.is_empty() {
        return;
    }
    sheet.section(
        "Who came twice",
        "Left the photograph that was enrolled, right the one that was tried later under another key.",
    );
    let mut html = String::from("<div class=\"faces\">");
    for person in people {
        let (class, words) = match person.refused {
            Some(true) => ("yes", "✓ refused"),
            Some(false) => ("no", "✗ missed"),
            None => ("wait", "– not tried"),
        };
        let name = text(&person.name);
        let _ = write!(
            html,
            "<div><span><img alt=\"{name}, enrolled\" src=\"{}\"><img alt=\"{name}, later\" src=\"{}\"></span>\
             <span class=\"{class}\">{words}</span></div>",
            person.enrolled, person.second
        );
    }
    sheet.html(&(html + "</div>"));
}

/// Three lines of time; one is interrupted.
fn outage(sheet: &mut Sheet, outage: &Outage) {
    sheet.section(
        "One node stops",
        "Two nodes alone can decide nothing: they hold two thirds of noise. So they say at once which node is missing, and go on \
         when it is back.",
    );
    let end = (outage.healed_s * 1.25).max(0.1);
    let at = |seconds: f64| 92.0 + (seconds + end * 0.15) / (end * 1.15) * 548.0;
    let (stop, start, healed) = (at(0.0), at(outage.restarted_s), at(outage.healed_s));
    let mut svg = String::from(
        "<svg viewBox=\"0 0 660 188\" role=\"img\" aria-label=\"three nodes over time; one stops and comes back\">",
    );
    for node in 1..=3u8 {
        let y = 30 + 36 * u32::from(node - 1);
        let _ = write!(svg, "<text x=\"0\" y=\"{}\">Node {node}</text>", y + 5);
        if node == outage.node {
            let _ = write!(svg, "<path class=\"rule\" d=\"M92 {y}H{stop:.1}M{start:.1} {y}H640\"/>");
            let _ = write!(svg, "<path class=\"hair\" stroke-dasharray=\"2 4\" d=\"M{stop:.1} {y}H{start:.1}\"/>");
            let middle = f64::midpoint(stop, start);
            let _ =
                write!(svg, "<text class=\"soft\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{}\">stopped</text>", y - 7);
        } else {
            let _ = write!(svg, "<path class=\"rule\" d=\"M92 {y}H640\"/>");
        }
    }
    let mark = |x: f64, y: u32, anchor: &str, words: &str| {
        format!(
            "<path class=\"hair\" d=\"M{x:.1} 12V{}\"/><text class=\"soft\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
            y - 16,
            text(words)
        )
    };
    let asked = format!("asked: refused in {} ms", figure(outage.refusal_ms));
    svg += &mark(stop, 144, if stop > 250.0 { "middle" } else { "start" }, &asked);
    svg += &mark(start, 164, "middle", &format!("started again after {} s", figure(outage.restarted_s)));
    svg +=
        &mark(healed, 184, "end", &format!("next request decided {} s later", figure(outage.healed_s - outage.restarted_s)));
    svg.push_str("</svg>");
    sheet.figure(&svg, &format!("What the member was told: “{}”", outage.told));
}

fn leaving(sheet: &mut Sheet, story: &Story) {
    let leaving = &story.leaving;
    sheet.section(
        "One person leaves",
        "Withdrawal is one signed request. It masks the record at once and overwrites its bytes on all three nodes.",
    );
    let row = |index: usize| {
        let bytes = |of: &[u64; 3]| of.get(index).map_or_else(String::new, |n| count(*n));
        [
            format!("Node {}", index + 1),
            format!("{} → {} bytes", bytes(&leaving.bytes_before), bytes(&leaving.bytes_after)),
            String::new(),
        ]
    };
    sheet.table(&[row(0), row(1), row(2)]);
    sheet.paragraph(if leaving.zeroed_on_disk {
        "The bytes in all three files on disk were seen to be zero."
    } else {
        "The bytes on disk were NOT seen to be zero."
    });
    let again =
        if story.counts.enrolled_again > 0 { " and could become a member again as if for the first time." } else { "." };
    sheet.paragraph(&format!("Afterwards {} was a stranger to the nodes (“{}”){again}", leaving.name, leaving.then));
}

fn measured(sheet: &mut Sheet, story: &Story) {
    let (f, c) = (&story.figures, &story.counts);
    sheet.section("Measured on this run", "");
    let row = |label: &str, value: String, remark: &str| [label.to_owned(), value, remark.to_owned()];
    sheet.table(&[
        row(
            "The whole demonstration",
            format!("{} s", figure(f.seconds)),
            &format!("{} processor cores, three nodes and the clients on them", story.cores),
        ),
        row("Photograph to template", format!("{} ms", figure(f.capture_ms)), "one thread"),
        row(
            "One enrolment",
            format!("{} ms", figure(f.enrolment_p50_ms)),
            &format!("median; 99 of 100 within {} ms", figure(f.enrolment_p99_ms)),
        ),
        row(
            "Private against plaintext",
            format!("{} differences", count(c.private_plaintext_differences)),
            &format!(
                "all {} pairs of these templates; one node sends {} bytes for each",
                count(c.pairs_compared),
                figure(f.bytes_per_comparison)
            ),
        ),
        row("Certificates checked", count(c.certificates_checked), "each decision under three signatures"),
    ]);
}
