//! The page, from the summary down to how to do it again.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::claims::{marked, stretches};
use crate::gallery::{Because, Exhibit, N_ASKED, N_DESCRIBED, Said};
use crate::input::{About, ReportInput};
use crate::plots::{algorithms, forest, hacking, losses, ppo, reward, stages, tradeoff};
use crate::summary::Summary;
use crate::{reward_page, table, wording};

/// The look of the pages of demos.
const STYLE: &str = include_str!("style.css");

/// The sections in their order: where a link leads, and the heading.
const SECTIONS: [(&str, &str); 10] = [
    ("results", "Results"),
    ("reward-models", "Reward models"),
    ("hacking", "Score against truth"),
    ("tradeoff", "Truth against silence"),
    ("algorithms", "Algorithms"),
    ("ppo", "The policy while it is trained"),
    ("losses", "Losses"),
    ("gallery", "Images and answers"),
    ("ablation", "Ablation"),
    ("again", "Time, and how to do it again"),
];

/// The whole page.
#[must_use]
pub fn render(input: &ReportInput) -> String {
    let version = &input.about.version;
    document(
        &format!("candor demo, seed {}", input.summary.seed),
        &top(&input.summary),
        SECTIONS.into_iter().zip(sections(input)),
        &html! { "Made by candor " (version) ". All numbers are of this one run." },
    )
}

/// A whole page without scripts: what stands on top, then the sections, each given by its id and heading.
pub(crate) fn document(
    title: &str,
    top: &Markup,
    sections: impl Iterator<Item = ((&'static str, &'static str), Markup)>,
    footer: &Markup,
) -> String {
    let sections: Vec<_> = sections.collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (top) }
                nav aria-label="Sections" {
                    @for ((id, heading), _) in &sections { a href={ "#" (id) } { (heading) } }
                }
                main {
                    @for ((id, heading), content) in &sections {
                        section id=(id) {
                            h2 { (heading) }
                            (content)
                        }
                    }
                }
                footer { p { (footer) } }
            }
        }
    };
    page.into_string()
}

fn top(summary: &Summary) -> Markup {
    let headline = wording::headline(summary);
    html! {
        h1 { "Does a reward model that reads the facts make a policy hallucinate less?" }
        p.lead { (wording::done(summary)) }
        @if summary.quick {
            (quick_notice())
        } @else if headline.is_empty() {
            p.missing { "Nothing was evaluated yet, so there is no result to state." }
        } @else {
            ul.headline { @for (about, sentence) in &headline { li { b { (about) ": " } (sentence) } } }
            p.note {
                "Brackets hold 95% intervals: how the same model would do on other images. Where two overlap, this \
                 run alone does not decide. The spread between seeds is not in them."
            }
        }
    }
}

/// What is said of a quick demo in the place of results.
#[must_use]
pub(crate) fn quick_notice() -> Markup {
    html! {
        p.quick role="note" {
            b { "A quick pass." } " Everything was made small, to see every stage run. No number on this page says anything \
             about the method; run the demo without " code { "--quick" } " for those that do."
        }
    }
}

/// The contents of [`SECTIONS`].
fn sections(input: &ReportInput) -> [Markup; 10] {
    [
        results(&input.summary),
        reward_models(input),
        hacked(input),
        or_missing(
            tradeoff::draw(&input.curves, &input.summary.policies),
            "No snapshots of PPO were evaluated (eval/curve-facts.json and eval/curve-no-facts.json are missing).",
        ),
        algorithms(input),
        training(input),
        or_missing(losses::draw(input), "No stage has written metrics."),
        gallery(&input.gallery),
        ablation(&input.summary),
        again(&input.summary, &input.about),
    ]
}

/// The content, or in words that there is none.
#[must_use]
pub(crate) fn or_missing(content: Markup, missing: &str) -> Markup {
    if content.0.contains("<svg") {
        content
    } else {
        html! { p.missing { (missing) } }
    }
}

fn results(summary: &Summary) -> Markup {
    if summary.policies.iter().next().is_none() {
        return html! { p.missing { "No policy was evaluated." } };
    }
    html! {
        p {
            b { "SFT" } " is the model after supervised fine-tuning"
            @if summary.policies.sft_gpt4.is_some() {
                ", " b { "SFT, GPT-4 alone" } " the same without the sources that people wrote"
            }
            "; PPO starts from the " b { "policy init" } "; "
            b { "RLHF" } " was trained against the reward model without facts, " b { "Fact-RLHF" }
            " against the one with them. Answers are greedy; evaluation scenes are in no training data."
        }
        (forest::draw(&summary.policies))
        (table::results(&summary.policies))
        p.note { "★ marks the best of a row only where its 95% interval meets that of no other policy. ↑ higher is better, ↓ lower is better." }
    }
}

fn reward_models(input: &ReportInput) -> Markup {
    let content = html! {
        p {
            "Both learn from the same comparisons by the same recipe; what differs is whether the facts stand in the \
             prompt."
        }
        (reward::draw(input))
        (reward_page::by_group(&input.pairs))
    };
    or_missing(content, "No reward model was trained.")
}

