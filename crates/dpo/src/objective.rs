//! What is minimised: a loss of two answers, and what may be added to it.

use candor_recipe::Reader;
use tch::Kind::Double;
use tch::Tensor;

use crate::counting::Counting;
use crate::loss::{Context, Logprobs, Loss};
use crate::spoilt::ImageNegative;

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// How the answers are compared.
    pub loss: Loss,
    /// How their tokens are counted.
    pub counting: Counting,
    /// Weight of the mean negative log-probability of the preferred answers' tokens.
    pub sft_weight: f64,
    /// δ of the anchor.
    pub anchor: Option<f64>,
    /// What the image is compared with.
    pub image_negative: Option<ImageNegative>,
    /// Whether the other answer counts as much in the loss as the row says that it is bad.
    pub severity: bool,
}

/// What the passes of an update must know of the whole of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Its comparisons, or rated answers.
    pub n_rows: usize,
    /// The tokens of its preferred answers that count.
    pub n_targets: usize,
    /// The divergence that KTO compares with; any number for other losses.
    pub divergence: f64,
}

impl Objective {
    /// What the comparisons of a pass add to the loss of their update.
    ///
    /// # Shapes
    /// `nll`: `[n]`, −log π of the preferred answers' tokens → scalar f64.
    pub fn cost(
        &self,
        policy: &Logprobs,
        nll: &Tensor,
        reference: Option<&Logprobs>,
        update: Update,
    ) -> Tensor {
        let terms = self
            .loss
            .terms(policy, reference, self.context(update.divergence));
        let total = terms.total().sum(Double) / update.n_rows as f64;
        // Left out rather than multiplied by 0: nothing is computed backward for nothing.
        if self.sft_weight == 0.0 {
            return total;
        }
        total + nll.sum(Double) * (self.sft_weight / update.n_targets.max(1) as f64)
    }

    /// What the terms need to know besides the answers.
    #[must_use]
    pub fn context(&self, divergence: f64) -> Context {
        Context {
            divergence,
            anchor: self.anchor,
        }
    }
}

/// The losses by their names.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sigmoid,
    Ipo,
    SimPo,
    Orpo,
    Kto,
}

impl Objective {
    /// Asks the recipe for its keys.
    pub(crate) fn read(recipe: &mut Reader) -> Self {
        let kinds = [
            ("sigmoid", Kind::Sigmoid),
            ("ipo", Kind::Ipo),
            ("simpo", Kind::SimPo),
            ("orpo", Kind::Orpo),
            ("kto", Kind::Kto),
        ];
        let kind = recipe
            .one_of("dpo.loss", &kinds, "How two answers are compared: DPO (\"sigmoid\"), IPO and KTO against the model that the run starts from; SimPO and ORPO without a reference (docs/algorithms/dpo.md).")
            .required();
        let beta = recipe
            .f64("dpo.beta", "Strength of the pull to the reference (DPO, KTO; τ of IPO), scale of the rewards (SimPO), or weight of the odds ratio (ORPO).")
            .positive()
            .required();
        let loss = read_loss(recipe, kind, beta);
        let mean = match kind {
            // Defined by mean log-probabilities.
            Kind::SimPo | Kind::Orpo => true,
            Kind::Sigmoid | Kind::Ipo | Kind::Kto => recipe
                .one_of("dpo.logprob", &[("sum", false), ("mean", true)], "Whether an answer's log-probability is the sum over its tokens (DPO, KTO), or the mean (IPO as its authors run it, dense DPO).")
                .required(),
        };
        let changed_weight = recipe
            .f64("dpo.changed_weight", "Dense DPO: weight of the tokens that the other answer does not have, where the others have 1; all have 1 if absent.")
            .positive()
            .optional();
        let common_beginning = recipe
            .one_of("dpo.common_beginning", &[("counted", true), ("left_out", false)], "Whether the tokens that both answers begin with count; without them a given beginning is context, not answer.")
            .required();
        let sft_weight = recipe
            .f64("dpo.sft_weight", "Weight of the mean negative log-probability of the preferred answers' tokens that is added (RPO; 1 in ORPO); 0 for none.")
            .within(0.0..)
            .required();
        // Both are log-ratios to a reference, and the authors' are those of DPO.
        let (mut anchor, mut image_negative, mut severity) = (None, None, false);
        if kind == Kind::Sigmoid {
            anchor = recipe
                .f64("dpo.anchor", "mDPO: δ of −log σ(reward of the preferred answer − δ), which is added; nothing is if absent.")
                .optional();
            image_negative = ImageNegative::read(recipe);
            severity = recipe
                .bool("dpo.severity", "HSA-DPO: whether the log-probability of the other answer is multiplied by how bad the row says that it is (`rejected_score`), which every row must say.")
                .or(false, "false");
            if severity && mean {
                let problem = "its authors multiply a sum by how bad an answer is, not a mean";
                recipe.mistake("dpo.severity", problem, "use dpo.logprob = \"sum\"");
            }
        }
        Self {
            loss,
            counting: Counting {
                mean,
                changed_weight,
                common_beginning,
            },
            sft_weight,
            anchor,
            image_negative,
            severity,
        }
    }
}

fn read_loss(recipe: &mut Reader, kind: Kind, beta: f64) -> Loss {
    let mut label_smoothing = || {
        recipe
            .f64(
                "dpo.label_smoothing",
                "Share of the labels that is taken to be wrong (conservative DPO); 0 for none.",
            )
            .within(0.0..0.5)
            .required()
    };
    match kind {
        Kind::Sigmoid => Loss::Sigmoid {
            beta,
            label_smoothing: label_smoothing(),
        },
        Kind::Ipo => Loss::Ipo { beta },
        Kind::SimPo => Loss::SimPo {
            beta,
            label_smoothing: label_smoothing(),
            gamma: recipe
                .f64(
                    "dpo.gamma",
                    "SimPO: by how much the reward of the preferred answer is to be larger.",
                )
                .within(0.0..)
                .required(),
        },
        Kind::Orpo => Loss::Orpo { beta },
        Kind::Kto => Loss::Kto {
            beta,
            desirable: recipe
                .f64(
                    "dpo.desirable_weight",
                    "KTO: weight of the preferred answers, or of those with the label true.",
                )
                .positive()
                .required(),
            undesirable: recipe
                .f64(
                    "dpo.undesirable_weight",
                    "KTO: weight of the other answers, or of those with the label false.",
                )
                .positive()
                .required(),
        },
    }
}
