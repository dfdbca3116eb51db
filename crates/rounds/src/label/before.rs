//! What would stop whoever compares answers, looked for before any is sampled: files that are not there or do not fit together, and
//! prompts that it cannot judge.
//!
//! Which rows a recipe skips is known only where they are tokenised, so with `data.on_bad_row = "skip"` no prompts are looked at.
//! That a base has other weights than the one a reward model was trained on is seen when both are opened.

use candor_data::formats::{captions, images, llava};
use candor_data::rows::OnBadRow;
use candor_data::{AnswerType, Comparison, FactBook, Speaker};
use candor_judge::feedback::Feedback;
use candor_judge::{ChatJudge, Settings};
use candor_reward::RewardModel;
use candor_reward::choice::Group;
use candor_reward::wording::fact_lines;

use super::rules;
use crate::RoundsError;
use crate::recipe::{LabelRecipe, RoundsRecipe};

/// Checks who compares; `resumes`: a judge that may have said everything already is not opened.
///
/// # Errors
/// It could not compare the answers of some round.
pub(crate) fn check(recipe: &RoundsRecipe, resumes: bool) -> Result<(), RoundsError> {
    let rounds = prompts(recipe)?;
    let facts = recipe.facts.as_deref();
    match &recipe.label {
        LabelRecipe::Reward {
            folder,
            base_precision,
            ..
        } => match RewardModel::told(folder, *base_precision, facts)? {
            Some(book) => known(recipe, &book, rounds.iter().flatten()),
            None => Ok(()),
        },
        LabelRecipe::Judge(file) => {
            let settings = Settings::read(file)?;
            let book = facts.map(captions::read).transpose()?;
            let pairs = rounds.iter().flatten().zip(0..).map(pair).collect();
            let images = Some(recipe.sample.images.as_path());
            let facts = facts.zip(book.as_ref());
            Feedback::new(&recipe.sample.prompts, pairs, &settings, facts, images)?;
            if !resumes {
                ChatJudge::open(file, settings, 0)?;
            }
            Ok(())
        }
        LabelRecipe::Rules(terms) => rules::check(recipe, terms, &rounds),
        LabelRecipe::People => Ok(()),
    }
}

/// The prompts of each round, not answered yet; no rounds where rows may be skipped.
fn prompts(recipe: &RoundsRecipe) -> Result<Vec<Vec<Group>>, RoundsError> {
    let sample = &recipe.sample;
    if sample.on_bad_row == OnBadRow::Skip {
        return Ok(Vec::new());
    }
    // Images that are inside files are written by whoever samples.
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let mut rows = Vec::new();
    llava::each_of_set(&sample.prompts, &mut named, |row| {
        rows.extend(row.made.ok());
        Ok(())
    })?;
    let rows = (0..).zip(rows);
    let asked = rows.map(|(index, mut row)| {
        // The answer of the data set is the one that is sampled anew.
        let answer = row.turns.pop_if(|turn| turn.from == Speaker::Gpt);
        Group {
            id: format!("{}-{index}", row.id),
            image: row.image,
            turns: row.turns,
            original_answer: answer.map(|turn| turn.value),
            index,
            answers: Vec::new(),
            n_cut: 0,
        }
    });
    let asked = asked.skip(sample.skip);
    let count = sample.count.unwrap_or(usize::MAX);
    let Some(n) = recipe.n_prompts else {
        return Ok(vec![asked.take(count).collect()]);
    };
    let n_rounds = usize::try_from(recipe.n_rounds).unwrap_or(usize::MAX);
    let asked: Vec<Group> = asked.take(n.saturating_mul(n_rounds)).collect();
    Ok(asked.chunks(n).map(<[Group]>::to_vec).collect())
}

/// Two answers that nobody gave, so that it is asked about them.
fn pair((group, number): (&Group, usize)) -> Comparison {
    Comparison {
        id: format!("{}-{number}", group.id),
        image: group.image.clone(),
        turns: group.turns.clone(),
        original_answer: group.original_answer.clone(),
        outputs: ["one answer", "another"].map(str::to_owned),
        models: None,
        group: None,
        judgement: None,
        severity: None,
    }
}

