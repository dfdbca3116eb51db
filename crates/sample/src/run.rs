//! A sampling run: prompts → chunks → two answers each → `candidates.jsonl`.
//!
//! The run folder is that of every stage, with `parts/` for the finished chunks in place of checkpoints, and
//! `metrics.jsonl` with a line per chunk. `candidates.jsonl`, which is made of the chunks, and `result.json` are written at the end. A run
//! that was killed answers again only the chunk it was in, and ends in the same bytes. In memory are the prompts and answers of one chunk,
//! or on several ranks of one chunk each.

use std::time::Instant;

use candor_data::formats::candidates::{self, Candidate};
use candor_data::rows::{Skipped, SkippedCounts};
use candor_run::{Claim, LaunchOptions, Outcome, Progress, RunOptions, write_result};
use candor_train::{say_skipped, set_tf32};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::parts::{self, Part};
use crate::prompt::{self, Prompt, Prompts};
use crate::sampler::Sampler;
use crate::{SampleError, SampleRecipe};

/// Counts of a chunk, or of a whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Prompts answered.
    pub n_prompts: usize,
    /// Pairs of the same answer twice.
    pub n_identical: usize,
    /// Answers cut at the limit.
    pub n_cut: usize,
    /// Mean tokens of an answer, its end token not counted.
    pub mean_response_tokens: f64,
}

/// The run's `result.json`.
#[derive(Debug, Serialize)]
struct SampleResult {
    #[serde(flatten)]
    counts: Counts,
    /// Prompts that were left out, where the recipe skips bad rows.
    #[serde(flatten)]
    skipped: Option<SkippedCounts>,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Serialize)]
pub struct SampleMetrics {
    /// Chunks done.
    pub step: u64,
    /// Of this chunk.
    #[serde(flatten)]
    pub counts: Counts,
}

/// One line of `timings.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Timing {
    step: u64,
    secs: f64,
    phase_secs: PhaseSecs,
    tokens_per_sec: f64,
}

/// Where the time of a chunk went.
#[derive(Debug, Serialize, Deserialize)]
struct PhaseSecs {
    images: f64,
    answers: f64,
}

/// Samples and writes `<out>/candidates.jsonl` and `<out>/result.json`.
///
/// # Errors
/// The model, a prompt or an image is missing or damaged, or the run folder cannot be used.
pub fn run(
    recipe: &SampleRecipe,
    launch: &LaunchOptions,
    device: Device,
) -> Result<Outcome, SampleError> {
    // Answers are sampled in f32, whatever a run that learned before in this process has set.
    set_tf32(false);
    let ranks = &launch.ranks;
    let asked = vec![("--resume".to_owned(), launch.resume.to_string())];
    ranks.check_same_start(&recipe.resolved.to_text(), asked)?;
    let mut taken = None;
    ranks.made_by_first(|| {
        taken = Some(claim(recipe, launch)?);
        Ok::<_, SampleError>(())
    })?;
    let mut progress = Progress::of_rank(ranks, name(recipe));
    let sampler = Sampler::open(recipe, device, &mut progress)?;
    let bundle = &sampler.bundle;
    let positions = bundle.model.n_positions();
    let rules = bundle.rules(usize::MAX, recipe.images.as_path());
    let prompts = prompt::read(recipe, rules, positions, Some(recipe.out.as_path()))?;
    let skipped = prompts.skipped.as_ref();
    say_skipped(name(recipe), skipped);
    ranks.check_same_inputs(&sampler.inputs(&prompts)?)?;
    let mut folder = None;
    let n_chunks = prompts.len().div_ceil(recipe.chunk);
    // The first rank alone reads and writes the folder.
    let mut kept = ranks.made_by_first(|| {
        folder = taken
            .map(Claim::open)
            .transpose()?
            .map(|opened| opened.folder);
        if let Some(skipped) = skipped {
            skipped.write(&recipe.out)?;
        }
        kept(recipe, &sampler, &prompts, n_chunks)
    })?;
    let n_kept: usize = kept.iter().flatten().map(|chunk| chunk.prompts).sum();
    progress.set_steps(prompts.len() as u64, n_kept as u64);
    progress.doing("answering");
    let (mut all, mut n_done) = (Sums::default(), n_kept);
    let mut speed = Speed::default();
    let missing: Vec<usize> = (0..n_chunks).filter(|&n| kept[n].is_none()).collect();
    let mut rounds = missing.chunks(ranks.world());
    for number in 0..n_chunks {
        let step = number as u64 + 1;
        if kept[number].is_none() {
            // One chunk a rank; the first of them is this one.
            let round = rounds.next().unwrap_or_default();
            let started = Instant::now();
            let answered = ranks.share(round.len(), |turn| {
                let number = round[turn];
                let chunk = prompts.chunk(number, recipe.chunk)?;
                answer(&sampler, &chunk, skipped, number as u64 + 1)
            })?;
            // All chunks of the round were answered in this time.
            speed.secs += started.elapsed().as_secs_f64();
            for (&number, (answered, timing)) in round.iter().zip(answered) {
                let sums = Sums::of(&answered);
                speed.n_tokens += sums.tokens;
                if let Some(folder) = &mut folder {
                    candidates::write(&parts::path(&recipe.out, number), &answered)?;
                    folder.log_timing(timing.step, &timing)?;
                }
                n_done += sums.prompts;
                kept[number] = Some(sums);
            }
        }
        let sums = kept[number].unwrap_or_default();
        let counts = sums.counts();
        if let Some(folder) = &mut folder {
            folder.log(step, &SampleMetrics { step, counts })?;
        }
        all.add(sums);
        let shown = [("tokens", counts.mean_response_tokens)];
        progress.step(n_done as u64, &shown);
        if ranks.should_stop(&launch.stop)? && all.prompts < prompts.len() {
            let command = &launch.resume_command;
            progress.finish(&format!("stopped; continue with: {command}"));
            return Ok(Outcome::Stopped);
        }
    }
    let counts = all.counts();
    if folder.is_some() {
        parts::put_together(&recipe.out, n_chunks)?;
        let result = SampleResult {
            counts,
            skipped: skipped.map(Skipped::counts),
        };
        write_result(&recipe.out, &result)?;
    }
    progress.finish(&format!("{counts}{speed}"));
    Ok(Outcome::Finished)
}

