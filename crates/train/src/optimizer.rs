//! AdamW with decoupled weight decay, and clipping by the global gradient norm.
//!
//! The operations and their order are those of PyTorch's `torch.optim.AdamW` (single-tensor path), so that
//! the weights agree with it to the last bit where the kernels do. tch binds `addcmul_` and `addcdiv_`
//! without their `value` argument; scaling the first factor beforehand is the same arithmetic, because the
//! kernels compute `(value * a) * b` and `(value * a) / b`.
//!
//! Departure: PyTorch's `zero_grad` sets gradients to `None` and skips such parameters in the next step.
//! tch cannot unset a gradient, so after the first step a parameter that took no part in a loss has a zero
//! gradient, and its momentum and weight decay go on acting. A parameter that never had a gradient is
//! skipped as in PyTorch.
//!
//! A weight in 16 bits is trained through a master in f32 (`working.rs`): the optimizer's parameter is the master, and the model's
//! tensor follows it. Masters and moments may be on the host (`states.rs`).

use std::collections::{BTreeMap, HashSet};

use tch::{Device, Kind, Tensor};

use crate::error::TrainError;
use crate::lanes::Total;
use crate::param_group::ParamGroup;
use crate::states::States;
use crate::working::Working;

/// The constants of AdamW; the learning rate is given per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Weight decay, times the learning rate, taken off every weight whose group decays.
    pub weight_decay: f64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    /// Where passes have it, and updates are computed.
    device: Device,
    value: Tensor,
    /// What passes read in the place of `value`, where that is a master.
    working: Option<Working>,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    n_updates: i64,
    lr_multiplier: f64,
    weight_decay: f64,
    /// The sum of the lanes' gradients, where they are summed by lanes; it counts in place of the tensor's own.
    total: Total,
}

/// AdamW over named parameters.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    parameters: Vec<Parameter>,
}

impl AdamW {
    /// An optimizer with zero moments, which has its states on the weights' devices.
    ///
    /// # Errors
    /// A name appears twice, a tensor is not a floating-point leaf that requires a gradient, or there is no
    /// parameter at all.
    pub fn new(config: AdamWConfig, groups: Vec<ParamGroup>) -> Result<Self, TrainError> {
        Self::keeping(config, groups, States::OnDevice)
    }

    /// The same with its states elsewhere.
    ///
    /// # Errors
    /// As [`AdamW::new`].
    pub fn keeping(
        config: AdamWConfig,
        groups: Vec<ParamGroup>,
        states: States,
    ) -> Result<Self, TrainError> {
        let mut names = HashSet::new();
        let mut parameters = Vec::new();
        for group in groups {
            let weight_decay = if group.decay {
                config.weight_decay
            } else {
                0.0
            };
            for (name, value) in group.tensors {
                check_parameter(&name, &value)?;
                if !names.insert(name.clone()) {
                    return Err(unfit(
                        &name,
                        "it is given twice",
                        "put it in one group only",
                    ));
                }
                let device = value.device();
                let kept_on = states.of(device);
                let (value, working) = match Working::of(&value) {
                    Some((master, working)) => (master.to_device(kept_on), Some(working)),
                    None => (value, None),
                };
                let zeros = || Tensor::zeros(value.size(), (value.kind(), kept_on));
                parameters.push(Parameter {
                    exp_avg: zeros(),
                    exp_avg_sq: zeros(),
                    name,
                    device,
                    value,
                    working,
                    n_updates: 0,
                    lr_multiplier: group.lr_multiplier,
                    weight_decay,
                    total: None,
                });
            }
        }
        if parameters.is_empty() {
            return Err(unfit(
                "*",
                "there is nothing to train",
                "unfreeze a part of the model",
            ));
        }
        Ok(Self { config, parameters })
    }

