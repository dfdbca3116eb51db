//! One round: the recipes of its stages, what they start from, and where each of them writes.

use std::path::{Path, PathBuf};

use candor_data::random;
use candor_dpo::DpoRecipe;
use candor_sample::SampleRecipe;
use candor_train::Tune;
use rand::RngExt as _;
use serde_json::Value;

use crate::RoundsError;
use crate::recipe::{LabelRecipe, ReferenceOf, RoundsRecipe};

/// A round of a recipe.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    recipe: &'a RoundsRecipe,
    /// From 1.
    number: u64,
}

impl<'a> Round<'a> {
    /// The round of this number, from 1.
    #[must_use]
    pub fn new(recipe: &'a RoundsRecipe, number: u64) -> Self {
        Self { recipe, number }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.recipe.out.join(format!("round-{}", self.number))
    }

    /// The folder of the run that learns, with the policy that the round ends with.
    #[must_use]
    pub fn learned(&self) -> PathBuf {
        self.folder().join("dpo")
    }

    /// Where whoever compares answers writes.
    #[must_use]
    pub fn labels(&self) -> PathBuf {
        self.folder().join("labels")
    }

    /// The comparisons that are learned from. Those of people come from outside.
    #[must_use]
    pub fn preferences(&self) -> PathBuf {
        match self.recipe.label {
            LabelRecipe::People => self.folder().join("preferences.log.jsonl"),
            _ => self.labels().join("preferences.json"),
        }
    }

    /// The run that the policy of this round comes from; none of the first round, which starts from the recipe's model.
    fn before(&self) -> Option<PathBuf> {
        (self.number > 1).then(|| Self::new(self.recipe, self.number - 1).learned())
    }

    /// The policy that the round ends with: an adapter, or a whole model.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.learned().join(self.trains()[1])
    }

    /// The key of the recipes that names what is trained, and its folder in that of a run.
    fn trains(&self) -> [&'static str; 2] {
        match self.recipe.dpo.tune {
            Tune::Lora(_) => ["model.adapter", "adapter"],
            Tune::AllButTower | Tune::Projector => ["model.base", "model"],
        }
    }

    /// The setting that makes a stage go on from the policy that a run has trained.
    fn policy_of(&self, run: &Path) -> String {
        let [key, folder] = self.trains();
        set(key, &run.join(folder))
    }

    /// The recipe that samples two answers to each prompt, the `file`-th time, from 1.
    ///
    /// # Errors
    /// The recipe cannot be read with what the round puts in.
    pub fn sampling(&self, file: usize) -> Result<SampleRecipe, RoundsError> {
        let of_all = &self.recipe.sample;
        let address = [self.number, file as u64];
        let seed: u32 = random::stream(of_all.seed, "rounds.sample", &address).random();
        let mut sets = vec![
            set("run.out", &self.folder().join(format!("sample-{file}"))),
            format!("seed={seed}"),
        ];
        if let Some(n) = self.recipe.n_prompts {
            let skip = of_all.skip + n * (self.number as usize - 1);
            sets.extend([format!("prompts.skip={skip}"), format!("prompts.count={n}")]);
        }
        sets.extend(self.before().map(|run| self.policy_of(&run)));
        self.recipe.sample_with(&sets)
    }

    /// The recipe that learns, and the run whose weights it begins with where those are not the reference's.
    ///
    /// # Errors
    /// The recipe cannot be read with what the round puts in.
    pub fn learning(&self) -> Result<(DpoRecipe, Option<PathBuf>), RoundsError> {
        let mut sets = vec![
            set("run.out", &self.learned()),
            // The images are where the recipe has them, and the comparisons beside the run.
            set("data.root", Path::new(".")),
            set("data.images", &self.recipe.sample.images),
            format!("data.preferences=[{}]", quoted(&self.preferences())),
        ];
        let before = self.before();
        let of_round = self.recipe.reference == ReferenceOf::Round;
        if let Some(run) = before.as_deref().filter(|_| of_round) {
            sets.push(self.policy_of(run));
            return Ok((self.recipe.dpo_with(&sets, true)?, None));
        }
        Ok((self.recipe.dpo_with(&sets, false)?, before))
    }
}

/// An override of a path.
fn set(key: &str, path: &Path) -> String {
    format!("{key}={}", quoted(path))
}

/// A path as TOML reads it back.
fn quoted(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use candor_train::{Judgements, LoraStart};

    use super::*;
    use crate::recipe::tests::read;

    fn adapter(recipe: &DpoRecipe) -> Option<&Path> {
        match &recipe.tune {
            Tune::Lora(LoraStart::Adapter(folder)) => Some(folder),
            _ => None,
        }
    }

    #[test]
    fn each_round_asks_the_next_prompts_with_draws_of_its_own() {
        let recipe = read(&["prompts.skip=5"]).unwrap();
        let of = |number, file| Round::new(&recipe, number).sampling(file).unwrap();
        let slices = [1, 2, 3]
            .map(|number| of(number, 1))
            .map(|r| (r.skip, r.count));
        assert_eq!(slices, [(5, Some(40)), (45, Some(40)), (85, Some(40))]);
        let seeds = [of(1, 1), of(1, 2), of(2, 1), of(2, 2)].map(|recipe| recipe.seed);
        for (i, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..i].contains(seed), "{seeds:?}");
        }
        assert_eq!(of(1, 1).seed, seeds[0]);
        assert_eq!(of(2, 2).out, Path::new("out/round-2/sample-2"));
        assert_eq!(of(1, 1).adapter.as_deref(), None);
        let before = Path::new("out/round-1/dpo/adapter");
        assert_eq!(of(2, 1).adapter.as_deref(), Some(before));
    }

    #[test]
    fn the_reference_is_the_policy_of_the_round_or_the_first_one() {
        for (reference, starts_from, begins_with) in [
            ("round", Some("out/round-1/dpo/adapter"), None),
            ("first", None, Some("out/round-1/dpo")),
        ] {
            let recipe = read(&[&format!("rounds.reference={reference:?}")]).unwrap();
            let (first, init_from) = Round::new(&recipe, 1).learning().unwrap();
            assert_eq!((adapter(&first), init_from), (None, None), "{reference}");
            let (second, init_from) = Round::new(&recipe, 2).learning().unwrap();
            assert_eq!(adapter(&second), starts_from.map(Path::new), "{reference}");
            assert_eq!(
                init_from.as_deref(),
                begins_with.map(Path::new),
                "{reference}"
            );
            let Judgements::Comparisons(set) = &second.judgements else {
                panic!("not comparisons");
            };
            assert!(set.images.ends_with("world/images"), "{:?}", set.images);
            let file = Path::new("./out/round-2/labels/preferences.json");
            assert_eq!(set.files[0].path, file, "{reference}");
            assert_eq!(second.session.seed, recipe.dpo.session.seed);
        }
    }

    #[test]
    fn a_whole_model_goes_on_as_a_whole() {
        let text = crate::recipe::tests::TEXT
            .replace("tune = \"lora\"", "tune = \"all_but_tower\"")
            .replace(
                "lora = { r = 2, alpha = 4.0, targets = [\"q_proj\"] }\n",
                "",
            );
        let recipe = crate::recipe::tests::read_text(&text, &[]).unwrap();
        let second = Round::new(&recipe, 2);
        let before = Path::new("out/round-1/dpo/model");
        assert_eq!(second.sampling(1).unwrap().base, before);
        assert_eq!(second.learning().unwrap().0.base, before);
    }
}
