//! What the documents say of the code.

use candor_dpo::DpoRecipe;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_sample::SampleRecipe;
use candor_sft::SftRecipe;

#[test]
fn the_fields_that_a_resume_may_change_are_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let open = |name: &str| format!("{folder}/recipes/demo/{name}");
    // The prompt's file is named from the repository.
    let prompt = format!("prompt.file={:?}", open("reward-facts.txt"));
    let reward = RewardRecipe::open(open("3-reward.toml").as_ref(), &[prompt]).unwrap();
    let stages = [
        (
            "sft",
            SftRecipe::open(open("1-sft.toml").as_ref(), &[])
                .unwrap()
                .may_change(),
        ),
        ("reward", reward.may_change()),
        (
            "dpo",
            DpoRecipe::open(open("4-dpo.toml").as_ref(), &[])
                .unwrap()
                .may_change(),
        ),
        (
            "rl",
            RlRecipe::open(open("5-ppo.toml").as_ref(), &[])
                .unwrap()
                .may_change(),
        ),
        (
            "sample",
            SampleRecipe::open(open("2-sample.toml").as_ref(), &[])
                .unwrap()
                .may_change(),
        ),
    ];
    let text = std::fs::read_to_string(format!("{folder}/docs/use.md")).unwrap();
    for (stage, keys) in stages {
        let listed: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let row = format!("| `{stage}` | {} |", listed.join(", "));
        assert!(text.contains(&row), "docs/use.md lacks {row}");
    }
}

#[test]
fn every_place_that_says_the_version_says_this_one() {
    let version = env!("CARGO_PKG_VERSION");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    for (file, words) in [
        ("CITATION.cff", format!("\nversion: {version}\n")),
        ("CHANGELOG.md", format!("\n## [{version}]")),
        (
            "packaging/Containerfile",
            format!("ARCHIVE=candor-{version}-linux-x86_64.tar.gz"),
        ),
        (
            "docs/install.md",
            format!("tar -xf candor-{version}-linux-x86_64.tar.gz"),
        ),
        (
            "docs/install.md",
            format!("pip install ./candor-{version}-py3-none-"),
        ),
        (
            "docs/annotate-deploy.md",
            format!("ln -s /opt/candor-{version}-linux-x86_64/bin/candor"),
        ),
    ] {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        assert!(text.contains(&words), "{file} lacks {words:?}");
    }
}
