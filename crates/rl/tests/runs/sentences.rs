//! Scores that are paid by the sentence.

use std::fs;
use std::path::Path;

use candor_data::rows::Look;
use candor_data::{Conversation, Turn};
use candor_model::Response;
use candor_reward::Judged;
use candor_rl::RlRecipe;
use candor_rl::advantages::Advantages;
use candor_rl::experience::Experience;
use candor_rl::models::{Images, Models};
use candor_rl::prompts::{PromptRow, Prompts};
use candor_rl::recipe::{Normalise, PpoRecipe, ScoreRecipe};
use candor_rl::rollout::Rollout;
use candor_rl::scoring::{score, segments, verdict};
use candor_rl::sentences::sentence_ends;
use candor_rl::shaping::ScorePosition;
use candor_run::Ranks;
use candor_testing::files::lines;
use candor_train::FeaturePlace;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::fixture::{BAD, GOOD, SCORE_MEAN, SCORE_STD, finished, prepared, recipe};

/// Features of the three walls.
fn encoded(models: &Models, recipe: &RlRecipe) -> Images {
    let images = ["red.png", "green.png", "blue.png"].map(str::to_owned);
    let place = FeaturePlace::memory();
    let (folder, alone) = (&recipe.data.images, Ranks::alone());
    let encoded = models.encode(folder, &images, &place, &alone, |_, _| ());
    encoded.unwrap()
}

/// Responses of these texts to the first prompts, each of which ends by itself.
fn responses<'p>(models: &Models, rows: &'p [PromptRow], texts: &[String]) -> Vec<Rollout<'p>> {
    let tokenizer = &models.policy_base().tokenizer;
    let rows = texts.iter().zip(rows);
    rows.map(|(text, prompt)| {
        let mut ids = tokenizer.encode(text).unwrap().ids;
        ids.push(tokenizer.eos);
        Rollout {
            prompt,
            sample: 0,
            text: text.clone(),
            response: Response {
                logprobs: vec![0.0; ids.len()],
                ids,
                finished: true,
            },
            facts: prompt.facts.clone(),
        }
    })
    .collect()
}

/// What the reward model says of a text alone, in answer to a response's prompt.
fn said(models: &Models, images: &Images, rollout: &Rollout<'_>, text: &str) -> f64 {
    let mut conversation: Conversation = rollout.prompt.conversation.clone();
    conversation.turns.push(Turn::gpt(text));
    let item = Judged {
        id: "x",
        conversation: &conversation,
        facts: &rollout.facts,
    };
    let reward = models.reward.as_ref().unwrap();
    let (base, ranks) = (models.judge_base(), Ranks::alone());
    reward
        .score(base, images.judge(), &[item], 1, &ranks)
        .unwrap()[0]
}

/// What a sentence of this score is expected to count: 1 if it is clean, −1 if it is false.
fn label(raw: f64) -> f64 {
    2.0 / (1.0 + (-raw).exp()) - 1.0
}

fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-5,
        "{found} against {expected}"
    );
}

/// The gain of a sentence is what the reward model says more of the text up to its end than of the text before it.
#[test]
fn a_sentence_earns_what_it_changes_in_the_score() {
    let dir = prepared();
    let recipe: RlRecipe = recipe(dir.path(), "out", &["score.position=\"sentences\""]);
    let models = Models::open(&recipe, Device::Cpu).unwrap();
    let asking = models.asking(24, Look::There, Path::new(""));
    let prompts = Prompts::read(&recipe.data, &recipe.quirks, asking, Some(dir.path())).unwrap();
    let prompts = prompts.rows(0..prompts.len()).unwrap();
    let images = encoded(&models, &recipe);
    let texts = [format!("{BAD} {GOOD}"), GOOD.to_owned()];
    let rollouts = responses(&models, &prompts, &texts);
    let by = |recipe: &ScoreRecipe| {
        score(&models, &images, &rollouts, recipe, 1, &Ranks::alone()).unwrap()
    };
    let raw = |row: usize, text: &str| said(&models, &images, &rollouts[row], text);
    let alone = |row: usize, text: &str| (raw(row, text) - SCORE_MEAN) / SCORE_STD;
    let scores = by(&recipe.score);
    let [two, one] = [0, 1].map(|row| scores[row].as_ref().unwrap());
    let n_bad = models.policy_base().tokenizer.encode(BAD).unwrap();
    let n_bad = n_bad.ids.len();
    let ends: Vec<usize> = two.sentences.iter().map(|(place, _)| *place).collect();
    assert_eq!(ends, [n_bad - 1, rollouts[0].response.ids.len() - 1]);
    near(two.sentences[0].1, alone(0, BAD));
    near(two.sentences[1].1, alone(0, &texts[0]) - alone(0, BAD));
    near(two.normalised, alone(0, &texts[0]));
    assert_eq!(one.sentences.len(), 1);
    near(one.sentences[0].1, alone(1, GOOD));
    // As a segment each earns its own expected label, of the score as it was said.
    let mut segments = recipe.score;
    segments.position = ScorePosition::Segments;
    segments.normalise = Normalise::None;
    let scores = by(&segments);
    let [two, one] = [0, 1].map(|row| scores[row].as_ref().unwrap());
    let [first, second] = [BAD, &texts[0]].map(|text| label(raw(0, text)));
    near(two.sentences[0].1, first);
    near(two.sentences[1].1, second);
    near(two.normalised, first + second);
    near(one.normalised, label(raw(1, GOOD)));
}

