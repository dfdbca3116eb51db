//! Answers scored by the terms of `[[rewards]]`, which are those of `candor rl`: a score is the sum of weight times number,
//! and a term that does not apply to a prompt adds nothing.

use std::path::Path;

use candor_data::formats::{captions, images, ppo_prompts};
use candor_data::{AnswerType, Facts};
use candor_judge::reward::{Answered, Rewards, Term, question};
use candor_reward::choice::{Group, groups, write_chosen};
use candor_reward::wording::fact_lines;

use super::{Answers, Labels};
use crate::RoundsError;
use crate::recipe::RoundsRecipe;

/// A prompt as the terms are told of it.
struct Told {
    question: String,
    facts: Vec<String>,
    answer_type: AnswerType,
}

/// Scores all answers and sets the best to each prompt against the worst.
///
/// # Errors
/// A file cannot be read, a term knows nothing of a prompt, or gave no number.
pub(super) fn scored(answers: Answers<'_>, terms: &[Term]) -> Result<Labels, RoundsError> {
    let groups = groups(answers.candidates)?;
    let told = told(answers.recipe, terms, &groups)?;
    let mut rewards = Rewards::open(terms, &answers.recipe.sample.images)?;
    check_prompts(&rewards, &groups, &told)?;
    let responses: Vec<Answered<'_>> = groups
        .iter()
        .zip(&told)
        .flat_map(|(group, told)| {
            group.answers.iter().map(move |answer| Answered {
                answer: &answer.text,
                // Its end token is one of them, as `candor rl` counts.
                n_tokens: answer.n_tokens + 1,
                ..told.answered(group)
            })
        })
        .collect();
    let numbers = rewards.of(&responses)?;
    let total = |row: usize| -> f64 {
        let of_terms = terms.iter().zip(&numbers);
        let applied = of_terms.filter_map(|(term, numbers)| Some(term.weight * numbers[row]?));
        applied.sum()
    };
    let mut totals = (0..responses.len()).map(total);
    let scores: Vec<Vec<f64>> = groups
        .iter()
        .map(|group| totals.by_ref().take(group.answers.len()).collect())
        .collect();
    Ok(write_chosen(answers.out, &groups, &scores)?.into())
}

/// Whether all terms can judge the prompts of every round; of prompts that are not known yet, whether they have what they read.
///
/// # Errors
/// As [`scored`], before anything is answered.
pub(super) fn check(
    recipe: &RoundsRecipe,
    terms: &[Term],
    rounds: &[Vec<Group>],
) -> Result<(), RoundsError> {
    let rewards = Rewards::open_without_asking(terms)?;
    if rounds.is_empty() {
        told(recipe, terms, &[])?;
    }
    for groups in rounds {
        let told = told(recipe, terms, groups)?;
        check_prompts(&rewards, groups, &told)?;
    }
    Ok(())
}

fn check_prompts(rewards: &Rewards, groups: &[Group], told: &[Told]) -> Result<(), RoundsError> {
    rewards.check(|tell| {
        for (group, told) in groups.iter().zip(told) {
            tell(&told.answered(group));
        }
        Ok(())
    })
}

/// What the terms are told of each prompt.
fn told(recipe: &RoundsRecipe, terms: &[Term], groups: &[Group]) -> Result<Vec<Told>, RoundsError> {
    let types = answer_types(recipe)?;
    let file = recipe.facts.as_deref();
    let book = file.map(captions::read).transpose()?;
    let book = book.unwrap_or_default();
    let mut wanting = None;
    for term in terms {
        if term.wants_facts()? {
            wanting = Some(&term.name);
        }
    }
    if let (Some(term), None) = (wanting, file) {
        return Err(RoundsError::Unfit {
            path: "label.facts".into(),
            problem: format!("reward {term:?} is told facts, and their file is not named"),
            remedy: "name it, or use a prompt without {facts}".to_owned(),
        });
    }
    let of_group = |group: &Group| {
        let answer_type = types.get(group.index as usize);
        let answer_type = answer_type.copied().unwrap_or_default();
        let image = group.image.as_deref().unwrap_or_default();
        let known = Facts {
            // The rationales name the option, and a line of our own would say it twice.
            correct_option: None,
            ..book.for_prompt(image, answer_type)
        };
        let facts = fact_lines(&known);
        if let (Some(term), true) = (wanting, facts.is_empty()) {
            return Err(RoundsError::Unfit {
                path: file.unwrap_or(Path::new("label.facts")).to_owned(),
                problem: format!(
                    "reward {term:?} is told facts, and there are none of {}, which {} is about",
                    group
                        .image
                        .as_deref()
                        .unwrap_or("a prompt without an image"),
                    group.id
                ),
                remedy: "add them, or use a prompt without {facts}".to_owned(),
            });
        }
        Ok(Told {
            question: question(&group.turns),
            facts,
            answer_type,
        })
    };
    groups.iter().map(of_group).collect()
}

