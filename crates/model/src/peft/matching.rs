//! PEFT's rules for which layers a configuration means, on the names that the adapter's own file uses.
//!
//! - A list means layers whose whole name, or the end of it after a dot, is in the list.
//! - One text is a pattern that has to match the whole name, except `all-linear`, which is all linear layers but the
//!   output's.
//! - `layers_to_transform` goes with a list, and with those of its names that are not whole.
//! - Modules are saved whose name ends in one of `modules_to_save`, after a dot or not, with everything in them. No layer
//!   in a module that is called so, or has that name between dots, is adapted.
//! - The keys of `rank_pattern` and `alpha_pattern` are patterns that have to match the end of a name after a dot, or
//!   the whole of it; the first that does counts.
//!
//! The patterns are Python's; those of `fancy-regex` differ in nothing that names of layers have been matched with.

use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Steps of matching after which a pattern counts as hostile; honest ones take a few hundred a name.
const MAX_STEPS: usize = 100_000;
const MAX_PATTERNS: usize = 10_000;
/// What stands for every linear layer but the output's.
const ALL_LINEAR: &str = "all-linear";
/// Where a name has the number of its block, if `layers_pattern` does not say it.
const ANY_BLOCK: &str = r"\A.*?\.[^.]*\.(?P<block>\d+)\.";
/// How the embedding and the output layer are called in every spelling.
const WORDS: [&str; 2] = ["embed_tokens", "lm_head"];

/// One name or pattern, or several names.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Names {
    One(String),
    Many(Vec<String>),
}

/// The fields that choose layers.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Targets {
    target_modules: Option<Names>,
    #[serde(default)]
    exclude_modules: Option<Names>,
    #[serde(default)]
    modules_to_save: Option<Names>,
    #[serde(default)]
    layers_to_transform: Option<Layers>,
    #[serde(default)]
    layers_pattern: Option<Names>,
    #[serde(default)]
    ensure_weight_tying: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Layers {
    One(u64),
    Many(Vec<u64>),
}

/// What becomes of embedding and output layer where they are one matrix and are to stay one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    /// Both are saved.
    Saved,
    /// Both are adapted.
    Adapted,
}

/// What [`Targets`] says, with its patterns compiled.
pub(crate) struct Matcher<'a> {
    targets: &'a Targets,
    whole: Option<Regex>,
    excluded: Option<Regex>,
    saved: Vec<Regex>,
    layer: Vec<Regex>,
}

impl Targets {
    /// # Errors
    /// The field, if its pattern is none.
    pub(crate) fn matcher(&self) -> Result<Matcher<'_>, String> {
        let whole = |field: &str, names: &Option<Names>| match names {
            Some(Names::One(pattern)) if !pattern.eq_ignore_ascii_case(ALL_LINEAR) => {
                compile(field, &format!(r"\A(?:{pattern})\z")).map(Some)
            }
            _ => Ok(None),
        };
        let saved = all(self.modules_to_save.as_ref());
        let saved = saved
            .iter()
            .map(|name| compile("modules_to_save", &format!(r"\A(^|.*\.){name}($|\..*)")));
        let layer = match &all(self.layers_pattern.as_ref())[..] {
            [] | [""] => vec![ANY_BLOCK.to_owned()],
            names => {
                let block = |list: &&str| format!(r"\A(?:|.*?\.){list}\.(?P<block>\d+)\.");
                names.iter().map(block).collect()
            }
        };
        let layer = layer
            .iter()
            .map(|pattern| compile("layers_pattern", pattern));
        Ok(Matcher {
            targets: self,
            whole: whole("target_modules", &self.target_modules)?,
            excluded: whole("exclude_modules", &self.exclude_modules)?,
            saved: saved.collect::<Result<_, _>>()?,
            layer: layer.collect::<Result<_, _>>()?,
        })
    }

    /// Whether fields stand together that PEFT does not take together; the problem.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let pattern = matches!(self.target_modules, Some(Names::One(_)));
        (pattern && self.layers_to_transform.is_some()).then_some(
            "`layers_to_transform` stands beside a pattern in `target_modules`, and goes with a list",
        )
    }
}

/// The names of a field, none where it is missing.
fn all(names: Option<&Names>) -> Vec<&str> {
    names.map_or_else(Vec::new, Names::all)
}

