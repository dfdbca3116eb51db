//! Sequences that begin alike and share the computation of their common beginning, with gradients.
//!
//! The two answers of a comparison follow the same prompt, whose image alone is hundreds of tokens. The
//! reference runs the prompt once for each answer. Here a [`SharedPrefix`] is one prefix with several branches:
//! norms, linear layers and adapters see every token once, in one flat row of all prefixes followed by all
//! branches, and attention alone knows the split: prefixes read themselves, branches read their prefix and
//! themselves. The numbers are those of the sequences run one by one, gradients included.
//!
//! Prefixes and branches are both padded on the right. A pad is then later than every token of its own part,
//! so that causal attention hides it without a mask; branches need a mask anyway, because libtorch aligns
//! causal attention of fewer queries than keys to the first key. A branch's positions go on where its prefix
//! really ends.
//!
//! What comes out is one vector for each branch: the final hidden state of its last token, or the sum over a span of
//! its tokens; or, of [`SharedTargets`], the log-probability of each of a span's tokens.

mod packed;
mod read;
mod targets;

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use self::read::{Layout, Read};
pub use self::targets::SharedTargets;
use crate::ModelError;
use crate::llama::attention::{Visible, attend};
use crate::positions::Axial;
use crate::token_runs::TokenRuns;
use crate::transfer::together;

/// Sequences with a common beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedPrefix {
    /// Token ids that all sequences begin with, every image placeholder among them; never empty.
    pub prefix: TokenRuns,
    /// What follows in each sequence; never empty.
    pub branches: Vec<Vec<i64>>,
    /// The tokens of each branch that it is read at; never empty. Of several, the final hidden states are added up.
    pub read: Vec<Range<usize>>,
    /// The images, where there are any ([`candor_data::shown`]).
    pub image: Option<String>,
}

/// A whole sequence, and the tokens that it is read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAt<'a> {
    /// Token ids.
    pub ids: &'a [i64],
    /// Which of them; never empty.
    pub read: Range<usize>,
}

impl<'a> ReadAt<'a> {
    /// A sequence that is read at its last token.
    #[must_use]
    pub fn last(ids: &'a [i64]) -> Self {
        Self {
            ids,
            read: ids.len().saturating_sub(1)..ids.len(),
        }
    }
}

impl SharedPrefix {
    /// Splits sequences after their longest common beginning, leaving all tokens that are read to the branches.
    ///
    /// `id` is what an error calls them.
    ///
    /// # Errors
    /// There is no sequence, or there is nothing to share: sequences that do not even begin with the same token
    /// (every template's begin with `<s>`), or one that is read from its first token on.
    pub fn of(
        id: &str,
        sequences: &[ReadAt<'_>],
        image: Option<String>,
    ) -> Result<Self, ModelError> {
        let refuse = |problem: &str| ModelError::Prompt {
            sample: id.to_owned(),
            problem: problem.to_owned(),
            remedy: "render all sequences of a row with one template, so that they begin with the same `<s>`",
        };
        let Some((first, rest)) = sequences.split_first() else {
            return Err(refuse("there is no sequence"));
        };
        let alike = |other: &ReadAt<'_>| {
            let both = first.ids.iter().zip(other.ids);
            both.take_while(|(a, b)| a == b).count()
        };
        let common = rest.iter().map(alike).min().unwrap_or(first.ids.len());
        let unread = sequences.iter().map(|s| s.read.start).min().unwrap_or(0);
        let len = common.min(unread);
        if len == 0 {
            return Err(refuse(
                "the sequences have no common beginning with something after it",
            ));
        }
        Ok(Self {
            prefix: TokenRuns::of(&first.ids[..len]),
            branches: sequences.iter().map(|s| s.ids[len..].to_vec()).collect(),
            read: sequences
                .iter()
                .map(|s| s.read.start - len..s.read.end - len)
                .collect(),
            image,
        })
    }

    /// Tokens of the sequences as if nothing were shared: the prefix counts once for each branch.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        let branches: usize = self.branches.iter().map(Vec::len).sum();
        self.prefix.len() * self.branches.len() + branches
    }
}

/// Items of one pass.
///
/// Its tokens are, in this order, the prefixes `[n_items, len_prefix]` and the branches
/// `[n_items · n_branches, len_branch]`, flat: `n_tokens` of them, pads included.
#[derive(Debug)]
pub struct SharedBatch {
    /// `[n_items, len_prefix]` i64.
    prefixes: Tensor,
    /// `[n_items · n_branches, len_branch]` i64, the branches of one item beside each other.
    branches: Tensor,
    n_branches: i64,
    /// `[1, n_tokens]` i64: the place of each token in its own sequence.
    positions: Tensor,
    /// Index of the last real token of each branch among all tokens, `[n_items · n_branches]` i64.
    last: Tensor,
    read: Read,
    /// What the tokens of a branch may read of `[len_prefix + len_branch]`,
    /// `[n_items · n_branches or 1, 1, len_branch, len_prefix + len_branch]` bool.
    readable: Tensor,
    /// The same for the last token of each branch, `[n_items · n_branches, 1, 1, len_prefix + len_branch]`.
    readable_from_last: Tensor,
}

