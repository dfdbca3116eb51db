//! A demo's folder as its stages see it: where they read and write, and the recipes they are run by.
//!
//! The shipped recipes are part of the binary, so that a demo needs nothing but the binary. A demo writes them into its
//! folder, and its stages are run by those files.

use std::path::PathBuf;

use candor_report::Family;
use candor_world::WorldConfig;

use super::changes::Changes;
use crate::arguments::DemoArguments;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../../recipes/demo/", $name)))),*]
    };
}

/// The recipes and prompts by their names.
pub const SHIPPED: [(&str, &str); 15] = shipped![
    "0-ground.toml",
    "0-pretrain.toml",
    "1-sft.toml",
    "1-sft-gpt4.toml",
    "2-sample.toml",
    "3-reading.toml",
    "3-reward.toml",
    "4-policy-init.toml",
    "4-dpo.toml",
    "5-ppo.toml",
    "5-grpo.toml",
    "5-rloo.toml",
    "6-eval.toml",
    "reward-facts.txt",
    "reward-plain.txt",
];

/// What another family than that of the recipes changes.
const FAMILY: &str = "family.toml";

/// The folder, and what decides what is made in it.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where everything is.
    pub out: PathBuf,
    /// Decides every random choice.
    pub seed: u64,
    /// What the models are built as.
    pub family: Family,
    /// What that changes of the recipes.
    of_family: Changes,
    /// What is made in another way than the recipes say.
    pub changes: Changes,
}

