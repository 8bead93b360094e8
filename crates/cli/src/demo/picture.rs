//! Small pictures inside a report: a grey field of numbers, a photograph as PNG.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec_zlib;

/// Shades of a field.
const SHADES: usize = 12;

/// A square field of grey cells, one per value between 0 and 1, row by row, as SVG: as many whole rows as there are values
/// for. `name` is read aloud instead of it.
pub(crate) fn field(values: &[f64], name: &str) -> String {
    let side = values.len().isqrt();
    // One path per shade: some kilobytes, where a rectangle per cell would take many times as much.
    let mut paths = vec![String::new(); SHADES];
    for (i, value) in values.iter().take(side * side).enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..SHADES")]
        let shade = ((value.clamp(0.0, 1.0) * 12.0) as usize).min(SHADES - 1);
        if let Some(path) = paths.get_mut(shade) {
            let _ = write!(path, "M{} {}h1v1h-1z", i % side, i / side);
        }
    }
    let mut svg = format!(
        "<svg viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{}\" shape-rendering=\"crispEdges\">",
        crate::sheet::text(name)
    );
    for (shade, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let level = 38 + shade * 200 / (SHADES - 1);
        let _ = write!(svg, "<path fill=\"rgb({level},{level},{level})\" d=\"{path}\"/>");
    }
    svg + "</svg>"
}

/// A grey photograph (binary PGM, 8 bits, as the ORL faces are), halved in size, as the address of an `<img>`.
pub(crate) fn photograph(pgm: &[u8]) -> Option<String> {
    let (width, height, pixels) = read_pgm(pgm)?;
    let halved = halve(width, height, pixels)?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png(width / 2, height / 2, &halved)?)))
}

/// The grey values of a photograph, 0 to 1, reduced to a square of `side` cells cut from its middle.
pub(crate) fn mosaic(pgm: &[u8], side: usize) -> Option<Vec<f64>> {
    let (width, height, pixels) = read_pgm(pgm)?;
    let length = width.min(height);
    let (left, top) = ((width - length) / 2, (height - length) / 2);
    let cell = |row: usize, column: usize| {
        let rows = top + row * length / side..top + (row + 1) * length / side;
        let values = rows.flat_map(|y| {
            let from = y * width + left + column * length / side;
            pixels.get(from..y * width + left + (column + 1) * length / side).unwrap_or_default()
        });
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), &value| (sum + f64::from(value), count + 1.0));
        sum / f64::max(count, 1.0) / 255.0
    };
    Some(
        (0..side)
            .flat_map(|row| (0..side).map(move |column| (row, column)))
            .map(|(row, column)| cell(row, column))
            .collect(),
    )
}

/// Width, height and pixels of a binary PGM of 8 bits without comments.
fn read_pgm(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P5")?;
    let mut numbers = [0usize; 3];
    for number in &mut numbers {
        rest = rest.trim_ascii_start();
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (text, after) = rest.split_at(digits);
        *number = std::str::from_utf8(text).ok()?.parse().ok()?;
        rest = after;
    }
    let [width, height, most] = numbers;
    let pixels = rest.get(1..1 + width.checked_mul(height)?)?;
    ((2..=4096).contains(&width) && (2..=4096).contains(&height) && most == 255).then_some((width, height, pixels))
}

fn halve(width: usize, height: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(width * height / 4);
    for y in 0..height / 2 {
        let (upper, lower) = (pixels.get(2 * y * width..)?, pixels.get((2 * y + 1) * width..)?);
        for (a, b) in upper.chunks_exact(2).zip(lower.chunks_exact(2)).take(width / 2) {
            let sum: u16 = a.iter().chain(b).map(|&v| u16::from(v)).sum();
            out.push(u8::try_from(sum / 4).ok()?);
        }
    }
    Some(out)
}

/// A grey PNG of 8 bits (ISO/IEC 15948): header, one compressed block, end.
fn png(width: usize, height: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut header = Vec::new();
    header.extend_from_slice(&u32::try_from(width).ok()?.to_be_bytes());
    header.extend_from_slice(&u32::try_from(height).ok()?.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    // Filter 2 (up): each byte minus the one above it, which photographs compress better with.
    let mut lines = Vec::with_capacity(pixels.len() + height);
    let mut above = vec![0u8; width];
    for line in pixels.chunks_exact(width) {
        lines.push(2);
        lines.extend(line.iter().zip(&above).map(|(value, above)| value.wrapping_sub(*above)));
        above.copy_from_slice(line);
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &compress_to_vec_zlib(&lines, 8));
    chunk(&mut file, *b"IEND", &[]);
    Some(file)
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(0);
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&kind);
    file.extend_from_slice(data);
    file.extend_from_slice(&crc32(kind.iter().chain(data)).to_be_bytes());
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pgm() -> Vec<u8> {
        let mut bytes = b"P5\n6 4\n255\n".to_vec();
        bytes.extend((0..24).map(|v| v * 10));
        bytes
    }

    #[test]
    fn a_photograph_becomes_a_png_of_half_the_size() {
        let address = photograph(&pgm()).unwrap();
        let bytes = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert_eq!(&bytes[12..24], b"IHDR\0\0\0\x03\0\0\0\x02");
        assert_eq!(&bytes[bytes.len() - 12..], b"\0\0\0\0IEND\xae\x42\x60\x82", "the end of every PNG, with its known CRC");
    }

    #[test]
    fn what_is_no_photograph_is_left_out() {
        for bytes in [&b""[..], b"P5", b"P5\n6 4\n255\n123", b"P2\n1 1\n255\n0", b"P5\n99999999999999999999 4\n255\n"] {
            assert!(photograph(bytes).is_none() && mosaic(bytes, 4).is_none());
        }
    }

    #[test]
    fn fields_have_one_cell_for_each_value() {
        let svg = field(&[0.0, 0.5, 2.0, -1.0, 1.0], "four <values>");
        assert_eq!(svg.matches("h1v1h-1z").count(), 4, "the fifth does not fill a row");
        assert!(svg.contains("viewBox=\"0 0 2 2\"") && svg.contains("four &lt;values&gt;"));
        let cells = mosaic(&pgm(), 2).unwrap();
        assert_eq!(cells.len(), 4);
        assert!(cells[0] < cells[3]);
    }
}
