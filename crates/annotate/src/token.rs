//! Names that cannot be guessed, and how the database remembers those that open doors.

use candor_data::sha256;
use rand::TryRng as _;
use rand::rngs::SysRng;

/// 256 random bits from the operating system, in hexadecimal.
///
/// # Panics
/// When the operating system has no randomness to give; nothing could be served safely then.
pub(crate) fn secret() -> String {
    let mut bytes = [0_u8; 32];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gives random bytes");
    hex(&bytes)
}

/// What is stored of a secret: whoever reads the database cannot use it, and looking one up by its hash takes the
/// same time for every wrong guess.
pub(crate) fn hashed(secret: &str) -> String {
    sha256::of(secret)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_sha256sum_does() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hashed("abc"), expected);
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, two) = (secret(), secret());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }
}
