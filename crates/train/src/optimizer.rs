//! AdamW with decoupled weight decay, and clipping by the global gradient norm.
//!
//! The operations and their order are those of PyTorch's `torch.optim.AdamW` (single-tensor path), so that
//! the weights agree with it to the last bit where the kernels do. tch binds `addcmul_` and `addcdiv_`
//! without their `value` argument; scaling the first factor beforehand is the same arithmetic, because the
//! kernels compute `(value * a) * b` and `(value * a) / b`.
//!
//! Departure: PyTorch's `zero_grad` sets gradients to `None` and skips such parameters in the next step.
//! Here they are set to zero, so after the first step a parameter that took no part in a loss has a zero
//! gradient, and its momentum and weight decay go on acting. A parameter that never had a gradient is
//! skipped as in PyTorch.
//!
//! A weight in 16 bits is trained through a master in f32 (`working.rs`): the optimizer's parameter is the master, and the model's
//! tensor follows it. What AdamW does to one tensor stands in `parameter.rs`; masters and moments may be on the host (`states.rs`).

use std::collections::{BTreeMap, HashSet};

use candor_model::tensor_file::Promise;
use tch::{Kind, Tensor};

use crate::error::TrainError;
use crate::lanes::Total;
use crate::param_group::ParamGroup;
use crate::parameter::{Parameter, Saved};
use crate::states::States;

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
        Self::owning(config, groups, States::OnDevice, |_| true)
    }

    /// [`AdamW::new`] that keeps the state of those parameters alone that it `owns`, by their numbers in the order of groups, and
    /// keeps it where `states` says.
    ///
    /// # Errors
    /// As [`AdamW::new`].
    pub(crate) fn owning(
        config: AdamWConfig,
        groups: Vec<ParamGroup>,
        states: States,
        owns: impl Fn(usize) -> bool,
    ) -> Result<Self, TrainError> {
        let mut names = HashSet::new();
        let mut parameters = Vec::new();
        for group in groups {
            let weight_decay = if group.decay {
                config.weight_decay
            } else {
                0.0
            };
            for (name, leaf) in group.tensors {
                check_parameter(&name, &leaf)?;
                if !names.insert(name.clone()) {
                    return Err(unfit(
                        &name,
                        "it is given twice",
                        "put it in one group only",
                    ));
                }
                let kept_on = owns(parameters.len()).then(|| states.of(leaf.device()));
                let factors = [group.lr_multiplier, weight_decay];
                parameters.push(Parameter::new(name, leaf, kept_on, factors));
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

    /// The trained tensors with what is kept of them, in the order of groups.
    pub(crate) fn of_tensors(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The same, to be changed.
    pub(crate) fn of_tensors_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    /// Sets every gradient to zero.
    pub fn zero_grad(&mut self) {
        self.parameters.iter_mut().for_each(Parameter::zero_grad);
    }

    /// Ends a pass, whose gradient is in the tensors: of weights in 16 bits it is added to those of earlier passes in f32.
    pub fn end_pass(&mut self) {
        tch::no_grad(|| self.parameters.iter_mut().for_each(Parameter::end_pass));
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
            let grads = self.parameters.iter().filter_map(Parameter::grad);
            let norms: Vec<Tensor> = grads.map(|grad| grad.norm()).collect();
            if norms.is_empty() {
                return 0.0;
            }
            self.clip_by(&together(&norms), max_norm)
        })
    }

    /// [`AdamW::clip_grad_norm`] where the norms of all gradients, `[n]` in the order of parameters, are known; those that are
    /// here are scaled.
    pub(crate) fn clip_by(&mut self, norms: &Tensor, max_norm: f64) -> f64 {
        let total = norms.norm();
        if max_norm.is_finite() {
            let mut factor = ((&total + 1e-6).reciprocal() * max_norm).clamp_max(1.0);
            for mut grad in self.parameters.iter().filter_map(Parameter::grad) {
                // Another tensor only where the next gradient is on another device.
                factor = factor.to_device(grad.device());
                let _ = grad.g_mul_(&factor);
            }
        }
        total.double_value(&[])
    }

    /// One update of every parameter that has a gradient, in place.
    ///
    /// # Reference
    /// Loshchilov and Hutter, arXiv 1711.05101, algorithm 2; operations in the order of `torch.optim.AdamW`.
    pub fn step(&mut self, lr: f64) {
        let config = self.config;
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                parameter.update(lr, &config);
            }
        });
    }

    /// Number of trained values.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.parameters.iter().map(|p| p.n_values() as usize).sum()
    }

    /// The trained tensors with their names, sharing storage; of weights in 16 bits the masters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.parameters
            .iter()
            .map(|p| (p.name.clone(), p.weight()))
            .collect()
    }

    /// The trained tensors as passes read them, with their names, sharing storage.
    pub(crate) fn leaves(&self) -> Vec<(String, Tensor)> {
        self.parameters
            .iter()
            .map(|p| (p.name.clone(), p.leaf().shallow_clone()))
            .collect()
    }

    /// What the file of the weights and that of the optimizer hold, with the parameter that each is of.
    pub(crate) fn promises(&self, files: &[Saved]) -> Vec<(Promise, usize, Saved)> {
        let of_parameter = |(number, parameter): (usize, &Parameter)| {
            let promise = |saved: Saved| {
                let (kind, size) = parameter.form(saved);
                let name = format!("{}{}", parameter.name, saved.ending());
                (Promise { name, kind, size }, number, saved)
            };
            files.iter().copied().map(promise).collect::<Vec<_>>()
        };
        let all = self.parameters.iter().enumerate();
        all.flat_map(of_parameter).collect()
    }

    /// The state for a checkpoint: `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.step` (i64), sharing storage.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let all = self.promises(&Saved::OF_OPTIMIZER).into_iter();
        all.filter_map(|(promise, number, saved)| {
            Some((promise.name, self.parameters[number].saved(saved)?))
        })
        .collect()
    }

    /// Puts back a state that [`AdamW::state`] gave.
    ///
    /// # Errors
    /// A tensor is missing, left over, or has another shape or kind than the parameter's. Nothing is
    /// changed then.
    pub fn load_state(&mut self, state: Vec<(String, Tensor)>) -> Result<(), TrainError> {
        for (number, saved, tensor) in self.fitting(state)? {
            self.parameters[number].put(saved, &tensor);
        }
        Ok(())
    }

    /// The tensors of a state, by the numbers of their parameters.
    ///
    /// # Errors
    /// As [`AdamW::load_state`].
    pub(crate) fn fitting(
        &self,
        state: Vec<(String, Tensor)>,
    ) -> Result<Vec<(usize, Saved, Tensor)>, TrainError> {
        let mut state: BTreeMap<String, Tensor> = state.into_iter().collect();
        let mut found = Vec::with_capacity(3 * self.parameters.len());
        for (promise, number, saved) in self.promises(&Saved::OF_OPTIMIZER) {
            let name = &self.parameters[number].name;
            found.push((number, saved, take(&mut state, name, saved, &promise)?));
        }
        if let Some(name) = state.keys().next() {
            return Err(unfit(
                name,
                "the saved state has it, the model does not",
                OTHER_MODEL,
            ));
        }
        Ok(found)
    }
}

/// Norms one after the other, `[n]`, on the device of the first. They go from one device to another together.
pub(crate) fn together(norms: &[Tensor]) -> Tensor {
    let devices = norms.chunk_by(|left, right| left.device() == right.device());
    let together: Vec<Tensor> = devices
        .map(|of_device| Tensor::stack(of_device, 0).to_device(norms[0].device()))
        .collect();
    Tensor::cat(&together, 0)
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
    saved: Saved,
    promise: &Promise,
) -> Result<Tensor, TrainError> {
    let part = saved.ending().trim_start_matches('.');
    let Some(tensor) = state.remove(&promise.name) else {
        return Err(unfit(
            name,
            format!("the saved state lacks its {part}"),
            OTHER_MODEL,
        ));
    };
    if tensor.size() != promise.size || tensor.kind() != promise.kind {
        return Err(unfit(
            name,
            format!(
                "the saved {part} is {:?} {:?}, expected {:?} {:?}",
                tensor.kind(),
                tensor.size(),
                promise.kind,
                promise.size
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
