//! The figures of several seeds together: what is compared with its intervals, truth against silence, and the mean of what
//! was seen over the steps.

use candor_eval::curve::{Curve, HackingPoint};
use candor_judge::{Benchmark, Results};
use candor_stats::correlation::Correlation;
use maud::{Markup, html};

use super::figure;
use super::forest::{Forest, Row};
use super::plane::{HEIGHT, Name, Plane, words};
use crate::seeds::{Demo, Part, Unit};
use crate::summary::{Policy, Variant, Variants, measured};
use crate::svg::drawing;
use crate::svg::marks::{self, Shape};

const CAPTION: &str = "Each cross is the SFT model of one seed; thin lines lead to the policies that PPO makes of it, thick ones \
    join the means over the seeds that have both ends. Down is more truthful, right is more complete, and along a dotted line \
    the object F1 stays the same.";

/// A comparison: every seed, and the mean with the interval that decides.
#[must_use]
pub(crate) fn comparison(part: &Part) -> Markup {
    let scale = if part.unit == Unit::Points {
        100.0
    } else {
        1.0
    };
    let row = |name: String, class, shape, value: f64, interval: Option<[f64; 2]>| Row {
        name,
        class,
        shape,
        value: value * scale,
        interval: interval.map(|ends| ends.map(|end| end * scale)),
    };
    let seeds = part.seeds.iter().zip(&part.pooled.seeds);
    let mut rows: Vec<Row> = seeds
        .filter_map(|(seed, of)| {
            Some(row(
                format!("seed {seed}"),
                "sft",
                Shape::Circle,
                of.value?,
                of.ci95,
            ))
        })
        .collect();
    rows.extend(
        part.pooled
            .mean
            .map(|mean| row("mean".to_owned(), "facts", Shape::Diamond, mean, part.ci95)),
    );
    let forest = Forest {
        title: part.what,
        unit: match part.unit {
            Unit::Points => "percentage points",
            Unit::Score => "points of the score",
            Unit::Percent => "ratio",
        },
        percent: part.unit == Unit::Percent,
        line: Some(part.bound.at() * scale),
    };
    forest.draw(&rows)
}

/// Every seed's SFT model and what PPO makes of it; nothing without results.
#[must_use]
pub(crate) fn tradeoff(demos: &[Demo]) -> Markup {
    let at = |results: &Results| {
        let of = |key| measured(results, Benchmark::Chair, key);
        Some((of("recall")?.0, of("chair_i")?.0))
    };
    let ways = |policy: Policy| -> Vec<(u64, [(f64, f64); 2])> {
        let way = |demo: &Demo| {
            let policies = &demo.summary.policies;
            let (from, to) = (at(policies.sft.as_ref()?)?, at(policies.get(policy)?)?);
            Some((demo.summary.seed, [from, to]))
        };
        demos.iter().filter_map(way).collect()
    };
    let arms = [Policy::Rlhf, Policy::FactRlhf].map(|policy| (policy, ways(policy)));
    let places: Vec<(f64, f64)> = arms
        .iter()
        .flat_map(|(_, ways)| ways.iter().flat_map(|(_, way)| *way))
        .collect();
    let Some(plane) = Plane::around(&places) else {
        return html! {};
    };
    let frame = &plane.frame;
    let means = arms
        .each_ref()
        .map(|(policy, ways)| (*policy, mean_way(ways)));
    let name = |point, policy: Policy| Name {
        point,
        text: policy.name().to_owned(),
        class: policy.class(),
    };
    let ends = means
        .iter()
        .filter_map(|(policy, way)| Some(name((*way)?[1], *policy)));
    let sft = means.iter().find_map(|(_, way)| *way);
    let names: Vec<Name> = ends
        .chain(sft.map(|[from, _]| name(from, Policy::Sft)))
        .collect();
    let content = html! {
        (plane.ground())
        @for (policy, ways) in &arms {
            @for (seed, [from, to]) in ways {
                (marks::line(frame, &[*from, *to], &format!("line raw {}", policy.class())))
                @let said = words(&format!("{}, seed {seed}", policy.name()), *to);
                (marks::dot(frame, *to, policy.shape(), &format!("small {}", policy.class()), &said))
                @let said = words(&format!("SFT, seed {seed}"), *from);
                (marks::dot(frame, *from, Policy::Sft.shape(), "small sft", &said))
            }
        }
        @for (policy, way) in &means {
            @if let Some([from, to]) = way {
                (marks::line(frame, &[*from, *to], &format!("line {}", policy.class())))
                (marks::arrow(frame.at(*from), frame.at(*to), &format!("tip {}", policy.class())))
                (marks::dot(frame, *to, policy.shape(), policy.class(), &words(&format!("{}, mean", policy.name()), *to)))
            }
        }
        (plane.names(&names, &places))
    };
    let spoken: Vec<String> = means
        .iter()
        .filter_map(|(policy, way)| Some(words(&format!("{}, mean", policy.name()), (*way)?[1])))
        .collect();
    let label = format!(
        "CHAIR_i against recall of every seed. {}",
        spoken.join("; ")
    );
    let drawn = drawing(HEIGHT, &label, &content);
    html! { div.figures.wide { (figure("CHAIR_i against recall, every seed", &drawn, CAPTION)) } }
}

