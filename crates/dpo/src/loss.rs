//! What a comparison costs, as functions of the log-probabilities of its two answers; and what a rated answer does, in KTO.
//!
//! Everything is a value for each row, which an update averages: so a pass may hold as many rows as it likes.
//! `log σ` is taken as such, which neither overflows nor loses small probabilities. All of it is in f64, and differentiable
//! in the policy's log-probabilities.
//!
//! # Reference
//! DPO (arXiv 2305.18290, eq. 7), with smoothed labels (cDPO); IPO (2310.12036, eq. 17); `SimPO` (2405.14734, eq. 6); ORPO
//! (2403.07691, eqs. 4 and 7); KTO (2402.01306, eq. 7); mDPO (2406.11839: the preference for the image, and the anchor).
//! Where papers leave a choice, it is TRL's. `parity/fixtures/dpo.py` has them again in PyTorch.

use tch::{Device, Kind, Tensor};

/// Log-probabilities of the answers of some rows, as they are counted ([`crate::counting`]).
#[derive(Debug)]
pub struct Logprobs {
    /// Of the preferred answers, `[n]` f64.
    pub chosen: Tensor,
    /// Of the others, `[n]` f64.
    pub rejected: Tensor,
    /// Of the preferred answers where the model sees a spoilt image.
    pub spoilt: Option<Spoilt>,
    /// Where rows are rated answers, of which `chosen` and `rejected` are the same: 1 for a good one, 0 for another; `[n]` f64.
    pub desirable: Option<Tensor>,
    /// Of the policy's: how often the log-ratio of each other answer counts in the loss, `[n]` f64; none where each counts once. Rewards
    /// are without it.
    pub severity: Option<Tensor>,
}

/// Log-probabilities of the preferred answers under spoilt images.
#[derive(Debug)]
pub struct Spoilt {
    /// The log-probabilities, `[n]` f64; any number where there is no image.
    pub chosen: Tensor,
    /// 1 for a comparison with an image, 0 for one without, which costs nothing here; `[n]` f64.
    pub shown: Tensor,
}

impl Logprobs {
    /// The same on a device.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            chosen: self.chosen.to_device(device),
            rejected: self.rejected.to_device(device),
            spoilt: self.spoilt.as_ref().map(|spoilt| Spoilt {
                chosen: spoilt.chosen.to_device(device),
                shown: spoilt.shown.to_device(device),
            }),
            desirable: (self.desirable.as_ref()).map(|desirable| desirable.to_device(device)),
            severity: (self.severity.as_ref()).map(|severity| severity.to_device(device)),
        }
    }
}

/// How two answers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// DPO: −log σ of the difference of rewards, in which a share of the labels may be taken to be wrong.
    Sigmoid {
        /// Strength of the pull to the reference.
        beta: f64,
        /// Share of the labels that is taken to be wrong.
        label_smoothing: f64,
    },
    /// IPO: the log-ratios are to differ by 1 / 2β, no less and no more.
    Ipo {
        /// τ of the paper.
        beta: f64,
    },
    /// `SimPO`: no reference; mean log-probabilities are to differ by a margin.
    SimPo {
        /// Scale of the rewards.
        beta: f64,
        /// The margin of the rewards.
        gamma: f64,
        /// Share of the labels that is taken to be wrong.
        label_smoothing: f64,
    },
    /// ORPO: no reference; odds of the mean probabilities. The paper adds the NLL of the preferred answer.
    Orpo {
        /// λ of the paper.
        beta: f64,
    },
    /// KTO: each answer against the divergence of the policy, which is estimated over the update. A comparison costs the mean of
    /// its two answers.
    Kto {
        /// Strength of the pull to the reference.
        beta: f64,
        /// Weight of preferred, or good, answers.
        desirable: f64,
        /// Weight of the others.
        undesirable: f64,
    },
}

/// The parts of the loss, one value for each comparison.
#[derive(Debug)]
pub struct Terms {
    /// Of the two answers, `[n]`.
    pub preference: Tensor,
    /// Of the image and its spoilt form, `[n]`.
    pub image: Option<Tensor>,
    /// Of the anchor, `[n]`.
    pub anchor: Option<Tensor>,
}

impl Terms {
    /// All parts together, `[n]`.
    pub fn total(&self) -> Tensor {
        let parts = [&self.image, &self.anchor].into_iter().flatten();
        parts.fold(self.preference.shallow_clone(), |sum, part| sum + part)
    }
}

/// What the terms need to know besides the answers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Context {
    /// What [`divergence`] estimated, for KTO alone.
    pub divergence: f64,
    /// δ of −log σ(reward of the preferred answer − δ), if there is such a term.
    pub anchor: Option<f64>,
}

impl Loss {
    /// β.
    #[must_use]
    pub fn beta(self) -> f64 {
        match self {
            Self::Sigmoid { beta, .. }
            | Self::Ipo { beta }
            | Self::SimPo { beta, .. }
            | Self::Orpo { beta }
            | Self::Kto { beta, .. } => beta,
        }
    }

