//! Every tensor that a configuration calls for, by name, shape and part of the model.
//!
//! The list is for those who want to know before anything is loaded: what a folder lacks, how many parameters there are,
//! how much memory they take. It is what the modules ask for when they are built ([`Weights::listing`]), so that it
//! exists once.

use crate::peft::is_table;
use crate::weights::Weights;
use crate::{ModelConfig, Vlm};

/// The parts that people count the parameters of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The vision tower.
    Tower,
    /// The projector.
    Projector,
    /// The embedding of the words.
    Embedding,
    /// The decoder's blocks, and the norm after them.
    Blocks,
    /// The output layer, where it is not the embedding.
    Head,
}

impl Part {
    /// All of them, in the order in which an image and its question go through them.
    pub const ALL: [Self; 5] = [
        Self::Tower,
        Self::Projector,
        Self::Embedding,
        Self::Blocks,
        Self::Head,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tower => "vision tower",
            Self::Projector => "projector",
            Self::Embedding => "embedding",
            Self::Blocks => "decoder blocks",
            Self::Head => "output layer",
        }
    }
}

/// A tensor that a configuration calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, as candor spells it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Where it belongs.
    pub part: Part,
    /// Whether a quantised base packs it: the linear layers of the decoder's blocks.
    pub packable: bool,
}

impl TensorSpec {
    /// Number of elements.
    #[must_use]
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product::<i64>() as u64
    }

    /// The name of the linear layer that it is the weight of, and `[n_in, n_out]`; none of what else there is.
    #[must_use]
    pub fn linear(&self) -> Option<(&str, [i64; 2])> {
        let layer = self.name.strip_suffix(".weight")?;
        let &[n_out, n_in] = self.shape.as_slice() else {
            return None;
        };
        (!is_table(&self.name)).then_some((layer, [n_in, n_out]))
    }
}

/// All tensors of a model, in the order in which it is built.
#[must_use]
pub fn tensor_specs(config: &ModelConfig) -> Vec<TensorSpec> {
    let mut listing = Weights::listing();
    match Vlm::take(config.clone(), &mut listing) {
        Ok(_) => listing.listed(),
        Err(error) => unreachable!("a listing reads nothing that could fail: {error}"),
    }
}
