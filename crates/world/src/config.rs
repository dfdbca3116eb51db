//! The settings a world is built from. Nothing that changes a byte of the data folder is decided elsewhere.

use candor_data::random::Stream;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::error::WorldError;

/// Most scenes per split; the ids must fit the twelve digits of a file name with room to spare.
const MAX_SCENES: usize = 1_000_000;

/// Everything that decides a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Decides every random choice.
    pub seed: u64,
    /// Scenes for grounding, pretraining and SFT.
    pub n_train: usize,
    /// Scenes whose prompts are answered and compared.
    pub n_preference: usize,
    /// Scenes whose prompts are answered in PPO.
    pub n_rl: usize,
    /// Scenes for the evaluation sets; these never appear above.
    pub n_eval: usize,
    /// Prompts per scene in the preference and RL sets.
    pub n_prompts_per_scene: usize,
    /// VQA questions per training scene.
    pub n_vqa_per_scene: usize,
    /// The side of the written images.
    pub image_px: u32,
    /// Chances of 0, 1 and 2 false objects in a GPT-4-like description.
    pub false_additions: [f64; 3],
    /// The part of VQA questions that ask about an absent object as if it were there.
    pub false_premise: f64,
    /// Of the prompts whose answers are compared, the part that asks for a description; the others are questions.
    #[serde(default = "compared_describe")]
    pub compared_describe: f64,
    /// The same of PPO's general prompts.
    #[serde(default = "rl_describe")]
    pub rl_describe: f64,
    /// Of the questions among both, the part that takes something to be there which is not.
    #[serde(default)]
    pub prompt_premise: f64,
    /// Of the rows that teach reading, the part about the answer to a question on one thing instead of a description.
    #[serde(default)]
    pub reading_asks: f64,
    /// Of these answers, the part that says that there is no such thing.
    #[serde(default = "reading_denies")]
    pub reading_denies: f64,
    /// How often the simulated annotator answers a question of the protocol wrongly.
    pub annotator_error: f64,
    /// Chance that the captions of an image leave out a kind that is there.
    #[serde(default)]
    pub caption_gap: f64,
    /// Strength of the grain, as the standard deviation of its brightness in 0..=255.
    pub noise: f32,
    /// Mean number of bits of clutter strewn over an image.
    pub clutter: f32,
    /// Chance that an object is drawn faintly.
    pub faint: f64,
    /// How opaque a faint object is at least and at most, in hundredths.
    #[serde(default = "faint_opacity")]
    pub faint_opacity: [u8; 2],
    /// Chance that something without a name stands before a part of an object.
    #[serde(default)]
    pub covered: f64,
    /// The least and the largest part of an object that is covered, in hundredths of its box.
    #[serde(default = "cover")]
    pub cover: [u8; 2],
}

// What a world is built by whose file does not say it: it was written before there was such a setting.

fn compared_describe() -> f64 {
    0.7
}

fn rl_describe() -> f64 {
    1.0
}

fn reading_denies() -> f64 {
    0.3
}

fn faint_opacity() -> [u8; 2] {
    [60, 80]
}

fn cover() -> [u8; 2] {
    [35, 60]
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            n_train: 8000,
            n_preference: 8000,
            n_rl: 2000,
            n_eval: 400,
            n_prompts_per_scene: 2,
            n_vqa_per_scene: 4,
            image_px: 224,
            false_additions: [0.30, 0.45, 0.25],
            false_premise: 0.08,
            compared_describe: compared_describe(),
            rl_describe: rl_describe(),
            prompt_premise: 0.0,
            reading_asks: 0.0,
            reading_denies: reading_denies(),
            annotator_error: 0.035,
            caption_gap: 0.0,
            noise: 8.0,
            clutter: 14.0,
            faint: 0.25,
            faint_opacity: faint_opacity(),
            covered: 0.0,
            cover: cover(),
        }
    }
}

impl WorldConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`WorldError::Config`] names the first field that cannot be met.
    pub fn check(&self) -> Result<(), WorldError> {
        let counts = [
            ("n_train", self.n_train),
            ("n_preference", self.n_preference),
            ("n_rl", self.n_rl),
            ("n_eval", self.n_eval),
        ];
        for (field, count) in counts {
            if count > MAX_SCENES {
                return Err(wrong(field, &count, "use at most 1000000 scenes"));
            }
        }
        if self.n_eval < crate::evaluation::MIN_SCENES {
            return Err(wrong(
                "n_eval",
                &self.n_eval,
                "the evaluation sets need at least 150 scenes",
            ));
        }
        if self.n_train == 0 {
            return Err(wrong("n_train", &self.n_train, "use at least 1 scene"));
        }
        if !(32..=2048).contains(&self.image_px) {
            return Err(wrong("image_px", &self.image_px, "use 32 to 2048 pixels"));
        }
        for (field, count) in [
            ("n_prompts_per_scene", self.n_prompts_per_scene),
            ("n_vqa_per_scene", self.n_vqa_per_scene),
        ] {
            if !(1..=32).contains(&count) {
                return Err(wrong(field, &count, "use 1 to 32"));
            }
        }
        let sum: f64 = self.false_additions.iter().sum();
        if (sum - 1.0).abs() > 1e-9
            || self
                .false_additions
                .iter()
                .any(|p| !(0.0..=1.0).contains(p))
        {
            return Err(wrong(
                "false_additions",
                &format!("{:?}", self.false_additions),
                "use three probabilities that sum to 1",
            ));
        }
        for (field, p) in [
            ("false_premise", self.false_premise),
            ("compared_describe", self.compared_describe),
            ("rl_describe", self.rl_describe),
            ("prompt_premise", self.prompt_premise),
            ("reading_asks", self.reading_asks),
            ("reading_denies", self.reading_denies),
            ("annotator_error", self.annotator_error),
            ("caption_gap", self.caption_gap),
            ("faint", self.faint),
            ("covered", self.covered),
        ] {
            if !(0.0..=1.0).contains(&p) {
                return Err(wrong(field, &p, "use a probability"));
            }
        }
        for (field, [least, most], ends) in [
            ("faint_opacity", self.faint_opacity, 1..=100),
            ("cover", self.cover, 0..=80),
        ] {
            if least > most || !ends.contains(&least) || !ends.contains(&most) {
                return Err(wrong(
                    field,
                    &format!("[{least}, {most}]"),
                    "use the least and the most, in hundredths: 1 to 100 (faint_opacity), 0 to 80 (cover)",
                ));
            }
        }
        for (field, amount, most) in [
            ("noise", self.noise, 64.0),
            ("clutter", self.clutter, 200.0),
        ] {
            if !(0.0..=most).contains(&amount) {
                return Err(wrong(
                    field,
                    &amount,
                    "use 0 to 64 (noise) or 200 (clutter)",
                ));
            }
        }
        Ok(())
    }
}

/// Whether something of this chance happens. What never happens draws nothing: a world without it is the world from before
/// there was such a thing.
pub(crate) fn draw(chance: f64, rng: &mut Stream) -> bool {
    chance > 0.0 && rng.random_bool(chance)
}

fn wrong(field: &'static str, found: &impl ToString, remedy: &'static str) -> WorldError {
    WorldError::Config {
        field,
        found: found.to_string(),
        remedy,
    }
}
