//! Several demos as one page: what is decided, said, left out and refused.

use std::path::{Path, PathBuf};

use candor_report::ReportError;
use candor_report::seeds::{Decision, SeedsSummary, write};
use serde_json::{Value, json};

use crate::{about, check_well_formed, demo, section};

/// What a policy adds to each number with the one image that it describes and the one question that it answers.
struct Answered {
    /// Objects named that are not there, of a hundred.
    false_objects: f64,
    /// Objects there that are named, of a hundred.
    recall: f64,
    /// Part of the object F1, of a hundred.
    object_f1: f64,
    /// The score of its answer.
    score: f64,
    /// Part of POPE's F1, of a hundred.
    pope: f64,
}

fn answered([false_objects, recall, object_f1, score, pope]: [f64; 5]) -> Answered {
    Answered {
        false_objects,
        recall,
        object_f1,
        score,
        pope,
    }
}

fn verdict(measures: &Value) -> String {
    let verdict = json!({ "id": "0", "image": "0.png", "question": "?", "answer": "A dog.", "measures": measures });
    verdict.to_string() + "\n"
}

fn put_policy(folder: &Path, policy: &str, said: &Answered) {
    let chair = json!({
        "chair_i": [said.false_objects, 100.0], "recall": [said.recall, 100.0], "object_f1": [said.object_f1, 100.0],
    });
    for (benchmark, measures) in [
        ("chair", chair),
        ("mmhal", json!({ "score": [said.score, 1.0] })),
        ("pope", json!({ "f1": [said.pope, 100.0] })),
    ] {
        let name = format!("eval/{policy}/verdicts/{benchmark}.jsonl");
        demo::put(folder, &name, &verdict(&measures));
    }
}

/// The held-out comparisons of a reward model, with the score of the chosen answer less that of the rejected one.
fn put_held_out(folder: &Path, variant: &str, margins: [f64; 4]) {
    let line = |(i, margin): (usize, f64)| json!({ "id": format!("c{i}"), "image": format!("{i}.png"), "chosen_score": margin, "rejected_score": 0.0 });
    let rows = demo::lines(margins.into_iter().enumerate().map(line));
    demo::put(folder, &format!("reward-{variant}/held_out.jsonl"), &rows);
}

fn put_plan(folder: &Path, seed: u64) {
    demo::put(folder, "recipes/1-sft.toml", "steps = 4000\n");
    let world = json!({ "seed": seed, "n_train": 8000 });
    demo::put(folder, "recipes/world.json", &world.to_string());
}

/// A demo with figures that are worked out below; `by` is how far its Fact-RLHF is from the middle seed's.
fn put_demo(out: &Path, seed: u64, by: f64) -> (u64, PathBuf) {
    let folder = out.join(format!("seed-{seed}"));
    let mut summary = demo::summary();
    summary["seed"] = seed.into();
    demo::put(&folder, "summary.json", &summary.to_string());
    demo::put(&folder, "report.html", "<!DOCTYPE html>");
    put_plan(&folder, seed);
    put_policy(&folder, "sft", &answered([30.0, 100.0, 80.0, 3.0, 90.0]));
    put_policy(&folder, "rlhf", &answered([10.0, 90.0, 85.0, 3.5, 90.0]));
    put_policy(
        &folder,
        "fact_rlhf",
        &answered([
            9.0 + 0.3 * by,
            97.5 + 0.5 * by,
            86.0 + 4.0 * by,
            3.0 + 0.1 * by,
            90.0,
        ]),
    );
    put_held_out(&folder, "no-facts", [1.0, 1.0, -1.0, -1.0]);
    // 3, 3.5 or 4 of 4.
    put_held_out(&folder, "facts", [1.0, 1.0, 1.0, by]);
    (seed, folder)
}

fn three(out: &Path) -> Vec<(u64, PathBuf)> {
    let demos = [(0, -1.0), (1, 0.0), (2, 1.0)];
    demos.map(|(seed, by)| put_demo(out, seed, by)).to_vec()
}

fn pooled(out: &Path, seeds: &[(u64, PathBuf)]) -> (SeedsSummary, String) {
    let summary = write(out, seeds, &about()).unwrap();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    check_well_formed(&page);
    (summary, page)
}

