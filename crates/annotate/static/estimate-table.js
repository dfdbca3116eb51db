// Tables of estimates: number, interval, and both on a scale.

import { scale, strip } from "./chart.js";
import { make } from "./element.js";
import { count, estimate } from "./figures.js";

/**
 * A table. `columns` have a `name`, the field `of` a row, and either `estimate` (a format, with `from`, `to` and perhaps
 * `reference` of its scale) or, for plain values, perhaps a `format`. `undefinedBecause` is said below if it applies.
 */
export function estimateTable({ caption, columns, rows, undefinedBecause, whenEmpty }) {
  if (rows.length === 0) return make("p", { class: "soft" }, `${caption}: ${whenEmpty}`);
  let hasUndefined = false;
  const body = rows.map((row) =>
    make(
      "tr",
      {},
      ...columns.map((column, i) => {
        const value = column.of(row);
        if (i === 0) return make("th", { scope: "row" }, make("bdi", {}, value));
        if (!column.estimate) {
          hasUndefined ||= value === null;
          return make("td", { class: "number" }, value === null ? "undefined" : (column.format ?? count)(value));
        }
        hasUndefined ||= value.value === null;
        return make(
          "td",
          { class: "estimate" },
          make("span", {}, estimate(value, column.estimate)),
          strip(value, scale(column)),
        );
      }),
    ),
  );
  const head = columns.map((column, i) =>
    make("th", { scope: "col", class: i > 0 && !column.estimate ? "number" : null }, column.name),
  );
  return make(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...body),
    ),
    hasUndefined && undefinedBecause ? make("p", { class: "hint" }, `undefined: ${undefinedBecause}`) : null,
  );
}
