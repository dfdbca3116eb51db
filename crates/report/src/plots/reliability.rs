//! Whether probabilities are worth what they say: how often what a model gives a probability comes true, bin by bin, with
//! intervals and counts; and how far its scores of two answers are apart.

use candor_stats::calibration::Bin;
use candor_stats::histogram::Bar;
use maud::{Markup, html};

use super::{figure, percent};
use crate::svg::marks::{Shape, end_labels, line, whiskers};
use crate::svg::scale::number;
use crate::svg::{Axes, Frame, Scale, WIDTH, drawing, place};

/// A model's reliability curve.
#[derive(Debug, Clone)]
pub(crate) struct Curve<'a> {
    /// Its name, written where the curve ends; may be empty.
    pub name: &'a str,
    /// The class of everything that is drawn for it.
    pub class: &'a str,
    /// The form of its dots.
    pub shape: Shape,
    /// The bins.
    pub bins: &'a [Bin],
    /// Expected calibration error.
    pub ece: Option<f64>,
}

/// A bin with a place: mean probability and accuracy.
fn filled(bin: &Bin) -> Option<(f64, f64)> {
    (bin.n > 0).then_some((bin.mean_probability?, bin.accuracy?))
}

/// The curves of some models; nothing where all bins are empty. The counts of the bins are written where there is one model.
#[must_use]
pub(crate) fn draw(curves: &[Curve]) -> Markup {
    let filled_bins = |curve: &Curve| curve.bins.iter().filter_map(filled).collect::<Vec<_>>();
    if curves.iter().all(|curve| filled_bins(curve).is_empty()) {
        return html! {};
    }
    let unit = Scale::linear([0.0, 1.0]);
    let frame = Frame::new([40.0, 240.0, 24.0, 200.0], unit, unit);
    let ends: Vec<(f64, &str, &str)> = curves
        .iter()
        .filter(|curve| !curve.name.is_empty())
        .filter_map(|curve| Some((filled_bins(curve).last()?.1, curve.name, curve.class)))
        .collect();
    let content = html! {
        (frame.axes(&Axes {
            x: Some("probability that the model gives"),
            y: "how often it is so",
            n_x: 5,
            n_y: 5,
            percent: [true, true],
        }))
        (line(&frame, &[(0.0, 0.0), (1.0, 1.0)], "contour"))
        @for curve in curves { (drawn(&frame, curve, &filled_bins(curve))) }
        @if let [only] = curves { (counts(&frame, only.bins)) }
        (end_labels(&frame, &ends))
    };
    let errors: Vec<String> = curves
        .iter()
        .filter_map(|curve| {
            Some(
                format!("{} {}", curve.name, percent(curve.ece?))
                    .trim()
                    .to_owned(),
            )
        })
        .collect();
    let of_one = if curves.len() == 1 {
        " and the numbers at the lower edge say how many"
    } else {
        ""
    };
    let caption = format!(
        "On the dotted line a model is as often right as it says. Larger dots hold more pairs{of_one}; upright lines are 95% \
         intervals (Wilson), which take the pairs to be independent. Expected calibration error: {}.",
        errors.join(", ")
    );
    let label = format!("Reliability of the reward models. {caption}");
    figure(
        "Does it know how sure it may be?",
        &drawing(236.0, &label, &content),
        &caption,
    )
}

fn drawn(frame: &Frame, curve: &Curve, points: &[(f64, f64)]) -> Markup {
    let most = curve.bins.iter().map(|bin| bin.n).max();
    let most = most.unwrap_or_default().max(1) as f64;
    html! {
        (line(frame, points, &format!("line thin {}", curve.class)))
        @for bin in curve.bins {
            @if let Some(point) = filled(bin) {
                @let words = format!(
                    "{}: says {}, is so in {} of {} pairs{}", curve.name, percent(point.0), percent(point.1), bin.n,
                    bin.ci95.map(|[low, high]| format!(", 95% interval {} to {}", percent(low), percent(high))).unwrap_or_default()
                );
                // Its area shows how many pairs it holds.
                @let size = 0.5 + 0.9 * (bin.n as f64 / most).sqrt();
                @let (x, y) = frame.at(point);
                (whiskers(frame, point, None, bin.ci95, curve.class))
                g class=(curve.class) {
                    title { (words.trim_start_matches(": ")) }
                    g transform={ "translate(" (place(x)) " " (place(y)) ") scale(" (format!("{size:.2}")) ")" } {
                        (curve.shape.drawn(0.0, 0.0))
                    }
                }
            }
        }
    }
}

