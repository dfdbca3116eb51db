//! `candor judge …`

use std::path::Path;

use anyhow::bail;
use candor_data::formats::trl::unpaired;
use candor_data::formats::{candidates, captions, images};
use candor_data::{Comparison, ComparisonFormat, atomic};
use candor_judge::budget::{Prices, Tokens};
use candor_judge::feedback::{self, Feedback, Summary};
use candor_judge::sentence_labels::SentenceLabels;
use candor_judge::{ChatJudge, JudgeError, Settings};
use candor_reward::{BestOfN, PairScores, RewardModel};
use candor_run::Ranks;

use super::device::device;
use super::precision::precision;
use crate::arguments::{
    BestArguments, JudgeCommand, PreferencesArguments, ScoresArguments, SentencesArguments,
};

/// Runs a `candor judge` command.
pub fn run(command: JudgeCommand) -> anyhow::Result<()> {
    match command {
        JudgeCommand::Preferences(arguments) => preferences(&arguments),
        JudgeCommand::Sentences(arguments) => sentences(&arguments),
        JudgeCommand::Best(arguments) => best(arguments),
        JudgeCommand::Scores(arguments) => scores(arguments),
    }
}

fn preferences(arguments: &PreferencesArguments) -> anyhow::Result<()> {
    let path = arguments.pairs.as_path();
    let pairs = pairs(path)?;
    let settings = Settings::read(&arguments.judge)?;
    let book = arguments.facts.as_deref().map(captions::read).transpose()?;
    let facts = arguments.facts.as_deref().zip(book.as_ref());
    let shown = arguments.images.as_deref();
    let asked = Feedback::new(path, pairs, &settings, facts, shown)?;
    let Some(judge) = open_judge(arguments, settings, |judge| asked.outstanding(judge))? else {
        return Ok(());
    };
    let (rows, summary) = asked.ask(&judge, &|n| eprintln!("judge: {n} replies"))?;
    if rows.is_empty() {
        bail!(
            "{}: the judge could not tell the answers of any of {} pairs apart; nothing is written",
            path.display(),
            summary.n_pairs
        );
    }
    feedback::write(&arguments.out, &rows, &summary)?;
    println!("{}: {}", arguments.out.display(), told(&summary));
    Ok(())
}

fn sentences(arguments: &SentencesArguments) -> anyhow::Result<()> {
    let kind = arguments.about.map(Into::into);
    let arguments = &arguments.asked;
    let path = arguments.pairs.as_path();
    let pairs = pairs(path)?;
    let settings = Settings::read(&arguments.judge)?;
    let book = arguments.facts.as_deref().map(captions::read).transpose()?;
    let facts = arguments.facts.as_deref().zip(book.as_ref());
    let shown = arguments.images.as_deref();
    let asked = SentenceLabels::new(path, &pairs, &settings, facts, shown, kind)?;
    let Some(judge) = open_judge(arguments, settings, |judge| asked.outstanding(judge))? else {
        return Ok(());
    };
    let (rows, summary) = asked.ask(&judge, &|n| eprintln!("judge: {n} replies"))?;
    if rows.is_empty() {
        bail!(
            "{}: the judge called none of {} sentences clean or false; nothing is written",
            path.display(),
            summary.n_sentences
        );
    }
    unpaired::write(&arguments.out, &rows)?;
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    atomic::write(
        &arguments.out.with_extension("summary.json"),
        json.as_bytes(),
    )?;
    println!(
        "{}: {} sentences of {} answers: {} clean, {} false, {} with nothing to check, {} undecided; {} of {} replies not read; {} \
         tokens in all",
        arguments.out.display(),
        summary.n_sentences,
        summary.n_answers,
        summary.n_clean,
        summary.n_false,
        summary.n_nothing,
        summary.n_undecided,
        summary.n_unparsed,
        summary.n_replies,
        summary.cost.tokens.total()
    );
    Ok(())
}

/// The judge, once it is said what the replies that are outstanding cost at most; none where that is all that was asked.
fn open_judge(
    arguments: &PreferencesArguments,
    settings: Settings,
    outstanding: impl FnOnce(&ChatJudge) -> Result<(usize, Tokens), JudgeError>,
) -> anyhow::Result<Option<ChatJudge>> {
    let priced = Priced::of(&settings);
    let judge = ChatJudge::open(&arguments.judge, settings, 0)?;
    priced.say(outstanding(&judge)?, &arguments.judge);
    Ok((!arguments.dry_run).then_some(judge))
}