/// What a right answer is, by the prompt's place in its file. All terms go by it: rules apply to some types alone, functions are told
/// it, and which facts there are of an image depends on it.
fn answer_types(recipe: &RoundsRecipe) -> Result<Vec<AnswerType>, RoundsError> {
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let mut types = Vec::new();
    ppo_prompts::each_of_set(&recipe.sample.prompts, &mut named, |_, prompt| {
        types.push(prompt.answer_type);
        Ok(())
    })?;
    Ok(types)
}

impl Told {
    /// The prompt, not answered yet.
    fn answered<'a>(&'a self, group: &'a Group) -> Answered<'a> {
        Answered {
            id: &group.id,
            image: group.image.as_deref(),
            question: &self.question,
            answer: "",
            facts: &self.facts,
            reference: group.original_answer.as_deref(),
            answer_type: self.answer_type,
            n_tokens: 0,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use candor_data::Turn;
    use candor_data::formats::candidates::{self, Candidate, Sampling};
    use candor_run::Ranks;

    use super::*;
    use crate::recipe::LabelRecipe;
    use crate::recipe::tests::{TEXT, read_text};

    /// Rewards a response by the number of its line, and writes the line down.
    const NUMBERS: &str = r#"
while IFS= read -r line; do
    n=${line#*:}; n=${n%%,*}
    printf '%s\n' "$line" >> sent
    echo "{\"n\": $n, \"reward\": $n.0}"
done
"#;

    /// Two answers to a prompt.
    pub(in crate::label) fn pair(index: u64, image: &str, question: &str) -> Candidate {
        Candidate {
            id: format!("p-{index}"),
            image: Some(image.to_owned()),
            turns: vec![Turn::human(format!("<image>\n{question}"))],
            original_answer: None,
            outputs: ["Yes.", "No."].map(str::to_owned),
            sampling: Sampling {
                model: "sft".to_owned(),
                model_fingerprint: "m".to_owned(),
                adapter: None,
                adapter_fingerprint: None,
                seed: 3,
                temperature: 1.0,
                top_p: 1.0,
                max_new_tokens: 16,
                batch_rows: 8,
                chunk: 8,
                index,
                finished: [true; 2],
                n_tokens: [3; 2],
            },
        }
    }

    /// By hand: the lines are numbered from 1, so the answers to the first prompt earn 1 and 2 and those to the second 3 and 4.
    #[test]
    fn a_function_alone_is_told_what_each_prompt_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let prompts = r#"[
            {"id": "p", "image": "a.png", "caption_type": 7,
             "conversations": [{"from": "human", "value": "<image>\nIs it red?"}]},
            {"id": "p", "image": "b.png", "caption_type": 2,
             "conversations": [{"from": "human", "value": "<image>\nA. red B. blue"}]}
        ]"#;
        fs::write(at("prompts.json"), prompts).unwrap();
        fs::write(at("reward.sh"), NUMBERS).unwrap();
        let mut rows = [
            pair(0, "a.png", "Is it red?"),
            pair(1, "b.png", "A. red B. blue"),
        ];
        let more = [Turn::gpt("A"), Turn::human("Are you sure?")];
        rows[1].turns.extend(more);
        candidates::write(&at("candidates.jsonl"), &rows).unwrap();
        let folder = dir.path().display().to_string();
        let ours = "by = \"reward\"\nreward = \"reward\"\nfacts = \"facts.json\"\n";
        let script = format!("cd '{folder}' && . ./reward.sh");
        let cache = at("rewards.jsonl").display().to_string();
        let sets = [
            format!("data.root={folder:?}"),
            format!(
                "rewards=[{{name = \"mine\", kind = \"command\", weight = 1.0, command = [\"sh\", \"-c\", {script:?}], cache = {cache:?}}}]"
            ),
        ];
        let sets = sets.each_ref().map(String::as_str);
        let recipe = read_text(&TEXT.replace(ours, "by = \"rules\"\n"), &sets).unwrap();
        let LabelRecipe::Rules(terms) = &recipe.label else {
            panic!("not by rules");
        };
        let answers = Answers {
            recipe: &recipe,
            candidates: &[at("candidates.jsonl")],
            preferences: &at("labels/preferences.json"),
            out: &at("labels"),
            ranks: &Ranks::alone(),
        };
        let labels = scored(answers, terms).unwrap();
        let means = (labels.score_mean, labels.best_score_mean);
        assert_eq!((labels.n_preferences, means), (2, (Some(2.5), Some(3.0))));
        let sent = fs::read_to_string(at("sent")).unwrap();
        let told = sent.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let prompt = line["prompt"].as_str().unwrap().to_owned();
            (line["caption_type"].as_u64().unwrap(), prompt)
        });
        let told: Vec<(u64, String)> = told.collect();
        let first = (7, "Is it red?".to_owned());
        let asked = "Human: A. red B. blue\nProgram: A\nHuman: Are you sure?";
        let second = (2, asked.to_owned());
        assert_eq!(told, [first.clone(), first, second.clone(), second]);
    }
}
