use std::collections::BTreeSet;

use super::*;

/// Marks do not check that a pseudonym is a point, so any bytes do.
fn glyph(seed: u64) -> Glyph {
    let digest = Digest::of("test", &[&seed.to_le_bytes()]);
    Glyph::new(&Pseudonym([digest.0.as_slice(), &digest.0[..16]].concat().try_into().unwrap()))
}

#[test]
fn one_pseudonym_has_one_mark_to_the_last_digit() {
    let mark = glyph(1);
    assert_eq!(mark, glyph(1));
    // Pinned: another picture on another machine, or after a change, is a fault.
    let picture = Digest::of("", &[mark.svg().as_bytes()]).to_hex();
    assert_eq!(
        (mark.name(), picture.as_str()),
        ("jataf-tomuh", "c17e12a2447ca87fce6bf1bc3245053d86c0c004c39d9fa89e46e47ca86dfa90")
    );
}

#[test]
fn proquints_are_those_of_the_proposal() {
    // 127.0.0.1 is lusab-babad.
    assert_eq!((proquint(0x7f00), proquint(0x0001)), ("lusab".to_owned(), "babad".to_owned()));
}

#[test]
fn marks_differ_without_colour() {
    let plain: BTreeSet<String> = (0..300).map(|seed| glyph(seed).terminal(false).lines().take(16).collect()).collect();
    assert!(plain.len() >= 298, "{} forms of 300", plain.len());
    let names: BTreeSet<String> = (0..300).map(|seed| glyph(seed).name().to_owned()).collect();
    assert_eq!(names.len(), 300);
}

#[test]
fn pictures_say_what_they_show_and_need_nothing_else() {
    for seed in 0..50 {
        let svg = glyph(seed).svg();
        assert!(svg.contains("role=\"img\"") && svg.contains("-title\">Persona ") && svg.contains("<desc id="));
        assert!(!svg.contains("script") && !svg.contains("href") && !svg.contains("NaN"));
        assert_eq!(svg.matches("http").count(), 1, "the namespace only");
        assert!(svg.len() < 120_000, "{}", svg.len());
    }
}

#[test]
fn plain_terminals_get_no_escape_sequence() {
    let mark = glyph(3);
    assert!(!mark.terminal(false).contains('\x1b') && mark.terminal(true).contains('\x1b'));
    let lines: Vec<String> = mark.terminal(false).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 17);
    assert!(lines.iter().all(|line| line.chars().count() <= 32));
    assert_eq!(lines[16].trim(), mark.name());
}

#[test]
fn inks_are_dark_enough_for_the_paper() {
    // WCAG 2 relative luminance.
    let luminance = |rgb: [u8; 3]| {
        let [r, g, b] = rgb
            .map(|c| f64::from(c) / 255.0)
            .map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    for ink in INKS {
        let contrast = (luminance(PAPER) + 0.05) / (luminance(ink.rgb) + 0.05);
        assert!(contrast >= 4.5, "{}: {contrast:.1}", ink.name);
    }
}

#[test]
fn beads_show_the_code_of_the_moment() {
    let secret = crate::MemberSecret::generate(crate::Fresh::new([1; 32]));
    let context = crate::Context::new("id", "site", crate::Kind::Standing).unwrap();
    let persona = crate::Persona::new(&secret, &context);
    let at = |now| Glyph::new(persona.pseudonym()).with_code(&Code::new(&persona, now));
    assert_eq!(at(100).svg(), at(100).svg());
    let patterns: BTreeSet<String> = (100..120).map(|now| at(now).svg()).collect();
    assert!(patterns.len() >= 18, "{}", patterns.len());
    assert!(at(100).description().contains("Raised beads"));
    assert_eq!(at(100).name(), at(200).name());
}
