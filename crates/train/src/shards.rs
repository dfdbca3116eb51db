//! The optimizer shared out among ranks, as stage 2 of ZeRO has it (arXiv 1910.02054, section 5.2).
//!
//! Each trained tensor has an owner among the ranks, who alone keeps its moments, its master in f32 and the sum of its gradients.
//! Passes need all weights, so every rank has these. Owners follow from the sizes of the tensors and the number of ranks: the
//! largest first, each to the rank that has least ([`owners`]). A tensor is never divided between owners.
//!
//! The numbers are those of ranks that share out nothing but passes. A rank computes a whole lane and gives each owner the gradients
//! of its tensors; the owner adds the lanes in their order (`lanes.rs`). The norm that gradients are clipped by is that of the
//! norms of all tensors, in the order of tensors. After its update an owner gives its weights to all.
//!
//! The weights of the decoder's blocks can be shared out as well (stage 3, section 5.3): between their uses a rank has those that it
//! owns alone. A pass brings them block by block, and gives gradients away as a block's backward pass ends (`session/blocks.rs`).
//! What is exchanged together is a *group*: each block's tensors are one then, and all others the first.
//!
//! What goes over the network is cut into *exchanges*, in each of which every owner gets at most a bucket divided by the
//! ranks: so at its peak an exchange takes two buckets of the device's memory and, where bytes go through the host, four of that,
//! however many ranks there are and however large a tensor is. A checkpoint does not: the first rank has up to three times the
//! largest tensor on its host while it asks for that (`shards/stored.rs`), which arrives in a vector that grows and is copied out of it.

mod room;
mod stored;

use candor_run::{Ranks, RunError};
use tch::{Device, Kind, Tensor};

use crate::error::TrainError;
use crate::lanes::{BUCKET_BYTES, Total};
use crate::optimizer::{AdamW, together};
use crate::param_group::ParamGroup;
use crate::parameter::Parameter;
use crate::wire::{Wire, as_bytes, of_bytes};

pub use self::room::{DealtPasses, GradientRoom};

/// A stretch of a tensor, as one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    parameter: usize,
    first: i64,
    n: i64,
}

/// Who owns what, and how it is exchanged.
#[derive(Debug)]
pub(crate) struct Shards {
    ranks: Ranks,
    /// By parameter.
    owners: Vec<usize>,
    /// By parameter: 0, or of a block whose weights are shared out one more than its number.
    group_of: Vec<usize>,
    exchanges: Exchanges,
}

/// What each rank owns, by group, for each rank by exchange.
#[derive(Debug)]
struct Exchanges(Vec<Vec<Vec<Vec<Stretch>>>>);

/// What is exchanged apart of others of its kind: all tensors, or those outside of blocks where these are groups of their own.
pub(crate) const REST: usize = 0;

/// The decoder's block that a tensor is of, by its name.
#[must_use]
pub fn block_of(name: &str) -> Option<usize> {
    let (number, _) = name
        .strip_prefix("language_model.model.layers.")?
        .split_once('.')?;
    number.parse().ok()
}

/// The rank that keeps the optimizer's state of each tensor, of tensors with so many values: the largest first, each to the rank
/// that has least so far, and of such to the first.
///
/// # Panics
/// There are no ranks.
#[must_use]
pub fn owners(sizes: &[u64], n_ranks: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|&tensor| std::cmp::Reverse(sizes[tensor]));
    let (mut owners, mut loads) = (vec![0; sizes.len()], vec![0; n_ranks]);
    for tensor in by_size {
        let least = (0..n_ranks).min_by_key(|&rank| loads[rank]);
        let rank = least.expect("a rank");
        owners[tensor] = rank;
        loads[rank] += sizes[tensor];
    }
    owners
}

/// What a rank owns, cut into exchanges of at most `most` values.
fn cut(sizes: &[u64], owned: impl Iterator<Item = usize>, most: i64) -> Vec<Vec<Stretch>> {
    let (mut exchanges, mut exchange, mut room) = (Vec::new(), Vec::new(), most);
    for parameter in owned {
        let (size, mut first) = (sizes[parameter] as i64, 0);
        while first < size {
            let n = room.min(size - first);
            exchange.push(Stretch {
                parameter,
                first,
                n,
            });
            first += n;
            room -= n;
            if room == 0 {
                exchanges.push(std::mem::take(&mut exchange));
                room = most;
            }
        }
    }
    if !exchange.is_empty() {
        exchanges.push(exchange);
    }
    exchanges
}