/// Of a response of two sentences a term pays the first one at its end, and the second one where the score is paid.
#[test]
fn a_further_reward_model_pays_each_sentence_where_it_ends() {
    let dir = prepared();
    let folder = rated(dir.path());
    let term = format!(
        "rewards=[{{ name = \"relations\", kind = \"segments\", weight = 0.5, reward = {folder:?} }}]"
    );
    let recipe: RlRecipe = recipe(dir.path(), "out", &[term.as_str()]);
    let models = Models::open(&recipe, Device::Cpu).unwrap();
    let asking = models.asking(24, Look::There, Path::new(""));
    let prompts = Prompts::read(&recipe.data, &recipe.quirks, asking, Some(dir.path())).unwrap();
    let prompts = prompts.rows(0..prompts.len()).unwrap();
    let images = encoded(&models, &recipe);
    let whole = format!("{BAD} {GOOD}");
    let rollouts = responses(&models, &prompts, std::slice::from_ref(&whole));
    let ranks = Ranks::alone();
    let of_model = score(&models, &images, &rollouts, &recipe.score, 1, &ranks).unwrap();
    let of_terms = segments(&models, &images, &rollouts, 1, &ranks).unwrap();
    let scores = [verdict(
        &rollouts[0],
        of_model[0].clone(),
        vec![None],
        &of_terms[0],
        &recipe.rewards,
        &recipe.score,
    )];
    let raw = |text: &str| said(&models, &images, &rollouts[0], text);
    let [first, second] = [BAD, &whole].map(|text| label(raw(text)));
    near(scores[0].terms[0].unwrap(), first + second);
    assert!(first.abs() > 0.1, "nothing is paid for {BAD:?}: {first}");
    // Both models said log-probabilities of 0, so no KL is taken off, and nothing else is but at the end.
    let n_tokens = rollouts[0].response.ids.len();
    let zeros = Tensor::zeros([1, n_tokens as i64], (Kind::Float, Device::Cpu));
    let values = Some(&zeros);
    let experience = Experience::new(
        &rollouts,
        &scores,
        &zeros,
        values,
        &recipe.score,
        &recipe.ppo,
    );
    let paid = Vec::<f32>::try_from(experience.rewards.reshape([-1])).unwrap();
    let n_bad = models.policy_base().tokenizer.encode(BAD).unwrap();
    let n_bad = n_bad.ids.len();
    assert!(n_bad < n_tokens, "{n_bad} of {n_tokens}");
    let mut expected = vec![0.0; n_tokens];
    expected[n_bad - 1] = 0.5 * first;
    expected[n_tokens - 1] = (raw(&whole) - SCORE_MEAN) / SCORE_STD + 0.5 * second;
    for (paid, &expected) in paid.into_iter().zip(&expected) {
        near(f64::from(paid), expected);
    }
    // Without a critic all of it is paid at once.
    let ppo = PpoRecipe {
        advantages: Advantages::Reinforce,
        ..recipe.ppo
    };
    let experience = Experience::new(&rollouts, &scores, &zeros, None, &recipe.score, &ppo);
    let paid = Vec::<f32>::try_from(experience.rewards.reshape([-1])).unwrap();
    let (last, before) = paid.split_last().unwrap();
    assert!(before.iter().all(|&paid| paid == 0.0), "{paid:?}");
    near(f64::from(*last), expected.iter().sum());
}

