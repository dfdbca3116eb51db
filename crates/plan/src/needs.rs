//! What each stage would take on a model, with sequences as long as the paper's and batches as small as they can be.
//!
//! A recipe says more exactly what its own run takes ([`crate::Planner`]).

use candor_data::image::ImageSize;
use candor_model::{Activations, LoraConfig, ModelConfig, TARGETS};
use candor_train::{BasePrecision, States};
use serde::Serialize;

use crate::memory::{Budget, CROSS_ENTROPY, Memory, POLICY, Pass, copied};

/// The paper's rank.
const RANK: i64 = 64;
/// The paper's longest conversation, query and response.
const SFT_TOKENS: u64 = 1280;
const QUERY_TOKENS: u64 = 128;
const RESPONSE_TOKENS: u64 = 896;
/// A pair of responses after what they share.
const PAIR_TOKENS: u64 = 2048;
/// Sequences written together.
const ROWS: u64 = 16;

/// What a stage takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The stage.
    pub stage: &'static str,
    /// What is meant by it.
    pub with: String,
    /// Memory by precision of the base; none where the stage cannot be run in it.
    pub f32: Option<Memory>,
    /// In bf16.
    pub bf16: Option<Memory>,
    /// In int8.
    pub int8: Option<Memory>,
    /// In nf4.
    pub nf4: Option<Memory>,
}

/// What every stage takes on a model that sees images of one size.
#[must_use]
pub fn needs(config: &ModelConfig, image: ImageSize) -> Vec<Need> {
    let positions = config.n_positions() as u64;
    let image_tokens = config.n_image_tokens(image) as u64;
    let at_most = |tokens: u64| tokens.min(positions);
    let rollout = at_most(image_tokens + QUERY_TOKENS + RESPONSE_TOKENS);
    let (sft, pair) = (at_most(SFT_TOKENS), PAIR_TOKENS.min(2 * positions));
    let targets: Vec<String> = TARGETS.iter().map(ToString::to_string).collect();
    let lora = LoraConfig::new(RANK, 16.0, &targets);
    let speaking = |budget: &Budget<'_>, rows: u64, tokens: u64| Memory {
        weights_bytes: budget.weights(),
        work_bytes: budget.writing(rows, tokens).max(budget.encoding(rows)),
        ..Memory::default()
    };
    let learning = |budget: &Budget<'_>, n_tokens: u64, n_targets: u64, n_copied: u64| {
        let pass = Pass {
            n_tokens,
            n_targets,
            n_images: 1,
            n_copied,
            activations: Activations::Recompute,
        };
        Memory {
            weights_bytes: budget.weights() + budget.adapter(&lora).bytes,
            trained_bytes: budget.adapter(&lora).optimizer(1, States::OnDevice),
            work_bytes: budget.training(pass, Some(&lora), CROSS_ENTROPY),
            ..Memory::default()
        }
    };
    vec![
        need(
            (config, image),
            "chat",
            format!("one conversation of {positions} tokens"),
            |b| Some(speaking(b, 1, positions)),
        ),
        need(
            (config, image),
            "sample, eval",
            format!("{ROWS} answers together, of {rollout} tokens each with image and question"),
            |b| Some(speaking(b, ROWS, rollout)),
        ),
        need(
            (config, image),
            "sft, tower frozen",
            format!("1 conversation of {sft} tokens a pass, recomputed"),
            |b| everything(b, sft),
        ),
        need(
            (config, image),
            "sft, LoRA",
            format!("r = {RANK} on all layers, 1 conversation of {sft} tokens a pass, recomputed"),
            |b| Some(learning(b, sft, sft.saturating_sub(image_tokens), 0)),
        ),
        need(
            (config, image),
            "reward",
            format!("r = {RANK}, 1 pair of {pair} tokens a pass, recomputed"),
            |b| {
                let mut memory = learning(b, pair, 0, copied(pair, 2, positions));
                // The best adapter so far.
                memory.weights_bytes += b.adapter(&lora).bytes;
                Some(memory)
            },
        ),
        need(
            (config, image),
            "rl",
            format!(
                "four adapters of r = {RANK} on this base, {ROWS} rollouts of {rollout} tokens written together, 1 a pass, recomputed"
            ),
            |b| Some(reinforcing(b, &lora, rollout)),
        ),
    ]
}

