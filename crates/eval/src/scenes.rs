//! The micro-world's ground truth, by image: its exact judge as one judge of the benchmarks.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candor_judge::{Claim, Finding, JudgeError, Truth};
use candor_world::judge::{self, Fact, Standing, Verdict};
use candor_world::{Question, Scene, read_scenes};

use crate::EvalError;

/// The scenes of a data folder.
#[derive(Debug)]
pub struct Scenes {
    path: PathBuf,
    scenes: HashMap<String, Scene>,
}

impl Scenes {
    /// Reads `scenes.jsonl` of a data folder.
    ///
    /// # Errors
    /// The folder has none, which means that only POPE can be scored without asking somebody else's judge;
    /// or the file is damaged.
    pub fn read(data: &Path) -> Result<Self, EvalError> {
        let path = data.join("scenes.jsonl");
        if !path.exists() {
            return Err(EvalError::Unfit {
                path,
                problem: "missing, and the exact judge needs it".to_owned(),
                remedy: "evaluate on a folder of `candor world write`, or set run.benchmarks to [\"pope\"]",
            });
        }
        let scenes = read_scenes(&path)?;
        let scenes = scenes.into_iter().map(|scene| (scene.image.clone(), scene));
        Ok(Self {
            scenes: scenes.collect(),
            path,
        })
    }

    /// What the exact judge says of an answer to a question about an image.
    ///
    /// # Errors
    /// The image belongs to no scene.
    pub fn verdict(
        &self,
        image: &str,
        question: &str,
        answer: &str,
    ) -> Result<Verdict, JudgeError> {
        let scene = self.scenes.get(image).ok_or_else(|| JudgeError::Unfit {
            path: self.path.clone(),
            problem: format!("no scene has the image {image:?}, which is asked about"),
            remedy: "write the data folder again with `candor world write`".into(),
        })?;
        Ok(judge::judge(scene, &Question::parse(question), answer))
    }
}

impl Truth for Scenes {
    fn judge(&self, image: &str, question: &str, answer: &str) -> Result<Finding, JudgeError> {
        let verdict = self.verdict(image, question, answer)?;
        let claim = |claim: &judge::Claim| Claim {
            kind: kind(&claim.fact).to_owned(),
            words: answer
                .get(claim.span.clone())
                .unwrap_or_default()
                .to_owned(),
            start: claim.span.start,
            end: claim.span.end,
            negated: claim.negated,
            truth: claim.truth,
        };
        Ok(Finding {
            score: verdict.score,
            standing: name(verdict.standing).to_owned(),
            claims: verdict.claims.iter().map(claim).collect(),
            left_out: Vec::new(),
        })
    }

    fn mentioned(&self, description: &str) -> BTreeSet<String> {
        let kinds = judge::objects_mentioned(description).into_iter();
        kinds.map(|kind| kind.name().to_owned()).collect()
    }
}

fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::There(..) => "object",
        Fact::Count(..) | Fact::BareCount(_) => "count",
        Fact::Colour(..) | Fact::BareColour(_) => "colour",
        Fact::Size(..) => "size",
        Fact::Place(..) | Fact::BarePlace(_) => "place",
        Fact::Member(..) => "group",
        Fact::LeftOf(..) => "left_of",
        Fact::Larger(_) => "larger",
        Fact::Theme(_) => "theme",
        Fact::Yes => "yes_no",
        Fact::Option(_) => "option",
    }
}

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Silent => "silent",
        Standing::Beside => "beside",
        Standing::Wrong => "wrong",
        Standing::Related => "related",
        Standing::Partly => "partly",
        Standing::Right => "right",
    }
}
