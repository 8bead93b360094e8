//! Is this noise? Tests of randomness on the stored bytes that a node shows, in plain words.
//!
//! Three classic tests (Knuth, *The Art of Computer Programming* 2, section 3.3; as in the program `ent`): are all values
//! equally frequent (chi-square), does a byte tell something about the next one (serial correlation), can the bytes be
//! compressed (DEFLATE). Passing is no proof, so the same tests also run on a made-up plain template of the same kind
//! ([`plain_like`]): they must find it out at once.

use miniz_oxide::deflate::compress_to_vec;
use types::profile::Matching;

/// What the tests say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Bytes looked at.
    pub(crate) bytes: usize,
    /// How often each value occurs: 16 values of half a byte, or 256 of a byte where there are enough of them.
    pub(crate) histogram: Vec<u64>,
    pub(crate) chi_square: f64,
    pub(crate) degrees: usize,
    /// Probability that noise looks at least this uneven.
    pub(crate) p_value: f64,
    /// Between each byte and the next, -1 to 1.
    pub(crate) serial_correlation: f64,
    /// Compressed size over original size.
    pub(crate) compressed: f64,
}

/// Noise fails a test with this probability; small, because people look often and alarms should mean something.
const ALARM: f64 = 1e-6;

impl Verdict {
    /// Whether all values are equally frequent.
    pub(crate) fn even(&self) -> bool {
        self.p_value > ALARM
    }
    /// Whether neighbours tell nothing of each other: within 5 standard deviations of zero.
    pub(crate) fn independent(&self) -> bool {
        self.serial_correlation.abs() < 5.0 / float(self.bytes.max(1)).sqrt()
    }
    /// Whether nothing can be saved by compressing.
    pub(crate) fn incompressible(&self) -> bool {
        self.compressed > 0.97
    }
    /// All three.
    pub(crate) fn is_noise(&self) -> bool {
        self.bytes >= 64 && self.even() && self.independent() && self.incompressible()
    }
    /// The histogram in one line of text, 16 columns.
    pub(crate) fn picture(&self) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let columns: Vec<u64> =
            self.histogram.chunks(self.histogram.len().div_ceil(16).max(1)).map(|c| c.iter().sum()).collect();
        let top = columns.iter().copied().max().unwrap_or(1).max(1);
        let bar = |&n: &u64| usize::try_from(n * 7 / top).ok().and_then(|i| BARS.get(i)).copied().unwrap_or(' ');
        columns.iter().map(bar).collect()
    }
}

/// Runs the tests.
pub(crate) fn test(values: &[u16]) -> Verdict {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    // At least ten expected in each class, or the chi-square figure would mean nothing.
    let symbols: Vec<u8> =
        if bytes.len() >= 2560 { bytes.clone() } else { bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect() };
    let classes = if bytes.len() >= 2560 { 256 } else { 16 };
    let mut histogram = vec![0u64; classes];
    for &symbol in &symbols {
        if let Some(count) = histogram.get_mut(usize::from(symbol)) {
            *count += 1;
        }
    }
    let expected = float(symbols.len()) / float(classes);
    let square = |&n: &u64| (whole(n) - expected).powi(2) / expected.max(f64::MIN_POSITIVE);
    let chi_square = histogram.iter().map(square).sum();
    let degrees = classes - 1;
    let compressed = float(compress_to_vec(&bytes, 9).len()) / float(bytes.len().max(1));
    Verdict {
        bytes: bytes.len(),
        histogram,
        chi_square,
        degrees,
        p_value: upper_tail(chi_square, float(degrees)),
        serial_correlation: serial_correlation(&bytes),
        compressed,
    }
}

/// Pearson's correlation between each byte and its successor, the last one followed by the first.
fn serial_correlation(bytes: &[u8]) -> f64 {
    let n = float(bytes.len());
    let next = bytes.iter().skip(1).chain(bytes.first());
    let products: f64 = bytes.iter().zip(next).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    let sum: f64 = bytes.iter().map(|&a| f64::from(a)).sum();
    let squares: f64 = bytes.iter().map(|&a| f64::from(a).powi(2)).sum();
    let spread = n * squares - sum * sum;
    if spread > 0.0 { (n * products - sum * sum) / spread } else { 1.0 }
}