impl Exchanges {
    /// Of tensors with so many values, their owners and their groups, of which a rank gets at most `most` values in an exchange.
    fn of(sizes: &[u64], owners: &[usize], group_of: &[usize], n_ranks: usize, most: i64) -> Self {
        let n_groups = group_of.iter().max().map_or(1, |last| last + 1);
        let of_rank = |group: usize, rank: usize| {
            let owned = (0..sizes.len())
                .filter(|&parameter| (group_of[parameter], owners[parameter]) == (group, rank));
            cut(sizes, owned, most)
        };
        let of_group = |group: usize| (0..n_ranks).map(|rank| of_rank(group, rank)).collect();
        Self((0..n_groups).map(of_group).collect())
    }

    fn n_groups(&self) -> usize {
        self.0.len()
    }

    /// How many exchanges a group takes.
    fn n_of(&self, group: usize) -> usize {
        self.0[group].iter().map(Vec::len).max().unwrap_or(0)
    }

    /// What a rank owns of an exchange.
    fn owned(&self, group: usize, rank: usize, exchange: usize) -> &[Stretch] {
        self.0[group][rank].get(exchange).map_or(&[], Vec::as_slice)
    }
}

/// Values that a rank gets in an exchange at most: a bucket's in f32, divided by the ranks.
fn most_values(n_ranks: usize) -> i64 {
    (BUCKET_BYTES / Kind::Float.elt_size_in_bytes() / n_ranks) as i64
}

/// What is exchanged together with a block's tensors, or with those of none.
fn group_of(block: Option<usize>) -> usize {
    block.map_or(REST, |block| block + 1)
}

impl Shards {
    /// Shares out the tensors of these groups, with `blocks` the weights of the decoder's blocks too; none on one rank, which owns
    /// everything.
    ///
    /// # Errors
    /// A tensor is a view of something else, of which no stretch could be overwritten.
    pub(crate) fn of(
        ranks: &Ranks,
        groups: &[ParamGroup],
        blocks: bool,
    ) -> Result<Option<Self>, TrainError> {
        if ranks.world() == 1 {
            return Ok(None);
        }
        let tensors = || groups.iter().flat_map(|group| &group.tensors);
        if let Some((name, _)) = tensors().find(|(_, tensor)| !tensor.is_contiguous()) {
            return Err(TrainError::Optimizer {
                parameter: name.clone(),
                problem: "it is not contiguous".to_owned(),
                remedy: "take run.shard out of the recipe",
            });
        }
        let sizes: Vec<u64> = tensors().map(|(_, tensor)| tensor.numel() as u64).collect();
        let groups = tensors().map(|(name, _)| group_of(block_of(name).filter(|_| blocks)));
        let most = most_values(ranks.world());
        Ok(Some(Self::cutting(ranks, &sizes, groups.collect(), most)))
    }

    /// Of tensors with so many values in these groups, of which a rank gets at most `most` in an exchange.
    fn cutting(ranks: &Ranks, sizes: &[u64], group_of: Vec<usize>, most: i64) -> Self {
        let owners = owners(sizes, ranks.world());
        Self {
            exchanges: Exchanges::of(sizes, &owners, &group_of, ranks.world(), most),
            ranks: ranks.clone(),
            owners,
            group_of,
        }
    }

    /// Blocks whose weights are shared out.
    pub(crate) fn n_blocks(&self) -> usize {
        self.exchanges.n_groups() - 1
    }

    /// Whether all ranks have a parameter's weights all along.
    pub(crate) fn is_everywhere(&self, parameter: usize) -> bool {
        self.group_of[parameter] == REST
    }

    /// What this rank has of a group's weights while they are in use, and not between.
    fn borrowed(&self, group: usize) -> impl Iterator<Item = usize> {
        let of_group = move |parameter: &usize| self.group_of[*parameter] == group;
        let all = (0..self.owners.len()).filter(of_group);
        all.filter(move |&parameter| !self.owns(parameter))
    }

