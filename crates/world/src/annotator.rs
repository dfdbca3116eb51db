//! The simulated annotator: the paper's two questions, ties, and a stated error rate.
//!
//! First question: which answer hallucinates less? People judge how much of an answer is false, not how many slips
//! it has: the share of the claims that is false, and a difference of less than a quarter is a tie. (If the bare
//! number decided, the best answer would be the shortest.) Second, only after a tie: which is more helpful (true
//! claims minus three quarters of the false ones, where a difference of one is a tie too)? An answer that claims
//! nothing cannot win the first question, because keeping silent is not honesty: it makes a tie and always loses the
//! second. Neither grammar nor style counts.
//!
//! A slip turns the first answer into one of the other two, evenly, or the second into its opposite; each
//! question slips on its own with the configured rate.

use candor_data::conversation::{Conversation, Speaker, Turn};
use candor_data::preference::{Preference, Record, Side, Verdict as Fewer};
use candor_data::random::{Stream, stream};
use rand::RngExt as _;

use crate::judge::{Standing, Verdict, judge};
use crate::prompts::question_of;
use crate::scene::Scene;

/// Who annotates, and how well.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotator {
    /// Decides sides and slips.
    pub seed: u64,
    /// Chance of a slip, for each question of the protocol.
    pub error_rate: f64,
    /// The name that goes into the record.
    pub name: String,
    /// The time that goes into the record, in seconds since 1970: fixed, so that files repeat exactly.
    pub unix_secs: u64,
}

impl Annotator {
    /// An annotator with the given error rate.
    #[must_use]
    pub fn new(seed: u64, error_rate: f64) -> Self {
        Self {
            seed,
            error_rate,
            name: "simulated".into(),
            unix_secs: 0,
        }
    }

    /// Compares two answers to a conversation's first question; `index` names the comparison.
    ///
    /// None where neither question decides: the annotator cannot tell, and the pair is not used.
    #[must_use]
    pub fn compare(
        &self,
        scene: &Scene,
        prompt: &Conversation,
        outputs: [String; 2],
        index: u64,
    ) -> Option<Preference> {
        let question = question_of(prompt);
        let judged = [0, 1].map(|side| judge(scene, &question, &outputs[side]));
        let rng = &mut stream(self.seed, "world.annotator", &[index]);
        let shown_left = if rng.random_bool(0.5) {
            Side::First
        } else {
            Side::Second
        };
        let fewer_hallucinations = self.slip_first(fewer_hallucinations(&judged), rng);
        let more_helpful = match fewer_hallucinations {
            Fewer::Tie => Some(self.slip_second(more_helpful(&judged)?, rng)),
            Fewer::First | Fewer::Second => None,
        };
        let asked = prompt
            .turns
            .iter()
            .position(|turn| turn.from == Speaker::Human)?;
        Some(Preference {
            id: format!("{}-{index}", prompt.id),
            image: Some(scene.image.clone()),
            turns: vec![prompt.turns[asked].clone()],
            original_answer: prompt
                .turns
                .get(asked + 1)
                .map(|turn: &Turn| turn.value.clone()),
            outputs,
            fewer_hallucinations,
            more_helpful,
            record: Some(Record {
                annotator: self.name.clone(),
                unix_secs: self.unix_secs,
                seed: self.seed,
                shown_left,
            }),
            explanation: None,
        })
    }

    fn slip_first(&self, truth: Fewer, rng: &mut Stream) -> Fewer {
        if !rng.random_bool(self.error_rate) {
            return truth;
        }
        let others = match truth {
            Fewer::First => [Fewer::Second, Fewer::Tie],
            Fewer::Second => [Fewer::First, Fewer::Tie],
            Fewer::Tie => [Fewer::First, Fewer::Second],
        };
        others[rng.random_range(0..2)]
    }

    fn slip_second(&self, truth: Side, rng: &mut Stream) -> Side {
        if rng.random_bool(self.error_rate) {
            truth.other()
        } else {
            truth
        }
    }
}

/// The first question, without slips.
#[must_use]
pub fn fewer_hallucinations(judged: &[Verdict; 2]) -> Fewer {
    let [a, b] = judged;
    if a.is_silent() || b.is_silent() {
        return Fewer::Tie;
    }
    // Shares as fractions over a common denominator, so that equal ones are exactly equal.
    let n_claims = |v: &Verdict| (v.n_false() + v.n_true()).max(1);
    let (left, right) = (a.n_false() * n_claims(b), b.n_false() * n_claims(a));
    if 4 * left.abs_diff(right) < n_claims(a) * n_claims(b) {
        Fewer::Tie
    } else if left < right {
        Fewer::First
    } else {
        Fewer::Second
    }
}

/// The smallest difference in [`helpfulness`] that can be told: a true claim and a half. A mention with its colour is
/// two claims.
const TELLING: i64 = 6;

/// The second question, without slips; none for answers that are about equally helpful.
#[must_use]
pub fn more_helpful(judged: &[Verdict; 2]) -> Option<Side> {
    match (judged[0].is_silent(), judged[1].is_silent()) {
        (true, true) => return None,
        (true, false) => return Some(Side::Second),
        (false, true) => return Some(Side::First),
        (false, false) => {}
    }
    let more = helpfulness(&judged[0]) - helpfulness(&judged[1]);
    if more.abs() < TELLING {
        return None;
    }
    Some(if more > 0 { Side::First } else { Side::Second })
}

/// True claims minus three quarters of the false ones, times four so that all stay whole numbers. A bare true denial
/// ("No.", "There is no cat.") counts as one claim if it answers the question.
fn helpfulness(verdict: &Verdict) -> i64 {
    let denies = verdict.n_true() == 0 && verdict.standing == Standing::Right;
    4 * (verdict.n_true() + usize::from(denies)) as i64 - 3 * verdict.n_false() as i64
}
