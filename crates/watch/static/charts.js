// Curves of the chosen runs, a small chart for each field, grouped as people look at them.

import { draw, make } from "./element.js";
import { figure } from "./figures.js";

/** Fields by stage and group; what is in none stands under "Other". docs/metrics.md defines each. */
const GROUPS = {
  rl: [
    ["Reward", ["reward_mean", "score_mean", "general_score_mean", "correctness_mean"]],
    ["Divergence", ["kl_mean", "kl_per_token", "approx_kl", "clip_fraction", "ratio_max"]],
    ["Answers", ["response_tokens_mean", "finished_share", "yes_ratio", "entropy"]],
    ["Value", ["value_loss", "explained_variance", "values_mean", "returns_mean", "value_clip_fraction"]],
    ["Optimizer", ["policy_loss", "grad_norm", "learning_rate"]],
  ],
  dpo: [
    ["Preference", ["loss", "accuracy", "margin", "chosen_reward", "rejected_reward"]],
    ["Held out", ["validation_loss", "validation_accuracy", "validation_margin"]],
    ["Drift", ["chosen_drift", "rejected_drift", "chosen_logprob", "rejected_logprob", "divergence"]],
    ["Optimizer", ["grad_norm", "learning_rate"]],
  ],
  reward: [
    ["Preference", ["loss", "accuracy", "margin_mean", "score_mean", "centering"]],
    ["Held out", ["validation_loss", "validation_accuracy"]],
    ["Optimizer", ["grad_norm", "learning_rate"]],
  ],
  sft: [
    ["Loss", ["loss"]],
    ["Held out", ["validation_loss", "validation_accuracy"]],
    ["Optimizer", ["grad_norm", "learning_rate"]],
  ],
  rounds: [
    ["Answers", ["score_mean", "best_score_mean", "mean_response_tokens", "n_cut"]],
    ["Held out", ["held_out_accuracy", "held_out_margin"]],
  ],
  ground: [
    ["Sight", ["loss", "kind_accuracy"]],
    ["Optimizer", ["grad_norm", "learning_rate"]],
  ],
};
const WIDTH = 300;
const HEIGHT = 100;

/** The exponential moving average that starts at the first number; where there is none, none is made. */
export function smoothed(values, weight) {
  let mean = null;
  return values.map((value) => {
    if (value === null) return null;
    mean = mean === null ? value : weight * mean + (1 - weight) * value;
    return mean;
  });
}

/** The groups of a stage with the fields that some run has; fields without a single number are left out. */
function grouped(stage, runs) {
  const has = (field) => runs.some(({ curves }) => (curves.columns[field] ?? []).some((value) => value !== null));
  const known = (GROUPS[stage] ?? []).map(([title, fields]) => [title, fields.filter(has)]);
  const placed = new Set(known.flatMap(([, fields]) => fields));
  const all = new Set(runs.flatMap(({ curves }) => Object.keys(curves.columns)));
  const rest = [...all].filter((field) => !placed.has(field) && has(field)).sort();
  const below = (prefix) => rest.filter((field) => field.startsWith(prefix));
  const named = [
    ["Benchmarks", below("suite/")],
    ["Held out by source", below("validation/")],
    ["Parts of the reward", below("rewards/")],
  ];
  const taken = new Set(named.flatMap(([, fields]) => fields));
  const other = rest.filter((field) => !taken.has(field));
  return [...known, ...named, ["Other", other]].filter(([, fields]) => fields.length > 0);
}

/** From number to number: what is measured every so many steps would have no line if it ended where there is none. */
function path(steps, values, across, up) {
  const point = (value, i) => (value === null ? [] : [`${across(steps[i]).toFixed(1)} ${up(value).toFixed(1)}`]);
  const points = values.flatMap(point);
  // A number alone is a dot: a line of no length.
  if (points.length === 1) points.push(points[0]);
  return points.length === 0 ? "" : `M${points.join("L")}`;
}

function chart(field, runs, weight) {
  const drawn = runs.map(({ look, name, curves }) => {
    const values = curves.columns[field] ?? [];
    return { look, name, steps: curves.steps, values: smoothed(values, weight) };
  });
  const numbers = drawn.flatMap(({ values }) => values.filter((value) => value !== null));
  const steps = drawn.flatMap((run) => run.steps);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const across = (step) => (last === first ? WIDTH / 2 : ((step - first) / (last - first)) * WIDTH);
  const up = (value) => (high === low ? HEIGHT / 2 : HEIGHT - ((value - low) / (high - low)) * HEIGHT);
  const now = drawn.map(({ values }) => figure(values.findLast((value) => value !== null)));
  const lines = drawn.map(({ look, steps, values }) => draw("path", { d: path(steps, values, across, up), class: `line run-${look}` }));
  const says = drawn.map(({ name }, i) => `${name} ${now[i]}`).join(", ");
  return make(
    "figure",
    {},
    make("figcaption", {}, make("span", {}, field), make("span", { class: "now" }, now.join(" · "))),
    draw(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${field} from step ${first} to ${last}, between ${figure(low)} and ${figure(high)}; now ${says}` },
      draw("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "axis" }),
      draw("line", { x1: 0, x2: WIDTH, y1: 0, y2: 0, class: "axis" }),
      ...lines,
    ),
    make("div", { class: "ends" }, make("span", {}, `${figure(low)} to ${figure(high)}`), make("span", {}, `step ${first}–${last}`)),
  );
}

/** All charts of runs of one stage: `{name, look, curves, timings}` each. */
export function charts(stage, runs, weight) {
  const drawn = runs.filter(({ curves }) => curves.steps.length > 0);
  if (drawn.length === 0) return [make("p", { class: "soft" }, "No step is written yet.")];
  const speed = drawn.map((run) => ({ ...run, curves: run.timings }));
  const timed = [...new Set(speed.flatMap(({ curves }) => Object.keys(curves.columns)))].sort();
  return [
    ...grouped(stage, drawn).flatMap(([title, fields]) => [
      make("h3", {}, title),
      make("div", { class: "group" }, ...fields.map((field) => chart(field, drawn, weight))),
    ]),
    ...(timed.length === 0 ? [] : [
      make("h3", {}, "Time and memory"),
      make("div", { class: "group" }, ...timed.map((field) => chart(field, speed, weight))),
    ]),
  ];
}