    /// Gives the weights of a block that other ranks own a place here; what is in it is no weights yet.
    pub(crate) fn make_room(&self, optimizer: &AdamW, layer: usize) {
        for parameter in self.borrowed(layer + 1) {
            optimizer.of_tensors()[parameter].make_room();
        }
    }

    /// Brings the weights of a block here from their owners. Where that fails there is room for them all the same.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn gather_block(
        &self,
        wire: &Wire,
        optimizer: &AdamW,
        layer: usize,
    ) -> Result<(), RunError> {
        self.make_room(optimizer, layer);
        self.spread(wire, optimizer, layer + 1)
    }

    /// Gives back the memory of a block's weights that other ranks own.
    pub(crate) fn release_block(&self, optimizer: &AdamW, layer: usize) {
        for parameter in self.borrowed(layer + 1) {
            optimizer.of_tensors()[parameter].give_room_back();
        }
    }

    /// [`Shards::release_block`] of all blocks.
    pub(crate) fn release_blocks(&self, optimizer: &AdamW) {
        for layer in 0..self.n_blocks() {
            self.release_block(optimizer, layer);
        }
    }

    /// Whether this rank keeps the state of a parameter.
    pub(crate) fn owns(&self, parameter: usize) -> bool {
        self.owners[parameter] == self.ranks.rank()
    }

    /// Adds the gradients of a round's lanes, of the tensors of a group, to the `totals` of their owners, in the order of lanes, and
    /// takes this rank's lane out of the optimizer. `n_lanes` lanes are left, of which the round has one a rank at most.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn add_round(
        &self,
        wire: &Wire,
        optimizer: &mut AdamW,
        totals: &mut [Total],
        n_lanes: usize,
        group: usize,
    ) -> Result<(), RunError> {
        let parameters = optimizer.of_tensors_mut();
        let has = parameters.iter().map(|p| u8::from(p.has_gradient()));
        let has = self.ranks.all_gather(&has.collect::<Vec<u8>>())?;
        let has = &has[..n_lanes.min(has.len())];
        // The lane that a total begins with, where it has not begun.
        let first_of = |parameter: usize| {
            let lanes = has.iter().position(|has| has[parameter] == 1);
            lanes.filter(|_| totals[parameter].is_none())
        };
        let firsts: Vec<Option<usize>> = (0..parameters.len()).map(first_of).collect();
        let mut taken: Vec<Total> = parameters.iter().map(|_| None).collect();
        for exchange in 0..self.exchanges.n_of(group) {
            let to = (0..self.ranks.world()).map(|rank| {
                let stretches = self.exchanges.owned(group, rank, exchange);
                gradients(parameters, stretches, &mut taken)
            });
            let to: Vec<Tensor> = to.collect();
            let mine = self.exchanges.owned(group, self.ranks.rank(), exchange);
            let n_mine = n_bytes_of(mine, |number| parameters[number].kind());
            let of_ranks = wire.all_to_all(&to, &vec![n_mine; to.len()])?;
            drop(to);
            for (lane, (has, bytes)) in has.iter().zip(&of_ranks).enumerate() {
                let mut start = 0;
                for stretch in mine {
                    let parameter = &parameters[stretch.parameter];
                    let n = n_bytes_of(&[*stretch], |_| parameter.kind());
                    let given = bytes.narrow(0, start, n);
                    start += n;
                    if has[stretch.parameter] == 0 {
                        continue;
                    }
                    let given = of_bytes(&given, parameter.kind());
                    let total = totals[stretch.parameter].get_or_insert_with(|| {
                        let leaf = parameter.leaf();
                        Tensor::zeros(leaf.size(), (parameter.kind(), leaf.device()))
                    });
                    let mut place = stretch.of(total);
                    if firsts[stretch.parameter] == Some(lane) {
                        place.copy_(&given);
                    } else {
                        let _ = place.g_add_(&given);
                    }
                }
            }
        }
        Ok(())
    }

    /// As [`AdamW::clip_grad_norm`], by the norm of all owners' gradients.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn clip_grad_norm(
        &self,
        optimizer: &mut AdamW,
        max_norm: f64,
    ) -> Result<f64, RunError> {
        let (mut numbers, mut norms) = (Vec::new(), Vec::new());
        for (number, parameter) in optimizer.of_tensors().iter().enumerate() {
            if let Some(gradient) = parameter.grad() {
                numbers.push(number);
                norms.push(gradient.norm());
            }
        }
        let mut found = vec![0.0; norms.len()];
        if !norms.is_empty() {
            let on_host = together(&norms)
                .to_kind(Kind::Double)
                .to_device(Device::Cpu);
            on_host.copy_data(&mut found, norms.len());
        }
        let bits = found.into_iter().map(f64::to_bits);
        let mine: Vec<(usize, u64)> = numbers.into_iter().zip(bits).collect();
        let mut all = self.ranks.all_of(&mine)?.concat();
        all.sort_unstable();
        if all.is_empty() {
            return Ok(0.0);
        }
        let norms: Vec<f64> = all.iter().map(|(_, bits)| f64::from_bits(*bits)).collect();
        let like = &optimizer.of_tensors()[0];
        let norms = Tensor::from_slice(&norms)
            .to_kind(like.kind())
            .to_device(like.leaf().device());
        Ok(optimizer.clip_by(&norms, max_norm))
    }

    /// Gives all ranks the weights of a group's owners, as passes read them.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn spread(
        &self,
        wire: &Wire,
        optimizer: &AdamW,
        group: usize,
    ) -> Result<(), RunError> {
        let parameters = optimizer.of_tensors();
        let (me, world) = (self.ranks.rank(), self.ranks.world());
        let kind_of = |number: usize| parameters[number].leaf().kind();
        for exchange in 0..self.exchanges.n_of(group) {
            let n_of =
                |rank: usize| n_bytes_of(self.exchanges.owned(group, rank, exchange), kind_of);
            let sizes: Vec<i64> = (0..world).map(n_of).collect();
            let device = parameters[0].leaf().device();
            let nothing = Tensor::zeros([0], (Kind::Uint8, device));
            let mine = self.exchanges.owned(group, me, exchange).iter();
            let mine =
                mine.map(|stretch| as_bytes(&stretch.of(parameters[stretch.parameter].leaf())));
            let mine = Tensor::cat(&mine.chain([nothing]).collect::<Vec<_>>(), 0);
            let of_ranks = wire.to_all(&mine, &sizes)?;
            for rank in (0..world).filter(|&rank| rank != me) {
                let mut start = 0;
                for stretch in self.exchanges.owned(group, rank, exchange) {
                    let leaf = parameters[stretch.parameter].leaf();
                    let n = n_bytes_of(&[*stretch], kind_of);
                    let given = of_bytes(&of_ranks[rank].narrow(0, start, n), leaf.kind());
                    stretch.of(leaf).copy_(&given);
                    start += n;
                }
            }
        }
        Ok(())
    }
}

