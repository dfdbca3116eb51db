//! A set in LLaVA-Bench's three categories: thirty pictures, one question of each category, true reference
//! answers, captions and boxes for a judge.
//!
//! What "complex" can ask here is small: knowledge (animals, vehicles) or a comparison on top of sight.

use candor_data::formats::llava_bench::{
    Answer, Category, Context, Instance, Question as Row, Rule, Rules,
};
use candor_data::random::{Stream, stream};
use rand::RngExt as _;

use crate::kind::Group;
use crate::question::Question;
use crate::scene::Scene;
use crate::text::{answer, caption, describe, vqa};

/// Pictures asked about, one question of each category.
pub const N_SCENES: usize = 30;

/// The four files of the benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaBench {
    /// What is asked.
    pub questions: Vec<Row>,
    /// What a judge is told.
    pub contexts: Vec<Context>,
    /// Reference answers.
    pub answers: Vec<Answer>,
    /// What a judge is to do.
    pub rules: Rules,
}

/// The set over the last evaluation scenes.
#[must_use]
pub fn draw(seed: u64, scenes: &[Scene]) -> LlavaBench {
    let scenes = &scenes[scenes.len().saturating_sub(N_SCENES)..];
    let mut bench = LlavaBench {
        questions: Vec::new(),
        contexts: Vec::new(),
        answers: Vec::new(),
        rules: rules(),
    };
    for scene in scenes {
        let rng = &mut stream(seed, "world.llava_bench", &[scene.id]);
        bench.contexts.push(context(scene, rng));
        for category in [Category::Conv, Category::Detail, Category::Complex] {
            let (question, text) = ask(scene, category, rng);
            let question_id = bench.questions.len() as u64;
            bench.questions.push(Row {
                question_id,
                image: scene.image.clone(),
                text: question.text(),
                category,
            });
            bench.answers.push(Answer {
                question_id,
                text,
                category: Some(name(category).to_owned()),
                answer_id: None,
                model_id: Some("truth".into()),
            });
        }
    }
    bench
}

fn name(category: Category) -> &'static str {
    match category {
        Category::Conv => "conv",
        Category::Detail => "detail",
        Category::Complex => "complex",
    }
}

/// A question of the category with its true answer; scenes that do not allow the drawn form are described.
fn ask(scene: &Scene, category: Category, rng: &mut Stream) -> (Question, String) {
    for _ in 0..16 {
        let question = match category {
            Category::Conv => vqa::draw_question(scene, rng),
            Category::Detail => None,
            Category::Complex if rng.random_bool(0.6) => {
                Some(Question::Members(Group::ALL[rng.random_range(0..2)]))
            }
            Category::Complex => vqa::compare(scene, rng),
        };
        if let Some(question) = question
            && let Some(text) = answer::full(scene, &question)
        {
            return (question, text);
        }
    }
    (Question::Describe, describe::truthful(scene, rng))
}

fn context(scene: &Scene, rng: &mut Stream) -> Context {
    let instance = |object: &crate::scene::Object| {
        let [x, y, w, h] = object.bbox(1.0).map(f64::from);
        Instance {
            category: object.kind.name().to_owned(),
            bbox: [x, y, x + w, y + h].map(|side| (side * 1000.0).round() / 1000.0),
        }
    };
    Context {
        id: scene.image.trim_end_matches(".png").to_owned(),
        image: scene.image.clone(),
        captions: caption::facts(scene, rng),
        instances: scene.objects.iter().map(instance).collect(),
    }
}

fn rules() -> Rules {
    let aims = [
        (Category::Conv, "answers the question correctly"),
        (
            Category::Detail,
            "describes everything in the picture and nothing else",
        ),
        (
            Category::Complex,
            "draws the right conclusion from what is in the picture",
        ),
    ];
    let rule = |(category, aim): (Category, &str)| {
        let prompt = format!(
            "Two assistants looked at a picture; above you see its captions and boxes, the question and both \
             answers. Judge how well each of them {aim}. First write one line with two numbers from 1 to 10, \
             the first assistant's and the second's, separated by a space. Then give your reasons."
        );
        let role = "Assistant".to_owned();
        (name(category).to_owned(), Rule { role, prompt })
    };
    aims.into_iter().map(rule).collect()
}
