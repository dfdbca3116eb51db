//! Which values are no finite numbers, told from the bytes that a file has.
//!
//! A value is NaN or infinite exactly where all bits of its exponent are set. That is asked of every weight that is
//! loaded, so it must cost less than reading it: blocks are passed over that fit a processor's cache, in loops without
//! branches that compilers turn into vector instructions, and only a block that has such a value is counted.

use std::fmt;

use crate::Dtype;

/// Bytes that are looked at together.
const BLOCK: usize = 1 << 14;

/// The values of a tensor that are no finite numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NonFinite {
    /// Values that are no number.
    pub n_nan: u64,
    /// Values that are infinite.
    pub n_infinite: u64,
}

impl NonFinite {
    /// Counts those among little-endian elements; integers are always finite.
    #[must_use]
    pub fn count(dtype: Dtype, bytes: &[u8]) -> Self {
        match dtype {
            Dtype::F64 => count::<8>(bytes, 0x7ff0 << 48, u64::MAX >> 1),
            Dtype::F32 => count::<4>(bytes, 0x7f80 << 16, u64::from(u32::MAX >> 1)),
            Dtype::F16 => count::<2>(bytes, 0x7c00, u64::from(u16::MAX >> 1)),
            Dtype::BF16 => count::<2>(bytes, 0x7f80, u64::from(u16::MAX >> 1)),
            _ => Self::default(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_nan, n_infinite) = (self.n_nan, self.n_infinite);
        write!(f, "{n_nan} NaN and {n_infinite} infinite")
    }
}

/// `exponent` are its bits, `magnitude` all but the sign.
fn count<const WIDTH: usize>(bytes: &[u8], exponent: u64, magnitude: u64) -> NonFinite {
    let mut found = NonFinite::default();
    for block in bytes.chunks(BLOCK) {
        let (values, _) = block.as_chunks::<WIDTH>();
        let any = match WIDTH {
            2 => any(values, |value| {
                let exponent = exponent as u16;
                u16::from_le_bytes([value[0], value[1]]) & exponent == exponent
            }),
            4 => any(values, |value| {
                let exponent = exponent as u32;
                u32::from_le_bytes([value[0], value[1], value[2], value[3]]) & exponent == exponent
            }),
            _ => any(values, |value| wide(value) & exponent == exponent),
        };
        if !any {
            continue;
        }
        for value in values.iter().map(|value| wide(value) & magnitude) {
            if value == exponent {
                found.n_infinite += 1;
            } else if value > exponent {
                found.n_nan += 1;
            }
        }
    }
    found
}

/// Whether one is, without stopping at the first.
fn any<const WIDTH: usize>(values: &[[u8; WIDTH]], is_so: impl Fn(&[u8; WIDTH]) -> bool) -> bool {
    values.iter().fold(false, |any, value| any | is_so(value))
}

fn wide(value: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..value.len()].copy_from_slice(value);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(dtype: Dtype, bytes: &[u8]) -> [u64; 2] {
        let found = NonFinite::count(dtype, bytes);
        assert_eq!(found.is_none(), found.n_nan + found.n_infinite == 0);
        [found.n_nan, found.n_infinite]
    }

    #[test]
    fn values_of_all_types_are_told() {
        let singles = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE / 2.0,
            -0.0,
        ];
        let bytes: Vec<u8> = singles.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(counted(Dtype::F32, &bytes), [2, 3]);
        let doubles = singles.map(f64::from);
        let bytes: Vec<u8> = doubles.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(counted(Dtype::F64, &bytes), [2, 3]);
        // Infinity, its negative, the largest number, a quiet and a signalling NaN; of both types of 16 bits.
        let halves = [0x7c00_u16, 0xfc00, 0x7bff, 0x7e00, 0xfc01];
        let bytes: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(counted(Dtype::F16, &bytes), [2, 2]);
        assert_eq!(counted(Dtype::BF16, &bytes), [0, 0]);
        let halves = [0x7f80_u16, 0xff80, 0x7f7f, 0x7fc0, 0xff81];
        let bytes: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(counted(Dtype::BF16, &bytes), [2, 2]);
        assert_eq!(counted(Dtype::I32, &bytes), [0, 0]);
    }

    #[test]
    fn one_value_is_found_wherever_it_is() {
        let n = BLOCK / 4 * 2 + 3;
        for at in [0, 1, BLOCK / 4 - 1, BLOCK / 4, n - 1] {
            let mut values = vec![1.5_f32; n];
            values[at] = f32::NAN;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(counted(Dtype::F32, &bytes), [1, 0], "{at}");
        }
        assert_eq!(counted(Dtype::F64, &[]), [0, 0]);
    }
}