impl SharedBatch {
    /// Pads items to the longest of them; `pad` is any id but the image placeholder.
    ///
    /// # Panics
    /// There are no items, they differ in their number of branches, a prefix or branch is empty, or a branch is
    /// read outside itself or nowhere ([`SharedPrefix::of`] makes none that is).
    #[must_use]
    pub fn new(items: &[&SharedPrefix], pad: i64, device: Device) -> Self {
        Self::reading(items, pad, device, |layout| Read::of(items, layout, device))
    }

    /// The same, read at what `read` says.
    fn reading(
        items: &[&SharedPrefix],
        pad: i64,
        device: Device,
        read: impl FnOnce(Layout) -> Read,
    ) -> Self {
        let k = items.first().map_or(0, |item| item.branches.len());
        assert!(
            k > 0 && items.iter().all(|item| item.branches.len() == k),
            "items of one batch have the same number of branches, at least one"
        );
        let prefixes: Vec<Vec<i64>> = items.iter().map(|item| item.prefix.to_vec()).collect();
        let prefixes = prefixes.iter().map(Vec::as_slice);
        let branches = items
            .iter()
            .flat_map(|i| i.branches.iter().map(Vec::as_slice));
        let (prefix_ids, prefix_lens) = padded(prefixes, pad);
        let (branch_ids, branch_lens) = padded(branches, pad);
        let (n, p) = prefix_ids.size2().expect("a matrix");
        let (rows, s) = branch_ids.size2().expect("a matrix");
        let options = (Kind::Int64, Device::Cpu);

        let before = prefix_lens.repeat_interleave_self_int(k as i64, 0, rows);
        let columns = |len: i64| Tensor::arange(len, options).unsqueeze(0);
        let positions = Tensor::cat(
            &[
                columns(p).expand([n, p], false).flatten(0, 1),
                (columns(s) + before.unsqueeze(1)).flatten(0, 1),
            ],
            0,
        );
        let own_last = &branch_lens - 1;
        let last = Tensor::arange(rows, options) * s + n * p + &own_last;
        let read = read(Layout {
            n_items: n as usize,
            len_prefix: p as usize,
            len_branch: s as usize,
        });

        // Where no prefix is padded, one mask serves all rows.
        let padded = prefix_lens.ne(p).any().int64_value(&[]) != 0;
        let own_lens = if padded {
            before.shallow_clone()
        } else {
            before.narrow(0, 0, 1)
        };
        let keys = columns(p + s).reshape([1, 1, 1, p + s]);
        let readable = |lens: &Tensor, up_to: &Tensor| {
            let prefix = keys.lt_tensor(&lens.reshape([-1, 1, 1, 1]));
            let own = keys.ge(p).logical_and(&keys.le_tensor(&(up_to + p)));
            prefix.logical_or(&own)
        };
        let [
            prefixes,
            branches,
            positions,
            last,
            readable,
            readable_from_last,
        ] = together(
            [
                prefix_ids,
                branch_ids,
                positions.unsqueeze(0),
                last,
                readable(&own_lens, &columns(s).reshape([1, 1, s, 1])),
                readable(&before, &own_last.reshape([rows, 1, 1, 1])),
            ],
            device,
        );
        Self {
            prefixes,
            branches,
            n_branches: k as i64,
            positions,
            last,
            read,
            readable,
            readable_from_last,
        }
    }