/// Whether something is known of the image of each prompt.
fn known<'a>(
    recipe: &RoundsRecipe,
    book: &FactBook,
    prompts: impl Iterator<Item = &'a Group>,
) -> Result<(), RoundsError> {
    for prompt in prompts {
        let image = prompt.image.as_deref();
        let facts = book.for_prompt(image.unwrap_or_default(), AnswerType::General);
        if fact_lines(&facts).is_empty() {
            return Err(RoundsError::Unfit {
                path: recipe.facts.clone().unwrap_or_default(),
                problem: format!(
                    "it has no captions of {}, which prompt {} is about",
                    image.unwrap_or("a prompt without an image"),
                    prompt.id
                ),
                remedy: "add them, remove the prompt, or use a reward model without facts"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::recipe::tests::{TEXT, read_text};

    const JUDGE: &str = "cache = \"c\"\n[endpoint]\nurl = \"http://localhost/v1\"\nmodel = \"m\"\n[request]\n\
                         temperature = 0.0\nmax_tokens = 7\nsamples = 1\nimages = false\n";

    /// What is said of rounds with these lines as `[label]`, whose prompts are about two images and have no answers.
    fn said(folder: &Path, label: &str, sets: &[&str]) -> String {
        let prompts = r#"[
            {"id": "p", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"}]},
            {"id": "p", "image": "b.png", "conversations": [{"from": "human", "value": "<image>\nWhy?"}]}
        ]"#;
        fs::write(folder.join("prompts.json"), prompts).unwrap();
        fs::write(folder.join("facts.json"), r#"{"a.png": ["A dog."]}"#).unwrap();
        let ours = "by = \"reward\"\nreward = \"reward\"\nfacts = \"facts.json\"\n";
        let label = label.replace("DIR", &folder.display().to_string());
        let text = TEXT.replace(ours, &label);
        let root = format!("data.root={:?}", folder.display().to_string());
        let recipe = read_text(&text, &[&[root.as_str()][..], sets].concat()).unwrap();
        match check(&recipe, false) {
            Ok(()) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_judge_lacks_is_said_before_the_first_answer() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let judge = "by = \"judge\"\njudge = \"DIR/judge.toml\"\n";
        let facts = format!("{judge}facts = \"DIR/facts.json\"\n");
        let said = |label: &str, sets: &[&str]| said(folder.path(), label, sets);
        assert!(said(judge, &[]).contains("judge.toml"));
        fs::write(at("judge.toml"), JUDGE).unwrap();
        assert!(said(judge, &[]).contains("shows facts"));
        let unknown = said(&facts, &[]);
        assert!(unknown.contains("no captions of b.png"), "{unknown}");
        assert_eq!(said(&facts, &["data.on_bad_row=\"skip\""]), "nothing");
        let own = format!("{JUDGE}[templates]\npreference = \"own.txt\"\n");
        fs::write(at("judge.toml"), own).unwrap();
        assert!(said(judge, &[]).contains("own.txt"));
        fs::write(at("own.txt"), "{question} {answer} {other}").unwrap();
        assert_eq!(said(judge, &[]), "nothing");
    }

    #[test]
    fn rules_and_reward_models_that_cannot_compare_are_refused_before_the_first_answer() {
        let folder = tempfile::tempdir().unwrap();
        let said = |label: &str, sets: &[&str]| said(folder.path(), label, sets);
        let rules = "by = \"rules\"\n";
        let rule = |kind: &str| format!("rewards=[{{name = \"r\", weight = 1.0, {kind}}}]");
        let none = said(rules, &[&rule("kind = \"exact\"")]);
        assert!(none.contains("none of the 2 prompts"), "{none}");
        let length = rule("kind = \"tokens\", per = 10.0");
        assert_eq!(said(rules, &[&length]), "nothing");
        let judge = format!(
            "kind = \"judge\", judge = {:?}",
            folder.path().join("judge.toml").display().to_string()
        );
        fs::write(folder.path().join("judge.toml"), JUDGE).unwrap();
        let untold = said(rules, &[&rule(&judge)]);
        assert!(untold.contains("is told facts"), "{untold}");
        let reward = "by = \"reward\"\nreward = \"DIR/reward\"\nfacts = \"DIR/facts.json\"\n";
        let missing = said(reward, &[]);
        assert!(missing.contains("reward_model.json"), "{missing}");
    }
}
