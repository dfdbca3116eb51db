//! Sums of gradients whose order does not depend on the number of processes.
//!
//! The passes of an update are dealt to `run.lanes` lanes, pass *m* to lane *m* modulo their number. The gradients of a lane are
//! added up from zero in the order of its passes, and the lanes' sums are added in the order of lanes. A rank computes whole
//! lanes, lane *l* on rank *l* modulo their number. However many ranks there are, the same numbers are added in the same order.
//!
//! Ranks work in rounds: each computes one of its lanes, all get the sums of all, and everybody adds. So a process has two
//! gradients of each weight at a time, its lane's and the total. A bucket is 64 MB, or the largest tensor where that is more; while
//! one is exchanged among W ranks, a process has W + 1 of them on its device besides and, where bytes go through the host
//! (`wire.rs`), 2 W + 2 there ([`candor_torch_ext::Group::all_gather`]).

use std::ops::Range;

use candor_run::{Ranks, RunError};
use tch::{Device, Tensor};

use crate::error::TrainError;
use crate::wire::{Wire, as_bytes, of_bytes};

/// Bytes of gradients that are sent together, at least one tensor.
pub const BUCKET_BYTES: usize = 64 << 20;

/// The total of a parameter's gradients so far; none where no lane had one.
pub(crate) type Total = Option<Tensor>;

/// Whether so many ranks can share so many lanes, for stages that do other work before they open a session, which asks it too.
///
/// # Errors
/// There are more ranks than lanes.
pub fn check_lanes(ranks: &Ranks, lanes: usize) -> Result<(), TrainError> {
    if ranks.world() <= lanes {
        return Ok(());
    }
    Err(TrainError::TooManyRanks {
        world: ranks.world(),
        lanes,
    })
}

/// Adds the sums of a round's lanes to `totals`, in the order of lanes. `mine` are the gradients of this rank's lane, of the
/// parameters `values`, which may be elsewhere; `n_lanes` lanes are left, of which the round has one a rank at most.
///
/// # Errors
/// A rank has ended or hangs.
pub(crate) fn add_round(
    wire: &Wire,
    values: &[Tensor],
    totals: &mut [Total],
    mine: &[Total],
    n_lanes: usize,
) -> Result<(), RunError> {
    let ranks = wire.ranks();
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
        // What a rank has no gradient of it sends zeros for, which are not added: all send as much.
        let sent = bucket.clone().map(|parameter| match &mine[parameter] {
            Some(gradient) => as_bytes(gradient),
            None => as_bytes(&Tensor::zeros(
                values[parameter].size(),
                (values[parameter].kind(), wire.device()),
            )),
        });
        let sent = Tensor::cat(&sent.collect::<Vec<_>>(), 0);
        let of_ranks = wire.all_gather(&sent)?;
        drop(sent);
        for (has, bytes) in has.iter().zip(&of_ranks).take(n_lanes) {
            let mut start = 0;
            for parameter in bucket.clone() {
                let value = &values[parameter];
                let n = n_bytes(value) as i64;
                if has[parameter] == 1 {
                    let gradient = of_bytes(&bytes.narrow(0, start, n), value.kind());
                    add(&mut totals[parameter], &gradient.view_as(value));
                }
                start += n;
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
pub(crate) fn from_first<'a>(
    ranks: &Ranks,
    tensors: impl IntoIterator<Item = &'a Tensor>,
) -> Result<(), RunError> {
    if ranks.world() == 1 {
        return Ok(());
    }
    for tensor in tensors {
        let mut bytes = bytes_of(tensor);
        ranks.take_first(&mut bytes)?;
        let theirs = Tensor::from_data_size(&bytes, &tensor.size(), tensor.kind());
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

/// The bytes of a tensor, copied to the host.
pub(crate) fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let host = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0; n_bytes(&host)];
    host.copy_data_u8(&mut bytes, host.numel());
    bytes
}

#[cfg(test)]
mod tests {
    use candor_testing::ranks::on_threads;

    use super::*;

    /// What the ranks add up for two parameters, of which the second is in no lane but the third.
    fn totals(world: usize) -> Vec<Vec<f32>> {
        // In f32 1e8 + 1 is 1e8: the order of the sum shows in it.
        const LANES: [f32; 4] = [1e8, 1.0, -1e8, 1.0];
        on_threads(world, |ranks| {
            let values = [
                Tensor::from_slice(&[0_f32]),
                Tensor::from_slice(&[0_f32; 2]),
            ];
            let wire = Wire::of_host(&ranks, Device::Cpu);
            let mut totals = vec![None, None];
            for first in (0..LANES.len()).step_by(world) {
                let lane = first + ranks.rank();
                let mine = LANES.get(lane).map_or([None, None], |gradient| {
                    let second = (lane == 2).then(|| Tensor::from_slice(&[3_f32, 4.0]));
                    [Some(Tensor::from_slice(&[*gradient])), second]
                });
                let n_left = LANES.len() - first;
                add_round(&wire, &values, &mut totals, &mine, n_left).unwrap();
            }
            let totals: Vec<Tensor> = totals.into_iter().flatten().collect();
            Vec::<f32>::try_from(Tensor::cat(&totals, 0)).unwrap()
        })
    }

    #[test]
    fn lanes_are_added_in_their_order_on_any_number_of_ranks() {
        // ((1e8 + 1) - 1e8) + 1.
        for world in 1..=4 {
            assert_eq!(totals(world), vec![vec![1.0, 3.0, 4.0]; world]);
        }
    }

    #[test]
    fn all_ranks_begin_with_the_tensors_of_the_first() {
        let found = on_threads(3, |ranks| {
            let mine = Tensor::from_slice(&[ranks.rank() as i64, 7]);
            from_first(&ranks, [&mine]).unwrap();
            Vec::<i64>::try_from(mine).unwrap()
        });
        assert_eq!(found, vec![vec![0, 7]; 3]);
    }

    #[test]
    fn more_ranks_than_lanes_are_refused() {
        let found = on_threads(3, |ranks| check_lanes(&ranks, 2).unwrap_err().to_string());
        assert!(found[0].starts_with("3 ranks cannot share run.lanes = 2: write run.lanes = 3"));
        assert!(check_lanes(&Ranks::alone(), 1).is_ok());
    }

    #[test]
    fn buckets_are_whole_tensors() {
        let mb = |n: i64| Tensor::zeros([n << 18], (tch::Kind::Float, Device::Cpu));
        let values = [mb(1), mb(40), mb(30), mb(70), mb(1), mb(1)];
        assert_eq!(buckets(&values), [0..2, 2..3, 3..4, 4..6]);
    }
}
