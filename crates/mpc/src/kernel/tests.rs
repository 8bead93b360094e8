//! Every kernel against a scalar reference, bit for bit.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

/// How the words of a case are made.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    Constant(u16),
}

struct Case {
    gallery: Gallery,
    records: Vec<Vec<u16>>,
    probes: Probes,
    rows: Vec<Vec<u16>>,
}

impl Case {
    fn new(record_len: usize, records: usize, rows: usize, fill: Fill) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64((record_len * 1_000_003 + records * 1_009 + rows) as u64);
        let mut vectors = |count: usize| -> Vec<Vec<u16>> {
            (0..count).map(|_| (0..record_len).map(|_| word(fill, &mut rng)).collect()).collect()
        };
        let (records, rows) = (vectors(records), vectors(rows));
        let mut gallery = Gallery::new(record_len);
        for record in &records {
            gallery.push(record);
        }
        let probes = Probes::new(record_len, &rows.concat());
        Self { gallery, records, probes, rows }
    }

    fn mask(&mut self, slot: usize) {
        self.gallery.mask(u32::try_from(slot).unwrap());
        self.records[slot].fill(0);
    }

    /// Every kernel on a range of slots, against the reference.
    fn check(&self, slots: Range<usize>) {
        let expected = self.reference(slots.clone());
        for kernel in Kernel::available() {
            let mut out = vec![0xdead; expected.len()];
            inner_products_with(kernel, &self.gallery, slots.clone(), &self.probes, &mut out);
            let shape = (self.gallery.record_len(), self.records.len(), self.rows.len());
            if let Some(at) = (0..out.len()).find(|&at| out[at] != expected[at]) {
                panic!(
                    "{}: {shape:?}, slots {slots:?}: row {}, column {} is {:#x}, not {:#x}",
                    kernel.name(),
                    at / slots.len(),
                    at % slots.len(),
                    out[at],
                    expected[at]
                );
            }
        }
    }

    fn reference(&self, slots: Range<usize>) -> Vec<u16> {
        let records = &self.records[slots];
        self.rows.iter().flat_map(|row| records.iter().map(|record| scalar(row, record))).collect()
    }
}

fn word(fill: Fill, rng: &mut ChaCha8Rng) -> u16 {
    match fill {
        Fill::Random => (rng.next_u32() & 0xffff) as u16,
        Fill::Constant(word) => word,
    }
}

fn scalar(row: &[u16], record: &[u16]) -> u16 {
    row.iter().zip(record).fold(0, |sum, (x, y)| x.wrapping_mul(*y).wrapping_add(sum))
}

const RECORDS: [usize; 9] = [1, 15, 16, 17, 31, 63, 64, 65, 500];
const LENGTHS: [usize; 7] = [2, 62, 64, 66, 128, 512, 742];
const ROWS: [usize; 9] = [1, 2, 7, 15, 16, 17, 31, 33, 496];

/// Small enough for Miri, which checks every access of the kernels that it can run.
#[test]
fn odd_shapes() {
    for rows in [1, 5, 13] {
        let mut case = Case::new(66, 67, rows, Fill::Random);
        case.mask(33);
        case.check(0..67);
        case.check(64..66);
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn every_number_of_records_and_rows() {
    for records in RECORDS {
        for rows in ROWS {
            Case::new(66, records, rows, Fill::Random).check(0..records);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn every_number_of_rows_up_to_fifty() {
    for rows in 0..50 {
        Case::new(130, 33, rows, Fill::Random).check(0..33);
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn every_length_and_number_of_rows() {
    for record_len in LENGTHS {
        for rows in ROWS {
            Case::new(record_len, 65, rows, Fill::Random).check(0..65);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn extreme_words() {
    for word in [0xffff, 0x8000, 0, 0x00ff, 0xff00, 0x7fff] {
        for record_len in [2, 66, 742] {
            for rows in [1, 7, 33] {
                Case::new(record_len, 65, rows, Fill::Constant(word)).check(0..65);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn iris_length() {
    for (records, rows) in [(1, 1), (65, 31), (17, 496)] {
        Case::new(19_200, records, rows, Fill::Random).check(0..records);
    }
    for word in [0xffff, 0x8000] {
        Case::new(19_200, 17, 17, Fill::Constant(word)).check(0..17);
    }
}

/// More than one block of memory and more than one block of pairs, with probes too many for the second-level cache.
#[test]
#[cfg_attr(miri, ignore = "slow")]
fn several_blocks() {
    Case::new(9_000, 600, 70, Fill::Random).check(0..600);
    Case::new(2, 70_000, 2, Fill::Random).check(0..70_000);
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn parts_of_a_gallery() {
    for rows in [1, 17, 33] {
        let case = Case::new(130, 500, rows, Fill::Random);
        for slots in [0..1, 0..64, 64..65, 64..500, 448..499, 128..128, 192..230] {
            case.check(slots);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn masked_records_give_zero() {
    let mut case = Case::new(512, 70, 9, Fill::Random);
    for slot in [0, 15, 16, 33, 69] {
        case.mask(slot);
    }
    case.check(0..70);
}

#[test]
fn empty_probes_and_galleries() {
    Case::new(64, 0, 3, Fill::Random).check(0..0);
    Case::new(64, 3, 0, Fill::Random).check(0..3);
    Case::new(0, 3, 0, Fill::Random).check(0..3);
}

#[test]
fn kernels_are_chosen_by_name() {
    for kernel in Kernel::available() {
        assert_eq!(select(Some(kernel.name())), Ok(kernel));
    }
    let error = select(Some("abacus")).unwrap_err();
    assert!(error.to_string().contains("\"abacus\"") && error.to_string().contains("portable"));
    assert_eq!(select(None), Ok(Kernel::detect()));
    assert_eq!(selected(), Kernel::detect());
}
