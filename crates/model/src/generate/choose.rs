//! The choice of a token: greedy, or by inverting the cumulative distribution at one uniform number.

use tch::{Kind, Tensor};

use super::Decoding;
use crate::logprobs;

/// Chooses a token for each row.
///
/// # Shapes
/// `logits`: `[rows, vocab]`; `draws`: one for each row, unused by greedy decoding → `[2 + 2 · n_likeliest, rows]` f64: the
/// tokens (exact, being far below 2⁵³), their log-probabilities, and then the likeliest tokens in their order and the
/// log-probabilities of those.
pub(crate) fn choose(
    logits: &Tensor,
    decoding: Decoding,
    draws: &[f64],
    n_likeliest: usize,
) -> Tensor {
    let logprobs = logprobs::distribution(logits, decoding.temperature);
    let tokens = if decoding.temperature > 0.0 {
        invert_cdf(&logprobs, decoding.top_p, draws)
    } else {
        logits.argmax(-1, false)
    };
    let chosen = logprobs::of_targets(&logprobs, &tokens);
    let both = Tensor::stack(
        &[tokens.to_kind(Kind::Double), chosen.to_kind(Kind::Double)],
        0,
    );
    if n_likeliest == 0 {
        return both;
    }
    let (values, ids) = logprobs.topk(n_likeliest as i64, -1, true, true);
    let likeliest = [ids, values].map(|part| part.to_kind(Kind::Double).transpose(0, 1));
    Tensor::cat(&[&both, &likeliest[0], &likeliest[1]], 0)
}

/// [`choose`] where each row has a decoding of its own. Rows that are decoded alike are chosen for together, and a row's
/// token does not depend on which those are.
///
/// # Shapes
/// As [`choose`]; `decodings` and `draws` are one for each row.
pub(crate) fn choose_each(
    logits: &Tensor,
    decodings: &[Decoding],
    draws: &[f64],
    n_likeliest: usize,
) -> Tensor {
    let mut groups: Vec<(Decoding, Vec<i64>)> = Vec::new();
    let bits_of = |decoding: &Decoding| [decoding.temperature, decoding.top_p].map(f64::to_bits);
    for (row, &decoding) in decodings.iter().enumerate() {
        let alike = |(other, _): &&mut (Decoding, _)| bits_of(other) == bits_of(&decoding);
        match groups.iter_mut().find(alike) {
            Some((_, rows)) => rows.push(row as i64),
            None => groups.push((decoding, vec![row as i64])),
        }
    }
    if let [(decoding, _)] = groups[..] {
        return choose(logits, decoding, draws, n_likeliest);
    }
    let index = |places: &[i64]| Tensor::from_slice(places).to_device(logits.device());
    let chosen: Vec<Tensor> = groups
        .iter()
        .map(|(decoding, rows)| {
            let draws: Vec<f64> = rows.iter().map(|&row| draws[row as usize]).collect();
            let logits = logits.index_select(0, &index(rows));
            choose(&logits, *decoding, &draws, n_likeliest)
        })
        .collect();
    let order: Vec<i64> = groups.into_iter().flat_map(|(_, rows)| rows).collect();
    let mut place_of = vec![0; order.len()];
    for (place, &row) in order.iter().enumerate() {
        place_of[row as usize] = place as i64;
    }
    Tensor::cat(&chosen, 1).index_select(1, &index(&place_of))
}

