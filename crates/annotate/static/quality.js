// The quality of the work, as tables with charts.

import { estimateTable } from "./estimate-table.js";
import { make } from "./element.js";
import { coefficient, count, percent, time } from "./figures.js";

const share = (name, of, extra = {}) => ({ name, of, estimate: percent, from: 0, to: 1, ...extra });
const kappa = (name, of) => ({ name, of, estimate: coefficient, from: -1, to: 1, reference: 0 });

/** All of `/api/admin/quality`. */
export function qualityView({ computed_at: at, is_current: isCurrent, quality }) {
  if (quality === null) return [make("p", { class: "soft" }, "The figures are being computed for the first time …")];
  const age = isCurrent ? "Nothing has happened since." : "What has happened since is not in them yet.";
  return [
    make("p", { class: "soft" }, `Computed ${time(at)}. ${age}`),
    make("p", {}, `${count(quality.n_disputed)} items in dispute.`),
    ...[majorities, habits, agreement, people, pairs, types, models, ratings, rankings, rankers]
      .map((section) => section(quality))
      .filter((view) => view !== null),
  ];
}

function habits({ tie_rate: ties, left_rate: left }) {
  return estimateTable({
    caption: "Habits (dashed: no preference for a side)",
    columns: [
      { name: "Who", of: (row) => row.name },
      share("Picks left, of those that pick one", (row) => row.left, { reference: 0.5 }),
      share("First question a tie", (row) => row.ties),
    ],
    rows: [{ name: "Everybody", left, ties }],
    undefinedBecause: "there are no answers yet.",
  });
}

function agreement({ agreement: { first, preference } }) {
  return estimateTable({
    caption: "Agreement of all (dashed: chance)",
    columns: [
      { name: "On", of: (row) => row.name },
      { name: "Items", of: (row) => row.n_items },
      kappa("Krippendorff’s α", (row) => row.krippendorff),
      kappa("Fleiss’ κ", (row) => row.fleiss),
      share("Pairs that agree", (row) => row.percent),
    ],
    rows: [
      { name: "First question", ...first },
      { name: "Preference", ...preference },
    ],
    undefinedBecause: "nobody has judged the same items yet, or everybody always says the same.",
  });
}

function people({ people: rows }) {
  return estimateTable({
    caption: "Person by person (dashed: no preference for a side)",
    columns: [
      { name: "Name", of: (row) => row.name },
      { name: "Answers", of: (row) => row.n_answers },
      { name: "Median seconds", of: (row) => row.median_secs, format: (secs) => secs.toFixed(1) },
      share("Picks left", (row) => row.left_rate, { reference: 0.5 }),
      share("Ties", (row) => row.tie_rate),
      { name: "Gold items", of: (row) => row.n_gold },
      share("Gold right", (row) => row.gold_accuracy),
      share("With the majority", (row) => row.majority_rate),
    ],
    rows,
    undefinedBecause: "this person has no such answers yet.",
    whenEmpty: "nobody has answered yet.",
  });
}

function pairs({ pairs: rows }) {
  return estimateTable({
    caption: "Two by two, on the preference (dashed: chance)",
    columns: [
      { name: "People", of: (row) => `${row.a} and ${row.b}` },
      { name: "Items", of: (row) => row.n_items },
      kappa("Cohen’s κ", (row) => row.cohen),
    ],
    rows,
    undefinedBecause: "both always say the same, so chance alone would make them agree.",
    whenEmpty: "no two people have judged the same items yet.",
  });
}

function types({ by_type: rows }) {
  if (rows.length === 0) return null;
  return estimateTable({
    caption: "Disagreement by kind of question",
    columns: [
      { name: "Kind", of: (row) => row.type },
      { name: "Items", of: (row) => row.n_items },
      share("Pairs that differ", (row) => row.disagreement),
    ],
    rows,
    undefinedBecause: "nobody has judged the same items of this kind yet.",
  });
}

function models({ models: rows }) {
  if (rows === null) return null;
  const ends = rows.flatMap(({ strength, ci95 }) => [strength ?? 0, ...(ci95 ?? [])]);
  const reach = Math.max(1, Math.ceil(Math.max(...ends.map(Math.abs))));
  return estimateTable({
    caption: "Models, Bradley–Terry log-strength (dashed: the mean)",
    columns: [
      { name: "Model", of: (row) => row.model },
      { name: "Comparisons", of: (row) => row.n_comparisons },
      {
        name: "Strength",
        of: (row) => ({ value: row.strength, ci95: row.ci95 }),
        estimate: coefficient,
        from: -reach,
        to: reach,
        reference: 0,
      },
    ],
    rows,
    undefinedBecause: "this model always won, always lost, or was not compared with the others.",
  });
}

function ratings({ ratings: row }) {
  if (row === null) return null;
  return estimateTable({
    caption: "Answers rated one by one, from 0 to 6 (dashed: below it an answer hallucinates; of α, chance)",
    columns: [
      { name: "Of", of: () => "All ratings" },
      { name: "Answers", of: ({ n_items: n }) => n },
      { name: "Ratings", of: ({ n_ratings: n }) => n },
      { name: "Mean", of: ({ mean }) => mean, estimate: coefficient, from: 0, to: 6, reference: 3 },
      share("Hallucinated", ({ hallucinated }) => hallucinated),
      kappa("Krippendorff’s α", ({ alpha }) => alpha),
      kappa("α of hallucinated", ({ alpha_hallucinated: alpha }) => alpha),
    ],
    rows: [row],
    undefinedBecause: "nobody has rated the same answers yet, or everybody always says the same.",
  });
}

function majorities({ rankings: all }) {
  if (all === null) return null;
  const left = `${count(all.n_undecided_pairs)} are alike or undecided, ${count(all.n_circular_pairs)} go in a circle`;
  return make("p", {}, `Of ranked answers ${count(all.n_pairs)} pairs are put in order by most; ${left}.`);
}

const ranked = [
  kappa("Kendall’s τ-b", ({ tau }) => tau),
  share("Pairs alike", ({ ties }) => ties),
  share("Better one stood earlier", ({ earlier_rate: rate }) => rate, { reference: 0.5 }),
];

function rankings({ rankings: row }) {
  if (row === null) return null;
  return estimateTable({
    caption: "Answers put in order (dashed: of τ-b, chance; of places, no liking for them)",
    columns: [
      { name: "Of", of: () => "All rankings" },
      { name: "Items", of: ({ n_items: n }) => n },
      { name: "Rankings", of: ({ n_rankings: n }) => n },
      share("Two people agree on a pair", ({ agreement: rate }) => rate),
      ...ranked,
      { name: "Two, one of whom calls all alike", of: ({ n_undefined: n }) => n },
    ],
    rows: [row],
    undefinedBecause: "nobody has ranked the same answers yet, or nobody puts any in order.",
  });
}

function rankers({ rankings: all }) {
  if (all === null) return null;
  return estimateTable({
    caption: "Rankings, person by person (τ-b with all others)",
    columns: [{ name: "Name", of: (row) => row.name }, { name: "Rankings", of: (row) => row.n_rankings }, ...ranked],
    rows: all.people,
    undefinedBecause: "nobody else has ranked the same answers yet, or nobody puts any in order.",
    whenEmpty: "nobody has ranked anything yet.",
  });
}
