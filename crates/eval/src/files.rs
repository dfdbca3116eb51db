//! A model on the files of benchmarks: read → plan → encode and answer, batch by batch → keep → answers files.
//!
//! Questions about one image are answered in one batch, as far as it has room: the image is decoded and encoded once,
//! what their prompts begin with is read once, and its features are let go when the next batch needs them no more. While
//! a batch is answered, a thread decodes the images of the next, and another asks the judge about the batches before.
//!
//! Several ranks share out the batches, each of which is answered as one rank answers it. The first keeps all answers and asks the judge.
//!
//! What decides the batches and the answers stands at the head of `answers.log`, and a batch is kept as a whole: a run
//! that was killed goes on with the batch that it was in, and ends in the bytes of one that was not.

mod ahead;
mod asked;
mod generator;
mod kept;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Instant;

use candor_data::image::PixelBounds;
use candor_judge::benchmarks::Files;
use candor_judge::pipelined::{JudgeQueue, while_judging};
use candor_judge::score::{self, JudgeSession};
use candor_judge::{Benchmark, Results};
use candor_model::{Adapter, Bundle, ModelFolder};
use candor_run::{Progress, Ranks, StopSignal};
use candor_train::{BasePrecision, fingerprint};
use tch::Device;

use self::ahead::ahead_of;
pub(crate) use self::asked::Asked;
use self::generator::FileGenerator;
use self::kept::Kept;
use self::plan::Plan;
use crate::EvalError;
use crate::answer::Answer;
use crate::images;
use crate::questions::{Asking, Questions};

/// Who is asked what, and how.
#[derive(Debug, Clone)]
pub struct EvalRun {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// Its files.
    pub files: Files,
    /// Folder of the images.
    pub images: PathBuf,
    /// Model folder.
    pub model: PathBuf,
    /// Folder of a LoRA adapter on it, if there is one.
    pub adapter: Option<PathBuf>,
    /// What the model is held in.
    pub precision: BasePrecision,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// What descriptions are asked for with (CHAIR).
    pub description: String,
    /// Instruction on a line of its own after every question; the benchmark's custom if absent.
    pub instruction: Option<String>,
    /// Logits are divided by it; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Only the smallest set of tokens with at least this probability is sampled from; 1 is all.
    pub top_p: f64,
    /// Longest answer, its end token included; the room that the model has left if that is less.
    pub max_new_tokens: usize,
    /// Decides every draw.
    pub seed: u64,
    /// Questions that are answered together.
    pub batch_rows: usize,
    /// Folder that answers are written to.
    pub out: PathBuf,
}

/// All questions answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answers, a file for each file of questions.
    pub files: Vec<PathBuf>,
    /// Whether they cannot be scored, because that takes a judge and there was none.
    pub lacks_judge: bool,
}

/// A model that is asked, opened once for any number of benchmarks.
#[derive(Debug)]
pub struct OpenModel {
    bundle: Bundle,
    adapter: Option<Adapter>,
    fingerprint: String,
    adapter_fingerprint: Option<String>,
}

/// Asks the model everything that is not answered yet, and writes the answers; returns nothing if `stop` asked to end
/// before, or on ranks other than the first. With a judge, which the first rank has, the replies are there, too, as far as they
/// could be had.
///
/// # Errors
/// A file or an image is missing or damaged, a question is too long for the model, the folder holds answers of another
/// run, what the judge is to be told is missing, or ranks have other models or questions.
pub fn answer(
    eval_run: &EvalRun,
    session: Option<&JudgeSession<'_>>,
    stop: &StopSignal,
    device: Device,
    ranks: &Ranks,
) -> Result<Option<Answered>, EvalError> {
    let questions = eval_run.questions(session)?;
    let model = eval_run.open_model(device, ranks)?;
    answer_by(&model, &questions, eval_run, session, stop, ranks)
}

/// [`answer`] by a model that is open, to questions that are read.
///
/// # Errors
/// As of [`answer`], but for the model's own.
pub fn answer_by(
    model: &OpenModel,
    questions: &Questions,
    eval_run: &EvalRun,
    session: Option<&JudgeSession<'_>>,
    stop: &StopSignal,
    ranks: &Ranks,
) -> Result<Option<Answered>, EvalError> {
    answer_as(model.asked(), questions, eval_run, session, stop, ranks)
}

/// Whether the model has room for all questions.
///
/// # Errors
/// A question is empty or leaves no room for an answer.
pub(crate) fn check_lengths(
    questions: &Questions,
    bundle: &Bundle,
    eval_run: &EvalRun,
) -> Result<(), EvalError> {
    Plan::new(questions, bundle, eval_run).map(drop)
}

