//! Recipes: everything wrong is reported at once, with line and key.

mod alternatives;
mod elements;
mod parts;

use std::fs;

use candor_recipe::{Reader, RecipeError, Resolved, changed_keys};

#[derive(Debug, PartialEq)]
struct Stage {
    seed: u64,
    learning_rate: f64,
    warmup_ratio: Option<f64>,
    schedule: &'static str,
    image_size: usize,
    sources: Vec<(String, f64)>,
    limits: Vec<(String, u64)>,
}

fn read(text: &str, sets: &[&str]) -> Result<(Stage, Resolved), RecipeError> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let mut recipe = Reader::parse("r.toml", text, &sets);
    let seed = recipe.u64("seed", "Decides all.").required();
    let learning_rate = recipe
        .f64("optimizer.learning_rate", "How fast.")
        .positive()
        .required();
    let warmup_ratio = recipe
        .f64("optimizer.warmup_ratio", "How long slower.")
        .within(0.0..=1.0)
        .optional();
    let choices = [("constant", "constant"), ("cosine", "cosine")];
    let schedule = recipe
        .one_of("optimizer.schedule", &choices, "What the rate does.")
        .required();
    let image_size = recipe
        .usize("model.image_size", "Pixels.")
        .within(8..=1024)
        .required();
    let sources = recipe
        .tables("data.sources", "Files.")
        .required()
        .iter()
        .map(|source| {
            let file = recipe
                .string(&format!("{source}.file"), "A file.")
                .required();
            (
                file,
                recipe
                    .f64(&format!("{source}.weight"), "A share.")
                    .required(),
            )
        })
        .collect();
    let limits = recipe
        .names("limits", "What there may be.")
        .optional()
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let limit = recipe
                .u64(&format!("limits.{name}"), "How much.")
                .required();
            (name, limit)
        })
        .collect();
    let resolved = recipe.finish()?;
    let stage = Stage {
        seed,
        learning_rate,
        warmup_ratio,
        schedule,
        image_size,
        sources,
        limits,
    };
    Ok((stage, resolved))
}

const GOOD: &str = r#"seed = 7

[optimizer]
learning_rate = 1e-4
schedule = "cosine"

[model]
image_size = 32

[[data.sources]]
file = "a.json"
weight = 1

[[data.sources]]
file = "b.json"
weight = 0.5

[limits]
images = 3
"#;

#[test]
fn a_good_recipe_reads() {
    let (stage, _) = read(GOOD, &[]).unwrap();
    let expected = Stage {
        seed: 7,
        learning_rate: 1e-4,
        warmup_ratio: None,
        schedule: "cosine",
        image_size: 32,
        sources: vec![("a.json".into(), 1.0), ("b.json".into(), 0.5)],
        limits: vec![("images".into(), 3)],
    };
    assert_eq!(stage, expected);
}

#[test]
fn all_mistakes_come_at_once_in_line_order() {
    let text = r#"seeds = 7

[optimizer]
learning_rate = "fast"
schedule = "cosin"
warmup = 0.03

[model]
image_size = 4

[[data.sources]]
file = "a.json"
weight = 1
wieght = 2

[lora]
rank = 8
"#;
    let error = read(text, &[]).unwrap_err().to_string();
    let expected = r#"r.toml has 8 mistakes
  r.toml:1: seed: missing (add `seed = <an integer of at least 0>`)
  r.toml:1: seeds: unknown key (did you mean `seed`?)
  r.toml:4: optimizer.learning_rate: the string "fast" is not a number (write a number)
  r.toml:5: optimizer.schedule: the string "cosin" is not "constant" or "cosine" (write "constant" or "cosine")
  r.toml:6: optimizer.warmup: unknown key (did you mean `warmup_ratio`?)
  r.toml:9: model.image_size: 4 is out of range (use a value at least 8 and at most 1024)
  r.toml:14: data.sources[0].wieght: unknown key (did you mean `weight`?)
  r.toml:16: lora: unknown table (remove it: the top of the file has data, limits, model, optimizer, seed)"#;
    assert_eq!(error, expected);
}

#[test]
fn a_missing_key_points_at_its_table() {
    let text = GOOD.replace("schedule = \"cosine\"\n", "");
    let error = read(&text, &[]).unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    let said = error.to_string();
    assert!(
        said.contains("r.toml:3: optimizer.schedule: missing"),
        "{said}"
    );
}

#[test]
fn a_missing_table_and_a_value_in_place_of_a_table_are_told() {
    let text = GOOD.replace("[model]\nimage_size = 32\n", "");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("r.toml:1: model.image_size: missing"),
        "{said}"
    );

    let text = GOOD
        .replace("[model]\nimage_size = 32\n", "")
        .replace("seed = 7", "seed = 7\nmodel = 3");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("r.toml:2: model: the integer 3 where a table belongs"),
        "{said}"
    );

    let text = GOOD
        .replace("[limits]\nimages = 3", "")
        .replace("seed = 7", "seed = 7\nlimits = 3");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("1 mistake\n  r.toml:2: limits: the integer 3 is not a table"),
        "{said}"
    );
}