impl Names {
    fn all(&self) -> Vec<&str> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

impl Matcher<'_> {
    /// Whether the layer called `name` is to have an adapter; `linear` says whether `all-linear` means it.
    ///
    /// # Errors
    /// A pattern that takes too long.
    pub(crate) fn targets(&self, name: &str, linear: bool) -> Result<bool, String> {
        let excluded = match (&self.targets.exclude_modules, &self.excluded) {
            (_, Some(pattern)) => is_match(pattern, name)?,
            (Some(names), None) => is_named(&names.all(), name),
            (None, None) => false,
        };
        if excluded {
            return Ok(false);
        }
        for pattern in &self.saved {
            if is_match(pattern, name)? {
                return Ok(false);
            }
        }
        Ok(match (&self.targets.target_modules, &self.whole) {
            (_, Some(pattern)) => is_match(pattern, name)?,
            (Some(Names::One(_)), None) => linear,
            (Some(names), None) => {
                let names = names.all();
                names.contains(&name) || (is_named(&names, name) && self.in_layers(name)?)
            }
            (None, None) => false,
        })
    }

    /// Whether the module called `name`, or one that it is in, is saved as a whole.
    pub(crate) fn saves(&self, name: &str) -> bool {
        let saved = all(self.targets.modules_to_save.as_ref());
        std::iter::successors(Some(name), |inner| Some(inner.rsplit_once('.')?.0))
            .any(|module| saved.iter().any(|end| module.ends_with(end)))
    }

    /// What `ensure_weight_tying` asks for, in a model whose output layer is its embedding.
    ///
    /// # Errors
    /// A pattern that takes too long.
    pub(crate) fn together(&self) -> Result<Option<Together>, String> {
        if self.targets.ensure_weight_tying != Some(true) {
            return Ok(None);
        }
        let has_words = |names: Vec<&str>| {
            let last = |name: &&str| name.rsplit('.').next().map(str::to_owned);
            let mut last = names.iter().filter_map(last);
            last.any(|last| WORDS.contains(&last.as_str()))
        };
        if has_words(all(self.targets.modules_to_save.as_ref())) {
            return Ok(Some(Together::Saved));
        }
        let adapted = match (&self.targets.target_modules, &self.whole) {
            // PEFT asks a pattern about the bare names, whatever it says about whole ones.
            (_, Some(pattern)) => is_match(pattern, WORDS[0])? || is_match(pattern, WORDS[1])?,
            (Some(Names::Many(_)), None) => has_words(all(self.targets.target_modules.as_ref())),
            _ => false,
        };
        Ok(adapted.then_some(Together::Adapted))
    }

    /// Whether `layers_to_transform`, which goes with lists only, has the block that `name` is in.
    fn in_layers(&self, name: &str) -> Result<bool, String> {
        let wanted = match &self.targets.layers_to_transform {
            None => return Ok(true),
            Some(Layers::One(layer)) => std::slice::from_ref(layer),
            Some(Layers::Many(layers)) if layers.is_empty() => return Ok(true),
            Some(Layers::Many(layers)) => layers,
        };
        for pattern in &self.layer {
            let found = pattern.captures(name).map_err(|e| slow(&e))?;
            let index = found.and_then(|found| found.name("block")?.as_str().parse().ok());
            if let Some(index) = index {
                return Ok(wanted.contains(&index));
            }
        }
        Ok(false)
    }
}

/// What `rank_pattern` or `alpha_pattern` says.
pub(crate) struct Patterns<'v>(Vec<(Regex, &'v Value)>);

