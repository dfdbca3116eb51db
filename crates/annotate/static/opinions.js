// What people said about an item, one card each, for whoever decides.

import { shortened } from "./answer-pane.js";
import { codePoints } from "./characters.js";
import { make } from "./element.js";
import { letterOf } from "./several.js";

const FLAGS = { image: "the image", text: "the text", offensive: "offensive or harmful", other: "something else" };

/** A card for a judgement; `adopt` and `sendBack` are what its buttons do. */
export function opinionCard(judgement, answers, project, { adopt, sendBack }) {
  const { who, marks, corrections, note, sent_back: isSentBack } = judgement;
  const lines = [make("p", { class: "said" }, `${who}: ${verdict(judgement, project)}`)];
  if (marks.length > 0)
    lines.push(make("p", {}, "Marked ", ...marks.flatMap((mark, i) => [i > 0 ? ", " : "", ...quoted(mark, answers)])));
  for (const which of ["a", "b"]) {
    if (corrections[which])
      lines.push(
        make(
          "p",
          {},
          `Would have said instead of ${which.toUpperCase()}: `,
          make("q", { dir: "auto" }, corrections[which]),
        ),
      );
  }
  if (note) lines.push(make("p", { class: "soft" }, "Note: ", make("span", { dir: "auto" }, note)));
  const buttons = isSentBack
    ? [make("span", { class: "soft" }, "Sent back; waits for its author")]
    : [
        make(
          "button",
          { type: "button", "aria-label": `Start from this: what ${who} said`, click: adopt },
          "Start from this",
        ),
        make(
          "button",
          { type: "button", class: "quiet", "aria-label": `Send back to ${who}`, click: sendBack },
          "Send back",
        ),
      ];
  return make("li", {}, ...lines, make("div", { class: "actions" }, ...buttons));
}

/** A card for a complaint; who made it is not told. */
export function flagCard({ reason, note }) {
  return make(
    "li",
    { class: "flagged" },
    make("p", { class: "said" }, `Reported: ${FLAGS[reason] ?? reason}`),
    note ? make("p", { dir: "auto" }, note) : null,
  );
}

/** A card for those who said nothing. */
export function skipCard(n) {
  return make("li", {}, make("p", {}, n === 1 ? "One person skipped this." : `${n} people skipped this.`));
}

function verdict({ first, second, rating, ranking }, { questions, scale }) {
  if (ranking !== undefined) return inOrder(ranking);
  if (rating !== undefined) return `${rating}, ${scale.ratings[rating]}`;
  const name = questions.first[first];
  return second === null ? name : `${name}, then: ${questions.second[second]}`;
}

function quoted({ answer, start, end, type }, answers) {
  const words = shortened(codePoints(answers[answer]).slice(start, end).join(""));
  return [make("q", { dir: "auto" }, words), ` (${answer.toUpperCase()}, ${type})`];
}

/** A ranking in words, the best first: answers of one rank stand together. */
function inOrder(ranking) {
  const places = [...ranking.keys()];
  const ranks = places.map((i) => places.filter((place) => ranking[place] === i + 1));
  const groups = ranks.filter((group) => group.length > 0);
  return groups.map((group) => group.map(letterOf).join(" = ")).join(" > ");
}