fn need(
    (config, image): (&ModelConfig, ImageSize),
    stage: &'static str,
    with: String,
    memory: impl Fn(&Budget<'_>) -> Option<Memory>,
) -> Need {
    let at = |precision| {
        memory(&Budget {
            image,
            ..Budget::new(config, precision)
        })
    };
    Need {
        stage,
        with,
        f32: at(BasePrecision::F32),
        bf16: at(BasePrecision::Bf16),
        int8: at(BasePrecision::Int8),
        nf4: at(BasePrecision::Nf4),
    }
}

/// All but the tower is trained, in f32, or with passes in bf16; what is packed cannot be.
fn everything(budget: &Budget<'_>, n_tokens: u64) -> Option<Memory> {
    if matches!(budget.precision, BasePrecision::Int8 | BasePrecision::Nf4) {
        return None;
    }
    let trained = budget.trained_base();
    let image = budget.image_tokens();
    let pass = Pass {
        n_tokens,
        n_targets: n_tokens.saturating_sub(image),
        n_images: 1,
        n_copied: 0,
        activations: Activations::Recompute,
    };
    Some(Memory {
        weights_bytes: budget.weights(),
        trained_bytes: trained.optimizer(1, States::OnDevice)
            + budget.masters(trained, States::OnDevice),
        work_bytes: budget.training(pass, None, CROSS_ENTROPY),
        ..Memory::default()
    })
}

/// Policy and value adapters learn, those of the reference and the reward model stay.
fn reinforcing(budget: &Budget<'_>, lora: &LoraConfig, rollout: u64) -> Memory {
    let pass = Pass {
        n_tokens: rollout,
        n_targets: RESPONSE_TOKENS.min(rollout),
        n_images: 1,
        n_copied: 0,
        activations: Activations::Recompute,
    };
    let training = budget.training(pass, Some(lora), POLICY);
    Memory {
        weights_bytes: budget.weights() + 4 * budget.adapter(lora).bytes,
        trained_bytes: 2 * budget.adapter(lora).optimizer(1, States::OnDevice),
        work_bytes: training.max(budget.writing(ROWS, rollout)),
        ..Memory::default()
    }
}

#[cfg(test)]
mod tests {
    use candor_model::USUAL_IMAGE;

    use super::*;

    fn config() -> ModelConfig {
        let config: candor_model::LlavaConfig = serde_json::from_str(
            r#"{"text_config": {"max_position_embeddings": 4096}, "vision_config": {}}"#,
        )
        .unwrap();
        config.into()
    }

    #[test]
    fn fewer_bits_take_less_and_a_packed_base_is_not_trained() {
        for need in needs(&config(), USUAL_IMAGE) {
            let total = |memory: Option<Memory>| memory.map(|m| m.total_bytes());
            if need.stage == "sft, tower frozen" {
                assert_eq!((need.int8, need.nf4), (None, None));
                continue;
            }
            let totals = [need.f32, need.bf16, need.int8, need.nf4].map(total);
            assert!(
                totals.is_sorted_by(|wide, narrow| wide > narrow),
                "{}: {totals:?}",
                need.stage
            );
        }
    }

    #[test]
    fn training_a_base_takes_sixteen_bytes_a_weight() {
        let config = config();
        let needs = needs(&config, USUAL_IMAGE);
        let full = needs
            .iter()
            .find(|need| need.stage == "sft, tower frozen")
            .unwrap();
        // And a gradient of the largest tensor. In bf16 twenty: the weight and its gradient in bf16, and in f32 the weight, its gradient and two moments.
        let bf16 = full.bf16.unwrap();
        let half = Budget::new(&config, BasePrecision::Bf16);
        let n_trained = half.trained_base().bytes / 4;
        let n_tower = half.weights() / 2 - n_trained;
        assert_eq!(
            bf16.weights_bytes + bf16.trained_bytes,
            20 * n_trained + 2 * n_tower + half.trained_base().largest_bytes
        );
        let memory = full.f32.unwrap();
        let budget = Budget::new(&config, BasePrecision::F32);
        let tower = budget.weights() - budget.trained_base().bytes;
        assert_eq!(
            memory.weights_bytes + memory.trained_bytes,
            4 * (budget.weights() - tower) + tower + budget.trained_base().largest_bytes
        );
    }
}