fn refused(out: &Path, seeds: &[(u64, PathBuf)]) -> String {
    let error: ReportError = write(out, seeds, &about()).unwrap_err();
    assert!(!out.join("report.html").exists());
    error.to_string()
}

fn decision(summary: &SeedsSummary, key: &str) -> Option<Decision> {
    let claim = summary.claims.iter().find(|claim| claim.key == key)?;
    Some(claim.decision)
}

#[test]
fn claims_are_decided_by_intervals_over_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, page) = pooled(dir.path(), &three(dir.path()));
    // t is 4.3027 with two degrees of freedom; divided by √3 it is 2.4841.
    // Accuracy: 0.25, 0.375 and 0.5 more; 0.375 ± 0.125 · 2.4841, so 0.064 to 0.686.
    assert_eq!(decision(&summary, "reward_accuracy"), Some(Decision::Shown));
    // Object F1: −0.03, 0.01, 0.05, around 0.
    assert_eq!(decision(&summary, "object_f1"), Some(Decision::NotDecided));
    // Score: −0.6, −0.5, −0.4; −0.5 ± 0.1 · 2.4841.
    assert_eq!(decision(&summary, "mmhal_score"), Some(Decision::Opposite));
    // CHAIR_i: 29%, 30% and 31% of SFT's, ± 1% · 2.4841; recall: 97%, 97.5% and 98%, ± 0.5% · 2.4841.
    assert_eq!(decision(&summary, "hallucination"), Some(Decision::Shown));
    // Nobody trained on GPT-4-like data alone.
    assert_eq!(decision(&summary, "mixture_pope"), None);
    let table = summary.table();
    for line in [
        "seeds 0, 1, 2\n",
        "the opposite  Fact-RLHF has a higher MMHal score than RLHF.\n",
        "MMHal score of Fact-RLHF less that of RLHF: −0.50 (−0.75 to −0.25); by seed −0.60, −0.50, −0.40\n",
        "CHAIR_i of Fact-RLHF over that of SFT: 30.0% (27.5% to 32.5%), shown; by seed 29.0%, 30.0%, 31.0%\n",
        "Recall of Fact-RLHF over that of SFT: 97.5% (96.3% to 98.7%), shown; by seed 97.0%, 97.5%, 98.0%\n",
        "+1.0 points (−8.9 to +10.9); by seed −3.0, +1.0, +5.0\n",
        // All signs alike is two of eight outcomes; so it is for the one image of each seed.
        "p 0.250 over seeds (never below 0.250), 0.2500 over images\n",
        "Left out, because no demo has numbers of both arms of \"POPE F1 of SFT less that of SFT on GPT-4-like data\"",
        "p over n seeds is never below 2^(1 − n)\n",
    ] {
        assert!(table.contains(line), "{line}: {table}");
    }
    let claims = section(&page, "claims");
    assert_eq!(claims.matches("class=\"shown\"").count(), 2);
    assert_eq!(claims.matches("class=\"undecided\"").count(), 1);
    assert_eq!(claims.matches("class=\"opposite\"").count(), 1);
    assert_eq!(section(&page, "differences").matches("<svg").count(), 5);
    for (id, n) in [("tradeoff", 1), ("hacking", 0)] {
        assert_eq!(section(&page, id).matches("<svg").count(), n, "{id}");
    }
    assert!(section(&page, "again").contains("href=\"seed-2/report.html\""));
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn algorithms_are_compared_on_the_same_images_over_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for ((_, folder), by) in seeds.iter().zip([-1.0, 0.0, 1.0]) {
        // 1, 2 and 3 points more false objects than PPO with facts, and as many real ones.
        let said = [11.0 + 1.3 * by, 97.5 + 0.5 * by, 86.0, 3.0, 90.0];
        put_policy(folder, "dpo", &answered(said));
    }
    let (summary, page) = pooled(dir.path(), &seeds);
    // GRPO was asked nothing here.
    let found = summary.algorithm_differences.iter();
    let found: Vec<(&str, &str)> = found.map(|one| (one.of.as_str(), one.measure)).collect();
    let expected = [("DPO", "chair_i"), ("DPO", "recall"), ("DPO", "object_f1")];
    assert_eq!(found, expected);
    let difference = &summary.algorithm_differences[0].pooled;
    let values = difference.seeds.iter().map(|seed| seed.value.unwrap());
    for (value, points) in values.zip([1.0, 2.0, 3.0]) {
        assert!((value - points / 100.0).abs() < 1e-12, "{value}");
    }
    let recall = summary.algorithm_differences[1].pooled.mean.unwrap();
    assert!(recall.abs() < 1e-12);
    // 2 ± 1 · 2.4841; no resample of the seeds is below 1 or above 3.
    let markdown = std::fs::read_to_string(dir.path().join("seeds.md")).unwrap();
    let row = "| chair_i of DPO | PPO with facts | +2.0 points (−0.5 to +4.5) |\n";
    assert!(markdown.contains(row), "{markdown}");
    let section = section(&page, "algorithms");
    assert!(section.contains("+2.0 points (−0.5 to +4.5)"), "{section}");
    assert_eq!(section.matches("<svg").count(), 1);
    for mark in ["DPO, seed 2", "DPO, mean", "GRPO without, mean"] {
        assert!(section.contains(mark), "{mark}");
    }
}