/// Labels are of sentences that end where a blank follows, and so is what is paid.
#[test]
fn a_mark_inside_a_number_or_a_row_of_dots_ends_no_sentence() {
    let dir = prepared();
    let recipe: RlRecipe = recipe(dir.path(), "out", &[]);
    let models = Models::open(&recipe, Device::Cpu).unwrap();
    let tokenizer = &models.policy_base().tokenizer;
    for (text, expected) in [
        (
            "The cup is 3.5 cm wide. It is red.",
            &["The cup is 3.5 cm wide."][..],
        ),
        ("A dog.....", &[]),
        ("A dog... A cat", &["A dog..."]),
        ("He says \"stop!\" Why?", &["He says \"stop!\""]),
        ("Two:\n- a cup", &["Two:"]),
        ("", &[]),
    ] {
        let mut ids = tokenizer.encode(text).unwrap().ids;
        ids.push(tokenizer.eos);
        let ends = sentence_ends(tokenizer, &ids, text).unwrap();
        let texts: Vec<&str> = ends.iter().map(|end| end.text.as_str()).collect();
        assert_eq!(texts, expected, "{text:?}");
        for end in &ends {
            let with = |n: usize| tokenizer.decode(&ids[..n]).unwrap();
            assert!(with(end.place + 1).contains(&end.text), "{end:?}");
            assert!(!with(end.place).contains(&end.text), "{end:?}");
        }
    }
}

/// The folder of the reward model, which has learned from rated sentences from now on.
fn rated(dir: &Path) -> String {
    let file = dir.join("reward/reward_model.json");
    let mut written: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    written["rated"] = true.into();
    fs::write(&file, written.to_string()).unwrap();
    dir.join("reward").display().to_string()
}

/// A second reward model that is the first one again says the same of each sentence, so half of it is half as much more.
#[test]
fn further_reward_models_pay_for_sentences_what_their_weight_says() {
    let dir = prepared();
    let all = [
        "run.steps=1",
        "run.samples_per_step=16",
        "score.position=\"segments\"",
        "score.normalise=\"none\"",
    ];
    let folder = rated(dir.path());
    let term = format!(
        "rewards=[{{ name = \"relations\", kind = \"segments\", weight = 0.5, reward = {folder:?} }}]"
    );
    finished(dir.path(), "one", &all);
    let metrics = finished(dir.path(), "two", &[&all[..], &[term.as_str()]].concat());
    let [one, two] =
        ["one", "two"].map(|run| lines(&dir.path().join(run).join("samples/step-1.jsonl")));
    assert_eq!(one.len(), two.len());
    let number = |row: &Value, field: &str| row[field].as_f64().unwrap();
    let tokens = |row: &Value| -> Vec<f64> {
        let numbers = row["rewards"].as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let (mut sum, mut most) = (0.0, 0.0_f64);
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one["response"], two["response"]);
        let worth = number(two, "normalised_score");
        assert!((two["terms"]["relations"].as_f64().unwrap() - worth).abs() < 1e-9);
        let more = number(two, "reward_sum") - number(one, "reward_sum");
        assert!((more - 0.5 * worth).abs() < 1e-4, "{one}\n{two}");
        // It is paid at ends of sentences, and nowhere else.
        let paid: Vec<f64> = (tokens(two).iter().zip(tokens(one)))
            .map(|(two, one)| two - one)
            .filter(|more| more.abs() > 1e-4)
            .collect();
        let n_sentences = candor_data::sentences::sentences(two["response"].as_str().unwrap());
        assert!(paid.len() <= n_sentences.len().max(1), "{paid:?} {two}");
        sum += 0.5 * worth;
        most = most.max(worth.abs());
    }
    assert!(most > 0.1, "nothing was paid");
    let mean = metrics[0]["rewards"]["relations"]["mean"].as_f64().unwrap();
    assert!((mean - sum / two.len() as f64).abs() < 1e-4, "{mean}");
}

/// In the first step both runs have the same responses, which earn the same in all.
#[test]
fn what_sentences_earn_adds_up_to_what_the_response_earns() {
    let dir = prepared();
    let all = ["run.steps=1", "run.samples_per_step=16"];
    finished(dir.path(), "last", &all);
    finished(
        dir.path(),
        "each",
        &[&all[..], &["score.position=\"sentences\""]].concat(),
    );
    let [last, each] =
        ["last", "each"].map(|run| lines(&dir.path().join(run).join("samples/step-1.jsonl")));
    for (last, each) in last.iter().zip(&each) {
        assert_eq!(last["response"], each["response"]);
        let sum = |row: &Value| row["reward_sum"].as_f64().unwrap();
        assert!((sum(last) - sum(each)).abs() < 1e-4, "{last}\n{each}");
    }
}
