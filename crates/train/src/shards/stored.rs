//! What checkpoints hold of a shared-out optimizer, on its way between the first rank, which reads and writes them, and owners.

use candor_run::RunError;
use tch::Tensor;

use super::Shards;
use crate::lanes::{BUCKET_BYTES, bytes_of};
use crate::optimizer::AdamW;
use crate::parameter::{Parameter, Saved};

impl Shards {
    /// What a checkpoint holds of a parameter that another rank owns, on the first rank, which asks its owner for it; the others are
    /// in [`Shards::answer`] meanwhile.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn ask(
        &self,
        optimizer: &AdamW,
        number: usize,
        saved: Saved,
    ) -> Result<Tensor, RunError> {
        let parameter = &optimizer.of_tensors()[number];
        self.ranks
            .made_by_first(|| Ok::<_, RunError>(Some((number, saved))))?;
        let bytes = self.moved([self.owners[number], 0], &[], n_bytes(parameter, saved))?;
        let (kind, size) = parameter.form(saved);
        Ok(Tensor::from_data_size(&bytes, &size, kind))
    }

    /// Lets the others go on, on the first rank, which has asked for all that it wants.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn asked(&self) -> Result<(), RunError> {
        let nothing = self
            .ranks
            .made_by_first(|| Ok::<Option<(usize, Saved)>, RunError>(None));
        nothing.map(drop)
    }

    /// Gives the first rank what it asks for, until it has all.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn answer(&self, optimizer: &AdamW) -> Result<(), RunError> {
        let wanted = || {
            self.ranks
                .made_by_first(|| Ok::<Option<(usize, Saved)>, RunError>(None))
        };
        while let Some((number, saved)) = wanted()? {
            let parameter = &optimizer.of_tensors()[number];
            let mine = parameter.saved(saved);
            let mine = mine.map_or_else(Vec::new, |tensor| bytes_of(&tensor));
            self.moved([self.owners[number], 0], &mine, n_bytes(parameter, saved))?;
        }
        Ok(())
    }

    /// Brings what the first rank has of a parameter to its owner; `tensor` is that on the first rank, and what is returned is it
    /// on the owner.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub(crate) fn bring(
        &self,
        parameter: &Parameter,
        number: usize,
        saved: Saved,
        tensor: Option<Tensor>,
    ) -> Result<Option<Tensor>, RunError> {
        let owner = self.owners[number];
        if owner == 0 {
            return Ok(tensor);
        }
        let bytes = tensor.map_or_else(Vec::new, |tensor| bytes_of(&tensor));
        let bytes = self.moved([0, owner], &bytes, n_bytes(parameter, saved))?;
        let (kind, size) = parameter.form(saved);
        let arrived = self.owns(number);
        Ok(arrived.then(|| Tensor::from_data_size(&bytes, &size, kind)))
    }

    /// So many bytes of one rank, on another one; nothing on the rest.
    fn moved(
        &self,
        [from, to]: [usize; 2],
        bytes: &[u8],
        n_bytes: usize,
    ) -> Result<Vec<u8>, RunError> {
        let mut came = Vec::new();
        for first in (0..n_bytes).step_by(BUCKET_BYTES) {
            let mut parts = vec![Vec::new(); self.ranks.world()];
            if self.ranks.rank() == from {
                let end = n_bytes.min(first + BUCKET_BYTES);
                parts[to] = bytes[first..end].to_vec();
            }
            let of_ranks = self.ranks.all_to_all(parts)?;
            came.extend_from_slice(&of_ranks[from]);
        }
        Ok(came)
    }
}

/// The bytes of what a checkpoint holds of a parameter.
fn n_bytes(parameter: &Parameter, saved: Saved) -> usize {
    let (kind, size) = parameter.form(saved);
    size.iter().product::<i64>() as usize * kind.elt_size_in_bytes()
}