/// How many pairs each bin holds, inside of the lower edge.
fn counts(frame: &Frame, bins: &[Bin]) -> Markup {
    html! {
        @for bin in bins {
            @let (x, y) = frame.at((f64::midpoint(bin.low, bin.high), 0.0));
            text.contour-name x=(place(x)) y=(place(y - 3.0)) text-anchor="middle" { (bin.n) }
        }
    }
}

/// How far the scores of two answers are apart: the preferred one's less the other's. Nothing without pairs.
#[must_use]
pub(crate) fn margins(bars: &[Bar], class: &str) -> Markup {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return html! {};
    };
    let most = bars.iter().map(|bar| bar.n).max().unwrap_or_default() as f64;
    let range = [first.low.min(0.0), last.high.max(0.0)];
    let frame = Frame::new(
        [40.0, WIDTH - 12.0, 24.0, 150.0],
        Scale::linear(range),
        Scale::linear([0.0, most * 1.05]),
    );
    let sum = |of: &dyn Fn(&Bar) -> bool| -> usize {
        bars.iter().filter(|bar| of(bar)).map(|bar| bar.n).sum()
    };
    let (below, rest) = (sum(&|bar| bar.low < 0.0), sum(&|bar| bar.low >= 0.0));
    let digits = |value: f64| number(value, if value.fract() == 0.0 { 0 } else { 3 });
    let content = html! {
        (frame.axes(&Axes {
            x: Some("score of the preferred answer less that of the other"),
            y: "pairs",
            n_x: 6,
            n_y: 4,
            percent: [false, false],
        }))
        @for bar in bars.iter().filter(|bar| bar.n > 0) {
            @let (left, top) = frame.at((bar.low, bar.n as f64));
            @let (right, bottom) = frame.at((bar.high, 0.0));
            g class=(if bar.low < 0.0 { "no-facts" } else { class }) {
                title { (bar.n) " pairs from " (digits(bar.low)) " to below " (digits(bar.high)) }
                rect x=(place(left + 0.4)) y=(place(top)) width=(place((right - left - 0.8).max(0.6))) height=(place(bottom - top)) {}
            }
        }
        @let x = place(frame.x.at(0.0));
        line.bound x1=(x) x2=(x) y1=(place(frame.top)) y2=(place(frame.bottom)) {}
    };
    let caption = format!(
        "Left of zero ({below} pairs) the model prefers the answer that people do not, right of it ({rest}) the one they do; equal \
         scores stand right of it. A model that is sure of nothing has all its pairs at zero."
    );
    let label = format!("Margins of the scores. {caption}");
    figure(
        "How far are the scores apart?",
        &drawing(186.0, &label, &content),
        &caption,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_and_bars_are_where_their_numbers_say() {
        let bin = |low: f64, n: usize, at: Option<(f64, f64, [f64; 2])>| Bin {
            low,
            high: low + 0.5,
            mean_probability: at.map(|at| at.0),
            accuracy: at.map(|at| at.1),
            ci95: at.map(|at| at.2),
            n,
        };
        let bins = [
            bin(0.0, 4, Some((0.25, 0.5, [0.25, 0.75]))),
            bin(0.5, 0, None),
        ];
        let curve = Curve {
            name: "",
            class: "facts",
            shape: Shape::Circle,
            bins: &bins,
            ece: Some(0.25),
        };
        let page = draw(&[curve]).into_string();
        // The frame is 200 wide and 176 high: x = 40 + 200 · 0.25, y = 200 − 176 · 0.5, its interval 44 above and below.
        for part in [
            "translate(90 112)",
            r#"<line class="whisker" x1="90" x2="90" y1="156" y2="68">"#,
            "<title>says 25.0%, is so in 50.0% of 4 pairs, 95% interval 25.0% to 75.0%</title>",
            r#"x="90" y="197" text-anchor="middle">4</text>"#,
            r#"x="190" y="197" text-anchor="middle">0</text>"#,
            "Expected calibration error: 25.0%.",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert_eq!(draw(&[]).into_string(), "");

        let bar = |low: f64, n: usize| Bar {
            low,
            high: low + 1.0,
            n,
        };
        let page = margins(&[bar(-1.0, 20), bar(0.0, 0), bar(1.0, 10)], "facts").into_string();
        // 298 wide for three bins, 126 high for 21 pairs.
        for part in [
            r#"<rect x="40.4" y="30" width="98.5" height="120">"#,
            r#"<rect x="239.1" y="90" width="98.5" height="60">"#,
            "<title>20 pairs from −1 to below 0</title>",
            "Left of zero (20 pairs)",
            "right of it (10)",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert_eq!(margins(&[], "facts").into_string(), "");
    }
}
