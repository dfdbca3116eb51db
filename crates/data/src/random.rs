//! Randomness that is a function of what it is for, never of when it is drawn.
//!
//! Every random choice in candor is addressed by `(seed, purpose, indices)`: the address is hashed to a
//! `ChaCha8` key, and the choice is read from that stream. So the result does not depend on batch
//! composition, on the number of loader threads, or on where a run was interrupted, and nothing has to be
//! saved in a checkpoint to continue exactly.

use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// The generator behind one address.
pub type Stream = rand_chacha::ChaCha8Rng;

/// The stream at `(seed, purpose, indices)`.
///
/// Two addresses that differ in any part are independent. `purpose` is a short, stable name such as
/// `"rollout.sample"`; `indices` are whatever counts the choice: step, sample, position.
#[must_use]
pub fn stream(seed: u64, purpose: &str, indices: &[u64]) -> Stream {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    // The length keeps ("ab", [c..]) and ("a", [b..]) apart.
    hash.update((purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for index in indices {
        hash.update(index.to_le_bytes());
    }
    Stream::from_seed(hash.finalize().into())
}

/// An index for a name, for the address of a choice about what has the name: the first eight bytes of its SHA-256, the lowest
/// first.
#[must_use]
pub fn index(name: &str) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    let bytes = hash[..8].iter().rev();
    bytes.fold(0, |index, &byte| index << 8 | u64::from(byte))
}

/// One uniform number in `[0, 1)` at `(seed, purpose, indices)`, with 53 random bits.
#[must_use]
pub fn uniform(seed: u64, purpose: &str, indices: &[u64]) -> f64 {
    stream(seed, purpose, indices).random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_decides_everything() {
        let first = uniform(1, "a", &[2, 3]);
        assert_eq!(first.to_bits(), uniform(1, "a", &[2, 3]).to_bits());
        for other in [
            uniform(2, "a", &[2, 3]),
            uniform(1, "b", &[2, 3]),
            uniform(1, "a", &[3, 2]),
        ] {
            assert_ne!(first.to_bits(), other.to_bits());
        }
    }

    #[test]
    fn uniforms_fill_the_unit_interval_evenly() {
        let mut counts = [0_u32; 10];
        for i in 0..10_000 {
            let u = uniform(7, "test", &[i]);
            assert!((0.0..1.0).contains(&u));
            counts[(u * 10.0) as usize] += 1;
        }
        // Binomial(10000, 0.1) has a standard deviation of 30; five of them.
        assert!(
            counts.iter().all(|&n| (850..=1150).contains(&n)),
            "{counts:?}"
        );
    }
}