/// The token at which the cumulative distribution passes each draw, `[rows]` i64.
fn invert_cdf(logprobs: &Tensor, top_p: f64, draws: &[f64]) -> Tensor {
    let probabilities = logprobs.to_kind(Kind::Double).exp();
    let draws = Tensor::from_slice(draws)
        .unsqueeze(1)
        .to_device(logprobs.device());
    let n_vocab = logprobs.size()[1];
    let pass = |p: &Tensor| {
        let cdf = p.cumsum(-1, Kind::Double);
        // "Not above" skips tokens of probability zero even at a draw of exactly zero.
        let target = draws * cdf.narrow(1, n_vocab - 1, 1);
        cdf.le_tensor(&target)
            .sum_dim_intlist([-1].as_slice(), true, Kind::Int64)
            .clamp_max(n_vocab - 1)
    };
    if top_p >= 1.0 {
        return pass(&probabilities).squeeze_dim(1);
    }
    let (sorted, order) = probabilities.sort_stable(true, -1, true);
    let before = sorted.cumsum(-1, Kind::Double) - &sorted;
    // The likeliest token always stays, even where `top_p` is 0.
    let kept = sorted
        * before
            .lt(top_p.max(f64::MIN_POSITIVE))
            .to_kind(Kind::Double);
    order.gather(-1, &pass(&kept), false).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoding(temperature: f64, top_p: f64) -> Decoding {
        Decoding {
            max_new_tokens: 1,
            temperature,
            top_p,
            ends: (-1_i64).into(),
        }
    }

    fn pick(probabilities: &[f64], top_p: f64, draw: f64) -> (i64, f64) {
        let logits = Tensor::from_slice(probabilities).log().unsqueeze(0);
        let chosen = choose(&logits, decoding(1.0, top_p), &[draw], 0);
        (
            chosen.double_value(&[0, 0]) as i64,
            chosen.double_value(&[1, 0]),
        )
    }

    #[test]
    fn a_draw_picks_the_token_where_the_cumulative_distribution_passes_it() {
        let p = [0.0, 0.25, 0.0, 0.5, 0.25];
        for (draw, token) in [
            (0.0, 1),
            (0.2499, 1),
            (0.2501, 3),
            (0.7499, 3),
            (0.7501, 4),
            (0.999_999, 4),
        ] {
            let (found, logprob) = pick(&p, 1.0, draw);
            assert_eq!(found, token, "draw {draw}");
            assert!((logprob - f64::ln(p[token as usize])).abs() < 1e-6);
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        let p = [0.1, 0.4, 0.2, 0.3];
        for draw in [0.0, 0.5, 0.999_999] {
            assert_eq!(pick(&p, 0.0, draw).0, 1, "draw {draw}");
        }
        // Tokens 1 and 3 together reach 0.6; the draw is spread over their 0.7.
        for (draw, token) in [(0.0, 1), (0.57, 1), (0.58, 3), (0.999_999, 3)] {
            assert_eq!(pick(&p, 0.6, draw).0, token, "draw {draw}");
        }
    }

    #[test]
    fn temperature_zero_is_greedy_and_logprobs_are_untempered() {
        let logits = Tensor::from_slice(&[1.0_f32, 3.0, 2.0]).unsqueeze(0);
        let chosen = choose(&logits, decoding(0.0, 1.0), &[], 0);
        assert_eq!(chosen.double_value(&[0, 0]) as i64, 1);
        let expected = 3.0 - (1_f64.exp() + 2_f64.exp() + 3_f64.exp()).ln();
        assert!((chosen.double_value(&[1, 0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn rows_of_several_decodings_are_chosen_for_at_once_with_the_likeliest_beside_them() {
        let odds = [[1.0, 5.0, 2.0], [4.0, 1.0, 3.0], [1.0, 5.0, 2.0_f64]];
        let logits = Tensor::from_slice(&odds.concat()).log().reshape([3, 3]);
        // The cumulative distribution of the first and the last row passes 0.9 at token 2, of the squared odds at token 1.
        let decodings = [decoding(1.0, 1.0), decoding(0.0, 1.0), decoding(0.5, 1.0)];
        let chosen = choose_each(&logits, &decodings, &[0.9, 0.0, 0.8], 2);
        assert_eq!(chosen.size(), [6, 3]);
        let row = |at: i64| Vec::<f64>::try_from(chosen.get(at)).unwrap();
        assert_eq!(row(0), [2.0, 0.0, 1.0]);
        assert_eq!(row(2), [1.0, 0.0, 1.0]);
        assert_eq!(row(3), [2.0, 2.0, 2.0]);
        let expected = [
            (1, [2.0 / 8.0, 4.0 / 8.0, 25.0 / 30.0]),
            (4, [5.0 / 8.0, 4.0 / 8.0, 25.0 / 30.0]),
            (5, [2.0 / 8.0, 3.0 / 8.0, 4.0 / 30.0]),
        ];
        for (at, probabilities) in expected {
            for (found, p) in row(at).into_iter().zip(probabilities) {
                assert!((found - f64::ln(p)).abs() < 1e-6, "{at}: {found} for {p}");
            }
        }
    }

    #[test]
    fn a_logit_that_is_no_number_leaves_no_probability() {
        for bad in [f32::NAN, f32::INFINITY] {
            let logits = Tensor::from_slice(&[1.0, bad, 2.0, 0.0, 1.0, 2.0]).reshape([2, 3]);
            for temperature in [0.0, 0.7] {
                let chosen = choose(&logits, decoding(temperature, 0.9), &[0.5, 0.5], 0);
                assert!(!chosen.double_value(&[1, 0]).is_finite(), "{bad}");
                assert!(chosen.double_value(&[1, 1]).is_finite(), "{bad}");
            }
        }
    }
}
