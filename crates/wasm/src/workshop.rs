//! What the guided tour shows: a template as numbers, and what becomes of numbers that are shared.

use mpc::sharing::{SplitRandomness, split};
use serde_json::{Value, json};

/// Numbers, and the three components that sum to them: each by itself is noise. The low byte of each number is told, because that is
/// what can be shown as a shade of grey; a component's low bytes are as uniformly random as its words.
pub fn shares(values: &[u32], random: &[u8; SplitRandomness::BYTES]) -> Value {
    let parts = split(values, &SplitRandomness::from_bytes(random)).components(values.len());
    let low = |values: &[u32]| values.iter().map(|value| value & 0xff).collect::<Vec<u32>>();
    let [one, two, three] = parts.each_ref().map(|values| low(values));
    json!({ "values": low(values), "shares": [one, two, three] })
}

/// The coordinates of a template as signed numbers.
pub fn coordinates(values: &[u32]) -> Vec<i32> {
    values.iter().map(|value| value.cast_signed()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_grey_pictures_sum_to_the_original() {
        let values: Vec<u32> = (0..300).map(|i: u32| i.wrapping_mul(2_654_435_761)).collect();
        let shown = shares(&values, &[7; 160]);
        let list = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>();
        let (whole, parts) = (list(&shown["values"]), [0, 1, 2].map(|i: usize| list(&shown["shares"][i])));
        for (at, value) in whole.iter().enumerate() {
            assert_eq!(parts.iter().map(|part| part[at]).sum::<u64>() % 256, *value);
        }
        assert!(parts.iter().all(|part| *part != whole));
    }

    #[test]
    fn coordinates_are_signed() {
        assert_eq!(coordinates(&[5, u32::MAX]), [5, -1]);
    }
}
