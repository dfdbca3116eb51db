//! The loss of a comparison: how surprised the scores are by what people preferred.
//!
//! This is the Bradley–Terry model's negative log-likelihood, with a small term that keeps the mean score near
//! zero, which the comparisons alone leave free.
//!
//! # Reference
//! REFERENCE.md, section 3: `−log σ(s_chosen − s_rejected) + 1e-3 · |mean(s_chosen + s_rejected)|`. The reference
//! takes the mean of the second term over whatever batch one device happens to have; here the recipe says over
//! what ([`CenteringOver`]), because the absolute value of a mean does not add up over passes.

use tch::Tensor;

/// What the centering term's mean goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CenteringOver {
    /// All pairs of an update, however they are cut into passes.
    Batch,
    /// The pairs of one pass, as in the reference; the passes' terms are averaged.
    MicroBatch,
}

/// `−mean(log σ(chosen − rejected)) + centering_coef · |mean(chosen + rejected)|`.
///
/// The logarithm is taken as `log_sigmoid`, which neither overflows nor loses small probabilities, and the
/// gradient of the absolute value at 0 is 0, as PyTorch has it.
///
/// # Shapes
/// `chosen`, `rejected`: `[n]` → scalar.
///
/// # Reference
/// REFERENCE.md, section 3.
pub fn pair_loss(chosen: &Tensor, rejected: &Tensor, centering_coef: f64) -> Tensor {
    let surprise = -(chosen - rejected).log_sigmoid().mean(None);
    // Left out rather than multiplied by 0, so that infinite scores with opposite signs do not make a NaN of it.
    if centering_coef == 0.0 {
        return surprise;
    }
    surprise + centering(chosen, rejected).abs() * centering_coef
}

/// `mean(chosen + rejected)`, whose absolute value [`pair_loss`] adds.
///
/// # Shapes
/// `chosen`, `rejected`: `[n]` → scalar.
pub fn centering(chosen: &Tensor, rejected: &Tensor) -> Tensor {
    (chosen + rejected).mean(None)
}

/// The scores of rated answers as those of pairs with a score of 0: a good one as the preferred response, a bad one as the other.
/// [`pair_loss`] of them is the binary cross-entropy `−mean(y log σ(s) + (1 − y) log(1 − σ(s)))` with s as logit.
///
/// # Shapes
/// `scores`: `[n]`; `desirable`: `[n]`, 1 for a good answer and 0 for a bad one → `[n, 2]`.
pub fn against_zero(scores: &Tensor, desirable: &Tensor) -> Tensor {
    let desirable = desirable.to_device(scores.device()).to_kind(scores.kind());
    let good = scores * &desirable;
    Tensor::stack(&[&good, &(scores - &good)], 1)
}

/// What one pass adds to an update's loss, so that the passes' shares add up to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Pairs of the whole update.
    pub n_batch: usize,
    /// Factor of the centering term.
    pub centering_coef: f64,
    /// The sign of the update's [`centering`] (−1, 0 or 1), where its mean goes over all passes; with it the
    /// absolute value becomes a sum over passes. None where each pass takes its own.
    pub sign: Option<f64>,
}

impl Share {
    /// The share of the pairs of one pass.
    ///
    /// # Shapes
    /// `chosen`, `rejected`: `[n]` → scalar.
    pub fn of(self, chosen: &Tensor, rejected: &Tensor) -> Tensor {
        let part = chosen.size()[0] as f64 / self.n_batch as f64;
        let loss = match self.sign {
            None => pair_loss(chosen, rejected, self.centering_coef),
            Some(sign) => {
                pair_loss(chosen, rejected, 0.0)
                    + centering(chosen, rejected) * (sign * self.centering_coef)
            }
        };
        loss * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tch::Kind;

    fn scores(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    fn number(tensor: &Tensor) -> f64 {
        tensor.double_value(&[])
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double)).unwrap()
    }

    fn close(left: &[f64], right: &[f64], tolerance: f64) {
        assert_eq!(left.len(), right.len());
        for (l, r) in left.iter().zip(right) {
            assert!((l - r).abs() <= tolerance, "{left:?} {right:?}");
        }
    }

    #[test]
    fn two_pairs_worked_by_hand() {
        // Margins ln 3 and −ln 3: σ = 3/4 and 1/4, so the loss is (ln 4/3 + ln 4) / 2.
        let ln3 = 3_f64.ln();
        let chosen = scores(&[ln3, 0.5]);
        let rejected = scores(&[0.0, 0.5 + ln3]);
        // mean(c + r) = (ln 3 + 1 + ln 3) / 2 = ln 3 + 1/2.
        let loss = pair_loss(&chosen, &rejected, 0.1);
        let expected = f64::midpoint((4.0_f64 / 3.0).ln(), 4_f64.ln()) + 0.1 * (ln3 + 0.5);
        assert!((number(&loss) - expected).abs() < 1e-12);
        loss.backward();
        // d/dc = −(1 − σ)/n + coef·sign/n, d/dr = +(1 − σ)/n + coef·sign/n.
        close(
            &numbers(&chosen.grad()),
            &[-0.125 + 0.05, -0.375 + 0.05],
            1e-12,
        );
        close(
            &numbers(&rejected.grad()),
            &[0.125 + 0.05, 0.375 + 0.05],
            1e-12,
        );
    }