/// P(X >= x) for chi-square with `k` degrees of freedom: Wilson and Hilferty's cube-root approximation.
fn upper_tail(x: f64, k: f64) -> f64 {
    let variance = 2.0 / (9.0 * k);
    let z = ((x / k).cbrt() - (1.0 - variance)) / variance.sqrt();
    0.5 * complementary_error(z / std::f64::consts::SQRT_2)
}

/// erfc, to 1.2e-7 (Numerical Recipes' Chebyshev fit).
fn complementary_error(x: f64) -> f64 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let series = FIT.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = t * (-z * z + series).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// A made-up template of the same kind, unshared, as 16-bit words: what the stored bytes would be if nothing protected them.
pub(crate) fn plain_like(matching: &Matching, length: usize) -> Vec<u16> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 40
    };
    (0..length)
        .map(|_| match matching {
            // Six uniform values added are close to a bell curve, as the coordinates of a face are.
            Matching::Embedding(m) => {
                let unit = (0..6).map(|_| uniform()).sum::<u64>() * 2 / (1 << 21);
                let spread = u64::from(m.scale) / 24 + 1;
                let value = (unit * spread / 24).wrapping_sub(spread * 2);
                u16::from_le_bytes([value.to_le_bytes()[0], value.to_le_bytes()[1]])
            }
            Matching::IrisCode(_) => match uniform() % 3 {
                0 => 0,
                1 => 1,
                _ => u16::MAX,
            },
        })
        .collect()
}

fn float(n: usize) -> f64 {
    whole(n as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes, far below 2^52")]
fn whole(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u16> {
        let mut bytes = Vec::new();
        let mut block = 0u64;
        while bytes.len() < 2 * length {
            bytes.extend(types::Digest::of("noise", &[&block.to_le_bytes()]).0);
            block += 1;
        }
        bytes.chunks_exact(2).take(length).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
    }

    const FACE: &str = "id = 'f'\nversion = 1\nmodality = 'face'\ndescription = 'd'\n[matching]\nkind = 'embedding'\n\
        dimensions = 512\nscale = 148\nclamp = 64\ncosine_threshold = 0.4\nnorm_min = 0.9\nnorm_max = 1.05\n";
    const IRIS: &str = "id = 'i'\nversion = 1\nmodality = 'iris'\ndescription = 'd'\n[matching]\nkind = 'iris-code'\nrows = 16\n\
        columns = 200\nwavelets = 2\nrotations = 31\ndot_weight = 2\nmask_weight = 1\nmask_min = 3000\n";

    #[test]
    fn noise_passes_at_every_size() {
        for length in [170, 1000, 6400] {
            let verdict = test(&noise(length));
            assert!(verdict.is_noise(), "{length}: {verdict:?}");
            assert!(verdict.picture().chars().count() == 16);
        }
    }

    #[test]
    fn plain_templates_are_found_out() {
        for (text, lengths) in [(FACE, [170, 512]), (IRIS, [6400, 19_200])] {
            let profile = types::profile::Profile::from_toml(text).unwrap();
            for length in lengths {
                let verdict = test(&plain_like(&profile.matching, length));
                assert!(!verdict.is_noise(), "{verdict:?}");
                assert!(!verdict.even() && !verdict.incompressible(), "{verdict:?}");
            }
        }
        assert!(!test(&[7; 200]).is_noise());
        assert!(!test(&[]).is_noise(), "nothing is no noise");
    }

    #[test]
    fn the_chi_square_tail_is_that_of_the_tables() {
        for (x, k, p) in [(24.996, 15.0, 0.05), (30.578, 15.0, 0.01), (293.248, 255.0, 0.05), (254.33, 255.0, 0.5)] {
            assert!((upper_tail(x, k) - p).abs() < 0.002, "{x} {k}: {}", upper_tail(x, k));
        }
    }
}