#[test]
fn equal_scores_of_a_reward_model_are_half_right() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, _) = pooled(dir.path(), &three(dir.path()));
    let accuracy = &summary.claims[0].parts[0].pooled;
    let values: Vec<Option<f64>> = accuracy.seeds.iter().map(|seed| seed.value).collect();
    assert_eq!(values, [Some(0.25), Some(0.375), Some(0.5)]);
    assert_eq!((accuracy.mean, accuracy.seeds[0].n), (Some(0.375), 4));
}

#[test]
fn numbers_are_in_files_seed_by_seed_with_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for (i, (_, folder)) in seeds.iter().enumerate() {
        let mut summary = demo::summary();
        summary["seed"] = i.into();
        summary["policies"]["sft"] = demo::results(0.1 * (i + 1) as f64, 0.7);
        summary["policies"]["sft"]["benchmarks"]["chair"]["figures"]["objects"] =
            json!({ "value": 3.0 + 0.25 * i as f64, "ci95": null, "n": 150 });
        demo::put(folder, "summary.json", &summary.to_string());
    }
    pooled(dir.path(), &seeds);
    let markdown = std::fs::read_to_string(dir.path().join("seeds.md")).unwrap();
    // The mean of 10, 20 and 30%; ten times 2.4841 around it.
    let row = "| CHAIR CHAIR_i | SFT | 10.0% (5.0%–15.0%) | 20.0% (15.0%–25.0%) | 30.0% (25.0%–35.0%) | 20.0% (−4.8%–44.8%) |\n";
    assert!(markdown.contains(row), "{markdown}");
    // A quarter of an object times 2.4841 around the mean.
    let row = "| CHAIR objects mentioned | SFT | 3.00 | 3.25 | 3.50 | 3.25 (2.63–3.87) |\n";
    assert!(markdown.contains(row), "{markdown}");
    let json = std::fs::read_to_string(dir.path().join("seeds.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["version"], "1.2.3");
    assert_eq!(json["demos"][2]["seed"], 2);
    assert_eq!(json["claims"][2]["decision"], "opposite");
    assert_eq!(json["claims"][3]["parts"][0]["bound"]["below"], 0.4);
    // Of the sums ±3 ± 1 ± 5 all but 1 and −1 are at least 3, as −3 + 1 + 5 is.
    assert_eq!(json["claims"][1]["parts"][0]["pooled"]["p_seeds"], 0.75);
}

#[test]
fn rollouts_are_the_mean_over_seeds_at_common_steps() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for (i, (_, folder)) in seeds.iter().enumerate() {
        let rollout = |step: usize| {
            json!({
                "step": step, "n": 8, "score_mean": 0.1, "normalised_score_mean": i, "hallucinated_share": 0.3,
                "false_claims_mean": 0.5, "judge_score_mean": 3.0, "correlation": null,
            })
        };
        // The last seed has stopped before the second step.
        let rollouts: Vec<Value> = (1..=if i == 2 { 1 } else { 2 }).map(rollout).collect();
        let curve = json!({ "points": [], "rollouts": rollouts });
        demo::put(folder, "eval/curve-facts.json", &curve.to_string());
    }
    let (_, page) = pooled(dir.path(), &seeds);
    let hacking = section(&page, "hacking");
    // 0, 1 and 2, of eight rollouts each.
    assert!(
        hacking.contains("<title>step 1: 1.00 of 24 rollouts</title>"),
        "{hacking}"
    );
    assert!(!hacking.contains("step 2"), "{hacking}");

    // Two seeds of three are no mean over the seeds.
    std::fs::remove_file(seeds[1].1.join("eval/curve-facts.json")).unwrap();
    let (_, page) = pooled(dir.path(), &seeds);
    let hacking = section(&page, "hacking");
    assert!(
        hacking.contains("No policy's rollouts were judged with every seed."),
        "{hacking}"
    );
}