    #[test]
    fn scores_that_are_all_zero_cost_ln_2_and_are_not_centered() {
        let (chosen, rejected) = (scores(&[0.0; 3]), scores(&[0.0; 3]));
        let loss = pair_loss(&chosen, &rejected, 1.0);
        assert!((number(&loss) - 2_f64.ln()).abs() < 1e-12);
        loss.backward();
        close(&numbers(&chosen.grad()), &[-0.5 / 3.0; 3], 1e-12);
    }

    /// σ(ln 3) = 3/4: a good answer of that score costs ln 4/3 and pulls by −1/4, a bad one ln 4 and 3/4; of score 0 both cost ln 2.
    #[test]
    fn rated_answers_cost_their_cross_entropy() {
        let ln3 = 3_f64.ln();
        let rated = scores(&[ln3, ln3, 0.0, 0.0]);
        let desirable = Tensor::from_slice(&[1.0_f64, 0.0, 1.0, 0.0]);
        let pairs = against_zero(&rated, &desirable);
        let loss = pair_loss(&pairs.select(1, 0), &pairs.select(1, 1), 0.0);
        let expected = ((4.0_f64 / 3.0).ln() + 4_f64.ln() + 2.0 * 2_f64.ln()) / 4.0;
        assert!((number(&loss) - expected).abs() < 1e-12);
        loss.backward();
        close(
            &numbers(&rated.grad()),
            &[-0.0625, 0.1875, -0.125, 0.125],
            1e-12,
        );
    }

    #[test]
    fn margins_that_a_plain_sigmoid_could_not_hold() {
        // σ(−1000) is 0 in f64, and its logarithm infinite; the loss is 1000.
        let loss = pair_loss(&scores(&[-500.0]), &scores(&[500.0]), 0.0);
        assert!((number(&loss) - 1000.0).abs() < 1e-9);
        let loss = pair_loss(&scores(&[500.0]), &scores(&[-500.0]), 0.0);
        assert!(number(&loss).abs() < 1e-300);
    }

    fn batch() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-30.0..30.0, -30.0..30.0), 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn swapping_all_pairs_adds_the_margins(pairs in batch()) {
            // −log σ(−m) = −log σ(m) + m, so swapped pairs cost the mean margin more.
            let (c, r): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let margin = c.iter().zip(&r).map(|(c, r)| c - r).sum::<f64>() / c.len() as f64;
            let (kept, swapped) = (
                pair_loss(&scores(&c), &scores(&r), 0.01),
                pair_loss(&scores(&r), &scores(&c), 0.01),
            );
            prop_assert!((number(&swapped) - number(&kept) - margin).abs() < 1e-9);
        }

        #[test]
        fn one_by_one_is_all_at_once(pairs in batch(), coef in 0.0..1.0) {
            let (c, r): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let (chosen, rejected) = (scores(&c), scores(&r));
            let whole = pair_loss(&chosen, &rejected, coef);
            whole.backward();
            let sum: f64 = c.iter().chain(&r).sum();
            let sign = if sum == 0.0 { 0.0 } else { sum.signum() };
            let share = Share { n_batch: c.len(), centering_coef: coef, sign: Some(sign) };
            let mut added = 0.0;
            for i in 0..c.len() {
                let (one_chosen, one_rejected) = (scores(&c[i..=i]), scores(&r[i..=i]));
                let loss = share.of(&one_chosen, &one_rejected);
                loss.backward();
                added += number(&loss);
                let at = i as i64;
                close(&numbers(&one_chosen.grad()), &[chosen.grad().double_value(&[at])], 1e-12);
                close(&numbers(&one_rejected.grad()), &[rejected.grad().double_value(&[at])], 1e-12);
            }
            prop_assert!((added - number(&whole)).abs() < 1e-9);
        }

        #[test]
        fn passes_that_center_themselves_are_averaged(pairs in batch()) {
            let (c, r): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let share = Share { n_batch: c.len(), centering_coef: 0.5, sign: None };
            let added: f64 = (0..c.len())
                .map(|i| number(&share.of(&scores(&c[i..=i]), &scores(&r[i..=i]))))
                .sum();
            let surprise = number(&pair_loss(&scores(&c), &scores(&r), 0.0));
            let each: f64 = pairs.iter().map(|(c, r)| (c + r).abs()).sum::<f64>() / c.len() as f64;
            prop_assert!((added - surprise - 0.5 * each).abs() < 1e-9);
        }
    }
}
