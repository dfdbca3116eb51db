//! One trained tensor: what passes read of it, and what AdamW keeps of it.
//!
//! Where ranks share out the optimizer (`shards.rs`), one of them keeps a parameter's state, and the others have what passes read
//! alone. A state may be on the host (`states.rs`); an update is computed where the passes are.

use candor_torch_ext::forget_gradient;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::lanes::Total;
use crate::optimizer::AdamWConfig;
use crate::working::Working;

/// What a checkpoint holds of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Saved {
    /// The weight; of one in 16 bits the master.
    Weight,
    /// The running mean of gradients.
    ExpAvg,
    /// The running mean of squared gradients.
    ExpAvgSq,
    /// The number of updates, an i64.
    Step,
}

impl Saved {
    /// What the optimizer's file has, beside the file of the weights.
    pub(crate) const OF_OPTIMIZER: [Self; 3] = [Self::ExpAvg, Self::ExpAvgSq, Self::Step];

    /// What follows the parameter's name in the optimizer's file.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Weight => "",
            Self::ExpAvg => ".exp_avg",
            Self::ExpAvgSq => ".exp_avg_sq",
            Self::Step => ".step",
        }
    }
}

/// A trained tensor.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The model's own tensor, which is empty where the weights are not here.
    leaf: Tensor,
    /// Its shape where they are.
    size: Vec<i64>,
    /// Adds up its gradients, where it is in 16 bits.
    working: Option<Working>,
    /// None where another rank has it.
    state: Option<State>,
    lr_multiplier: f64,
    weight_decay: f64,
    /// The sum of the lanes' gradients, where they are summed by lanes; it counts in place of the tensor's own.
    pub(crate) total: Total,
}

/// What AdamW keeps of a parameter.
#[derive(Debug)]
struct State {
    /// The master of a leaf in 16 bits, and any other leaf itself, which stays where passes read it.
    value: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    n_updates: i64,
}

impl Parameter {
    /// A parameter with zero moments and its master on the device `kept_on`, or without any state where that is none; its rate and
    /// decay are scaled and given.
    pub(crate) fn new(
        name: String,
        leaf: Tensor,
        kept_on: Option<Device>,
        [lr_multiplier, weight_decay]: [f64; 2],
    ) -> Self {
        let working = Working::of(&leaf);
        let state = kept_on.map(|device| {
            let value = match &working {
                Some(_) => leaf.detach().to_device(device).to_kind(Kind::Float),
                None => leaf.shallow_clone(),
            };
            let zeros = || Tensor::zeros(value.size(), (value.kind(), device));
            State {
                exp_avg: zeros(),
                exp_avg_sq: zeros(),
                n_updates: 0,
                value,
            }
        });
        Self {
            name,
            size: leaf.size(),
            leaf,
            working,
            state,
            lr_multiplier,
            weight_decay,
            total: None,
        }
    }

    /// What passes read.
    pub(crate) fn leaf(&self) -> &Tensor {
        &self.leaf
    }

    /// Numbers that it has.
    pub(crate) fn n_values(&self) -> i64 {
        self.size.iter().product()
    }

    /// Gives the model's tensor memory for the weights, where another rank has these and they are about to be brought.
    pub(crate) fn make_room(&self) {
        let leaf = &self.leaf;
        let room = Tensor::empty(self.size.as_slice(), (leaf.kind(), leaf.device()));
        leaf.shallow_clone().set_data(&room);
    }

    /// Gives that memory back. The tensor stays the model's own, and its gradient what it is.
    pub(crate) fn give_room_back(&self) {
        let leaf = &self.leaf;
        let nothing = Tensor::empty([0], (leaf.kind(), leaf.device()));
        leaf.shallow_clone().set_data(&nothing);
    }

    /// The kind that it is trained in.
    pub(crate) fn kind(&self) -> Kind {
        match self.working {
            Some(_) => Kind::Float,
            None => self.leaf.kind(),
        }
    }

    /// The kind and shape of what a checkpoint holds of it.
    pub(crate) fn form(&self, saved: Saved) -> (Kind, Vec<i64>) {
        match saved {
            Saved::Step => (Kind::Int64, Vec::new()),
            _ => (self.kind(), self.size.clone()),
        }
    }

    /// What a checkpoint holds of it, sharing storage; none where another rank has it.
    pub(crate) fn saved(&self, saved: Saved) -> Option<Tensor> {
        let state = self.state.as_ref()?;
        Some(match saved {
            Saved::Weight => state.value.shallow_clone(),
            Saved::ExpAvg => state.exp_avg.shallow_clone(),
            Saved::ExpAvgSq => state.exp_avg_sq.shallow_clone(),
            Saved::Step => Tensor::from(state.n_updates),
        })
    }

    /// The weight in the kind that it is trained in: the master's own storage where that is here.
    pub(crate) fn weight(&self) -> Tensor {
        let of_leaf = || self.leaf.detach().to_kind(self.kind());
        self.saved(Saved::Weight).unwrap_or_else(of_leaf)
    }

