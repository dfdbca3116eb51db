//! Best of n: of all answers to a prompt, the one that the reward model, told the facts, scores highest, and the lowest.
//!
//! The answers are those of one or several files of candidates; two files of one recipe with different seeds hold four to
//! each prompt. Answers that were cut at the limit are left out and counted. `best.json` has each prompt with its best answer, to be
//! fine-tuned on (rejection sampling), and `preferences.json` the best against the worst, in the format that people's labels have.
//! Scores are kept a chunk at a time in `scores.jsonl`, so that a run that was killed goes on and ends in the same bytes.

mod kept_scores;

use std::collections::BTreeSet;
use std::path::PathBuf;

use candor_data::{AnswerType, Conversation, FactBook, Facts, sha256, shown};
use candor_model::{Bundle, ImageFeatures};
use candor_run::Ranks;
use candor_train::{BasePrecision, set_tf32};
use tch::Device;

use self::kept_scores::KeptScores;
use crate::RewardError;
use crate::choice::{BestSummary, Group, Sampled, groups, write_chosen};
use crate::scorer::{Judged, RewardModel};

/// Prompts whose answers are scored and kept together.
const CHUNK: usize = 32;

/// What is chosen from, and by whom.
#[derive(Debug, Clone)]
pub struct BestOfN {
    /// Files of candidates.
    pub candidates: Vec<PathBuf>,
    /// Run folder of a reward model.
    pub reward: PathBuf,
    /// What its base is held in.
    pub base_precision: BasePrecision,
    /// Image folder.
    pub images: PathBuf,
    /// Captions by image, where the reward model is shown facts.
    pub facts: Option<PathBuf>,
    /// Folder to write to.
    pub out: PathBuf,
    /// Answers that are scored together.
    pub pass_rows: usize,
}

/// Scores all answers and writes what is chosen; `progress` hears how many prompts are done, and of how many. Ranks share out the
/// chunks, of which the first keeps the scores, and all must have the files.
///
/// # Errors
/// A file is missing or damaged, facts are missing where the reward model is shown them, an answer does not fit it, or a score
/// is not a number; or another rank has ended or hangs.
pub fn best_of_n(
    plan: &BestOfN,
    device: Device,
    ranks: &Ranks,
    mut progress: impl FnMut(usize, usize),
) -> Result<BestSummary, RewardError> {
    if plan.out.join("resolved.toml").exists() {
        return Err(RewardError::Unfit {
            path: plan.out.clone(),
            problem: "it is the folder of a run, whose result.json would be overwritten".to_owned(),
            remedy: "choose another --out",
        });
    }
    // Answers are scored in f32, whatever a run that learned before in this process has set.
    set_tf32(false);
    let groups = groups(&plan.candidates)?;
    let base = RewardModel::base(&plan.reward)?;
    let bundle = Bundle::load(base, device, plan.base_precision)?;
    bundle.model.set_trainable(|_| false);
    let model = RewardModel::open(&plan.reward, &bundle)?;
    let book = model.book(&plan.reward, plan.facts.as_deref())?;
    let scoring = Scoring {
        plan,
        bundle: &bundle,
        model: &model,
        book: &book,
    };
    let mut kept = None;
    if ranks.is_first() {
        kept = Some(KeptScores::open(&plan.out.join("scores.jsonl"))?);
    }
    let mut scores = Vec::with_capacity(groups.len());
    let chunks: Vec<&[Group]> = groups.chunks(CHUNK).collect();
    // One chunk a rank.
    for round in chunks.chunks(ranks.world()) {
        scores.extend(scoring.of_round(round, kept.as_mut(), ranks)?);
        progress(scores.len(), groups.len());
    }
    ranks.made_by_first(|| write_chosen(&plan.out, &groups, &scores))
}

/// SHA-256 of all that the scores of a chunk depend on: the reward model, what its base is held in, the images as they are now,
/// and what is scored.
fn key_of(
    plan: &BestOfN,
    fingerprint: String,
    images: &BTreeSet<String>,
    answers: &[(Conversation, &Facts)],
) -> String {
    let who = [fingerprint, format!("{:?}", plan.base_precision)];
    // What cannot be read has scores of its own, which are never kept: that it cannot be read is said where it is encoded.
    let image = |name: &String| sha256::of_file(&plan.images.join(name)).unwrap_or_default();
    let whole =
        |(conversation, facts): &(Conversation, &Facts)| format!("{conversation:?}{facts:?}");
    let parts = who.into_iter().chain(images.iter().map(image));
    let parts = parts.chain(answers.iter().map(whole));
    sha256::of_bytes(parts.map(String::into_bytes))
}

/// The images of some prompts, each by its own name also where a prompt shows several.
fn images_of(chunk: &[Group]) -> BTreeSet<String> {
    let shown = chunk.iter().filter_map(|group| group.image.as_deref());
    shown.flat_map(shown::names).map(str::to_owned).collect()
}

/// Who scores, and what it is told.
#[derive(Clone, Copy)]
struct Scoring<'a> {
    plan: &'a BestOfN,
    bundle: &'a Bundle,
    model: &'a RewardModel,
    book: &'a FactBook,
}

