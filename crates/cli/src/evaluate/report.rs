//! The accuracy report: one file with the rates, their intervals and the DET curve.

use std::fmt::Write;

use biometric::accuracy::{DetPoint, FMR_TARGETS, Measures, Rate};
use jiff::Zoned;

use crate::evaluate::profile::{text, threshold_words};
use crate::evaluate::{Evaluation, percent, plain_percent};
use crate::sheet::{self, Sheet};
use crate::words::{count, figure};

/// The whole page.
pub(crate) fn page(evaluation: &Evaluation) -> String {
    let Evaluation { set, choice, decided, .. } = evaluation;
    let measures = &decided.measures;
    let title = format!("How accurate is {}?", choice.profile.id);
    let lead = format!(
        "{} samples of {} people, every pair compared: {} genuine and {} impostor comparisons, at {}.",
        count(measures.templates as u64),
        count(measures.subjects as u64),
        count(measures.genuine),
        count(measures.impostor),
        threshold_words(&choice.profile.matching)
    );
    let mut sheet = Sheet::new(&title, &lead);
    private(&mut sheet, evaluation);
    sheet.section("Error rates", "");
    sheet.table(&rates(measures));
    sheet.paragraph(
        "Intervals hold 95 % of 1 000 bootstrap samples of whole people; with no error observed, the rule of three.",
    );
    sheet.section(
        "Detection error trade-off",
        "Each point is a threshold. A stricter one lets fewer strangers pass and turns away more of the right people.",
    );
    let source = format!(
        "Source: {}, {}. Both axes are logarithmic; down and left is better.",
        evaluation.source,
        Zoned::now().strftime("%Y-%m-%d")
    );
    sheet.figure(&det(measures), &source);
    sheet.section("Samples", "");
    let row = |label: &str, value: String, remark: &str| [label.to_owned(), value, remark.to_owned()];
    let mut rows = vec![
        row("Offered", count(set.images), ""),
        row("Failed to acquire", count(set.failed_to_acquire()), "no template came from them; they count in no rate above"),
    ];
    rows.extend(set.failures.iter().map(|(reason, times)| row("", count(*times), reason)));
    sheet.table(&rows);
    if choice.derived {
        sheet.section(
            "The profile",
            "No built-in profile fits these vectors. This one has its threshold set on the data above for an FMR of 0.1 %, so the \
             rates above flatter it. Save it as a .toml file and name it with --profile on other data.",
        );
        sheet.html(&format!("<pre><code>{}</code></pre>", sheet::text(&text(&choice.profile).unwrap_or_default())));
    }
    sheet.section("What this says and what not", "");
    sheet.paragraph(
        "The rates hold for people, sensors and conditions like those of this set, and for zero-effort impostors: nobody tried to \
         look like somebody else. A template of one person among a million is compared a million times: multiply the FMR.",
    );
    sheet.finish(&[format!(
        "Made by commons evaluate {} on {}. Terms of ISO/IEC 19795-1. Profile {}.",
        env!("CARGO_PKG_VERSION"),
        Zoned::now().strftime("%Y-%m-%d %H:%M %Z"),
        choice.profile.digest()
    )])
}

fn private(sheet: &mut Sheet, evaluation: &Evaluation) {
    let decided = &evaluation.decided;
    sheet.section("On secret shares", "");
    let (differences, pairs) = (decided.differences, count(decided.pairs));
    let verdict = if differences == 0 {
        format!(
            "All {pairs} pairs were decided twice, on secret shares by three parties and in the clear. They differ nowhere."
        )
    } else {
        format!(
            "Of {pairs} pairs, {} were decided differently on secret shares and in the clear. This must not happen.",
            count(differences)
        )
    };
    sheet.paragraph(&verdict);
    let row = |label: &str, value: String, remark: &str| [label.to_owned(), value, remark.to_owned()];
    sheet.table(&[
        row("Differences", count(differences), "private decision against plaintext decision"),
        row("Comparisons", count(decided.comparisons), "one for each pair and rotation"),
        row(
            "Sent for each",
            format!("{} bytes", figure(decided.bytes_per_comparison())),
            "by one node, the opening of every single bit included",
        ),
        row(
            "Time",
            format!("{} s", figure(decided.seconds_private)),
            &format!("all three parties on {} threads of this machine", evaluation.threads),
        ),
    ]);
}

fn rates(measures: &Measures) -> Vec<[String; 3]> {
    let row = |label: String, rate: &Rate, what: &str| {
        let interval = format!("{} to {}", percent(rate.low), percent(rate.high));
        [label, percent(rate.value), if what.is_empty() { interval } else { format!("{interval}. {what}") }]
    };
    let mut rows = vec![
        row("FMR at the threshold".to_owned(), &measures.fmr, "Different people taken for one"),
        row("FNMR at the threshold".to_owned(), &measures.fnmr, "One person not recognised"),
        row("Equal error rate".to_owned(), &measures.eer, ""),
    ];
    for (target, rate) in FMR_TARGETS.iter().zip(&measures.fnmr_at_fmr) {
        let label = format!("FNMR at FMR {}", plain_percent(*target));
        rows.push(match rate {
            Some(rate) => row(label, rate, ""),
            None => [label, "–".to_owned(), "too few impostor comparisons to say".to_owned()],
        });
    }
    rows
}

/// The drawing's frame.
struct Frame {
    /// Exponents of ten at the left and at the lower end; both axes end at 1.
    left: i32,
    low: i32,
}

const X0: f64 = 76.0;
const X1: f64 = 656.0;
const Y0: f64 = 40.0;
const Y1: f64 = 436.0;