impl Folder {
    /// What the arguments ask for; nothing is read or written but the file of changes.
    pub fn of(arguments: &DemoArguments) -> anyhow::Result<Self> {
        let changes = match &arguments.changes {
            Some(file) => Changes::open(file)?,
            None if arguments.quick => Changes::quick()?,
            None => Changes::default(),
        };
        let family = Family::from(arguments.family);
        Ok(Self {
            out: arguments.out.clone(),
            seed: arguments.seed,
            family,
            of_family: Changes::family(family)?,
            changes,
        })
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Whether everything is small, so that no number means anything.
    pub fn is_quick(&self) -> bool {
        !self.changes.text().is_empty()
    }

    /// The world that everything is about.
    pub fn world(&self) -> anyhow::Result<WorldConfig> {
        self.changes.world(self.seed)
    }

    /// Writes what this demo is made by into its folder, or refuses to go on with one made by something else.
    pub fn keep_recipes(&self) -> anyhow::Result<()> {
        let world = serde_json::to_string_pretty(&self.world()?)? + "\n";
        let own = [
            ("world.json", world.as_str()),
            ("changes.toml", self.changes.text()),
        ];
        let path = self.path("recipes").join(FAMILY);
        anyhow::ensure!(
            !self.family.is_usual() || !path.exists(),
            "{} is of a demo with another --family; give another --out, or delete that folder",
            path.display()
        );
        let family = (!self.family.is_usual()).then(|| (FAMILY, self.of_family.text()));
        for (name, text) in SHIPPED.into_iter().chain(own).chain(family) {
            let path = self.path("recipes").join(name);
            if !path.exists() {
                candor_data::atomic::write(&path, text.as_bytes())?;
                continue;
            }
            anyhow::ensure!(
                std::fs::read_to_string(&path).is_ok_and(|then| then == text),
                "{} is not what this version of candor would run, so the demo in {} cannot be continued; give \
                 another --out, or delete that folder",
                path.display(),
                self.out.display()
            );
        }
        Ok(())
    }

    /// A recipe of this folder and what replaces its values, the run folder `out` among them; `sets` come last.
    pub fn recipe(&self, name: &str, out: &str, sets: &[String]) -> (PathBuf, Vec<String>) {
        let mut all = vec![
            format!("seed={}", self.seed),
            self.set("data.root", "world"),
            self.set("run.out", out),
        ];
        all.extend(self.of_family.of_recipe(name));
        all.extend(self.changes.of_recipe(name));
        all.extend_from_slice(sets);
        (self.path("recipes").join(name), all)
    }

    /// Sets a recipe's key to a path in this folder.
    pub fn set(&self, key: &str, path: &str) -> String {
        let path = if path.is_empty() {
            self.out.clone()
        } else {
            self.path(path)
        };
        format!("{key}={}", toml::Value::from(path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_model::{TensorSpec, tensor_specs};
    use candor_report::Family;
    use candor_sft::{GroundRecipe, SftRecipe};

    use super::super::changes::Changes;

    #[test]
    fn a_token_of_every_family_is_a_cell_and_the_models_are_about_as_large() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/demo"));
        // Parameters by the sizes of the recipes, without words, which are about as many in all.
        for (family, n_patches, n_parameters) in [
            (Family::Llava, 16, 1_022_112),
            (Family::Qwen25Vl, 64, 763_200),
            (Family::Qwen3Vl, 64, 857_696),
        ] {
            let changes = Changes::family(family).unwrap();
            let sets = changes.of_recipe("0-ground.toml");
            let recipe = GroundRecipe::open(&folder.join("0-ground.toml"), &sets).unwrap();
            let model = &recipe.model;
            assert_eq!(model.config.family(), family.name());
            assert_eq!((model.grid(), model.n_patches()), (4, n_patches));
            let specs = tensor_specs(&model.config);
            let n: u64 = specs.iter().map(TensorSpec::n_elements).sum();
            assert_eq!(n, n_parameters, "{}", family.name());
            for tuned in [
                "0-pretrain",
                "1-sft",
                "1-sft-gpt4",
                "3-reading",
                "4-policy-init",
            ] {
                let file = format!("{tuned}.toml");
                let recipe = SftRecipe::open(&folder.join(&file), &changes.of_recipe(&file));
                let longest = if family == Family::Llava { 400 } else { 512 };
                assert_eq!(recipe.unwrap().max_tokens, longest, "{tuned}");
            }
        }
    }

    /// The recipe's tables as they are run, without what may differ between the two kinds of fine-tuning.
    fn without_sources(path: &Path) -> toml::Table {
        let recipe = SftRecipe::open(path, &[]).unwrap();
        let mut table: toml::Table = recipe.resolved.to_text().parse().unwrap();
        for (part, key) in [("run", "out"), ("data", "sources")] {
            let removed = table[part].as_table_mut().unwrap().remove(key);
            assert!(removed.is_some(), "{part}.{key}");
        }
        table
    }

    /// Name and weight of each source.
    fn sources(path: &Path) -> Vec<(String, f64)> {
        let recipe = SftRecipe::open(path, &[]).unwrap();
        let table: toml::Table = recipe.resolved.to_text().parse().unwrap();
        let sources = table["data"]["sources"].as_array().unwrap();
        let of = |source: &toml::Value| {
            let weight = source["weight"].as_float().unwrap();
            (source["name"].as_str().unwrap().to_owned(), weight)
        };
        sources.iter().map(of).collect()
    }

    #[test]
    fn fine_tuning_on_gpt4_like_data_differs_in_its_sources_alone() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/demo"));
        let (all, gpt4) = (folder.join("1-sft.toml"), folder.join("1-sft-gpt4.toml"));
        assert_eq!(without_sources(&all), without_sources(&gpt4));
        let human = ["vqa", "choices", "captions"];
        let looking = ["checklist", "colour_calls", "verification"];
        let (all, gpt4) = (sources(&all), sources(&gpt4));
        let names = |sources: &[(String, f64)]| -> Vec<String> {
            sources.iter().map(|(name, _)| name.clone()).collect()
        };
        let mut left = names(&all);
        left.retain(|name| !human.contains(&name.as_str()));
        assert_eq!(left, names(&gpt4));
        assert_eq!(left.len() + human.len(), all.len());
        // What keeps a small decoder looking has the same share in both, and the shares are whole.
        for sources in [&all, &gpt4] {
            let sum = |names: &[&str]| -> f64 {
                let chosen = sources
                    .iter()
                    .filter(|(name, _)| names.contains(&name.as_str()));
                chosen.map(|(_, weight)| weight).sum()
            };
            assert!((sum(&looking) - 0.20).abs() < 1e-9);
            assert!((sources.iter().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}
