//! Sums of gradients whose order does not depend on the number of processes.
//!
//! The passes of an update are dealt to `run.lanes` lanes, pass *m* to lane *m* modulo their number. The gradients of a lane are
//! added up from zero in the order of its passes, and the lanes' sums are added in the order of lanes. A rank computes whole
//! lanes, lane *l* on rank *l* modulo their number. However many ranks there are, the same numbers are added in the same order.
//!
//! Ranks work in rounds: each computes one of its lanes, all get the sums of all, and everybody adds. So a process has two
//! gradients of each weight at a time, its lane's and the total, and one more bucket per rank.

use std::ops::Range;

use candor_run::{Ranks, RunError};
use tch::{Device, Tensor};

use crate::error::TrainError;

/// Bytes of gradients that are sent together, at least one tensor.
const BUCKET_BYTES: usize = 64 << 20;

/// The total of a parameter's gradients so far; none where no lane had one.
pub(crate) type Total = Option<Tensor>;

/// Whether so many ranks can share so many lanes.
///
/// # Errors
/// There are more ranks than lanes.
pub(crate) fn check(ranks: &Ranks, lanes: usize) -> Result<(), TrainError> {
    if ranks.world() <= lanes {
        return Ok(());
    }
    Err(TrainError::TooManyRanks {
        world: ranks.world(),
        lanes,
    })
}

/// Adds the sums of a round's lanes to `totals`, in the order of lanes. `mine` are the gradients of this rank's lane, of the
/// parameters `values`; `n_lanes` lanes are left, of which the round has one a rank at most.
///
/// # Errors
/// A rank has ended or hangs.
pub(crate) fn add_round(
    ranks: &Ranks,
    values: &[Tensor],
    totals: &mut [Total],
    mine: &[Total],
    n_lanes: usize,
) -> Result<(), RunError> {
    if ranks.world() == 1 {
        for (total, gradient) in totals.iter_mut().zip(mine) {
            if let Some(gradient) = gradient {
                add(total, gradient);
            }
        }
        return Ok(());
    }
    let has: Vec<u8> = mine.iter().map(|g| u8::from(g.is_some())).collect();
    let has = ranks.all_gather(&has)?;
    let n_lanes = ranks.world().min(n_lanes);
    for bucket in buckets(values) {
        let gradients = mine[bucket.clone()].iter().flatten();
        let of_ranks = ranks.all_gather(&gradients.flat_map(bytes_of).collect::<Vec<u8>>())?;
        for (has, bytes) in has.iter().zip(&of_ranks).take(n_lanes) {
            let there = bucket.clone().filter(|&parameter| has[parameter] == 1);
            let mut start = 0;
            for parameter in there {
                let value = &values[parameter];
                let end = start + n_bytes(value);
                add(&mut totals[parameter], &of_bytes(&bytes[start..end], value));
                start = end;
            }
        }
    }
    Ok(())
}

fn add(total: &mut Total, gradient: &Tensor) {
    match total {
        None => *total = Some(gradient.copy()),
        Some(total) => {
            let _ = total.g_add_(gradient);
        }
    }
}

/// Overwrites tensors with what the first rank has in them.
///
/// # Errors
/// A rank has ended or hangs.
pub(crate) fn from_first(ranks: &Ranks, tensors: &[(String, Tensor)]) -> Result<(), RunError> {
    for (_, tensor) in tensors.iter().filter(|_| ranks.world() > 1) {
        let mut bytes = bytes_of(tensor);
        ranks.from_first(&mut bytes)?;
        let theirs = of_bytes(&bytes, tensor);
        tch::no_grad(|| tensor.shallow_clone().copy_(&theirs));
    }
    Ok(())
}

/// Ranges of tensors that are sent together.
fn buckets(values: &[Tensor]) -> Vec<Range<usize>> {
    let mut buckets = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, value) in values.iter().enumerate() {
        if i > start && bytes + n_bytes(value) > BUCKET_BYTES {
            buckets.push(start..i);
            (start, bytes) = (i, 0);
        }
        bytes += n_bytes(value);
    }
    buckets.push(start..values.len());
    buckets
}

fn n_bytes(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let host = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; n_bytes(&host)];
    host.copy_data_u8(&mut bytes, host.numel());
    bytes
}

/// A tensor of these bytes with the shape, kind and device of another.
fn of_bytes(bytes: &[u8], like: &Tensor) -> Tensor {
    Tensor::from_data_size(bytes, &like.size(), like.kind()).to_device(like.device())
}