    /// Sets every gradient to zero.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            match &mut parameter.working {
                Some(working) => working.zero_grad(),
                None => parameter.value.zero_grad(),
            }
            parameter.total = None;
        }
    }

    /// Ends a pass, whose gradient is in the tensors: of weights in 16 bits it is added to those of earlier passes in f32.
    pub fn end_pass(&mut self) {
        tch::no_grad(|| {
            let working = self
                .parameters
                .iter_mut()
                .filter_map(|p| p.working.as_mut());
            working.for_each(Working::end_pass);
        });
    }

    /// Lets the model's tensors of 16 bits follow masters that were overwritten.
    pub(crate) fn follow_masters(&mut self) {
        for parameter in &mut self.parameters {
            if let Some(working) = &mut parameter.working {
                working.follow(&parameter.value);
            }
        }
    }

    /// The gradients of one lane, as they are in the tensors, which the next lane overwrites.
    pub(crate) fn lane(&self) -> Vec<Total> {
        self.parameters.iter().map(Parameter::own_grad).collect()
    }

    /// Puts the sums of the lanes' gradients in place of the tensors' own, until gradients are set to zero.
    pub(crate) fn put_totals(&mut self, totals: Vec<Total>) {
        for (parameter, total) in self.parameters.iter_mut().zip(totals) {
            parameter.total = total;
        }
    }

    /// Scales all gradients so that their global L2 norm is at most `max_norm`; returns the norm before.
    ///
    /// The norms stay on the device until the one read at the end. The caller checks the returned norm with
    /// `check_finite` before [`AdamW::step`]: a norm that is not finite makes every
    /// gradient NaN. An infinite `max_norm` only measures.
    ///
    /// # Reference
    /// `torch.nn.utils.clip_grad_norm_`: factor `min(1, max_norm / (norm + 1e-6))`.
    #[must_use = "check that the norm is finite before the step"]
    pub fn clip_grad_norm(&mut self, max_norm: f64) -> f64 {
        tch::no_grad(|| {
            let mut grads: Vec<Tensor> =
                self.parameters.iter().filter_map(Parameter::grad).collect();
            if grads.is_empty() {
                return 0.0;
            }
            let total = global_norm(&grads);
            if max_norm.is_finite() {
                let mut factor = ((&total + 1e-6).reciprocal() * max_norm).clamp_max(1.0);
                for grad in &mut grads {
                    // Another tensor only where the next gradient is on another device.
                    factor = factor.to_device(grad.device());
                    let _ = grad.g_mul_(&factor);
                }
            }
            total.double_value(&[])
        })
    }

    /// One update of every parameter that has a gradient, in place.
    ///
    /// # Reference
    /// Loshchilov and Hutter, arXiv 1711.05101, algorithm 2; operations in the order of `torch.optim.AdamW`.
    pub fn step(&mut self, lr: f64) {
        let config = self.config;
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                if let Some(grad) = parameter.grad() {
                    parameter.update(&grad, lr, &config);
                }
            }
        });
    }

    /// Number of trained values.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.parameters.iter().map(|p| p.value.numel()).sum()
    }

    /// The trained tensors with their names, sharing storage; of weights in 16 bits the masters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.parameters
            .iter()
            .map(|p| (p.name.clone(), p.value.shallow_clone()))
            .collect()
    }

    /// The state for a checkpoint: `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.step` (i64), sharing storage.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.parameters
            .iter()
            .flat_map(|p| {
                [
                    (format!("{}.exp_avg", p.name), p.exp_avg.shallow_clone()),
                    (
                        format!("{}.exp_avg_sq", p.name),
                        p.exp_avg_sq.shallow_clone(),
                    ),
                    (format!("{}.step", p.name), Tensor::from(p.n_updates)),
                ]
            })
            .collect()
    }

    /// Puts back a state that [`AdamW::state`] gave.
    ///
    /// # Errors
    /// A tensor is missing, left over, or has another shape or kind than the parameter's. Nothing is
    /// changed then.
    pub fn load_state(&mut self, state: Vec<(String, Tensor)>) -> Result<(), TrainError> {
        let mut state: BTreeMap<String, Tensor> = state.into_iter().collect();
        let mut loaded = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let exp_avg = take(&mut state, &parameter.name, "exp_avg", &parameter.exp_avg)?;
            let exp_avg_sq = take(
                &mut state,
                &parameter.name,
                "exp_avg_sq",
                &parameter.exp_avg_sq,
            )?;
            let n_updates = take(&mut state, &parameter.name, "step", &Tensor::from(0_i64))?;
            loaded.push((exp_avg, exp_avg_sq, n_updates.int64_value(&[])));
        }
        if let Some(name) = state.keys().next() {
            return Err(unfit(
                name,
                "the saved state has it, the model does not",
                OTHER_MODEL,
            ));
        }
        for (parameter, (exp_avg, exp_avg_sq, n_updates)) in self.parameters.iter_mut().zip(loaded)
        {
            parameter.exp_avg.copy_(&exp_avg);
            parameter.exp_avg_sq.copy_(&exp_avg_sq);
            parameter.n_updates = n_updates;
        }
        Ok(())
    }
}

