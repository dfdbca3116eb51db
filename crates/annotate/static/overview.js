// How far the work is.

import { columns, shares } from "./chart.js";
import { make } from "./element.js";
import { count, duration, time } from "./figures.js";

/** All of `/api/admin/overview`. */
export function overviewView({
  n_items: items,
  n_done: done,
  n_in_work: inWork,
  n_waiting: waiting,
  n_withdrawn: withdrawn,
  n_answers: answers,
  n_needed: needed,
  eta_ms: eta,
  answers_by_day: days,
  unshown,
  paused_at: paused,
}) {
  const rest = Math.max(0, items - done - inWork - waiting - withdrawn);
  const pause = "nobody is given anything new; what people have in hand they may finish.";
  return [
    ...(paused === null ? [] : [make("p", { id: "paused" }, `Paused since ${time(paused)}: ${pause}`)]),
    ...passedOver(unshown),
    make(
      "dl",
      { class: "cards" },
      ...card("Items done", `${count(done)} of ${count(items)}`),
      ...card("Answers", `${count(answers)} of ${count(needed)}`),
      ...card("Time left (estimate)", ...timeLeft(eta)),
      ...card("Waiting for adjudication", count(waiting)),
    ),
    shares([
      { name: "Done", n: done, look: "done" },
      { name: "In somebody’s hands", n: inWork, look: "in-work" },
      { name: "Waiting for adjudication", n: waiting, look: "waiting" },
      { name: "Withdrawn", n: withdrawn, look: "withdrawn" },
      { name: "To do", n: rest, look: "rest" },
    ]),
    days.length > 0 ? columns(days, "Answers by day") : make("p", { class: "soft" }, "No answers yet."),
  ];
}

/** What of gold and training nobody is asked about. */
function passedOver(unshown) {
  if (unshown.length === 0) return [];
  const item = ({ kind, name, image }) => make("li", {}, `${kind} `, make("bdi", {}, name), ": ", make("bdi", {}, image));
  const why =
    "Passed over, because their image cannot be shown (the server’s log says why). " +
    "Put the images right, then start the server again.";
  return [make("section", { id: "passed-over" }, make("p", {}, why), make("ul", {}, ...unshown.map(item)))];
}

function timeLeft(eta) {
  if (eta === null) return ["undefined", "fewer than five answers in the last hour"];
  if (eta === 0) return ["none", "all answers are there"];
  return [`about ${duration(eta)}`, "if people go on at the pace of the last hour"];
}

function card(name, value, hint) {
  return [
    make("div", {}, make("dt", {}, name), make("dd", {}, value, hint ? make("span", { class: "hint" }, hint) : null)),
  ];
}
