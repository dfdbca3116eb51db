// Small charts inside tables: the numbers stand beside them, so the charts are for the eye alone.
//
// Places across are percentages, so a chart is as wide as its cell and its lines and letters keep their size.

import { draw, make } from "./element.js";
import { count, date } from "./figures.js";

const STRIP_HEIGHT = 18;
const COLUMNS_HEIGHT = 120;

/** A scale from `from` to `to` with a dashed line at `reference`, where there is one. */
export function scale({ from, to, reference = null }) {
  const at = (value) => `${(100 * (Math.min(to, Math.max(from, value)) - from)) / (to - from)}%`;
  return { from, to, reference, at };
}

/** An estimate on a scale: a line for the interval, a dot for the value. */
export function strip({ value, ci95 }, { from, to, reference, at }) {
  const middle = STRIP_HEIGHT / 2;
  const line = (x1, x2, y1, y2, look) => draw("line", { x1, x2, y1, y2, class: look });
  return draw(
    "svg",
    { class: "strip", height: STRIP_HEIGHT, "aria-hidden": "true" },
    line(at(from), at(to), middle, middle, "axis"),
    ...[from, to].map((end) => line(at(end), at(end), middle - 3, middle + 3, "axis")),
    reference === null ? null : line(at(reference), at(reference), 1, STRIP_HEIGHT - 1, "reference"),
    ci95 === null || value === null ? null : line(at(ci95[0]), at(ci95[1]), middle, middle, "interval"),
    value === null ? null : draw("circle", { cx: at(value), cy: middle, r: 4, class: "value" }),
  );
}

/** Parts of a whole, side by side, with a legend that has the numbers. `parts` are `{name, n, look}`. */
export function shares(parts) {
  const total = Math.max(
    1,
    parts.reduce((sum, { n }) => sum + n, 0),
  );
  let before = 0;
  const bars = parts.map(({ n, look }) => {
    const bar = draw("rect", {
      x: `${(100 * before) / total}%`,
      width: `${(100 * n) / total}%`,
      height: 16,
      class: look,
    });
    before += n;
    return bar;
  });
  const legend = parts.map(({ name, n, look }) =>
    make(
      "li",
      {},
      draw(
        "svg",
        { class: "swatch", "aria-hidden": "true" },
        draw("rect", { width: "100%", height: "100%", class: look }),
      ),
      `${name}: ${count(n)}`,
    ),
  );
  return make(
    "div",
    { class: "shares" },
    draw("svg", { class: "bar", height: 16, "aria-hidden": "true" }, ...bars),
    make("ul", {}, ...legend),
  );
}

/** Counts by day, with the table to open. `days` are `{day_at, n}`. */
export function columns(days, title) {
  const most = Math.max(1, ...days.map(({ n }) => n));
  const width = 100 / Math.max(days.length, 7);
  const height = (n) => (n / most) * (COLUMNS_HEIGHT - 34);
  const foot = COLUMNS_HEIGHT - 18;
  const bars = days.map(({ n }, i) =>
    draw("rect", {
      x: `${i * width + width * 0.12}%`,
      width: `${width * 0.76}%`,
      y: foot - height(n),
      height: height(n),
      rx: 2,
      class: "done",
    }),
  );
  const text = (i, y, words) => draw("text", { x: `${(i + 0.5) * width}%`, y, "text-anchor": "middle" }, words);
  // Every column has its number as long as the numbers have room.
  const step = Math.ceil(days.length / 14);
  const words = days.flatMap(({ day_at: at, n }, i) =>
    (days.length - 1 - i) % step === 0
      ? [text(i, foot - height(n) - 5, count(n)), text(i, COLUMNS_HEIGHT - 3, date(at))]
      : [],
  );
  const axis = draw("line", { x1: 0, x2: "100%", y1: foot, y2: foot, class: "axis" });
  const rows = days.map(({ day_at: at, n }) =>
    make("tr", {}, make("th", { scope: "row" }, date(at)), make("td", { class: "number" }, count(n))),
  );
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "Day (UTC)"),
    make("th", { scope: "col", class: "number" }, "Answers"),
  );
  return make(
    "figure",
    {},
    make("figcaption", {}, title),
    draw("svg", { class: "columns", height: COLUMNS_HEIGHT, "aria-hidden": "true" }, axis, ...bars, ...words),
    make(
      "details",
      {},
      make("summary", {}, "As a table"),
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    ),
  );
}