/// The pairs of a file of any format of comparisons. Says how many sampled answers were cut.
fn pairs(path: &Path) -> anyhow::Result<Vec<Comparison>> {
    let mut named = |bytes: &[u8]| Ok(images::content_name(bytes));
    let format = ComparisonFormat::of(path)?;
    if format == ComparisonFormat::Candidates
        && let Some(cut) = candidates::cut_in_words(path)?
    {
        eprintln!("{}: {cut}", path.display());
    }
    Ok(format.read(path, &mut named)?)
}

/// What a judge's replies cost, where its settings say so.
struct Priced {
    prices: Option<Prices>,
    attempts: u32,
}

impl Priced {
    fn of(settings: &Settings) -> Self {
        let spend = &settings.spend;
        let has_prices = spend.prompt_price.is_some() || spend.completion_price.is_some();
        Self {
            prices: has_prices.then(|| settings.prices()),
            attempts: settings.limits.attempts,
        }
    }

    /// Says how many replies are to be had, and what they cost at most.
    fn say(&self, (n_replies, most): (usize, Tokens), settings: &Path) {
        let money = self.prices.map(|prices| {
            let file = settings.display();
            format!(", {:.2} by the prices of {file}", prices.of(most))
        });
        eprintln!(
            "judge: {n_replies} replies are to be had, which cost {} tokens at most{}; requests that are lost on the way are sent \
             again, {} times in all, and come on top",
            most.total(),
            money.unwrap_or_default(),
            self.attempts
        );
    }
}

fn best(arguments: BestArguments) -> anyhow::Result<()> {
    let base = RewardModel::base_path(&arguments.reward)?;
    let plan = BestOfN {
        candidates: arguments.candidates,
        base_precision: precision(arguments.scoring.precision, &base)?,
        reward: arguments.reward,
        images: arguments.images,
        facts: arguments.facts,
        out: arguments.out,
        pass_rows: usize::from(arguments.scoring.pass_rows),
    };
    let said = |done, n| eprintln!("best: {done} of {n} prompts");
    let summary = candor_reward::best_of_n(
        &plan,
        device(arguments.scoring.device)?,
        &Ranks::alone(),
        said,
    )?;
    println!(
        "{}: {} answers to {} prompts; the score is {:.3} on average and {:.3} of the best; {} prompts without a best and a \
         worst; {} answers left out that were cut at the limit or are blank",
        plan.out.display(),
        summary.n_answers,
        summary.n_prompts,
        summary.score_mean,
        summary.best_score_mean,
        summary.n_equal,
        summary.n_cut
    );
    Ok(())
}

fn scores(arguments: ScoresArguments) -> anyhow::Result<()> {
    let base = RewardModel::base_path(&arguments.reward)?;
    let plan = PairScores {
        base_precision: precision(arguments.scoring.precision, &base)?,
        reward: arguments.reward,
        pairs: arguments.pairs,
        images: arguments.images,
        facts: arguments.facts,
        on_bad_row: arguments.on_bad_row.into(),
        out: arguments.out,
        pass_rows: usize::from(arguments.scoring.pass_rows),
    };
    let said = |done, n| eprintln!("scores: {done} of {n} pairs");
    let found = candor_reward::pair_scores(&plan, device(arguments.scoring.device)?, said)?;
    println!(
        "{}: scores of {} pairs; {} equal pairs left out",
        plan.out.display(),
        found.n_pairs,
        found.n_identical
    );
    if let Some(skipped) = found.skipped.filter(|skipped| skipped.n_skipped > 0) {
        println!(
            "{} rows left out that cannot be scored: {}",
            skipped.n_skipped,
            skipped.summary()
        );
    }
    Ok(())
}

fn told(summary: &Summary) -> String {
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share))
    };
    format!(
        "{} preferences of {} pairs ({} identical, {} undecided), {} by the first question; the two orders agree on {} of \
         first questions, {} of decided replies favour the answer shown first; {} of {} replies not read; {} tokens in all",
        summary.n_preferences,
        summary.n_pairs,
        summary.n_identical,
        summary.n_undecided,
        percent(summary.first_question_share),
        percent(summary.order_agreement),
        percent(summary.favours_first),
        summary.n_unparsed,
        summary.n_replies,
        summary.cost.tokens.total()
    )
}