#[test]
fn an_arm_that_one_demo_has_is_compared_with_that_demo_alone() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    put_policy(
        &seeds[1].1,
        "sft_gpt4",
        &answered([40.0, 90.0, 70.0, 2.0, 85.0]),
    );
    let (summary, page) = pooled(dir.path(), &seeds);
    // One seed has no interval over seeds, so nothing is decided.
    assert_eq!(
        decision(&summary, "mixture_pope"),
        Some(Decision::NotDecided)
    );
    let said = "POPE F1 of SFT less that of SFT on GPT-4-like data: of the seeds 1 alone, which have numbers of both arms.";
    assert!(page.contains(said));
    assert!(page.contains("+5.0 points (one seed has no interval over seeds)"));
    // However many demos there are, this p is of one seed.
    assert!(page.contains("p 1.000 over seeds (never below 1.000), "));
}

#[test]
fn a_claim_of_two_comparisons_says_what_became_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for ((_, folder), by) in seeds.iter().zip([-1.0, 0.0, 1.0]) {
        let said = answered([9.0 + 0.3 * by, 95.0 + 5.0 * by, 86.0, 3.0, 90.0]);
        put_policy(folder, "fact_rlhf", &said);
    }
    let (summary, _) = pooled(dir.path(), &seeds);
    let undecided = Some(Decision::NotDecided);
    assert_eq!(decision(&summary, "hallucination"), undecided);
    // 95% ± 5% · 2.4841.
    let (fewer, complete) = (
        "CHAIR_i of Fact-RLHF over that of SFT: 30.0% (27.5% to 32.5%)",
        "Recall of Fact-RLHF over that of SFT: 95.0% (82.6% to 107.4%)",
    );
    let table = summary.table();
    for line in [
        "not decided   Fact-RLHF has less than 40% of SFT's CHAIR_i".to_owned(),
        format!("{fewer}, shown; by seed 29.0%, 30.0%, 31.0%\n"),
        format!("{complete}, not decided; by seed 90.0%, 95.0%, 100.0%\n"),
    ] {
        assert!(table.contains(&line), "{line}: {table}");
    }
    let markdown = std::fs::read_to_string(dir.path().join("seeds.md")).unwrap();
    for row in [
        format!("| shown | {fewer} |"),
        format!("| not decided | {complete} |"),
    ] {
        assert!(markdown.contains(&row), "{row}: {markdown}");
    }
}

#[test]
fn an_interval_that_several_seeds_do_not_have_is_said_to_be_missing_for_its_own_reason() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for (_, folder) in &seeds {
        // Objects are named of one image of ten. A resample of a seed has it 65 times in a hundred (1 − 0.9^10), so that all
        // three do 28 times.
        for (policy, false_objects) in [("sft", 30.0), ("rlhf", 10.0), ("fact_rlhf", 9.0)] {
            let verdict = |i: usize| {
                let named = if i == 0 { 100.0 } else { 0.0 };
                let wrong = if i == 0 { false_objects } else { 0.0 };
                json!({
                    "id": i.to_string(), "image": format!("{i}.png"), "question": "?", "answer": "A dog.",
                    "measures": {
                        "chair_i": [wrong, named], "recall": [50.0, 100.0], "object_f1": [50.0, 100.0],
                    },
                })
            };
            let name = format!("eval/{policy}/verdicts/chair.jsonl");
            demo::put(folder, &name, &demo::lines((0..10).map(verdict)));
        }
    }
    let (_, page) = pooled(dir.path(), &seeds);
    assert!(page.contains("30.0% (no interval: most resamples are over nothing)"));
}