    /// Whether the policy is compared with a reference.
    #[must_use]
    pub fn has_reference(self) -> bool {
        !matches!(self, Self::SimPo { .. } | Self::Orpo { .. })
    }

    /// Whether it needs an estimate of the policy's divergence.
    #[must_use]
    pub fn needs_divergence(self) -> bool {
        matches!(self, Self::Kto { .. })
    }

    /// β times log-ratio to the reference; without one β times log-probability.
    ///
    /// # Shapes
    /// → chosen and rejected, `[n]` each.
    pub fn rewards(self, policy: &Logprobs, reference: Option<&Logprobs>) -> [Tensor; 2] {
        let [chosen, rejected] = log_ratios(policy, reference);
        [chosen * self.beta(), rejected * self.beta()]
    }

    /// What the comparisons cost.
    ///
    /// # Shapes
    /// → `[n]` each.
    ///
    /// # Panics
    /// There is no reference where the anchor or a spoilt image needs one.
    #[must_use]
    pub fn terms(
        self,
        policy: &Logprobs,
        reference: Option<&Logprobs>,
        Context { divergence, anchor }: Context,
    ) -> Terms {
        let [chosen, rejected] = log_ratios(policy, reference);
        let rejected = match &policy.severity {
            Some(severity) => rejected * severity,
            None => rejected,
        };
        let preference = match self {
            Self::Sigmoid {
                beta,
                label_smoothing,
            } => smoothed(&((&chosen - rejected) * beta), label_smoothing),
            Self::Ipo { beta } => (&chosen - rejected - 0.5 / beta).square(),
            Self::SimPo {
                beta,
                gamma,
                label_smoothing,
            } => smoothed(&((&chosen - rejected) * beta - gamma), label_smoothing),
            Self::Orpo { beta } => -(log_odds(&chosen) - log_odds(&rejected)).log_sigmoid() * beta,
            Self::Kto {
                beta,
                desirable,
                undesirable,
            } => {
                let of_chosen = (1.0 - ((&chosen - divergence) * beta).sigmoid()) * desirable;
                let of_rejected = (1.0 - ((divergence - rejected) * beta).sigmoid()) * undesirable;
                match &policy.desirable {
                    None => (of_chosen + of_rejected) / 2.0,
                    Some(desirable) => of_chosen * desirable + of_rejected * (1.0 - desirable),
                }
            }
        };
        let image = policy.spoilt.as_ref().map(|spoilt| {
            let of_reference = reference.and_then(|reference| reference.spoilt.as_ref());
            let of_reference = of_reference.expect("the reference saw the spoilt images too");
            let with_spoilt = &spoilt.chosen - &of_reference.chosen;
            -((&chosen - with_spoilt) * self.beta()).log_sigmoid() * &spoilt.shown
        });
        let anchor = anchor.map(|delta| {
            assert!(reference.is_some(), "the anchor is a log-ratio");
            -(&chosen * self.beta() - delta).log_sigmoid()
        });
        Terms {
            preference,
            image,
            anchor,
        }
    }
}

/// The estimate of the divergence KL(π ‖ reference) of an update, in nats and at least 0, that KTO compares answers with: the
/// mean log-ratio of answers to other prompts. No gradient goes through it.
#[must_use]
pub fn divergence(policy: &[f64], reference: &[f64]) -> f64 {
    let sum: f64 = policy.iter().zip(reference).map(|(p, r)| p - r).sum();
    (sum / policy.len().max(1) as f64).max(0.0)
}

/// `log π − log π_ref`, or `log π` without a reference.
fn log_ratios(policy: &Logprobs, reference: Option<&Logprobs>) -> [Tensor; 2] {
    match reference {
        Some(reference) => [
            &policy.chosen - &reference.chosen,
            &policy.rejected - &reference.rejected,
        ],
        None => [
            policy.chosen.shallow_clone(),
            policy.rejected.shallow_clone(),
        ],
    }
}

/// `−(1 − s) log σ(x) − s log σ(−x)`.
fn smoothed(x: &Tensor, s: f64) -> Tensor {
    let right = -x.log_sigmoid();
    // Left out rather than multiplied by 0, so that an infinite wrong side does not make a NaN of it.
    if s == 0.0 {
        return right;
    }
    right * (1.0 - s) - (-x).log_sigmoid() * s
}

/// log(p / (1 − p)) of p = exp(x), exact for p near 0 and near 1.
///
/// # Shapes
/// `x`: `[n]`, below 0 → the same.
fn log_odds(x: &Tensor) -> Tensor {
    // log(1 − eˣ): near 1 the difference is taken by expm1, near 0 the logarithm by log1p, and each branch is
    // kept away from where its derivative is infinite, or the other's gradient would be NaN.
    let half = -std::f64::consts::LN_2;
    let near_one = x.gt(half);
    let large = (-x.clamp_min(half).expm1()).log();
    let small = (-x.clamp_max(half).exp()).log1p();
    x - large.where_self(&near_one, &small)
}

/// `[n]` f64 on the CPU.
pub fn column(values: &[f64]) -> Tensor {
    Tensor::from_slice(values)
        .to_kind(Kind::Double)
        .to_device(Device::Cpu)
}
