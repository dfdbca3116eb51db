// The log of everything that happened, page by page.

import { shortened } from "./answer-pane.js";
import { get } from "./api.js";
import { make, part } from "./element.js";
import { time } from "./figures.js";

let last = 0;
let body = null;

/** Appends the next page of events; hides the button when there are no more. */
export async function showMoreEvents(button) {
  const { events } = await get(`/api/admin/events?after=${last}`);
  if (body === null) startTable();
  body.append(...events.map(row));
  last = events.at(-1)?.seq ?? last;
  button.textContent = events.length > 0 ? "Show more" : "Look for newer ones";
}

function startTable() {
  const head = ["No.", "When", "Who", "What", "Item", "Particulars"].map((name) => make("th", { scope: "col" }, name));
  body = make("tbody");
  const table = make(
    "table",
    { class: "events" },
    make("caption", {}, "Events, oldest first"),
    make("thead", {}, make("tr", {}, ...head)),
    body,
  );
  part("events-body").replaceChildren(
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Events" }, table),
  );
}

function row({ seq, at, who, kind, item, data }) {
  return make(
    "tr",
    {},
    make("td", { class: "number" }, String(seq)),
    make("td", {}, time(at)),
    make("td", {}, make("bdi", {}, who ?? "the program")),
    make("td", {}, kind),
    make("td", { class: "number" }, item === null ? "" : String(item)),
    make("td", {}, make("code", { dir: "auto" }, shortened(JSON.stringify(data), 400))),
  );
}
