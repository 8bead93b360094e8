//! Reads tables of numbers in NumPy's `.npy` format, versions 1 to 3, with nothing executed and nothing guessed.
//!
//! Specification: NumPy's `numpy.lib.format`. **In scope**: one- and two-dimensional little-endian arrays of `float16`,
//! `float32`, `float64`, `uint8` and `int8` in C order. **Out of scope**: everything else the format allows (pickled objects,
//! Fortran order, big-endian numbers), which is refused with what to do.

use types::limits;
use zeroize::Zeroizing;

use crate::Error;

/// Types of numbers that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberType {
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Unsigned bytes.
    U8,
    /// Signed bytes.
    I8,
}

impl NumberType {
    fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::U8 | Self::I8 => 1,
        }
    }
}

/// A table over borrowed bytes; rows are decoded when asked for.
#[derive(Clone, Copy)]
pub struct Npy<'a> {
    number: NumberType,
    rows: usize,
    columns: usize,
    data: &'a [u8],
}

impl std::fmt::Debug for Npy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Npy({:?}, {} x {}, <redacted>)", self.number, self.rows, self.columns)
    }
}

impl<'a> Npy<'a> {
    /// Reads the header and checks that the file is exactly as long as it says. A one-dimensional array is one row.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above [`limits::TEMPLATE_FILE_BYTES`], [`Error::Npy`] with what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > limits::TEMPLATE_FILE_BYTES {
            return Err(Error::TooLarge { what: "the .npy file", got: bytes.len(), limit: limits::TEMPLATE_FILE_BYTES });
        }
        let (header, data) = split(bytes)?;
        let header = Header::parse(header)?;
        let wanted = header.rows.checked_mul(header.columns).and_then(|n| n.checked_mul(header.number.bytes()));
        match wanted {
            Some(wanted) if wanted == data.len() => {}
            Some(wanted) if wanted > data.len() => return Err(Error::Npy("it ends before its last row; copy it again")),
            _ => return Err(Error::Npy("its length does not fit the shape in its header; write it again with numpy.save")),
        }
        Ok(Self { number: header.number, rows: header.rows, columns: header.columns, data })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Numbers in each row.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// Type of the numbers.
    pub fn number_type(&self) -> NumberType {
        self.number
    }

    /// The numbers of one row (wiped when dropped); `None` beyond the last. NaN and infinities are passed on.
    pub fn row(&self, row: usize) -> Option<Zeroizing<Vec<f64>>> {
        let number = self.number;
        let decode = |bytes: &[u8]| number.decode(bytes);
        Some(Zeroizing::new(self.row_bytes(row)?.chunks_exact(number.bytes()).map(decode).collect()))
    }

    /// The bytes of one row as they stand in the file: for packed codes of type `uint8`.
    pub fn row_bytes(&self, row: usize) -> Option<&'a [u8]> {
        if row >= self.rows {
            return None;
        }
        let length = self.columns * self.number.bytes();
        self.data.get(row * length..(row + 1) * length)
    }
}

/// Checks magic string and version, and splits header text from data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Error> {
    const NOT_NPY: Error = Error::Npy("it does not begin like one; write it with numpy.save");
    const CUT: Error = Error::Npy("it ends inside its header; copy it again");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or(NOT_NPY)?;
    let (&[major, _minor], rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk::<2>().map(|(n, rest)| (usize::from(u16::from_le_bytes(*n)), rest)).ok_or(CUT)?,
        2 | 3 => rest.split_first_chunk::<4>().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest)).ok_or(CUT)?,
        _ => return Err(Error::Npy("its format version is unknown; write it with numpy.save")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or(CUT)?;
    Ok((std::str::from_utf8(header).map_err(|_| NOT_NPY)?, data))
}

struct Header {
    number: NumberType,
    rows: usize,
    columns: usize,
}

impl Header {
    /// Reads the Python dictionary `{'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self, Error> {
        const BAD: Error = Error::Npy("its header is not as numpy.save writes it");
        let number = match field(text, "descr").ok_or(BAD)?.trim_matches(['\'', '"']) {
            "<f2" => NumberType::F16,
            "<f4" => NumberType::F32,
            "<f8" => NumberType::F64,
            "|u1" | "<u1" => NumberType::U8,
            "|i1" | "<i1" => NumberType::I8,
            _ => {
                return Err(Error::Npy(
                    "its numbers must be float16, float32, float64, uint8 or int8, little-endian; convert it",
                ));
            }
        };
        match field(text, "fortran_order").ok_or(BAD)? {
            "False" => {}
            _ => return Err(Error::Npy("its columns are stored first; save numpy.ascontiguousarray(a)")),
        }
        let shape = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).ok_or(BAD)?.0;
        let sizes: Result<Vec<usize>, _> =
            shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::parse).collect();
        match sizes.map_err(|_| BAD)?.as_slice() {
            &[columns] if columns > 0 => Ok(Self { number, rows: 1, columns }),
            &[rows, columns] if rows > 0 && columns > 0 => Ok(Self { number, rows, columns }),
            [0] | [_, 0] | [0, _] => Err(Error::Npy("it holds no numbers")),
            _ => Err(Error::Npy("it must have one or two dimensions: one row for each template")),
        }
    }
}

