// What was said before the two answers.

import { AnswerText } from "./answer-text.js";
import { make, part } from "./element.js";

const SPEAKERS = { human: "Person", gpt: "Assistant", system: "Instructions" };

/** Shows the turns of a conversation. */
export function showConversation(turns) {
  part("turns").replaceChildren(...turns.map(turnElement));
}

function turnElement({ from, text }) {
  const words = make("div", { class: "text", dir: "auto" });
  const more = make("button", { type: "button", class: "quiet", hidden: true });
  new AnswerText(words, more).show(text);
  return make(
    "li",
    { class: from === "human" ? "turn is-person" : "turn" },
    make("p", { class: "speaker" }, SPEAKERS[from] ?? from),
    words,
    more,
  );
}