#[test]
fn arms_that_were_asked_different_things_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let seeds = three(out);
    let of_c = |ids: [&str; 2]| {
        let line = |id: &str| json!({ "id": id, "image": "0.png", "chosen_score": 1.0, "rejected_score": 0.0 });
        demo::lines(ids.map(line))
    };
    let (facts, without) = (
        "reward-facts/held_out.jsonl",
        "reward-no-facts/held_out.jsonl",
    );
    demo::put(&seeds[1].1, facts, &of_c(["c0", "c1"]));
    demo::put(&seeds[1].1, without, &of_c(["c0", "c2"]));
    let message = refused(out, &seeds);
    assert!(message.contains("seed-1/reward-facts/held_out.jsonl"));
    assert!(
        message.contains("\"c1\" is not in") && message.contains(without),
        "{message}"
    );
    // The other file has one more.
    demo::put(&seeds[1].1, without, &of_c(["c1", "c0"]).repeat(2));
    let message = refused(out, &seeds);
    assert!(message.contains(without), "{message}");
    assert!(message.contains("\"c1\" is there twice"), "{message}");

    put_demo(out, 1, 0.0);
    let other = verdict(&json!({ "score": [3.0, 1.0] })).replace("\"0\"", "\"7\"");
    let name = "eval/rlhf/verdicts/mmhal.jsonl";
    demo::put(&seeds[1].1, name, &other);
    let message = refused(out, &seeds);
    assert!(
        message.contains("\"7\" is not in") && message.contains(name),
        "{message}"
    );
    // The same id, and another image.
    let other = verdict(&json!({ "score": [3.0, 1.0] })).replace("0.png", "7.png");
    demo::put(&seeds[1].1, name, &other);
    let message = refused(out, &seeds);
    assert!(
        message.contains("1 ids have another image") && message.contains(name),
        "{message}"
    );
}

#[test]
fn quick_demos_claim_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let seeds = three(dir.path());
    for (seed, folder) in &seeds {
        let mut summary = demo::summary();
        summary["seed"] = (*seed).into();
        summary["quick"] = true.into();
        demo::put(folder, "summary.json", &summary.to_string());
    }
    let (summary, page) = pooled(dir.path(), &seeds);
    assert_eq!(summary.claims, []);
    assert!(page.contains("<b>A quick pass.</b>"));
    assert!(summary.table().contains("A quick pass"));
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let seeds = three(out);
    let says = |seeds: &[(u64, PathBuf)], words: [&str; 2]| {
        let message = refused(out, seeds);
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    };
    says(
        &[],
        ["no demo to pool", "name one finished demo for each seed"],
    );
    let other = [(5, seeds[0].1.clone())];
    says(
        &other,
        ["seed-0/summary.json", "is of seed 0, not of seed 5"],
    );
    let twice = [seeds[1].clone(), seeds[1].clone()];
    says(&twice, ["seed-1/summary.json", "seed 1 is there twice"]);

    demo::put(&seeds[2].1, "recipes/1-sft.toml", "steps = 3000\n");
    says(&seeds, ["seed-2/recipes/1-sft.toml", "not the same as in"]);
    put_plan(&seeds[2].1, 2);
    demo::put(&seeds[2].1, "recipes/7-new.toml", "");
    says(&seeds, ["seed-2/recipes/7-new.toml", "not the same as in"]);
    std::fs::remove_file(seeds[2].1.join("recipes/7-new.toml")).unwrap();
    let world = json!({ "seed": 2, "n_train": 400 });
    demo::put(&seeds[2].1, "recipes/world.json", &world.to_string());
    says(&seeds, ["seed-2/recipes/world.json", "not the same as in"]);
    put_plan(&seeds[2].1, 2);

    let mut quick = demo::summary();
    quick["seed"] = 2.into();
    quick["quick"] = true.into();
    demo::put(&seeds[2].1, "summary.json", &quick.to_string());
    says(&seeds, ["seed-2/summary.json", "is of a quick demo"]);
    put_demo(out, 2, 1.0);

    demo::put(&seeds[2].1, "reward-facts/held_out.jsonl", "{}\n");
    says(&seeds, ["held_out.jsonl, line 1", "missing field `id`"]);
    put_demo(out, 2, 1.0);
    std::fs::remove_dir_all(seeds[2].1.join("recipes")).unwrap();
    says(&seeds, ["seed-2/recipes", "cannot read"]);
    std::fs::remove_file(seeds[2].1.join("summary.json")).unwrap();
    says(&seeds, ["seed-2/summary.json", "cannot read"]);
}