impl Frame {
    fn x(&self, fmr: f64) -> f64 {
        X0 + (X1 - X0) * (1.0 - fmr.max(f64::MIN_POSITIVE).log10().max(f64::from(self.left)) / f64::from(self.left))
    }
    fn y(&self, fnmr: f64) -> f64 {
        Y0 + (Y1 - Y0) * fnmr.max(f64::MIN_POSITIVE).log10().max(f64::from(self.low)) / f64::from(self.low)
    }
}

/// The curve with its operating point named.
fn det(measures: &Measures) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let decades = |comparisons: u64| -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "between -7 and -1")]
        let exponent = (-(comparisons.max(10) as f64).log10().ceil()).clamp(-7.0, -1.0) as i32;
        exponent
    };
    let frame = Frame { left: decades(measures.impostor), low: decades(measures.genuine) };
    let mut svg = String::from("<svg viewBox=\"0 0 690 496\" role=\"img\" aria-label=\"DET curve: FNMR against FMR\">");
    axes(&mut svg, &frame);
    let mut path = String::new();
    for point in measures.det.iter().filter(|p| p.fmr > 0.0 && p.fnmr > 0.0) {
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", frame.x(point.fmr), frame.y(point.fnmr));
    }
    let _ = write!(svg, "<path class=\"rule\" stroke-linejoin=\"round\" d=\"{path}\"/>");
    if path.is_empty() {
        let (x, y) = (f64::midpoint(X0, X1), f64::midpoint(Y0, Y1));
        let _ = write!(
            svg,
            "<text class=\"soft\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">At no threshold were both errors seen on these data.</text>"
        );
    }
    let eer = measures.eer.value;
    if eer > 0.0 {
        let (x, y) = (frame.x(eer), frame.y(eer));
        let _ = write!(svg, "<circle class=\"open\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">equal error rate {}</text>",
            x + 10.0,
            y - 8.0,
            sheet::text(&percent(eer))
        );
    }
    operating_point(&mut svg, &frame, measures);
    svg + "</svg>"
}

fn axes(svg: &mut String, frame: &Frame) {
    for exponent in frame.left..=0 {
        let x = frame.x(10f64.powi(exponent));
        let _ = write!(svg, "<path class=\"hair\" d=\"M{x:.1} {Y0}V{Y1}\"/>");
        let _ = write!(
            svg,
            "<text class=\"soft\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{}</text>",
            Y1 + 22.0,
            tick(exponent)
        );
    }
    for exponent in frame.low..=0 {
        let y = frame.y(10f64.powi(exponent));
        let _ = write!(svg, "<path class=\"hair\" d=\"M{X0} {y:.1}H{X1}\"/>");
        let _ = write!(
            svg,
            "<text class=\"soft\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
            X0 - 8.0,
            y + 5.0,
            tick(exponent)
        );
    }
    let _ =
        write!(svg, "<text text-anchor=\"end\" x=\"{X1}\" y=\"{}\">FMR: different people taken for one</text>", Y1 + 46.0);
    let _ = write!(svg, "<text x=\"0\" y=\"{}\">FNMR: one person not recognised</text>", Y0 - 22.0);
}

fn tick(exponent: i32) -> String {
    match exponent {
        0 => "100 %".to_owned(),
        -1 => "10 %".to_owned(),
        -2 => "1 %".to_owned(),
        _ => format!("{:.*} %", usize::try_from(-exponent - 2).unwrap_or(0), 10f64.powi(exponent + 2)),
    }
}

fn operating_point(svg: &mut String, frame: &Frame, measures: &Measures) {
    let at = measures.det.iter().find(|point| point.score == 0);
    let DetPoint { fmr, fnmr, .. } =
        at.copied().unwrap_or(DetPoint { score: 0, fmr: measures.fmr.value, fnmr: measures.fnmr.value });
    let (x, y) = (frame.x(fmr), frame.y(fnmr));
    let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"var(--accent)\"/>");
    let (anchor, label_x) = if x > 380.0 { ("end", x - 10.0) } else { ("start", x + 10.0) };
    // Above the point, on two lines, unless that is above the frame.
    let label_y = (y - 32.0).max(Y0 + 22.0);
    let words = format!("FMR {}, FNMR {}", percent(fmr), percent(fnmr));
    let _ = write!(
        svg,
        "<text class=\"accent bold\" text-anchor=\"{anchor}\" x=\"{label_x:.1}\" y=\"{label_y:.1}\">this profile\
         <tspan x=\"{label_x:.1}\" dy=\"1.3em\">{}</tspan></text>",
        sheet::text(&words)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_lies_inside_its_frame_and_names_its_point() {
        let rate = |value| Rate { value, low: value / 2.0, high: value * 2.0 };
        let det_points = [(-9, 1.0, 0.0), (-1, 0.01, 0.002), (0, 0.001, 0.01), (9, 0.0, 0.5)];
        let measures = Measures {
            subjects: 3,
            templates: 9,
            genuine: 900,
            impostor: 5000,
            fmr: rate(0.001),
            fnmr: rate(0.01),
            eer: rate(0.004),
            fnmr_at_fmr: [Some(rate(0.002)), Some(rate(0.01)), None],
            det: det_points.map(|(score, fmr, fnmr)| DetPoint { score, fmr, fnmr }).to_vec(),
        };
        let svg = det(&measures);
        assert!(svg.contains("FMR 0.100 %, FNMR 1.00 %") && svg.contains("equal error rate 0.400 %"));
        let frame = Frame { left: -4, low: -3 };
        for share in [0.0, 1e-9, 0.5, 1.0] {
            assert!((X0..=X1).contains(&frame.x(share)) && (Y0..=Y1).contains(&frame.y(share)));
        }
        assert_eq!([0, -1, -2, -3, -5].map(tick), ["100 %", "10 %", "1 %", "0.1 %", "0.001 %"]);
        assert_eq!(rates(&measures).len(), 6);
    }
}
