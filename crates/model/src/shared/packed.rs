//! Sequences with a common beginning as bytes, for sets that are larger than the memory: 4 bytes a token, and 12 for all tokens of an
//! image. These bytes are read by the process that wrote them, and are no format of files.

use candor_data::rows::packing::{add, add_ids, ids, number};

use super::SharedPrefix;
use crate::token_runs::TokenRuns;

impl SharedPrefix {
    /// Adds them to a row's bytes, without the names of images.
    pub fn pack(&self, bytes: &mut Vec<u8>) {
        self.prefix.pack(bytes);
        add(bytes, self.branches.len() as u32);
        for (branch, read) in self.branches.iter().zip(&self.read) {
            add_ids(bytes, branch);
            add(bytes, read.start as u32);
            add(bytes, read.end as u32);
        }
    }

    /// The next ones as [`SharedPrefix::pack`] adds them, which `rest` begins after, about an image; none where the bytes are no such
    /// ones.
    pub fn unpack(rest: &mut &[u8], image: Option<&str>) -> Option<Self> {
        let prefix = TokenRuns::unpack(rest)?;
        let (mut branches, mut read) = (Vec::new(), Vec::new());
        for _ in 0..number(rest)? {
            let branch = ids(rest)?;
            let span = number(rest)? as usize..number(rest)? as usize;
            if span.is_empty() || span.end > branch.len() {
                return None;
            }
            branches.push(branch);
            read.push(span);
        }
        Some(Self {
            prefix,
            branches,
            read,
            image: image.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_is_what_was_packed_and_what_is_cut_off_is_refused() {
        let shared = SharedPrefix {
            prefix: vec![1, 7, 7, 7, 5].into(),
            branches: vec![vec![2, 3, 3], vec![4]],
            read: vec![1..3, 0..1],
            image: Some("a.png".to_owned()),
        };
        let mut bytes = Vec::new();
        shared.pack(&mut bytes);
        // Three runs and how many; two branches and how many, with their lengths and spans.
        assert_eq!(bytes.len(), 4 + 4 + 12 + 4 + 4 + (4 + 12 + 8) + (4 + 4 + 8));
        let unpack = |mut bytes: &[u8]| SharedPrefix::unpack(&mut bytes, Some("a.png"));
        assert_eq!(unpack(&bytes), Some(shared));
        for n in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..n]), None, "{n}");
        }
        // The last branch is read where it has no token.
        let end = bytes.len() - 4;
        bytes[end] = 2;
        assert_eq!(unpack(&bytes), None);
    }
}