    /// Puts back what a checkpoint held, of its form. Of what another rank has the weight alone is taken, for passes to read.
    pub(crate) fn put(&mut self, saved: Saved, tensor: &Tensor) {
        tch::no_grad(|| match (saved, &mut self.state) {
            (Saved::Weight, state) => {
                if let (Some(state), true) = (state, self.working.is_some()) {
                    state.value.copy_(tensor);
                }
                self.leaf.copy_(tensor);
            }
            (Saved::ExpAvg, Some(state)) => state.exp_avg.copy_(tensor),
            (Saved::ExpAvgSq, Some(state)) => state.exp_avg_sq.copy_(tensor),
            (Saved::Step, Some(state)) => state.n_updates = tensor.int64_value(&[]),
            (_, None) => {}
        });
    }

    /// Sets its gradient to zero.
    pub(crate) fn zero_grad(&mut self) {
        match &mut self.working {
            Some(working) => working.zero_grad(&mut self.leaf),
            None => self.leaf.zero_grad(),
        }
        self.total = None;
    }

    /// Ends a pass, whose gradient is in the leaf.
    pub(crate) fn end_pass(&mut self) {
        if let Some(working) = &mut self.working {
            working.end_pass(&mut self.leaf);
        }
    }

    /// The gradient of an update, where its state is here, or `None` if the parameter never took part in a loss.
    ///
    /// A parameter that once did has a zero gradient in later steps without it, see the head of `optimizer.rs`. In a
    /// resumed run that gradient does not exist yet; it must be zero there too, or the resumed run would
    /// skip an update that the uninterrupted one makes.
    pub(crate) fn grad(&self) -> Option<Tensor> {
        let state = self.state.as_ref()?;
        if let Some(total) = &self.total {
            return Some(total.shallow_clone());
        }
        let zeros = || Tensor::zeros(self.leaf.size(), (self.kind(), self.leaf.device()));
        self.own_grad()
            .or_else(|| (state.n_updates > 0).then(zeros))
    }

    /// The gradient of the passes so far that have ended, if one had it.
    pub(crate) fn own_grad(&self) -> Option<Tensor> {
        if let Some(working) = &self.working {
            return working.gradient();
        }
        let grad = self.leaf.grad();
        grad.defined().then_some(grad)
    }

    /// Whether a pass gave it a gradient that nobody has taken.
    pub(crate) fn has_gradient(&self) -> bool {
        self.leaf.grad().defined() || self.own_grad().is_some()
    }

    /// Takes the gradient of all passes so far, of which the last need not have ended; the parameter keeps none.
    pub(crate) fn take_gradient(&mut self) -> Option<Tensor> {
        self.end_pass();
        let gradient = match &mut self.working {
            Some(working) => working.take(),
            None => self.own_grad(),
        };
        forget_gradient(&self.leaf);
        gradient
    }

    /// One update in place, where its state is here and it has a gradient.
    pub(crate) fn update(&mut self, lr: f64, config: &AdamWConfig) {
        let grad = self.grad();
        let (Some(grad), Some(state)) = (grad, &mut self.state) else {
            return;
        };
        let value = state.update(&grad, lr * self.lr_multiplier, self.weight_decay, config);
        if self.working.is_some() {
            self.leaf.copy_(&value);
        }
    }
}

impl State {
    /// The weight after one update, which is computed where the gradient is.
    fn update(
        &mut self,
        grad: &Tensor,
        lr: f64,
        weight_decay: f64,
        config: &AdamWConfig,
    ) -> Tensor {
        self.n_updates += 1;
        let n_updates = self.n_updates as f64;
        let correction1 = 1.0 - config.beta1.powf(n_updates);
        let correction2_sqrt = (1.0 - config.beta2.powf(n_updates)).sqrt();

        // What is on the device already is the same memory, and is changed in its place.
        let there = |kept: &Tensor| kept.to_device(grad.device());
        let mut value = there(&self.value);
        let (mut exp_avg, mut exp_avg_sq) = (there(&self.exp_avg), there(&self.exp_avg_sq));

        if weight_decay != 0.0 {
            let _ = value.g_mul_scalar_(1.0 - lr * weight_decay);
        }
        let _ = exp_avg.lerp_(grad, 1.0 - config.beta1);
        let scaled_grad = grad * (1.0 - config.beta2);
        let _ = exp_avg_sq
            .g_mul_scalar_(config.beta2)
            .addcmul_(&scaled_grad, grad);
        let denominator = exp_avg_sq
            .sqrt()
            .g_div_scalar_(correction2_sqrt)
            .g_add_scalar_(config.eps);
        let scaled_mean = &exp_avg * -(lr / correction1);
        let _ = value.addcdiv_(&scaled_mean, &denominator);

        for (kept, new) in [
            (&mut self.value, &value),
            (&mut self.exp_avg, &exp_avg),
            (&mut self.exp_avg_sq, &exp_avg_sq),
        ] {
            if kept.device() != new.device() {
                kept.copy_(new);
            }
        }
        value
    }
}