/// [`answer_by`] a model in memory.
pub(crate) fn answer_as(
    asked: Asked<'_>,
    questions: &Questions,
    eval_run: &EvalRun,
    session: Option<&JudgeSession<'_>>,
    stop: &StopSignal,
    ranks: &Ranks,
) -> Result<Option<Answered>, EvalError> {
    let asks = &questions.asks;
    let judging = Judging { questions, session };
    let plan = Plan::new(questions, asked.bundle, eval_run)?;
    let head = asked.head(eval_run, questions, &plan);
    ranks.check_same_inputs(&head.inputs())?;
    let mut kept = None;
    let n_kept = ranks.made_by_first(|| {
        let log = eval_run.out.join("answers.log");
        if asked.replaces {
            Kept::make_way(&log, &head)?;
        }
        let opened = Kept::open(&log, &head, &plan)?;
        let n_kept = opened.batches.len();
        if n_kept < plan.batches.len() {
            Results::discard(&eval_run.out)?;
        }
        kept = Some(opened);
        Ok::<_, EvalError>(n_kept)
    })?;
    let generator = FileGenerator::new(eval_run, asked.bundle, asked.adapter, &plan);
    let judge = session.map(|session| session.judge);
    let answering = Answering {
        eval_run,
        plan: &plan,
        judging: &judging,
        ranks,
        stop,
    };
    let answers = while_judging(judge, |queue| {
        answering.respond(generator, kept, n_kept, queue)
    })?;
    let Some(answers) = answers.filter(|_| ranks.is_first()) else {
        return Ok(None);
    };
    Ok(Some(Answered {
        files: questions.write(&eval_run.out, &plan.of_questions(asks.len(), &answers))?,
        lacks_judge: questions.task.asks_judge() && session.is_none(),
    }))
}

impl EvalRun {
    /// The questions, once it is known that their images are there and that what a judge is to be told is, too: what cannot
    /// be judged is said before the first answer.
    ///
    /// # Errors
    /// A file or an image is missing or damaged, or what the judge is to be told is missing.
    pub fn questions(&self, session: Option<&JudgeSession<'_>>) -> Result<Questions, EvalError> {
        let templates = session
            .map(|session| session.templates.clone())
            .unwrap_or_default();
        let asking = Asking {
            description: &self.description,
            instruction: self.instruction.as_deref(),
        };
        let files = self.files.clone();
        let questions = Questions::read(self.benchmark, files, &templates, asking)?;
        let judging = Judging {
            questions: &questions,
            session,
        };
        for item in 0..questions.asks.len() {
            judging.requests(item, "")?;
        }
        images::check(&questions, &self.images)?;
        Ok(questions)
    }

    /// The model, and what is recorded of it.
    ///
    /// # Errors
    /// The model or its adapter cannot be opened.
    pub fn open_model(&self, device: Device, ranks: &Ranks) -> Result<OpenModel, EvalError> {
        let mut progress = Progress::of_rank(ranks, "eval");
        progress.doing("opening the model");
        let folder = ModelFolder::find(&self.model)?.with_pixels(self.pixels);
        let path = folder.path().to_owned();
        let bundle = Bundle::load(folder, device, self.precision)?;
        bundle.model.set_trainable(|_| false);
        let open = OpenModel {
            fingerprint: fingerprint::of_model(&bundle, &path, &mut progress)?,
            bundle,
            adapter: None,
            adapter_fingerprint: None,
        };
        open.with_adapter(self.adapter.as_deref())
    }
}

impl OpenModel {
    /// The same base with the adapter in `folder`, or without one.
    ///
    /// # Errors
    /// The adapter cannot be opened, or is of another model.
    pub fn with_adapter(self, folder: Option<&Path>) -> Result<Self, EvalError> {
        let open = |folder: &Path| Adapter::open(folder, &self.bundle.model);
        let adapter = folder.map(open).transpose()?;
        let opened = adapter.as_ref().zip(folder);
        let print = opened.map(|(adapter, folder)| fingerprint::of_adapter(adapter, folder));
        Ok(Self {
            adapter_fingerprint: print.transpose()?,
            adapter,
            ..self
        })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            bundle: &self.bundle,
            adapter: self.adapter.as_ref(),
            fingerprint: &self.fingerprint,
            adapter_fingerprint: self.adapter_fingerprint.as_deref(),
            replaces: false,
        }
    }
}

/// A judge, and what it is to be asked about the answers.
struct Judging<'a> {
    questions: &'a Questions,
    session: Option<&'a JudgeSession<'a>>,
}

