//! Sets weights below 1e-20 in magnitude to zero, in the bytes of an ONNX file.
//!
//! An ONNX file is a protocol-buffer message; only the path `ModelProto.graph` (7) `.initializer` (5) `TensorProto` with
//! `data_type` (2) = FLOAT and `raw_data` (9) matters here, and numbers are overwritten in place, so no length changes.
//! Anything not understood is left alone: the runtime that parses the file afterwards judges it.

use std::ops::Range;

const LEAST: f32 = 1e-20;

/// Clears the denormal weights. Returns how many were set to zero.
pub(super) fn clear(model: &mut [u8]) -> usize {
    let mut cleared = 0;
    for tensor in float_tensors(model) {
        let Some(data) = model.get_mut(tensor) else { continue };
        let (numbers, _) = data.as_chunks_mut::<4>();
        for number in numbers {
            let value = f32::from_le_bytes(*number);
            if value != 0.0 && value.abs() < LEAST {
                *number = [0; 4];
                cleared += 1;
            }
        }
    }
    cleared
}

/// Where the raw data of the float tensors lies.
fn float_tensors(model: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for graph in messages(model, 0..model.len(), 7) {
        for tensor in messages(model, graph, 5) {
            let fields: Vec<Field> = Fields { bytes: model, at: tensor.start, end: tensor.end }.collect();
            let is_float = fields.iter().any(|f| f.number == 2 && matches!(f.value, Value::Number(1)));
            found.extend(fields.into_iter().filter(|f| is_float && f.number == 9).filter_map(|f| match f.value {
                Value::Bytes(range) => Some(range),
                Value::Number(_) => None,
            }));
        }
    }
    found
}

/// The embedded messages or byte strings of one field.
fn messages(bytes: &[u8], within: Range<usize>, number: u64) -> Vec<Range<usize>> {
    let fields = Fields { bytes, at: within.start, end: within.end };
    fields
        .filter(|field| field.number == number)
        .filter_map(|field| match field.value {
            Value::Bytes(range) => Some(range),
            Value::Number(_) => None,
        })
        .collect()
}

struct Field {
    number: u64,
    value: Value,
}

enum Value {
    Number(u64),
    Bytes(Range<usize>),
}

/// The fields of one message; stops at the first thing that is none.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).filter(|_| self.at < self.end)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.at;
        self.at = start.checked_add(length).filter(|&end| end <= self.end)?;
        Some(start..self.at)
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        if self.at >= self.end {
            return None;
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.skip(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.skip(length)?)
            }
            5 => Value::Bytes(self.skip(4)?),
            _ => return None,
        };
        Some(Field { number: tag >> 3, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[number << 3 | 2, length][..], payload].concat()
    }

    fn model(data_type: u8, values: &[f32]) -> Vec<u8> {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = [vec![2 << 3, data_type], field(9, &raw)].concat();
        // A version number before the graph, a name inside it.
        [vec![1 << 3, 6], field(7, &[field(2, b"graph"), field(5, &tensor)].concat())].concat()
    }

    #[test]
    fn only_tiny_weights_of_float_tensors_change() {
        let mut bytes = model(1, &[1.0, 1e-21, -1e-38, 0.0, -2e-20, 1e-45]);
        assert_eq!(clear(&mut bytes), 3);
        assert_eq!(bytes, model(1, &[1.0, 0.0, 0.0, 0.0, -2e-20, 0.0]));
        let mut integers = model(7, &[1.0, 1e-21]);
        assert_eq!(clear(&mut integers), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            clear(&mut bytes);
            let mut graph = field(7, bytes.get(..120.min(bytes.len())).unwrap());
            clear(&mut graph);
        }
    }
}