#[test]
fn a_chosen_name_must_be_addressable() {
    let text = GOOD.replace("images = 3", "\"images.v1\" = 3");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("1 mistake\n") && said.contains("\"images.v1\" has a dot"),
        "{said}"
    );
}

#[test]
fn lines_count_past_characters_of_several_bytes() {
    let text = GOOD.replace("seed = 7", "# größer, 更多\nseed = -7");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("r.toml:2: seed: the integer -7 is not"),
        "{said}"
    );
}

#[test]
fn broken_syntax_is_reported_with_its_line() {
    let text = GOOD.replace("image_size = 32", "image_size = = 32");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(said.contains("r.toml:8: not TOML"), "{said}");
}

#[test]
fn a_file_that_is_no_recipe_does_not_fill_the_screen() {
    let error = read(&format!("{GOOD}{}", "x\n".repeat(99)), &[]).unwrap_err();
    let n = error.mistakes.len();
    assert!(n > 50, "{n}");
    let said = error.to_string();
    let last = format!("  and {} more", n - 40);
    assert_eq!(said.lines().last(), Some(last.as_str()));
    // The first line counts them, and the last one those that are not said.
    assert_eq!(said.lines().count(), 42);
}

#[test]
fn numbers_that_are_none_are_refused() {
    for bad in [
        "nan",
        "inf",
        "-1.0",
        "0",
        "9223372036854775808",
        "true",
        "2020-01-01",
    ] {
        let text = GOOD.replace("1e-4", bad);
        let error = read(&text, &[]).unwrap_err();
        assert!(
            error
                .mistakes
                .iter()
                .any(|m| m.key == "optimizer.learning_rate"),
            "{bad}: {error}"
        );
    }
}

#[test]
fn overrides_replace_add_and_reach_into_arrays() {
    let sets = [
        "optimizer.learning_rate=3e-5",
        "optimizer.schedule=constant",
        "optimizer.warmup_ratio = 0.1",
        "data.sources[1].weight=2",
        "limits={ words = 4 }",
        "data.sources[0].file='x=y.json'",
    ];
    let (stage, resolved) = read(GOOD, &sets).unwrap();
    assert!((stage.learning_rate - 3e-5).abs() < 1e-12);
    assert_eq!(
        (stage.schedule, stage.warmup_ratio),
        ("constant", Some(0.1))
    );
    assert_eq!(
        stage.sources,
        [("x=y.json".to_owned(), 1.0), ("b.json".to_owned(), 2.0)]
    );
    assert_eq!(stage.limits, [("words".to_owned(), 4)]);
    assert!(resolved.to_text().contains("words = 4"));
}

