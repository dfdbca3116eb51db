// Answers by person and day, newest first, page by page.

import { get } from "./api.js";
import { part } from "./element.js";
import { estimateTable } from "./estimate-table.js";

const PAGE = 50;

let days = [];
let currency = null;
let nShown = PAGE;

/** Loads and shows what everybody did on each day. */
export async function showDays() {
  ({ days, currency } = await get("/api/admin/days"));
  show();
}

/** Shows another page of older days. */
export function showOlderDays() {
  nShown += PAGE;
  show();
}

function show() {
  const pay = { name: `Pay (${currency})`, of: (row) => row.pay_cents, format: (cents) => (cents / 100).toFixed(2) };
  const table = estimateTable({
    caption: "Answers to work by person and day, newest first",
    columns: [
      { name: "Name", of: (row) => row.name },
      { name: "Day (UTC)", of: (row) => row.day_at, format: (at) => new Date(at).toISOString().slice(0, 10) },
      { name: "Answers", of: (row) => row.n_answers },
      { name: "Median seconds", of: (row) => row.median_secs, format: (secs) => secs.toFixed(1) },
      ...(currency === null ? [] : [pay]),
    ],
    rows: days.slice(0, nShown),
    whenEmpty: "nobody has answered yet.",
  });
  part("days-body").replaceChildren(table);
  part("days-older").hidden = days.length <= nShown;
}
