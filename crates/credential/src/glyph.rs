//! A persona's visual mark: an engraved rosette, always the same for one pseudonym, on any device.
//!
//! Everything follows from SHA-256 of the pseudonym. What tells two marks apart is form: how many petals of which outline and filling,
//! which band, which core; colour only repeats it. The mark comes with words: a name of two proquints (Wilkerson, "A proposal for
//! proquints: identifiers that are readable, spellable and pronounceable", 2009) and a description, which are also the title
//! and the description of the picture.
//!
//! The outer ring of twelve beads shows the persona's [`crate::code::Code`] of the moment: two people who look at one code see one
//! pattern.
//!
//! A mark is for recognising, not for proving: 32 bits of name can be imitated by who tries billions of keys. Devices compare
//! pseudonyms, and check codes.

mod shape;
mod svg;
mod terminal;

use types::Digest;

use crate::Pseudonym;
use crate::code::Code;

/// The mark of one persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glyph {
    petals: usize,
    petal: Petal,
    filling: Filling,
    band: Band,
    band_count: usize,
    core: Core,
    core_count: usize,
    inks: [Ink; 2],
    name: String,
    /// Which of the twelve beads are raised, if a code is shown.
    beads: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Petal {
    Leaf,
    Drop,
    Tulip,
    Kite,
    Needle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    Solid,
    Open,
    Ruled,
    Split,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Band {
    Guilloche,
    Chain,
    Rays,
    Pearls,
    Scallops,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Core {
    Star,
    Dots,
    Polygon,
    Blossom,
    Rings,
}

/// Inks that read on the paper at 4.5 : 1 or better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ink {
    name: &'static str,
    rgb: [u8; 3],
}

const fn ink(name: &'static str, red: u8, green: u8, blue: u8) -> Ink {
    Ink { name, rgb: [red, green, blue] }
}

const INKS: [Ink; 8] = [
    ink("teal", 15, 92, 92),
    ink("indigo", 45, 58, 124),
    ink("brick", 140, 47, 36),
    ink("olive", 85, 96, 26),
    ink("plum", 107, 42, 91),
    ink("umber", 107, 74, 31),
    ink("slate", 47, 72, 88),
    ink("forest", 34, 86, 58),
];
/// Warm off-white.
const PAPER: [u8; 3] = [246, 242, 234];

impl Glyph {
    /// The mark of `pseudonym`.
    pub fn new(pseudonym: &Pseudonym) -> Self {
        let digest = Digest::of("trust-commons/v1/glyph", &[&pseudonym.0]);
        let mut bytes = digest.0.into_iter();
        // Of 256 values, not all remainders are equally frequent; here that is no matter.
        let mut choose = |count: usize| usize::from(bytes.next().expect("a digest has 32 bytes, and 12 are taken")) % count;
        let pick = |list: &[Ink], i: usize| *list.get(i % list.len()).expect("an index below the length");
        let petals = 5 + choose(8);
        let petal = [Petal::Leaf, Petal::Drop, Petal::Tulip, Petal::Kite, Petal::Needle].into_iter().nth(choose(5));
        let filling = [Filling::Solid, Filling::Open, Filling::Ruled, Filling::Split].into_iter().nth(choose(4));
        let bands = [Band::Guilloche, Band::Chain, Band::Rays, Band::Pearls, Band::Scallops];
        let band = bands.into_iter().nth(choose(5));
        let band_count = 12 + 2 * choose(7);
        let core = [Core::Star, Core::Dots, Core::Polygon, Core::Blossom, Core::Rings].into_iter().nth(choose(5));
        let core_count = 3 + choose(6);
        let first = choose(INKS.len());
        let inks = [pick(&INKS, first), pick(&INKS, first + 1 + choose(INKS.len() - 1))];
        let mut word = || proquint(u16::try_from(choose(256) * 256 + choose(256)).expect("two bytes"));
        let name = format!("{}-{}", word(), word());
        Self {
            petals,
            petal: petal.expect("one of five"),
            filling: filling.expect("one of four"),
            band: band.expect("one of five"),
            band_count,
            core: core.expect("one of five"),
            core_count,
            inks,
            name,
            beads: None,
        }
    }

    /// The same with the beads of a code. The code is not checked here.
    pub fn with_code(mut self, code: &Code) -> Self {
        self.beads = Some(code.beads());
        self
    }

    /// To say aloud, such as `lusab-babad`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In words, for people who do not see it and for those who compare by telephone.
    pub fn description(&self) -> String {
        let petal = match self.petal {
            Petal::Leaf => "leaves",
            Petal::Drop => "drops",
            Petal::Tulip => "tulip petals",
            Petal::Kite => "kites",
            Petal::Needle => "needles",
        };
        let filling = match self.filling {
            Filling::Solid => "solid",
            Filling::Open => "open",
            Filling::Ruled => "ruled",
            Filling::Split => "half-filled",
        };
        let (petals, points, around) = (self.petals, self.core_count, self.band_count);
        let core = match self.core {
            Core::Star => format!("a star of {points} points"),
            Core::Dots => format!("{points} dots"),
            Core::Polygon => format!("a figure of {points} sides"),
            Core::Blossom => format!("a blossom of {points} lobes"),
            Core::Rings => format!("rings, {points} of them"),
        };
        let band = match self.band {
            Band::Guilloche => format!("an engraved band of {around} waves"),
            Band::Chain => format!("a chain of {around} links"),
            Band::Rays => format!("{around} rays"),
            Band::Pearls => format!("{around} pearls"),
            Band::Scallops => format!("{around} scallops"),
        };
        let [one, other] = &self.inks;
        let mut text =
            format!("{petals} {filling} {petal} around {core}, within {band}; in {} and {}.", one.name, other.name);
        if let Some(beads) = self.beads {
            let raised: Vec<String> = (0..12).filter(|i| beads >> i & 1 == 1).map(|i| clock(i).to_string()).collect();
            let at = if raised.is_empty() { "none".to_owned() } else { raised.join(", ") };
            text.push_str(&format!(" Raised beads, by the hours of a clock: {at}."));
        }
        text
    }
}

/// Bead 0 is at twelve o'clock.
fn clock(bead: usize) -> usize {
    if bead == 0 { 12 } else { bead }
}

/// Sixteen bits as consonant, vowel, consonant, vowel, consonant.
fn proquint(word: u16) -> String {
    let consonant = |shift: u32| char::from(*b"bdfghjklmnprstvz".get(usize::from(word >> shift & 15)).unwrap_or(&b'-'));
    let vowel = |shift: u32| char::from(*b"aiou".get(usize::from(word >> shift & 3)).unwrap_or(&b'-'));
    [consonant(12), vowel(10), consonant(6), vowel(4), consonant(0)].into_iter().collect()
}

#[cfg(test)]
mod tests;
