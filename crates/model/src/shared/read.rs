//! Which final hidden states of a shared batch are wanted.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::SharedPrefix;

/// What a batch is read at.
#[derive(Debug)]
pub(super) enum Read {
    /// The last token of each branch, and nothing else.
    Last,
    /// Some tokens of each branch, added up.
    Sums(Spans),
    /// Tokens each by itself: their indices among all tokens, `[n_read]` i64.
    Each(Tensor),
}

/// Where the tokens of a batch stand in its flat row: prefixes of one length, then branches of one length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Items.
    pub n_items: usize,
    /// Tokens of a prefix, pads included.
    pub len_prefix: usize,
    /// Tokens of a branch, pads included.
    pub len_branch: usize,
}

impl Layout {
    /// The place of a token of the `row`-th branch, of all items' branches.
    pub(super) fn of_branch(self, row: usize, at: usize) -> i64 {
        (self.n_items * self.len_prefix + row * self.len_branch + at) as i64
    }

    /// The place of a token of an item's prefix.
    pub(super) fn of_prefix(self, item: usize, at: usize) -> i64 {
        (item * self.len_prefix + at) as i64
    }
}

/// The tokens that each branch is read at.
#[derive(Debug)]
pub(super) struct Spans {
    /// Their indices among all tokens, one branch's after another's, `[n_read]` i64.
    tokens: Tensor,
    /// The branch of each, `[n_read]` i64.
    branch: Tensor,
    n_branches: i64,
}

/// Every branch with the range that it is read at, item by item.
///
/// # Panics
/// A branch has no range, or an empty one, or one that is not its own.
pub(super) fn branches<'a>(items: &[&'a SharedPrefix]) -> Vec<(&'a [i64], Range<usize>)> {
    let of = |item: &&'a SharedPrefix| {
        assert!(
            item.branches.len() == item.read.len(),
            "a branch is read at some of its own tokens"
        );
        let both = item.branches.iter().zip(&item.read);
        both.map(|(branch, read)| (branch.as_slice(), read.clone()))
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = items.iter().flat_map(of).collect();
    assert!(
        all.iter()
            .all(|(branch, read)| read.start < read.end && read.end <= branch.len()),
        "a branch is read at some of its own tokens"
    );
    all
}

impl Read {
    /// As the items say.
    pub(super) fn of(items: &[&SharedPrefix], layout: Layout, device: Device) -> Self {
        let branches = branches(items);
        let last =
            |(branch, read): &(&[i64], Range<usize>)| *read == (branch.len() - 1..branch.len());
        if branches.iter().all(last) {
            return Self::Last;
        }
        let (mut tokens, mut of) = (Vec::new(), Vec::new());
        for (row, (_, read)) in branches.iter().enumerate() {
            of.extend(std::iter::repeat_n(row as i64, read.len()));
            tokens.extend(read.clone().map(|at| layout.of_branch(row, at)));
        }
        Self::Sums(Spans {
            tokens: Tensor::from_slice(&tokens).to_device(device),
            branch: Tensor::from_slice(&of).to_device(device),
            n_branches: branches.len() as i64,
        })
    }

    /// The tokens that are read, out of what the last block gave.
    ///
    /// # Shapes
    /// `x`: `[n_tokens, width]`, or `[n_branches, width]` where the last tokens alone are read → `[n_read, width]`.
    pub(super) fn pick(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Last => x.shallow_clone(),
            Self::Sums(spans) => x.index_select(0, &spans.tokens),
            Self::Each(tokens) => x.index_select(0, tokens),
        }
    }

    /// What is given of them, after the final norm.
    ///
    /// # Shapes
    /// `hidden`: `[n_read, width]` → `[n_branches, width]`, or the same where tokens are read each by itself.
    pub(super) fn pooled(&self, hidden: &Tensor) -> Tensor {
        match self {
            Self::Last | Self::Each(_) => hidden.shallow_clone(),
            Self::Sums(spans) => spans.sums(hidden),
        }
    }
}

impl Spans {
    /// The sums, taken in f32.
    ///
    /// # Shapes
    /// `hidden`: `[n_read, width]` → `[n_branches, width]`.
    fn sums(&self, hidden: &Tensor) -> Tensor {
        let size = [self.n_branches, hidden.size()[1]];
        Tensor::zeros(size, (Kind::Float, hidden.device())).index_add(
            0,
            &self.branch,
            &hidden.to_kind(Kind::Float),
        )
    }
}