    /// Tokens that a pass computes, pads included.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.positions.numel()
    }

    pub(crate) fn prefixes(&self) -> &Tensor {
        &self.prefixes
    }

    pub(crate) fn branches(&self) -> &Tensor {
        &self.branches
    }

    pub(crate) fn positions(&self) -> &Tensor {
        &self.positions
    }

    /// The same where prefixes hold images with rows and columns: branches go on after them.
    ///
    /// # Shapes
    /// → `[3, 1, n_tokens]` i64.
    pub(crate) fn axial_positions(&self, prefixes: &Axial) -> Tensor {
        let n_of_prefixes = self.prefixes.numel() as i64;
        let n_of_branches = self.branches.numel() as i64;
        let (rows, len) = self.branches.size2().expect("a matrix");
        let delta = prefixes
            .delta
            .repeat_interleave_self_int(self.n_branches, 0, rows);
        let plain = self.positions.narrow(1, n_of_prefixes, n_of_branches);
        let branches = (plain.reshape([rows, len]) + delta).reshape([1, 1, -1]);
        let prefixes = prefixes.positions.flatten(1, 2).unsqueeze(1);
        Tensor::cat(&[prefixes, branches.expand([3, 1, -1], false)], 2)
    }

    pub(crate) fn last(&self) -> &Tensor {
        &self.last
    }

    /// Whether nothing but each branch's last token is read.
    pub(crate) fn reads_last_alone(&self) -> bool {
        matches!(self.read, Read::Last)
    }

    /// The tokens that are read, out of what the last block gave.
    ///
    /// # Shapes
    /// `x`: `[1, n_tokens, width]`, or `[1, n_branches, width]` where the last tokens alone are read →
    /// `[n_read, width]`.
    pub(crate) fn read(&self, x: &Tensor) -> Tensor {
        self.read.pick(&x.squeeze_dim(0))
    }

    /// One vector for each branch, or for each token that is read by itself.
    ///
    /// # Shapes
    /// `hidden`: `[n_read, width]` → `[n_items · n_branches or n_read, width]`.
    pub(crate) fn pooled(&self, hidden: &Tensor) -> Tensor {
        self.read.pooled(hidden)
    }

    /// Attention of all tokens.
    ///
    /// # Shapes
    /// `query`: `[1, heads, n_tokens, head_dim]`; `key`, `value`: `[1, kv_heads, n_tokens, head_dim]` →
    /// `[1, n_tokens, heads, head_dim]`.
    pub(crate) fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let [from_prefix, from_branch] = self.split(query);
        let ([prefix_key, branch_key], [prefix_value, branch_value]) =
            (self.split(key), self.split(value));
        let in_prefix = attend(&from_prefix, &prefix_key, &prefix_value, Visible::Causal);
        let in_branch = attend(
            &from_branch,
            &self.join(&prefix_key, &branch_key),
            &self.join(&prefix_value, &branch_value),
            Visible::Mask(&self.readable),
        );
        let flat = |x: Tensor| x.transpose(1, 2).flatten(0, 1);
        Tensor::cat(&[flat(in_prefix), flat(in_branch)], 0).unsqueeze(0)
    }

    /// Attention of the last token of each branch.
    ///
    /// # Shapes
    /// `query`: `[1, heads, n_items · n_branches, head_dim]`; `key`, `value`:
    /// `[1, kv_heads, n_tokens, head_dim]` → `[1, n_items · n_branches, heads, head_dim]`.
    pub(crate) fn attend_from_last(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let joined = |x: &Tensor| {
            let [prefix, branch] = self.split(x);
            self.join(&prefix, &branch)
        };
        let visible = Visible::Mask(&self.readable_from_last);
        let mixed = attend(
            &query.transpose(0, 2),
            &joined(key),
            &joined(value),
            visible,
        );
        mixed.squeeze_dim(2).unsqueeze(0)
    }

    /// Prefix rows and branch rows of a tensor over all tokens.
    ///
    /// # Shapes
    /// `[1, heads, n_tokens, head_dim]` → `[n_items, heads, len_prefix, head_dim]` and
    /// `[n_items · n_branches, heads, len_branch, head_dim]`.
    fn split(&self, x: &Tensor) -> [Tensor; 2] {
        let mut start = 0;
        [&self.prefixes, &self.branches].map(|ids| {
            let (rows, len) = ids.size2().expect("a matrix");
            let part = x.narrow(2, start, rows * len);
            start += rows * len;
            part.squeeze_dim(0)
                .unflatten(1, [rows, len])
                .transpose(0, 1)
        })
    }

    /// Puts each item's prefix before each of its branches.
    ///
    /// # Shapes
    /// `[n_items, heads, len_prefix, head_dim]`, `[n_items · n_branches, heads, len_branch, head_dim]` →
    /// `[n_items · n_branches, heads, len_prefix + len_branch, head_dim]`.
    fn join(&self, prefix: &Tensor, branch: &Tensor) -> Tensor {
        let n = prefix.size()[0];
        let branch = branch.unflatten(0, [n, self.n_branches]);
        let repeated = prefix
            .unsqueeze(1)
            .expand([-1, self.n_branches, -1, -1, -1], false);
        Tensor::cat(&[repeated, branch], 3).flatten(0, 1)
    }
}

/// Rows padded on the right to the longest, `[rows, len]` i64, and their lengths, `[rows]` i64.
fn padded<'a>(rows: impl Iterator<Item = &'a [i64]> + Clone, pad: i64) -> (Tensor, Tensor) {
    let lens: Vec<i64> = rows.clone().map(|row| row.len() as i64).collect();
    assert!(
        lens.iter().all(|&len| len > 0),
        "no prefix or branch is empty"
    );
    let len = lens.iter().copied().max().unwrap_or(0);
    let filled = |row: &'a [i64]| {
        let pads = std::iter::repeat_n(pad, len as usize - row.len());
        row.iter().copied().chain(pads)
    };
    let ids: Vec<i64> = rows.flat_map(filled).collect();
    (
        Tensor::from_slice(&ids).reshape([lens.len() as i64, len]),
        Tensor::from_slice(&lens),
    )
}
