//! Prompts for comparisons and for reinforcement learning, and the facts that go with their images.

use std::path::Path;

use candor_data::conversation::Conversation;
use candor_data::facts::FactBook;
use candor_data::formats::ImageNames;
use candor_data::prompt::{AnswerType, Prompt};
use candor_data::random::{Stream, stream};
use candor_data::rows::SourceFile;
use candor_data::sources::{Reasoning, SHORT_ANSWER_PROMPT, a_okvqa};
use rand::RngExt as _;

use crate::config::{WorldConfig, draw};
use crate::question::{DESCRIBE, Question};
use crate::scene::Scene;
use crate::sft::{choice_row, exchange};
use crate::text::choice::MultipleChoice;
use crate::text::{answer, caption, choice, describe, draw_plausible, vqa};

/// Prompts whose answers are compared: LLaVA rows, the answer GPT-4-like as in the real set.
#[must_use]
pub fn preference(config: &WorldConfig, scenes: &[Scene]) -> Vec<Conversation> {
    let mut rows = Vec::new();
    for scene in scenes {
        for index in 0..config.n_prompts_per_scene {
            let rng = &mut stream(config.seed, "world.preference", &[scene.id, index as u64]);
            let id = format!("preference-{}-{index}", scene.id);
            rows.push(general(config, scene, id, config.compared_describe, rng));
        }
    }
    rows
}

/// A description with chance `describes`, or a question with a true sentence for an answer.
fn general(
    config: &WorldConfig,
    scene: &Scene,
    id: String,
    describes: f64,
    rng: &mut Stream,
) -> Conversation {
    if !rng.random_bool(describes)
        && let Some(question) = question(config, scene, rng)
        && let Some(text) = answer::full(scene, &question)
    {
        return exchange(id, scene, &question.text(), &text);
    }
    let asked = DESCRIBE[rng.random_range(0..DESCRIBE.len())];
    let description = describe::gpt4_like(scene, config.false_additions, rng);
    exchange(id, scene, asked, &description.text)
}

/// A question as MMHal-Bench has them: now and then about something that is not there.
fn question(config: &WorldConfig, scene: &Scene, rng: &mut Stream) -> Option<Question> {
    if !draw(config.prompt_premise, rng) {
        return vqa::draw_question(scene, rng);
    }
    Some(vqa::asked_of(draw_plausible(scene, &[], rng)?, rng))
}

/// Prompts for PPO: the second of a scene asks for one of four options or for yes or no; all others ask for a description,
/// or a question as often as configured, since facts know one set of rationales an image.
#[must_use]
pub fn rl(config: &WorldConfig, scenes: &[Scene]) -> Vec<Prompt> {
    let mut rows = Vec::new();
    for scene in scenes {
        for index in 0..config.n_prompts_per_scene {
            let rng = &mut stream(config.seed, "world.rl", &[scene.id, index as u64]);
            let id = format!("rl-{}-{index}", scene.id);
            let (conversation, answer_type) = match index {
                1 if scene.id % 2 == 0 => with_options(config, scene, id, rng),
                1 => yes_or_no(config, scene, id, rng),
                _ => (
                    general(config, scene, id, config.rl_describe, rng),
                    AnswerType::General,
                ),
            };
            rows.push(Prompt {
                conversation,
                answer_type,
                length_bonus: 1.0,
            });
        }
    }
    rows
}

fn options(config: &WorldConfig, scene: &Scene) -> Option<MultipleChoice> {
    choice::draw(scene, &mut stream(config.seed, "world.choice", &[scene.id]))
}

/// Worded by the same code as the training rows.
fn with_options(
    config: &WorldConfig,
    scene: &Scene,
    id: String,
    rng: &mut Stream,
) -> (Conversation, AnswerType) {
    let Some(item) = options(config, scene) else {
        return (general(config, scene, id, 1.0, rng), AnswerType::General);
    };
    let row = choice_row(scene, "train", &item);
    let mut rows = a_okvqa(
        &SourceFile::new(Path::new("rl/prompts.json")),
        &[row],
        &ImageNames::coco_2017(),
        Reasoning::After,
        config.seed,
    );
    match rows.pop().and_then(|row| row.made.ok()) {
        Some(conversation) => (
            Conversation { id, ..conversation },
            AnswerType::Option(item.correct),
        ),
        None => (general(config, scene, id, 1.0, rng), AnswerType::General),
    }
}

fn yes_or_no(
    config: &WorldConfig,
    scene: &Scene,
    id: String,
    rng: &mut Stream,
) -> (Conversation, AnswerType) {
    let Some(question) = vqa::exists(scene, rng) else {
        return (general(config, scene, id, 1.0, rng), AnswerType::General);
    };
    let asked = format!("{}\n{SHORT_ANSWER_PROMPT}", question.text());
    if answer::yes_no(scene, &question) == Some(true) {
        (exchange(id, scene, &asked, "Yes"), AnswerType::Yes)
    } else {
        (exchange(id, scene, &asked, "No"), AnswerType::No)
    }
}

/// Captions of every image, rationales of those with a multiple-choice question.
#[must_use]
pub fn facts<'a>(config: &WorldConfig, scenes: impl IntoIterator<Item = &'a Scene>) -> FactBook {
    let mut book = FactBook::new();
    for scene in scenes {
        let rng = &mut stream(config.seed, "world.facts", &[scene.id]);
        let entry = book.entry(&scene.image);
        entry.captions = caption::facts_with_gaps(scene, config.caption_gap, rng);
        if let Some(item) = options(config, scene) {
            entry.rationale = item.rationales.to_vec();
            entry.rationale.push(item.verdict());
        }
    }
    book
}

/// Asks the judge's question of a row: what its first human turn says.
#[must_use]
pub fn question_of(conversation: &Conversation) -> Question {
    conversation.query().map_or(Question::Open, Question::parse)
}