impl Judging<'_> {
    fn requests(&self, item: usize, answer: &str) -> Result<Vec<candor_judge::Request>, EvalError> {
        let Some(session) = self.session else {
            return Ok(Vec::new());
        };
        let Questions { task, files, .. } = self.questions;
        let asked = score::requests(&**task, files, item, answer, session.judge)?;
        Ok(asked)
    }
}

/// What is answered, and by whom.
struct Answering<'a> {
    eval_run: &'a EvalRun,
    plan: &'a Plan,
    judging: &'a Judging<'a>,
    ranks: &'a Ranks,
    stop: &'a StopSignal,
}

impl Answering<'_> {
    /// Answers the batches after the first `n_kept`, which the first rank has in `kept`; nothing if it was asked to stop.
    fn respond(
        &self,
        mut generator: FileGenerator<'_>,
        mut kept: Option<Kept>,
        n_kept: usize,
        queue: &JudgeQueue,
    ) -> Result<Option<Vec<Answer>>, EvalError> {
        let (plan, judging, ranks) = (self.plan, self.judging, self.ranks);
        let mut answers = vec![Answer::default(); plan.prompts.len()];
        let mut take = |batch: &[usize], batch_answers: Vec<Answer>| -> Result<(), EvalError> {
            for (&prompt, answer) in batch.iter().zip(batch_answers) {
                for &item in &plan.prompts[prompt].items {
                    for request in judging.requests(item, &answer.text)? {
                        queue.ask(request);
                    }
                }
                answers[prompt] = answer;
            }
            Ok(())
        };
        let (done, to_do) = plan.batches.split_at(n_kept);
        if let Some(kept) = &mut kept {
            for (batch, batch_answers) in done.iter().zip(std::mem::take(&mut kept.batches)) {
                take(batch, batch_answers)?;
            }
        }
        let n_done: usize = done.iter().map(Vec::len).sum();
        let n_prompts = plan.prompts.len();
        let mut progress = Progress::of_rank(ranks, "eval");
        progress.set_steps(n_prompts as u64, n_done as u64);
        progress.doing("answering");
        let started = Instant::now();
        let mut n_answered = n_done;
        let chunks = self.chunks(to_do);
        let numbered = chunks.iter().enumerate();
        let mine = numbered.filter(|(number, _)| ranks.takes(*number));
        let mine: Vec<Vec<usize>> = mine.flat_map(|(_, chunk)| chunk.to_vec()).collect();
        let processor = generator.processor();
        let finished = ahead_of(
            &mine,
            plan,
            judging.questions,
            &self.eval_run.images,
            processor,
            |next| {
                // A chunk a rank.
                for round in chunks.chunks(ranks.world()) {
                    if ranks.should_stop(self.stop)? {
                        return Ok(false);
                    }
                    let found = ranks.share(round.len(), |turn| {
                        let batches = round[turn].iter();
                        let answered = batches.map(|batch| generator.answer(batch, &next()?));
                        answered.collect::<Result<Vec<Vec<Answer>>, EvalError>>()
                    })?;
                    let batches = round.iter().copied().flatten();
                    for (batch, batch_answers) in batches.zip(found.into_iter().flatten()) {
                        if let Some(kept) = &mut kept {
                            kept.keep(batch, &batch_answers)?;
                        }
                        take(batch, batch_answers)?;
                        n_answered += batch.len();
                        progress.step(n_answered as u64, &[]);
                    }
                }
                Ok::<bool, EvalError>(true)
            },
        )?;
        if finished {
            let secs = started.elapsed().as_secs_f64();
            let n_items: usize = plan.prompts.iter().map(|prompt| prompt.items.len()).sum();
            let n_now = n_answered - n_done;
            progress.finish(&format!(
                "{n_items} questions, {n_prompts} of them different; {n_now} answered in {secs:.2} s"
            ));
            Ok(Some(answers))
        } else {
            progress.finish("stopped; the same command goes on");
            Ok(None)
        }
    }

    /// Batches that are answered by one rank, one after the other: one, and on several ranks those after it that begin with the image
    /// it ends with, which is encoded once, in the batch that shows it first.
    fn chunks<'b>(&self, to_do: &'b [Vec<usize>]) -> Vec<&'b [Vec<usize>]> {
        if self.ranks.world() == 1 {
            return to_do.chunks(1).collect();
        }
        let image = |place: Option<&usize>| place.map(|&place| &self.plan.prompts[place].image);
        let go_on =
            |batch: &Vec<usize>, next: &Vec<usize>| image(batch.last()) == image(next.first());
        to_do.chunk_by(go_on).collect()
    }
}