fn hacked(input: &ReportInput) -> Markup {
    let content = html! {
        p {
            "What the policy said while it was trained, on prompts that only the reward model scores: its score above, \
             the exact judge's truth below, and how well the two agree within a step. A score that rises while false \
             claims do not become fewer is reward hacking. Dots are steps, lines their mean over seven."
        }
        (hacking::draw(&input.curves))
    };
    or_missing(
        content,
        "No rollouts were judged (eval/curve-facts.json and eval/curve-no-facts.json hold none).",
    )
}

fn training(input: &ReportInput) -> Markup {
    let content = html! {
        p { "Faint lines are single steps, strong ones their mean over five." }
        (ppo::draw(input))
    };
    or_missing(content, "PPO was not run.")
}

fn gallery(exhibits: &[Exhibit]) -> Markup {
    if exhibits.is_empty() {
        return html! { p.missing { "No answers were kept (eval/*/verdicts is missing)." } };
    }
    html! {
        p {
            "Nothing is picked by hand: the first " (N_DESCRIBED[0]) " images of CHAIR's file, then the next "
            (N_DESCRIBED[1]) " in its order on which the policies do not make the same number of false claims; the same \
             for the first " (N_ASKED[0]) " and the next " (N_ASKED[1]) " questions of MMHal-Bench. "
            span.false { "Struck through" } span.wrong { "✗ what" } " is false, "
            span.true { "underlined" } " is true, the rest claims nothing the judge knows."
        }
        div.gallery { @for exhibit in exhibits { (shown(exhibit)) } }
    }
}

fn shown(exhibit: &Exhibit) -> Markup {
    let because = match exhibit.because {
        Because::First => "among the first",
        Because::Differ => "the policies differ",
    };
    html! {
        article {
            img src=(exhibit.data_uri) width="224" height="224" loading="lazy" alt={ "Evaluation image " (exhibit.image) };
            div {
                p.question { (exhibit.question) span.because { (because) } }
                dl {
                    @for (policy, said) in &exhibit.answers {
                        dt class=(policy.class()) { (policy.name()) }
                        dd { (answer(said)) }
                    }
                }
            }
        }
    }
}

fn answer(said: &Said) -> Markup {
    let stretches = stretches(&said.text, &said.finding.claims).unwrap_or_default();
    html! {
        @if said.text.is_empty() { i { "(says nothing)" } }
        (marked(&stretches))
        span.judged {
            "judge: " (said.finding.score) " of 6"
            @if !said.finding.left_out.is_empty() { "; left out: " (said.finding.left_out.join(", ")) }
        }
    }
}

/// What a comparison of algorithms does not say.
pub(crate) const NOT_SEARCHED: &str = "What this does not say: which algorithm is best when each has settings of its own. PPO, GRPO and \
     RLOO write equally many answers, with the learning rate and the weight of the KL that PPO has. These were settled while PPO's demo was \
     made (four weights of the KL, two learning rates); none was tried for GRPO or RLOO, so the comparison favours PPO. The three take \
     unequal processor time, because GRPO and RLOO train no critic, and answer unequally many prompts, because these two write several \
     answers to each.";

fn algorithms(input: &ReportInput) -> Markup {
    let summary = &input.summary;
    if summary.algorithms.is_empty() {
        return html! {
            p.missing { "Not run. " code { "candor demo --algorithms" } " trains policies by PPO, GRPO, RLOO and DPO from one start." }
        };
    }
    html! {
        p {
            "All start from the policy init and learn from the same comparisons: PPO, GRPO and RLOO by a reward model, DPO from \
             the comparisons themselves. Fact-RLHF is PPO with facts, RLHF PPO without. Samples are the answers that a policy learned from, its own or, for DPO, those of the \
             comparisons, each epoch anew. Small print: 95% intervals."
        }
        p { (NOT_SEARCHED) }
        (algorithms::draw(&summary.algorithms, &input.algorithms, &summary.policies))
        (table::algorithms(&summary.algorithms))
    }
}

fn ablation(summary: &Summary) -> Markup {
    if summary.ablation.is_empty() {
        return html! {
            p.missing { "Not run. " code { "candor demo --ablation" } " trains a policy for each combination of facts, symbolic reward and length penalty, which the paper never separated." }
        };
    }
    html! {
        p { "One policy for each combination of the three additions, everything else the same. Small print: 95% intervals." }
        (table::ablation(&summary.ablation))
    }
}

fn again(summary: &Summary, about: &About) -> Markup {
    html! {
        p {
            "In all " (wording::duration(summary.wall_secs)) ", with at most "
            (format!("{:.1}", summary.peak_memory_bytes as f64 / 1e9)) " GB of memory. The same command on the same \
             machine gives the same numbers, whatever it is interrupted by:"
        }
        pre { code { (about.command) } }
        p { "candor " (about.version) ", seed " (summary.seed) "." }
        (stages::draw(&summary.stage_secs))
        @if summary.stage_secs.values().sum::<f64>() > summary.wall_secs + 1.0 {
            p.note { "Stages that ran side by side each count in full, so they add up to more than the whole." }
        }
    }
}
