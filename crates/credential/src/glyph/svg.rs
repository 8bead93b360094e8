//! The mark as SVG 1.1: no script, no style sheet, no reference to anything outside.

use std::fmt::Write as _;

use super::shape::{Outline, Paint, Point, SIDE, outlines};
use super::{Glyph, PAPER};

impl Glyph {
    /// An SVG picture with title and description, of any size, on its own paper.
    pub fn svg(&self) -> String {
        // Ids of its own, so that several marks can stand in one page.
        let (title, desc) = (format!("{}-title", self.name()), format!("{}-desc", self.name()));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" \
             aria-labelledby=\"{title} {desc}\">\n\
             <title id=\"{title}\">Persona {}</title>\n<desc id=\"{desc}\">{}</desc>\n\
             <circle cx=\"128\" cy=\"128\" r=\"127\" fill=\"{}\"/>\n",
            self.name(),
            self.description(),
            colour(PAPER),
        );
        for outline in outlines(self) {
            let ink = self.inks.get(outline.ink).map_or(PAPER, |ink| ink.rgb);
            let path = path(&outline);
            let paint = match outline.paint {
                Paint::Fill => format!("fill=\"{}\"", colour(ink)),
                Paint::Line(width) => {
                    let join = "stroke-linejoin=\"round\" stroke-linecap=\"round\"";
                    format!("fill=\"none\" stroke=\"{}\" stroke-width=\"{width:.1}\" {join}", colour(ink))
                }
            };
            // Writing to a string does not fail.
            let _ = writeln!(svg, "<path d=\"{path}\" {paint}/>");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn path(outline: &Outline) -> String {
    let mut path = String::new();
    for (i, point) in outline.points.iter().enumerate() {
        path.push(if i == 0 { 'M' } else { 'L' });
        path.push_str(&place(point));
    }
    if outline.closed {
        path.push('Z');
    }
    path
}

fn place((x, y): &Point) -> String {
    format!("{x:.1} {y:.1}")
}

fn colour([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