/// The L2 norm over all tensors, on the device of the first. Norms go from one device to another together.
fn global_norm(tensors: &[Tensor]) -> Tensor {
    let norms: Vec<Tensor> = tensors.iter().map(Tensor::norm).collect();
    let devices = norms.chunk_by(|left, right| left.device() == right.device());
    let together: Vec<Tensor> = devices
        .map(|norms| Tensor::stack(norms, 0).to_device(tensors[0].device()))
        .collect();
    Tensor::cat(&together, 0).norm()
}

impl Parameter {
    /// The gradient, or `None` if the parameter never took part in a loss.
    ///
    /// A parameter that once did has a zero gradient in later steps without it, see the module's head. In a
    /// resumed run that gradient does not exist yet; it must be zero there too, or the resumed run would
    /// skip an update that the uninterrupted one makes.
    fn grad(&self) -> Option<Tensor> {
        if let Some(total) = &self.total {
            return Some(total.shallow_clone());
        }
        let zeros = || Tensor::zeros(self.value.size(), (self.value.kind(), self.device));
        self.own_grad().or_else(|| (self.n_updates > 0).then(zeros))
    }

    /// The gradient of the passes so far, if one had it.
    fn own_grad(&self) -> Option<Tensor> {
        if let Some(working) = &self.working {
            return working.gradient();
        }
        let grad = self.value.grad();
        grad.defined().then_some(grad)
    }

    fn update(&mut self, grad: &Tensor, lr: f64, config: &AdamWConfig) {
        self.n_updates += 1;
        let lr = lr * self.lr_multiplier;
        let n_updates = self.n_updates as f64;
        let correction1 = 1.0 - config.beta1.powf(n_updates);
        let correction2_sqrt = (1.0 - config.beta2.powf(n_updates)).sqrt();

        // What is on the device already is the same memory, and is changed in its place.
        let there = |kept: &Tensor| kept.to_device(self.device);
        let (grad, mut value) = (there(grad), there(&self.value));
        let (mut exp_avg, mut exp_avg_sq) = (there(&self.exp_avg), there(&self.exp_avg_sq));

        if self.weight_decay != 0.0 {
            let _ = value.g_mul_scalar_(1.0 - lr * self.weight_decay);
        }
        let _ = exp_avg.lerp_(&grad, 1.0 - config.beta1);
        let scaled_grad = &grad * (1.0 - config.beta2);
        let _ = exp_avg_sq
            .g_mul_scalar_(config.beta2)
            .addcmul_(&scaled_grad, &grad);
        let denominator = exp_avg_sq
            .sqrt()
            .g_div_scalar_(correction2_sqrt)
            .g_add_scalar_(config.eps);
        let scaled_mean = &exp_avg * -(lr / correction1);
        let _ = value.addcdiv_(&scaled_mean, &denominator);
        if let Some(working) = &mut self.working {
            working.follow(&value);
        }
        for (kept, new) in [
            (&mut self.value, value),
            (&mut self.exp_avg, exp_avg),
            (&mut self.exp_avg_sq, exp_avg_sq),
        ] {
            if kept.device() != new.device() {
                kept.copy_(&new);
            }
        }
    }
}

const OTHER_MODEL: &str = "the checkpoint belongs to another model or another set of trained parts";

fn check_parameter(name: &str, value: &Tensor) -> Result<(), TrainError> {
    let floating = matches!(
        value.kind(),
        Kind::Float | Kind::Double | Kind::BFloat16 | Kind::Half
    );
    if !floating {
        return Err(unfit(
            name,
            format!("its kind is {:?}", value.kind()),
            "train floating-point tensors only",
        ));
    }
    if !value.requires_grad() || !value.is_leaf() {
        return Err(unfit(
            name,
            "it is not a leaf that requires a gradient",
            "pass the model's own tensor with requires_grad set",
        ));
    }
    Ok(())
}

fn take(
    state: &mut BTreeMap<String, Tensor>,
    name: &str,
    part: &str,
    like: &Tensor,
) -> Result<Tensor, TrainError> {
    let Some(tensor) = state.remove(&format!("{name}.{part}")) else {
        return Err(unfit(
            name,
            format!("the saved state lacks its {part}"),
            OTHER_MODEL,
        ));
    };
    if tensor.size() != like.size() || tensor.kind() != like.kind() {
        return Err(unfit(
            name,
            format!(
                "the saved {part} is {:?} {:?}, expected {:?} {:?}",
                tensor.kind(),
                tensor.size(),
                like.kind(),
                like.size()
            ),
            OTHER_MODEL,
        ));
    }
    Ok(tensor)
}

fn unfit(parameter: &str, problem: impl Into<String>, remedy: &'static str) -> TrainError {
    TrainError::Optimizer {
        parameter: parameter.to_owned(),
        problem: problem.into(),
        remedy,
    }
}
