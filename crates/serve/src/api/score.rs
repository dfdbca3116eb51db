//! `POST /v1/score`: what a reward model is asked.

use candor_data::{Choice, Facts, Speaker};
use serde_json::{Value, json};

use super::fields::{Fields, list, text};
use super::messages::{Messages, only_words};
use super::refusal::Refusal;
use crate::models::Catalogue;

/// An answer to be scored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreRequest {
    /// Which of [`Catalogue::rewards`].
    pub reward: usize,
    /// The conversation, which ends in the answer.
    pub messages: Messages,
    /// What is known of the image.
    pub facts: Facts,
}

impl ScoreRequest {
    /// Reads a request; every field of it is understood or refused.
    pub(crate) fn read(body: Value, catalogue: &Catalogue) -> Result<Self, Refusal> {
        let mut fields = Fields::of(body, "")?;
        let name = text(fields.required("model")?, "model")?;
        let known: Vec<&str> = catalogue
            .rewards
            .iter()
            .map(|scorer| scorer.name.as_str())
            .collect();
        let reward = known.iter().position(|known| *known == name);
        let reward = reward.ok_or_else(|| match known[..] {
            [] => Refusal {
                message: "there is no reward model here; start the server with --reward NAME=PATH"
                    .to_owned(),
                ..Refusal::no_model(&name, &known)
            },
            _ => Refusal::no_model(&name, &known),
        })?;
        let scorer = &catalogue.rewards[reward];
        let mut messages = Messages::read(fields.required("messages")?, Speaker::Gpt)?;
        // The answer, which comes last, is made plain words where it is scored.
        messages.check_words(messages.turns.len() - 1, &scorer.specials)?;
        if messages.system.is_some() {
            return Err(Refusal::unsupported(
                "messages[0].role",
                "a reward model is asked with the template's own system sentence; leave the message out",
            ));
        }
        if messages.images.len() > 1 {
            return Err(Refusal::field(
                &messages.images[1].place,
                "a reward model is shown at most one image; leave the others out",
            ));
        }
        // Pairs are trained on so.
        messages.put_images_first();
        let facts = match fields.take("facts") {
            None => Facts::default(),
            Some(facts) => read_facts(facts)?,
        };
        fields.pass_over(&["user"]);
        fields.end()?;
        if scorer.with_facts && facts.is_empty() {
            return Err(Refusal::field(
                "facts",
                format!(
                    "`{name}` is shown facts; give `facts`, such as {{\"captions\": [\"A red bus.\"]}}"
                ),
            ));
        }
        if scorer.with_facts {
            check_facts(&facts, &scorer.specials)?;
        }
        Ok(Self {
            reward,
            messages,
            facts,
        })
    }
}

fn read_facts(value: Value) -> Result<Facts, Refusal> {
    let mut fields = Fields::of(value, "facts")?;
    let mut lines = |name: &str| -> Result<Vec<String>, Refusal> {
        let path = fields.path(name);
        let Some(value) = fields.take(name) else {
            return Ok(Vec::new());
        };
        let lines = list(value, &path)?.into_iter().enumerate();
        lines
            .map(|(at, line)| text(line, &format!("{path}[{at}]")))
            .collect()
    };
    let (captions, rationale, objects) =
        (lines("captions")?, lines("rationale")?, lines("objects")?);
    let correct_option = match fields.text("correct_option")? {
        None => None,
        Some(letter) => {
            let found = Choice::ALL
                .into_iter()
                .find(|choice| letter == choice.letter().to_string());
            Some(found.ok_or_else(|| {
                Refusal::field(
                    "facts.correct_option",
                    "`facts.correct_option` must be A, B, C or D",
                )
            })?)
        }
    };
    fields.end()?;
    Ok(Facts {
        captions,
        rationale,
        correct_option,
        objects,
    })
}

/// Refuses facts that are more than words, as [`Messages::check_words`] does messages. Names of objects are not shown.
fn check_facts(facts: &Facts, specials: &[String]) -> Result<(), Refusal> {
    for (name, lines) in [
        ("captions", &facts.captions),
        ("rationale", &facts.rationale),
    ] {
        for (at, line) in lines.iter().enumerate() {
            only_words(line, &format!("facts.{name}[{at}]"), specials)?;
        }
    }
    Ok(())
}

/// The answer: the raw score, and how many standard deviations it is above the mean of the held-out scores, if those
/// differ.
pub(crate) fn answer(model: &str, score: f64, mean: f64, std: f64) -> Value {
    let normalised = (std > 0.0).then(|| (score - mean) / std);
    json!({"object": "score", "model": model, "score": score, "normalised": normalised})
}