impl<'v> Patterns<'v> {
    /// # Errors
    /// There are too many, or one is no pattern.
    pub(crate) fn new(field: &str, patterns: &'v Map<String, Value>) -> Result<Self, String> {
        if patterns.len() > MAX_PATTERNS {
            return Err(format!(
                "`{field}` has {} patterns, more than any model has layers",
                patterns.len()
            ));
        }
        let compiled = patterns.iter().map(|(pattern, value)| {
            let pattern = compile(field, &format!(r"\A(.*\.)?({pattern})$"))?;
            Ok((pattern, value))
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The value of the first that matches the end of `name`.
    ///
    /// # Errors
    /// A pattern takes too long.
    pub(crate) fn value(&self, name: &str) -> Result<Option<&'v Value>, String> {
        for (pattern, value) in &self.0 {
            if is_match(pattern, name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

fn is_named(names: &[&str], name: &str) -> bool {
    let ends = |part: &str| {
        let before = name.strip_suffix(part);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    names.iter().any(|part| ends(part))
}

fn compile(field: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(1 << 20)
        .build()
        .map_err(|e| format!("`{field}` is no pattern that can be read: {e}"))
}

fn is_match(pattern: &Regex, name: &str) -> Result<bool, String> {
    pattern.is_match(name).map_err(|e| slow(&e))
}

fn slow(error: &fancy_regex::Error) -> String {
    format!("a pattern over the names of layers takes too long: {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const QUERY: &str = "model.language_model.layers.11.self_attn.q_proj";
    const DOWN: &str = "model.language_model.layers.1.mlp.down_proj";
    const TOWER: &str = "model.vision_tower.encoder.layers.1.self_attn.q_proj";

    /// Which of [`QUERY`], [`DOWN`] and [`TOWER`] are meant, as PEFT 0.21's `check_target_module_exists` says.
    fn meant(fields: Value) -> Result<[bool; 3], String> {
        let targets: Targets = serde_json::from_value(fields).unwrap();
        let matcher = targets.matcher()?;
        let of = |name| matcher.targets(name, true);
        Ok([of(QUERY)?, of(DOWN)?, of(TOWER)?])
    }

    #[test]
    fn layers_are_meant_as_in_peft() {
        let pattern = r".*language_model.*\.(q_proj|down_proj)";
        let cases = [
            (json!({"target_modules": ["q_proj"]}), [true, false, true]),
            (json!({"target_modules": ["proj"]}), [false; 3]),
            (
                json!({"target_modules": ["mlp.down_proj", QUERY]}),
                [true, true, false],
            ),
            (json!({"target_modules": pattern}), [true, true, false]),
            (json!({"target_modules": "language_model"}), [false; 3]),
            (
                json!({"target_modules": "^(?!.*vision).*_proj"}),
                [true, true, false],
            ),
            (json!({"target_modules": "all-linear"}), [true; 3]),
            (
                json!({"target_modules": ["q_proj"], "exclude_modules": ".*vision_tower.*"}),
                [true, false, false],
            ),
            (
                json!({"target_modules": ["q_proj"], "exclude_modules": ["self_attn.q_proj"]}),
                [false; 3],
            ),
            (
                json!({"target_modules": "all-linear", "modules_to_save": ["mlp", "vision_tower"]}),
                [true, false, false],
            ),
            (
                json!({"target_modules": ["q_proj", "down_proj"], "layers_to_transform": 1}),
                [false, true, true],
            ),
            (
                json!({"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [11, 3],
                    "layers_pattern": "language_model.layers"}),
                [true, false, false],
            ),
            (json!({"target_modules": null}), [false; 3]),
        ];
        for (fields, expected) in cases {
            assert_eq!(meant(fields.clone()), Ok(expected), "{fields}");
        }
    }

    #[test]
    fn patterns_that_are_none_or_never_end_are_refused() {
        let message = meant(json!({"target_modules": "(q_proj"})).unwrap_err();
        assert!(message.contains("`target_modules`"), "{message}");
        let endless = meant(json!({"target_modules": r"(?=(.*.*.*.*.*)*\1z)(.*)*\1q_proj!"}));
        assert!(endless.unwrap_err().contains("too long"));
    }

    #[test]
    fn the_first_pattern_that_matches_an_end_counts() {
        let value = |patterns: Value, name: &str| {
            let Value::Object(patterns) = patterns else {
                unreachable!("an object");
            };
            let patterns = Patterns::new("rank_pattern", &patterns).unwrap();
            patterns.value(name).unwrap().and_then(Value::as_i64)
        };
        assert_eq!(
            value(json!({"q_proj": 2, ".*attn.q_proj": 3}), QUERY),
            Some(2)
        );
        assert_eq!(value(json!({"_proj": 2, "layers.1.*": 3}), DOWN), Some(3));
        // After a dot or at the beginning, and up to the end.
        assert_eq!(
            value(json!({"layers.1.self_attn.q_proj": 2, "mlp": 3}), QUERY),
            None
        );
        assert_eq!(
            value(
                json!({"^model.language_model.layers.1.mlp.down_proj": 2}),
                DOWN
            ),
            Some(2)
        );
        assert_eq!(value(json!({"^layers.1.mlp.down_proj": 2}), DOWN), None);
    }
}