#[test]
fn a_wrong_override_names_itself() {
    for (set, said) in [
        ("optimizer.learning_rate", "there is no `=`"),
        ("optimizer..x=1", "not a dotted key"),
        ("optimizer.learning_rat=1", "did you mean `learning_rate`?"),
        ("optimizer.learning_rate=-1", "-1 is out of range"),
        ("data.sources[9].weight=1", "fewer elements"),
        ("data.sources.weight=1", "an array, not a table"),
        ("seed.x=1", "not a table or an array"),
    ] {
        let error = read(GOOD, &[set]).unwrap_err().to_string();
        assert!(error.contains(&format!("--set {set}: ")), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_key_in_the_wrong_table_is_pointed_to_the_right_one() {
    let text = GOOD.replace("seed = 7", "seed = 7\nimage_size = 32");
    let said = read(&text, &[]).unwrap_err().to_string();
    assert!(
        said.contains("image_size: unknown key (did you mean `model.image_size`?)"),
        "{said}"
    );
}

/// TOML reads `"a.b" = 1` as a key of one name, which no stage asks for.
#[test]
fn a_path_between_quotes_is_not_passed_over() {
    let optional = "\"optimizer.warmup_ratio\" = 0.1\n";
    let said = read(&format!("{optional}{GOOD}"), &[])
        .unwrap_err()
        .to_string();
    assert!(
        said.contains(
            "r.toml:1: optimizer.warmup_ratio: unknown key (write it without quotes, which make one name of a path)"
        ),
        "{said}"
    );
    // Between quotes a name without a dot is the name that it is.
    let quoted = GOOD.replace("schedule =", "\"warmup_ratio\" = 0.1\nschedule =");
    assert_eq!(read(&quoted, &[]).unwrap().0.warmup_ratio, Some(0.1));
}

#[test]
fn joint_mistakes_are_the_stages_own() {
    let mut recipe = Reader::parse("r.toml", "a = 1\nb = 2\n", &[]);
    let (a, b) = (
        recipe.u64("a", "One.").required(),
        recipe.u64("b", "Another.").required(),
    );
    if a < b {
        recipe.mistake("b", "larger than a", "lower it");
    }
    let said = recipe.finish().unwrap_err().to_string();
    assert_eq!(
        said,
        "r.toml has 1 mistake\n  r.toml:2: b: larger than a (lower it)"
    );
}

#[test]
fn the_resolved_text_reads_back_to_the_same_recipe() {
    let (stage, resolved) = read(GOOD, &["seed=9"]).unwrap();
    let (again, resolved_again) = read(&resolved.to_text(), &[]).unwrap();
    assert_eq!(stage, again);
    assert_eq!(resolved.to_text(), resolved_again.to_text());
}

#[test]
fn changed_keys_are_found_and_free_ones_are_not() {
    let (_, then) = read(GOOD, &[]).unwrap();
    let (_, now) = read(
        GOOD,
        &["seed=8", "optimizer.warmup_ratio=0.5", "limits.images=4"],
    )
    .unwrap();
    let changes = changed_keys(&then.to_text(), &now.to_text(), &["limits.images"]);
    assert_eq!(
        changes,
        ["optimizer.warmup_ratio: absent -> 0.5", "seed: 7 -> 8"]
    );
    assert!(changed_keys(&then.to_text(), &then.to_text(), &[]).is_empty());
}

/// Writes recipes into a folder and reads the first of them.
fn extended(
    files: &[(&str, &str)],
    sets: &[&str],
) -> (Result<Resolved, String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let mut recipe = Reader::open(&folder.path().join(files[0].0), &sets).unwrap();
    for key in ["a.x", "a.y", "b"] {
        recipe.u64(key, "A number.").optional();
    }
    let read = recipe.finish().map_err(|error| error.to_string());
    (read, folder)
}

#[test]
fn a_recipe_is_put_over_those_that_it_extends_in_their_order() {
    let files = [
        (
            "m/paper/r.toml",
            "extends = [\"../r.toml\", \"../../over.toml\"]\na.y = 5\n",
        ),
        ("m/r.toml", "extends = \"../base.toml\"\nb = 3\n"),
        ("base.toml", "b = 1\n[a]\nx = 1\ny = 1\n"),
        ("over.toml", "[a]\nx = 2\n"),
    ];
    let resolved = extended(&files, &["b=9"]).0.unwrap();
    assert_eq!(resolved.to_text(), "b = 9\n\n[a]\nx = 2\ny = 5\n");
}

#[test]
fn a_mistake_names_the_file_that_it_is_in() {
    let files = [
        ("m/r.toml", "extends = \"../base.toml\"\n\n[a]\ny = -1\n"),
        ("base.toml", "b = 1\n[a]\nx = \"one\"\nz = 1\n"),
    ];
    let (read, folder) = extended(&files, &[]);
    let said = read.unwrap_err();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (top, below) = (at("m/r.toml"), at("base.toml"));
    for line in [
        format!("{top} has 3 mistakes"),
        format!("{top}:4: a.y: the integer -1 is not"),
        format!("{below}:3: a.x: the string \"one\" is not"),
        format!("{below}:4: a.z: unknown key (remove it: [a] has x, y)"),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
}

#[test]
fn what_cannot_be_extended_is_told() {
    for (text, said) in [
        (
            "b = 1\nextends = \"none.toml\"\n",
            ":2: extends: cannot read",
        ),
        ("extends = \"r.toml\"\n", "r.toml extends itself"),
        ("extends = \"other.toml\"\n", "r.toml extends itself"),
        (
            "extends = 3\n",
            "the integer 3 is not a path or a list of paths",
        ),
        (
            "extends = [\"\"]\n",
            "an array is not a path or a list of paths",
        ),
    ] {
        let files = [("r.toml", text), ("other.toml", "extends = \"r.toml\"\n")];
        let error = extended(&files, &[]).0.unwrap_err();
        assert!(
            error.contains(said) && error.contains("1 mistake"),
            "{said}: {error}"
        );
    }
}

#[test]
fn keys_of_other_trainers_are_answered() {
    for (set, said) in [
        (
            "optimizer.name=adamw",
            "remove it: the optimizer is AdamW, and there is no other",
        ),
        (
            "deepspeed=zero3.json",
            "remove it: ranks share a run (docs/many-devices.md); `run.shard` shares out the optimizer and, in sft, the weights",
        ),
        ("optimizer.lr=1", "here it is `optimizer.learning_rate`"),
        ("model.lora_dropout=0.1", "there is no dropout"),
        (
            "optimizer.lr_scheduler_type=cosine",
            "here it is `optimizer.schedule`",
        ),
        (
            "train.logging_steps=1",
            "unknown table (remove it: the top of the file has data, limits, model, optimizer, seed)",
        ),
        ("model.fp16=true", "remove it: [model] has image_size"),
    ] {
        let error = read(GOOD, &[set]).unwrap_err().to_string();
        assert!(error.contains(said), "{set}: {error}");
    }
}
