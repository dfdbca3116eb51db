//! Teacher-forced passes over queries with responses: log-probabilities by a policy, values by the value model.
//!
//! Both come as `[rows, response]` with column `t` for the `t`-th response token. Logits and values are computed at
//! the token before each response token and nowhere else. The temperature of sampling divides the logits here too:
//! what PPO compares are probabilities of one and the same distribution.

use candor_model::sample::Continuations;
use candor_model::{Adapter, Bundle, Embedded, ImageFeatures, ScalarHead, logprobs};
use candor_run::{Ranks, RunError};
use tch::{Device, Kind, Tensor};

use crate::critic::CriticBase;
use crate::rollout::Rollout;

/// A policy on its base: the trained one or the reference.
#[derive(Debug, Clone, Copy)]
pub struct PolicyReader<'a> {
    /// The base.
    pub bundle: &'a Bundle,
    /// The adapter.
    pub adapter: &'a Adapter,
    /// The images as this base sees them.
    pub features: &'a ImageFeatures,
    /// Logits are divided by it.
    pub temperature: f64,
}

impl PolicyReader<'_> {
    /// Queries and responses as this base reads them.
    #[must_use]
    pub fn rows(&self, rollouts: &[&Rollout<'_>]) -> Continuations {
        let queries: Vec<Vec<i64>> = rollouts.iter().map(|r| r.prompt.query.to_vec()).collect();
        let rows: Vec<(&[i64], &[i64])> = queries
            .iter()
            .zip(rollouts)
            .map(|(query, r)| (&**query, &*r.response.ids))
            .collect();
        Continuations::new(&rows, self.bundle.tokenizer.pad, self.bundle.model.device())
    }

    /// Embedded rows.
    #[must_use]
    pub fn embed(&self, rollouts: &[&Rollout<'_>], rows: &Continuations) -> Embedded {
        embed(self.bundle, self.adapter, self.features, rollouts, rows)
    }

    /// Log-probabilities of the response tokens, and the entropy of the distribution each was drawn from.
    ///
    /// # Shapes
    /// `hidden`: `[rows, len, width]` → `[rows, response]`, 0 at pads; and `[n_tokens]`, nats.
    pub fn logprobs_and_entropy(&self, rows: &Continuations, hidden: &Tensor) -> (Tensor, Tensor) {
        let decoder = self.bundle.model.decoder();
        let logits = decoder.logits(&rows.at_positions(hidden));
        let (chosen, entropy) =
            logprobs::token_logprobs_and_entropy(&logits, &rows.targets, self.temperature);
        (rows.responses.scatter(&chosen), entropy)
    }

    /// Log-probabilities without gradients, of all rollouts, `pass_rows` at a time; the passes are shared out to `ranks`.
    ///
    /// # Shapes
    /// → `[rollouts, width]`, 0 at pads.
    ///
    /// # Errors
    /// Another rank has ended or hangs.
    pub fn logprobs(
        &self,
        rollouts: &[Rollout<'_>],
        pass_rows: usize,
        width: usize,
        ranks: &Ranks,
    ) -> Result<Tensor, RunError> {
        let device = self.bundle.model.device();
        in_batches(rollouts, [pass_rows, width], ranks, device, |some| {
            let rows = self.rows(some);
            let hidden = self
                .bundle
                .model
                .hidden(&self.embed(some, &rows), Some(self.adapter));
            let logits = self.bundle.model.decoder();
            let logits = logits.logits(&rows.at_positions(&hidden));
            let chosen = logprobs::token_logprobs(&logits, &rows.targets, self.temperature);
            rows.responses.scatter(&chosen)
        })
    }
}

/// The value model on its base.
#[derive(Debug, Clone, Copy)]
pub struct ValueReader<'a> {
    /// Whose base it is.
    pub base: CriticBase,
    /// The base.
    pub bundle: &'a Bundle,
    /// The adapter.
    pub adapter: &'a Adapter,
    /// The head.
    pub head: &'a ScalarHead,
    /// The images as this base sees them.
    pub features: &'a ImageFeatures,
    /// Where pads count, responses are filled with them up to this length, and have values there too.
    pub padded_to: Option<usize>,
}

impl ValueReader<'_> {
    /// Queries and responses as this base reads them; the facts are not among what it reads.
    #[must_use]
    pub fn rows(&self, rollouts: &[&Rollout<'_>]) -> Continuations {
        let pad = self.bundle.tokenizer.pad;
        let responses: Vec<Vec<i64>> = rollouts
            .iter()
            .map(|rollout| {
                let mut ids = rollout.response.ids.clone();
                ids.resize(self.padded_to.unwrap_or(0).max(ids.len()), pad);
                ids
            })
            .collect();
        let queries: Vec<Vec<i64>> = rollouts
            .iter()
            .map(|rollout| match self.base {
                CriticBase::Policy => rollout.prompt.query.to_vec(),
                CriticBase::Reward => rollout.prompt.value_query.to_vec(),
            })
            .collect();
        let rows: Vec<(&[i64], &[i64])> = queries
            .iter()
            .zip(&responses)
            .map(|(query, ids)| (&**query, &**ids))
            .collect();
        Continuations::new(&rows, pad, self.bundle.model.device())
    }

    /// Embedded rows.
    #[must_use]
    pub fn embed(&self, rollouts: &[&Rollout<'_>], rows: &Continuations) -> Embedded {
        embed(self.bundle, self.adapter, self.features, rollouts, rows)
    }

    /// Values before each response token.
    ///
    /// # Shapes
    /// `hidden`: `[rows, len, width]` → `[rows, response]`.
    pub fn values_of(&self, rows: &Continuations, hidden: &Tensor) -> Tensor {
        let values = self.head.forward(&rows.at_positions(hidden));
        rows.responses.scatter(&values)
    }

    /// Values without gradients, of all rollouts, `pass_rows` at a time; the passes are shared out to `ranks`.
    ///
    /// # Shapes
    /// → `[rollouts, width]`.
    ///
    /// # Errors
    /// Another rank has ended or hangs.
    pub fn values(
        &self,
        rollouts: &[Rollout<'_>],
        pass_rows: usize,
        width: usize,
        ranks: &Ranks,
    ) -> Result<Tensor, RunError> {
        let device = self.bundle.model.device();
        in_batches(rollouts, [pass_rows, width], ranks, device, |some| {
            let rows = self.rows(some);
            let embedded = self.embed(some, &rows);
            let hidden = self.bundle.model.hidden(&embedded, Some(self.adapter));
            self.values_of(&rows, &hidden)
        })
    }
}

fn embed(
    bundle: &Bundle,
    adapter: &Adapter,
    features: &ImageFeatures,
    rollouts: &[&Rollout<'_>],
    rows: &Continuations,
) -> Embedded {
    let images = rollouts
        .iter()
        .filter_map(|r| r.prompt.conversation.image.as_deref());
    bundle
        .model
        .embed_continuations(rows, features.of(images).as_ref(), Some(adapter))
}

/// Fills columns with zeros on the right, up to `width`.
///
/// # Shapes
/// `matrix`: `[rows, ≤ width]` → `[rows, width]`.
pub fn widened(matrix: &Tensor, width: i64) -> Tensor {
    let missing = width - matrix.size()[1];
    if missing <= 0 {
        return matrix.shallow_clone();
    }
    matrix.constant_pad_nd([0, missing])
}

/// Rows by descending length, so that a pass pads little and the largest comes first.
pub(crate) fn longest_first(rollouts: &[Rollout<'_>], rows: &[usize]) -> Vec<usize> {
    let mut order = rows.to_vec();
    let length =
        |row: &usize| rollouts[*row].prompt.query.len() + rollouts[*row].response.ids.len();
    order.sort_by_key(|row| (std::cmp::Reverse(length(row)), *row));
    order
}

fn in_batches(
    rollouts: &[Rollout<'_>],
    [pass_rows, width]: [usize; 2],
    ranks: &Ranks,
    device: Device,
    pass: impl Fn(&[&Rollout<'_>]) -> Tensor,
) -> Result<Tensor, RunError> {
    let all: Vec<usize> = (0..rollouts.len()).collect();
    let order = longest_first(rollouts, &all);
    let chunks: Vec<&[usize]> = order.chunks(pass_rows).collect();
    let of_chunk = |number: usize| {
        let some: Vec<&Rollout<'_>> = chunks[number].iter().map(|&row| &rollouts[row]).collect();
        tch::no_grad(|| widened(&pass(&some), width as i64))
    };
    let parts = shared_rows(ranks, device, [chunks.len(), width], of_chunk)?;
    let mut places = vec![0_i64; order.len()];
    for (place, &row) in order.iter().enumerate() {
        places[row] = place as i64;
    }
    let sorted = Tensor::cat(&parts, 0);
    let places = Tensor::from_slice(&places).to_device(sorted.device());
    Ok(sorted.index_select(0, &places))
}

/// `n` matrices of f32 and one width, each computed on one rank, on `device`.
fn shared_rows(
    ranks: &Ranks,
    device: Device,
    [n, width]: [usize; 2],
    compute: impl Fn(usize) -> Tensor,
) -> Result<Vec<Tensor>, RunError> {
    if ranks.world() == 1 {
        return Ok((0..n).map(compute).collect());
    }
    let numbers = ranks.share_numbers(n, |chunk| {
        let found = compute(chunk);
        let host = found
            .to_kind(Kind::Double)
            .to_device(Device::Cpu)
            .contiguous();
        let mut numbers = vec![0.0; host.numel()];
        host.copy_data(&mut numbers, host.numel());
        Ok::<_, RunError>(numbers)
    })?;
    let matrix = |numbers: Vec<f64>| {
        let matrix = Tensor::from_slice(&numbers).reshape([-1, width as i64]);
        matrix.to_kind(Kind::Float).to_device(device)
    };
    Ok(numbers.into_iter().map(matrix).collect())
}