fn mean_way(ways: &[(u64, [(f64, f64); 2])]) -> Option<[(f64, f64); 2]> {
    let n = ways.len() as f64;
    let mean = |end: usize| {
        let sum = ways.iter().fold((0.0, 0.0), |(x, y), (_, way)| {
            (x + way[end].0, y + way[end].1)
        });
        (sum.0 / n, sum.1 / n)
    };
    (!ways.is_empty()).then(|| [mean(0), mean(1)])
}

/// What the policies said while they were trained: for each step the mean over the demos, at the steps that all of them have;
/// nothing of a policy whose curve one of them lacks.
#[must_use]
pub(crate) fn mean_rollouts(demos: &[Demo]) -> Variants<Curve> {
    let of = |variant: Variant| {
        let curves = demos.iter().map(|demo| demo.curves.get(variant));
        let curves: Vec<&Curve> = curves.collect::<Option<_>>()?;
        let first = *curves.first()?;
        let at_step = |step: u64| {
            let points = curves
                .iter()
                .map(|curve| curve.rollouts.iter().find(|p| p.step == step));
            mean_point(&points.collect::<Option<Vec<&HackingPoint>>>()?)
        };
        Some(Curve {
            points: Vec::new(),
            rollouts: first
                .rollouts
                .iter()
                .filter_map(|p| at_step(p.step))
                .collect(),
        })
    };
    Variants {
        facts: of(Variant::Facts),
        no_facts: of(Variant::NoFacts),
    }
}

/// The mean of points of one step; numbers that one of them lacks are left out.
fn mean_point(points: &[&HackingPoint]) -> Option<HackingPoint> {
    let mean_if_all = |of: &dyn Fn(&HackingPoint) -> Option<f64>| {
        let sum = points.iter().map(|point| of(point)).sum::<Option<f64>>()?;
        Some(sum / points.len() as f64)
    };
    let mean = |of: &dyn Fn(&HackingPoint) -> f64| mean_if_all(&|point| Some(of(point)));
    let correlation =
        |of: &dyn Fn(&Correlation) -> f64| mean_if_all(&|p| p.correlation.as_ref().map(of));
    Some(HackingPoint {
        step: points.first()?.step,
        n: points.iter().map(|point| point.n).sum(),
        score_mean: mean(&|point| point.score_mean)?,
        normalised_score_mean: mean_if_all(&|point| point.normalised_score_mean),
        hallucinated_share: mean(&|point| point.hallucinated_share)?,
        false_claims_mean: mean(&|point| point.false_claims_mean)?,
        judge_score_mean: mean(&|point| point.judge_score_mean)?,
        correlation: correlation(&|c| c.pearson)
            .zip(correlation(&|c| c.spearman))
            .map(|(pearson, spearman)| Correlation { pearson, spearman }),
    })
}
