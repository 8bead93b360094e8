//! Pixels from a camera as a picture that `biometric` reads: a binary PPM, which loses nothing.

use zeroize::Zeroizing;

/// `rgba` holds four bytes for each of `width` x `height` pixels, as a canvas gives them; the alpha is dropped. `None` where the
/// numbers do not fit together.
pub fn to_ppm(rgba: &[u8], width: u32, height: u32) -> Option<Zeroizing<Vec<u8>>> {
    let pixels = u64::from(width).checked_mul(u64::from(height))?;
    if pixels == 0 || pixels.checked_mul(4)? != rgba.len() as u64 {
        return None;
    }
    let mut ppm = Zeroizing::new(format!("P6\n{width} {height}\n255\n").into_bytes());
    ppm.reserve_exact(rgba.len() / 4 * 3);
    for pixel in rgba.as_chunks::<4>().0 {
        let [red, green, blue, _] = pixel;
        ppm.extend_from_slice(&[*red, *green, *blue]);
    }
    Some(ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_dropped_and_wrong_sizes_are_refused() {
        let ppm = to_ppm(&[1, 2, 3, 255, 4, 5, 6, 255], 2, 1).unwrap();
        assert_eq!(ppm.as_slice(), b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06");
        for (bytes, width, height) in [(8, 1, 1), (0, 0, 0), (7, 2, 1), (8, u32::MAX, u32::MAX)] {
            assert!(to_ppm(&vec![0; bytes], width, height).is_none());
        }
    }
}
