//! VLFeedback (arXiv 2312.10665) and its like: several answers to a prompt, each with ratings of several qualities.
//!
//! An answer is worth the mean of its ratings, and any two answers of different worth are a comparison: four answers are up to
//! six. An answer of which one rating is no number is in none. Answers are a list, or lists of what they have, as `datasets`
//! keeps them. Where a row names no image, it is `ID.jpg`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::table::Fault;
use super::text::Format;
use super::trl;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::{IMAGE_PLACEHOLDER, Turn, text_or_integer};
use crate::preference::Side;
use crate::shown;

pub(super) const FORMAT: Format = Format {
    name: "VLFeedback",
    expected: "rows with prompt and completions",
};

/// A row as the files have it.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(default, alias = "images", with = "crate::shown")]
    image: Option<String>,
    #[serde(default)]
    img_path: Option<String>,
    prompt: String,
    completions: Completions,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of answers with `response` and `annotations`, or an object of such lists"
)]
enum Completions {
    List(Vec<Completion>),
    Columns {
        #[serde(default)]
        model: Vec<String>,
        response: Vec<String>,
        annotations: Vec<Ratings>,
    },
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    response: String,
    annotations: Ratings,
}

/// By quality.
type Ratings = BTreeMap<String, Annotation>;

#[derive(Deserialize)]
struct Annotation {
    #[serde(rename = "Rating")]
    rating: Value,
}

impl Completions {
    fn list(self) -> Result<Vec<Completion>, Fault> {
        let (model, response, annotations) = match self {
            Self::List(list) => return Ok(list),
            Self::Columns {
                model,
                response,
                annotations,
            } => (model, response, annotations),
        };
        if response.len() != annotations.len() {
            let found = format!(
                "found {} answers and {} annotations",
                response.len(),
                annotations.len()
            );
            return Err(("completions".into(), found));
        }
        let models = model.into_iter().map(Some).chain(std::iter::repeat(None));
        let answers = response.into_iter().zip(annotations).zip(models);
        let answers = answers.map(|((response, annotations), model)| Completion {
            model,
            response,
            annotations,
        });
        Ok(answers.collect())
    }
}

impl Completion {
    /// The mean of its ratings; none where one is no number.
    fn worth(&self) -> Option<f64> {
        let ratings = self.annotations.values().map(|annotation| {
            let number = match &annotation.rating {
                Value::String(text) => text.trim().parse().ok(),
                other => other.as_f64(),
            };
            number.filter(|number: &f64| number.is_finite())
        });
        let ratings: Vec<f64> = ratings.collect::<Option<_>>()?;
        let n = ratings.len() as f64;
        (n > 0.0).then(|| ratings.iter().sum::<f64>() / n)
    }
}

/// The comparisons that a row says, the preferred answer first, and how many of its pairs are none, by reason.
pub(super) fn comparisons(
    row: Row,
) -> Result<(Vec<Comparison>, BTreeMap<&'static str, usize>), Fault> {
    let completions = row.completions.list()?;
    let image = row.image.or(row.img_path);
    let image = image.unwrap_or_else(|| format!("{}.jpg", row.id));
    let places = format!("{IMAGE_PLACEHOLDER}\n").repeat(shown::count(Some(&image)));
    let prompt = if row.prompt.contains(IMAGE_PLACEHOLDER) {
        row.prompt
    } else {
        places + &row.prompt
    };
    let worths: Vec<Option<f64>> = completions.iter().map(Completion::worth).collect();
    let mut compared = Vec::new();
    let mut left_out: BTreeMap<&'static str, usize> = BTreeMap::new();
    for second in 1..worths.len() {
        for first in 0..second {
            let (better, worse) = match (worths[first], worths[second]) {
                (Some(a), Some(b)) if a > b => (first, second),
                (Some(a), Some(b)) if a < b => (second, first),
                (Some(_), Some(_)) => {
                    *left_out.entry("equal ratings").or_default() += 1;
                    continue;
                }
                _ => {
                    *left_out.entry("a rating that is no number").or_default() += 1;
                    continue;
                }
            };
            let both = [better, worse].map(|at| &completions[at]);
            let comparison = Comparison {
                id: format!("{}-{better}-{worse}", row.id),
                image: Some(image.clone()),
                turns: vec![Turn::human(prompt.as_str())],
                original_answer: None,
                outputs: both.map(|completion| completion.response.clone()),
                models: both[0]
                    .model
                    .clone()
                    .zip(both[1].model.clone())
                    .map(<[String; 2]>::from),
                group: None,
                judgement: Some(Judgement::for_side(Side::First)),
                severity: None,
            };
            if let Some(fault) = trl::fault_of(&comparison) {
                return Err(fault);
            }
            compared.push(comparison);
        }
    }
    Ok((compared, left_out))
}