/// Takes the run's folder.
fn claim(recipe: &SampleRecipe, launch: &LaunchOptions) -> Result<Claim, SampleError> {
    let resolved = recipe.resolved.to_text();
    let options = RunOptions {
        dir: &recipe.out,
        stage: "sample",
        resolved: &resolved,
        // There are none; the parts take their place.
        n_keep_checkpoints: 1,
        resume_command: &launch.resume_command,
        may_change: &[&["run.out"], recipe.may_change()].concat(),
    };
    Ok(if launch.resume {
        Claim::resume(&options)?
    } else {
        Claim::start(&options)?
    })
}

/// The run is known to its user by its folder.
fn name(recipe: &SampleRecipe) -> &str {
    let name = recipe.out.file_name();
    name.and_then(std::ffi::OsStr::to_str).unwrap_or("sample")
}

/// What there is of each chunk that an earlier start of the run answered.
fn kept(
    recipe: &SampleRecipe,
    sampler: &Sampler,
    prompts: &Prompts,
    n_chunks: usize,
) -> Result<Vec<Option<Sums>>, SampleError> {
    let read = |number: usize| {
        let chunk = prompts.chunk(number, recipe.chunk)?;
        let expected: Vec<Candidate> = chunk.iter().map(|p| sampler.unanswered(p)).collect();
        Ok(match parts::read(&recipe.out, number, &expected)? {
            Part::Kept(rows) => Some(Sums::of(&rows)),
            Part::Missing => None,
            Part::Damaged(why) => {
                tracing::warn!("{}: a damaged part is answered again: {why}", name(recipe));
                None
            }
        })
    };
    (0..n_chunks).map(read).collect()
}

/// What adds up over the answered prompts of a chunk, or of several.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Sums {
    prompts: usize,
    identical: usize,
    cut: usize,
    tokens: usize,
}

impl Sums {
    fn of(rows: &[Candidate]) -> Self {
        Self {
            prompts: rows.len(),
            identical: rows.iter().filter(|row| row.is_identical()).count(),
            cut: rows.iter().map(Candidate::n_cut).sum(),
            tokens: n_tokens(rows),
        }
    }

    fn add(&mut self, other: Self) {
        self.prompts += other.prompts;
        self.identical += other.identical;
        self.cut += other.cut;
        self.tokens += other.tokens;
    }

    fn counts(self) -> Counts {
        Counts {
            n_prompts: self.prompts,
            n_identical: self.identical,
            n_cut: self.cut,
            mean_response_tokens: self.tokens as f64 / (2 * self.prompts).max(1) as f64,
        }
    }
}

fn n_tokens(rows: &[Candidate]) -> usize {
    rows.iter().flat_map(|row| row.sampling.n_tokens).sum()
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} prompts answered twice, {:.1} tokens an answer, {} pairs identical, {} answers cut at the limit",
            self.n_prompts, self.mean_response_tokens, self.n_identical, self.n_cut
        )
    }
}

/// How fast this start of the run was, with all of its ranks.
#[derive(Debug, Default)]
struct Speed {
    n_tokens: usize,
    secs: f64,
}

/// Answers a chunk with an eye on the clock.
fn answer(
    sampler: &Sampler,
    chunk: &[Prompt],
    skipped: Option<&Skipped>,
    step: u64,
) -> Result<(Vec<Candidate>, Timing), SampleError> {
    let started = Instant::now();
    let features = sampler.encode(chunk, skipped)?;
    let images = started.elapsed().as_secs_f64();
    let rows = sampler.answer(chunk, &features)?;
    let secs = started.elapsed().as_secs_f64();
    let timing = Timing {
        step,
        secs,
        phase_secs: PhaseSecs {
            images,
            answers: secs - images,
        },
        tokens_per_sec: n_tokens(&rows) as f64 / secs,
    };
    Ok((rows, timing))
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.n_tokens == 0 {
            return Ok(());
        }
        write!(f, ", {:.0} tokens/s", self.n_tokens as f64 / self.secs)
    }
}
