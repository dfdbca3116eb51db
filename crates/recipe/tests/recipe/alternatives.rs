//! Of two keys that exclude each other, the one that is put over takes the other away.

use std::fs;

use candor_recipe::Reader;

/// What is read of `top`, which extends `base`, with the overrides.
fn read(base: &str, top: &str, sets: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.toml"), base).unwrap();
    let path = folder.path().join("r.toml");
    fs::write(&path, format!("extends = \"base.toml\"\n{top}")).unwrap();
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let mut recipe = Reader::open(&path, &sets).unwrap();
    recipe.one_of_two("run", "steps", "epochs");
    for key in ["run.steps", "run.epochs", "run.lanes"] {
        recipe.u64(key, "A number.").optional();
    }
    let resolved = recipe.finish().map_err(|error| error.to_string())?;
    Ok(resolved.to_text())
}

#[test]
fn the_upper_of_two_alternatives_counts() {
    let epochs = "[run]\nepochs = 3\nlanes = 2\n";
    let read = |top, sets: &[&str]| read(epochs, top, sets);
    let by_steps = |n: u32| Ok::<_, String>(format!("[run]\nlanes = 2\nsteps = {n}\n"));
    assert_eq!(read("", &["run.steps=7"]), by_steps(7));
    assert_eq!(read("[run]\nsteps = 8\n", &[]), by_steps(8));
    assert_eq!(
        read("[run]\nsteps = 8\n", &["run.epochs=4"]),
        Ok("[run]\nepochs = 4\nlanes = 2\n".to_owned())
    );
    assert_eq!(
        read("[run]\nlanes = 5\n", &[]),
        Ok("[run]\nepochs = 3\nlanes = 5\n".to_owned())
    );
}

#[test]
fn two_alternatives_of_one_hand_are_a_mistake() {
    let of_file = read("[run]\nlanes = 2\n", "[run]\nsteps = 8\nepochs = 3\n", &[]);
    let of_sets = read("", "", &["run.steps=7", "run.epochs=4"]);
    for said in [of_file, of_sets] {
        let said = said.unwrap_err();
        assert!(said.contains("both of `steps` and `epochs`"), "{said}");
    }
}