impl Scoring<'_> {
    /// The scores of some chunks, by prompt. Those of a chunk are kept or computed as a whole: their last bits may depend on who
    /// shares a pass.
    fn of_round(
        self,
        round: &[&[Group]],
        mut kept: Option<&mut KeptScores>,
        ranks: &Ranks,
    ) -> Result<Vec<Vec<f64>>, RewardError> {
        let keys = ranks.share(round.len(), |n| Ok::<_, RewardError>(self.key(round[n])))?;
        let mut scores = ranks.made_by_first(|| {
            let mut take = |key: &String| kept.as_deref_mut().and_then(|kept| kept.take(key));
            let known: Vec<Option<Vec<f64>>> = keys.iter().map(&mut take).collect();
            Ok::<_, RewardError>(known)
        })?;
        let missing: Vec<usize> = (0..round.len()).filter(|&n| scores[n].is_none()).collect();
        let found = ranks.share_numbers(missing.len(), |n| self.computed(round[missing[n]]))?;
        for (n, found) in missing.into_iter().zip(found) {
            if let Some(kept) = kept.as_deref_mut() {
                kept.keep(keys[n].clone(), &found)?;
            }
            scores[n] = Some(found);
        }
        let mut scores = scores.into_iter().flatten().flatten();
        let groups = round.iter().copied().flatten();
        Ok(groups
            .map(|group| scores.by_ref().take(group.answers.len()).collect())
            .collect())
    }

    /// The hash of all that the scores of a chunk depend on.
    fn key(self, chunk: &[Group]) -> String {
        let told = self.told(chunk);
        let (model, images) = (self.model.fingerprint(), images_of(chunk));
        key_of(self.plan, model, &images, &answers(chunk, &told))
    }

    /// The scores of all answers of a chunk.
    fn computed(self, chunk: &[Group]) -> Result<Vec<f64>, RewardError> {
        let (told, bundle, plan) = (self.told(chunk), self.bundle, self.plan);
        let answers = answers(chunk, &told);
        if answers.is_empty() {
            // All of them were cut.
            return Ok(Vec::new());
        }
        let images = images_of(chunk);
        let features = ImageFeatures::encode(bundle, &plan.images, images, |_, _| ())?;
        let items: Vec<Judged<'_>> = answers
            .iter()
            .map(|(conversation, facts)| Judged {
                id: &conversation.id,
                conversation,
                facts,
            })
            .collect();
        let alone = Ranks::alone();
        (self.model).score(bundle, &features, &items, plan.pass_rows, &alone)
    }

    /// What is known of the image of each prompt.
    fn told(self, chunk: &[Group]) -> Vec<Facts> {
        let told = chunk.iter().map(|group| {
            let image = group.image.as_deref().unwrap_or_default();
            self.book.for_prompt(image, AnswerType::General)
        });
        told.collect()
    }
}

/// All answers to some prompts, each with what is known of its image.
fn answers<'a>(chunk: &[Group], told: &'a [Facts]) -> Vec<(Conversation, &'a Facts)> {
    let answers = chunk.iter().zip(told).flat_map(|(group, facts)| {
        let with = move |answer: &Sampled| (group.answered(&answer.text), facts);
        group.answers.iter().map(with)
    });
    answers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_of_a_precision_and_of_images_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a.png");
        std::fs::write(&image, "red").unwrap();
        let mut plan = BestOfN {
            candidates: Vec::new(),
            reward: PathBuf::new(),
            base_precision: BasePrecision::Int8,
            images: dir.path().to_owned(),
            facts: None,
            out: PathBuf::new(),
            pass_rows: 1,
        };
        let images = BTreeSet::from(["a.png".to_owned()]);
        let of = |plan: &BestOfN| key_of(plan, "reward".to_owned(), &images, &[]);
        let first = of(&plan);
        assert_eq!(of(&plan), first);
        plan.base_precision = BasePrecision::Nf4;
        let precise = of(&plan);
        assert_ne!(precise, first);
        std::fs::write(&image, "blue").unwrap();
        assert_ne!(of(&plan), precise);
    }

    #[test]
    fn scores_are_of_every_image_that_a_prompt_shows() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &str| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("a.png", "red");
        write("b.png", "red");
        let plan = BestOfN {
            candidates: Vec::new(),
            reward: PathBuf::new(),
            base_precision: BasePrecision::F32,
            images: dir.path().to_owned(),
            facts: None,
            out: PathBuf::new(),
            pass_rows: 1,
        };
        let group = |image: Option<&str>| Group {
            id: "p".to_owned(),
            image: image.map(str::to_owned),
            turns: Vec::new(),
            original_answer: None,
            index: 0,
            answers: Vec::new(),
            n_cut: 0,
        };
        let chunk = [
            group(Some("b.png\na.png")),
            group(Some("a.png")),
            group(None),
        ];
        let images = images_of(&chunk);
        assert_eq!(Vec::from_iter(&images), ["a.png", "b.png"]);
        let key = || key_of(&plan, "reward".to_owned(), &images, &[]);
        let first = key();
        write("b.png", "blue");
        assert_ne!(key(), first);
    }
}