impl Stretch {
    /// The place in a tensor, sharing storage.
    fn of(self, tensor: &Tensor) -> Tensor {
        tensor.detach().view([-1]).narrow(0, self.first, self.n)
    }
}

/// The bytes of some stretches, of parameters of these kinds.
fn n_bytes_of(stretches: &[Stretch], kind_of: impl Fn(usize) -> Kind) -> i64 {
    let of = |stretch: &Stretch| stretch.n * kind_of(stretch.parameter).elt_size_in_bytes() as i64;
    stretches.iter().map(of).sum()
}

/// The bytes of this rank's gradients in an exchange, and zeros in the place of those that it has none of. A gradient is in
/// `taken` from its first stretch to its last.
fn gradients(parameters: &mut [Parameter], stretches: &[Stretch], taken: &mut [Total]) -> Tensor {
    let device = parameters[0].leaf().device();
    let mut bytes = vec![Tensor::zeros([0], (Kind::Uint8, device))];
    for stretch in stretches {
        let parameter = &mut parameters[stretch.parameter];
        let gradient = &mut taken[stretch.parameter];
        if stretch.first == 0 {
            *gradient = parameter.take_gradient().map(|whole| whole.contiguous());
        }
        bytes.push(match gradient {
            Some(whole) => as_bytes(&stretch.of(whole)),
            None => as_bytes(&Tensor::zeros([stretch.n], (parameter.kind(), device))),
        });
        if stretch.first + stretch.n == parameter.n_values() {
            *gradient = None;
        }
    }
    Tensor::cat(&bytes, 0)
}

#[cfg(test)]
mod tests;