/// The text of one value of the dictionary, up to the next comma or brace.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let after = text.split_once(&format!("'{key}'")).or_else(|| text.split_once(&format!("\"{key}\"")))?.1;
    let value = after.trim_start().strip_prefix(':')?;
    value.split([',', '}']).next().map(str::trim)
}

impl NumberType {
    fn decode(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::F16, &[a, b]) => half(u16::from_le_bytes([a, b])),
            (Self::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Self::U8, &[a]) => f64::from(a),
            (Self::I8, &[a]) => f64::from(a.cast_signed()),
            // Not reached: chunks have the length of the type. NaN is refused by every user of a row.
            _ => f64::NAN,
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes()),
            _ => bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}          \n")
    }

    #[test]
    fn every_type_and_version_is_read() {
        let f32s: Vec<u8> = [1.5f32, -2.0, 0.25, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let f64s: Vec<u8> = [1.5f64, -2.0, 0.25, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let f16s: Vec<u8> = [0x3e00u16, 0xc000, 0x3400, 0x4800].iter().flat_map(|v| v.to_le_bytes()).collect();
        for (descr, data) in [("<f4", &f32s), ("<f8", &f64s), ("<f2", &f16s)] {
            for version in 1..=3 {
                let bytes = file(version, &header(descr, "(2, 2)"), data);
                let npy = Npy::parse(&bytes).unwrap();
                assert_eq!((npy.rows(), npy.columns()), (2, 2));
                assert_eq!(*npy.row(0).unwrap(), [1.5, -2.0]);
                assert_eq!(*npy.row(1).unwrap(), [0.25, 8.0]);
                assert!(npy.row(2).is_none());
            }
        }
        let bytes = file(1, &header("|i1", "(3,)"), &[1, 0xff, 0x80]);
        assert_eq!(*Npy::parse(&bytes).unwrap().row(0).unwrap(), [1.0, -1.0, -128.0]);
        let bytes = file(1, &header("|u1", "(1, 3)"), &[1, 0xff, 0x80]);
        assert_eq!(Npy::parse(&bytes).unwrap().row_bytes(0).unwrap(), [1, 0xff, 0x80]);
        assert_eq!(format!("{:?}", Npy::parse(&bytes).unwrap()), "Npy(U8, 1 x 3, <redacted>)");
    }

    #[test]
    fn half_precision_has_its_corners() {
        assert_eq!(half(0x0001), 2f64.powi(-24));
        assert_eq!(half(0x03ff), 1023.0 * 2f64.powi(-24));
        assert_eq!(half(0x7bff), 65504.0);
        assert_eq!(half(0xfc00), f64::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(half(0x8000), 0.0);
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        let says = |bytes: &[u8], part: &str| {
            let text = Npy::parse(bytes).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        };
        says(b"row,subject", "does not begin like one");
        says(b"\x93NUMPY\x01", "ends inside its header");
        says(b"\x93NUMPY\x01\x00\xff\xff{", "ends inside its header");
        says(b"\x93NUMPY\x09\x00\x00\x00", "version is unknown");
        says(&file(1, &header("<f4", "(2, 2)"), &[0; 15]), "ends before its last row");
        says(&file(1, &header("<f4", "(2, 2)"), &[0; 17]), "does not fit the shape");
        says(&file(1, &header("<f4", "(99999999999, 99999999999)"), &[0; 16]), "does not fit the shape");
        says(&file(1, &header("|O", "(1,)"), &[0; 8]), "must be float16");
        says(&file(1, &header(">f4", "(1,)"), &[0; 4]), "little-endian");
        says(&file(1, &header("<f4", "(2, 2, 2)"), &[0; 32]), "one or two dimensions");
        says(&file(1, &header("<f4", "(0, 2)"), &[]), "no numbers");
        says(&file(1, &header("<f4", "(2, 2)").replace("False", "True"), &[0; 16]), "ascontiguousarray");
        says(&file(1, "{}", &[]), "not as numpy.save writes it");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Npy::parse(&tail);
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend(tail);
            let _ = Npy::parse(&bytes);
        }
    }
}
