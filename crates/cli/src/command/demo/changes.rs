//! What a demo runs in another way than its recipes say: `--quick`, and the sizes of another family of models.
//!
//! A file of changes is a TOML table for each recipe, named as the recipe without `.toml`, whose keys replace the recipe's, and
//! a table `world` of the world's settings.

use std::path::Path;

use anyhow::Context as _;
use candor_report::Family;
use candor_world::WorldConfig;

use super::recipes::SHIPPED;

/// What `--quick` changes.
const QUICK: &str = include_str!("quick.toml");

/// What a family changes of the recipes, which make a LLaVA.
fn of_family(family: Family) -> &'static str {
    match family {
        Family::Llava => "",
        Family::Qwen25Vl => include_str!("qwen2_5_vl.toml"),
        Family::Qwen3Vl => include_str!("qwen3_vl.toml"),
    }
}

/// Changes of recipes and world.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    text: String,
    table: toml::Table,
}

impl Changes {
    /// Those of `--quick`.
    pub fn quick() -> anyhow::Result<Self> {
        Self::parse(QUICK)
    }

    /// Those of a family of models.
    pub fn family(family: Family) -> anyhow::Result<Self> {
        Self::parse(of_family(family))
    }

    /// Those of a file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; name a file of changes", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let table: toml::Table = text.parse()?;
        for (name, value) in &table {
            let is_recipe = SHIPPED.iter().any(|(file, _)| *file == recipe_of(name));
            anyhow::ensure!(
                value.is_table() && (is_recipe || name == "world"),
                "{name} is no recipe of the demo; write a table [world], or one named as a recipe, such as [1-sft]"
            );
        }
        let text = text.to_owned();
        let changes = Self { text, table };
        changes.world(0)?;
        Ok(changes)
    }

    /// The file's text; empty if nothing is changed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Settings that replace those of a recipe.
    pub fn of_recipe(&self, recipe: &str) -> Vec<String> {
        let mut settings = Vec::new();
        for (name, value) in &self.table {
            if recipe_of(name) == recipe {
                flatten("", value, &mut settings);
            }
        }
        settings
    }

    /// The world of a seed.
    pub fn world(&self, seed: u64) -> anyhow::Result<WorldConfig> {
        let mut config = serde_json::to_value(WorldConfig {
            seed,
            ..WorldConfig::default()
        })?;
        if let Some(changes) = self.table.get("world") {
            for (key, value) in changes.as_table().into_iter().flatten() {
                config[key] = serde_json::to_value(value)?;
            }
        }
        let config: WorldConfig = serde_json::from_value(config).context("in the table world")?;
        config.check()?;
        Ok(config)
    }
}

fn recipe_of(name: &str) -> String {
    format!("{name}.toml")
}

/// A table's values under their dotted keys.
fn flatten(key: &str, value: &toml::Value, settings: &mut Vec<String>) {
    let Some(table) = value.as_table() else {
        settings.push(format!("{key}={value}"));
        return;
    };
    for (name, value) in table {
        let dot = if key.is_empty() { "" } else { "." };
        flatten(&format!("{key}{dot}{name}"), value, settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_become_settings_and_a_world() {
        let text = "[world]\nn_train = 30\n[1-sft]\nrun.steps = 7\ndata.text = \"a\"\n[5-ppo.run]\nsteps = 2\n";
        let changes = Changes::parse(text).unwrap();
        assert_eq!(
            changes.of_recipe("1-sft.toml"),
            [r#"data.text="a""#, "run.steps=7"]
        );
        assert_eq!(changes.of_recipe("5-ppo.toml"), ["run.steps=2"]);
        assert!(changes.of_recipe("5-grpo.toml").is_empty());
        let world = changes.world(u64::MAX).unwrap();
        let expected = WorldConfig {
            seed: u64::MAX,
            n_train: 30,
            ..WorldConfig::default()
        };
        assert_eq!(world, expected);
        assert_eq!(Changes::default().world(3).unwrap().n_train, 8000);
    }

    #[test]
    fn what_is_no_change_is_named() {
        for (text, words) in [
            ("[9-sft]\nrun.steps = 1", "9-sft is no recipe of the demo"),
            ("world = 3", "world is no recipe of the demo"),
            ("[world]\nn_trian = 30", "n_trian"),
            ("[world]\nn_eval = 3", "n_eval"),
        ] {
            let error = Changes::parse(text).unwrap_err();
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }
}
