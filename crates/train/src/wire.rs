//! How bytes of tensors get from one rank to the others: over NCCL where every rank has a GPU of its own and libtorch brings NCCL, and
//! else, also where two ranks have one GPU, through the host, as everything else that ranks tell each other.
//!
//! Whatever carries them, the same bytes arrive; nothing is added up on the way.

use std::collections::BTreeMap;

use candor_run::{Ranks, RunError};
use candor_torch_ext::{Cards, CardsError};
use tch::{Device, Kind, Tensor};

use crate::lanes::bytes_of;

/// The way from this rank to the others.
#[derive(Debug)]
pub(crate) struct Wire {
    ranks: Ranks,
    /// Where the tensors are.
    device: Device,
    /// None where bytes go through the host.
    cards: Option<Cards>,
}

impl Wire {
    /// Through the host, between tensors of this device.
    pub(crate) fn of_host(ranks: &Ranks, device: Device) -> Self {
        Self {
            ranks: ranks.clone(),
            device,
            cards: None,
        }
    }

    /// Between tensors of this device on every rank.
    ///
    /// # Errors
    /// All ranks have NCCL and a GPU each, and they do not reach each other; or a rank has ended or hangs.
    pub(crate) fn of(ranks: &Ranks, device: Device) -> Result<Self, RunError> {
        let found = match device {
            Device::Cuda(_) if ranks.world() > 1 => {
                Cards::check().and_then(|()| Cards::card(device))
            }
            _ => return Ok(Self::of_host(ranks, device)),
        };
        let cards = ranks.all_of(&found.as_ref().ok().cloned())?;
        if let Some(problem) = problem_of(&cards) {
            if ranks.is_first() {
                let why = found.map_or_else(|error| error.to_string(), |_| problem);
                tracing::info!("gradients go through the memory of the host: {why}");
            }
            return Ok(Self::of_host(ranks, device));
        }
        let point = ranks.made_by_first(|| Cards::meeting_point().map_err(of_cards))?;
        Cards::prepare(device).map_err(of_cards)?;
        // Joining knows no time-out, so nothing that can fail on one rank lies between this and that.
        ranks.meet()?;
        let place = [ranks.rank(), ranks.world()];
        let joined = ranks.waiting(|| Cards::join(device, place, &point, ranks.timeout()));
        Ok(Self {
            ranks: ranks.clone(),
            device,
            cards: Some(joined.map_err(of_cards)?),
        })
    }

    /// The processes that share the run.
    pub(crate) fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Where the tensors are that are sent and that come.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Waits until all ranks have computed what comes before an exchange.
    fn come_to(&self, cards: &Cards) -> Result<(), RunError> {
        // This rank's own work is no waiting for others, and what its card says of it is no fault of theirs.
        cards.catch_up().map_err(of_cards)?;
        // A rank that has ended is missed here at once, and in NCCL after the time-out.
        self.ranks.meet()
    }

    /// What every rank gave, in the order of ranks.
    ///
    /// # Shapes
    /// `mine`: `[n]` bytes, the same `n` on all ranks.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn all_gather(&self, mine: &Tensor) -> Result<Vec<Tensor>, RunError> {
        if let Some(cards) = &self.cards {
            self.come_to(cards)?;
            let all = self.ranks.waiting(|| cards.all_gather(mine));
            return all.map_err(of_cards);
        }
        let all = self.ranks.all_gather(&bytes_of(mine))?;
        Ok(all
            .iter()
            .map(|bytes| Tensor::from_slice(bytes).to_device(mine.device()))
            .collect())
    }

    /// What every rank has for all, in the order of ranks.
    ///
    /// # Shapes
    /// `mine`: bytes, `[n]` of any `n`; each rank has as many as `sizes` says of it.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn to_all(&self, mine: &Tensor, sizes: &[i64]) -> Result<Vec<Tensor>, RunError> {
        if self.cards.is_some() {
            let to: Vec<Tensor> = sizes.iter().map(|_| mine.shallow_clone()).collect();
            return self.all_to_all(&to, sizes);
        }
        // They leave the device once, and not for every rank.
        let all = self.ranks.all_to_all(vec![bytes_of(mine); sizes.len()])?;
        Ok(all
            .iter()
            .map(|bytes| Tensor::from_slice(bytes).to_device(mine.device()))
            .collect())
    }

    /// What every rank has for this one, in the order of ranks; `to` is what this rank has for each.
    ///
    /// # Shapes
    /// `to`: bytes, `[n]` of any `n`; each rank has as many for this one as `sizes` says of it.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn all_to_all(&self, to: &[Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, RunError> {
        if let Some(cards) = &self.cards {
            self.come_to(cards)?;
            let all = self.ranks.waiting(|| cards.all_to_all(to, sizes));
            return all.map_err(of_cards);
        }
        let all = self.ranks.all_to_all(to.iter().map(bytes_of).collect())?;
        let device = to[self.ranks.rank()].device();
        Ok(all
            .iter()
            .map(|bytes| Tensor::from_slice(bytes).to_device(device))
            .collect())
    }
}

/// Why ranks with these cards do not exchange anything over NCCL; none where they can.
fn problem_of(cards: &[Option<String>]) -> Option<String> {
    let mut known = BTreeMap::new();
    for (rank, card) in cards.iter().enumerate() {
        let Some(card) = card else {
            return Some(format!("rank {rank} has no NCCL or does not know its card"));
        };
        if let Some(other) = known.insert(card, rank) {
            return Some(format!(
                "ranks {other} and {rank} have one card, and NCCL wants one for each"
            ));
        }
    }
    None
}

fn of_cards(error: CardsError) -> RunError {
    RunError::Ranks {
        source: error.into(),
    }
}

/// The bytes of a tensor as one row, sharing storage where it is contiguous.
pub(crate) fn as_bytes(tensor: &Tensor) -> Tensor {
    let row = tensor.detach().contiguous().view([-1]);
    row.view_dtype(Kind::Uint8)
}

/// Numbers of a kind, whose bytes these are, as one row.
pub(crate) fn of_bytes(bytes: &Tensor, kind: Kind) -> Tensor {
    // A copy, because numbers must begin where a number of their kind can.
    bytes.copy().view_dtype(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_need_a_card_each_for_nccl() {
        let of = |cards: &[Option<&str>]| {
            let cards: Vec<_> = cards.iter().map(|card| card.map(str::to_owned)).collect();
            problem_of(&cards)
        };
        assert_eq!(of(&[Some("a"), Some("b"), Some("c")]), None);
        let problem = of(&[Some("a"), Some("b"), Some("a")]);
        assert!(problem.unwrap().starts_with("ranks 0 and 2 have one card"));
        let problem = of(&[Some("a"), None]);
        assert!(problem.unwrap().starts_with("rank 1 has no NCCL"));
    }
}
