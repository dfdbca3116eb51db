// Three answers or more, one card each, that are read before they are put in order.

import { AnswerText } from "./answer-text.js";
import { make, part } from "./element.js";

/** The letter of an answer, by its place from 0. */
export function letterOf(place) {
  return String.fromCharCode("A".charCodeAt(0) + place);
}

/** The cards. */
export class Several {
  #list = part("several");

  /** Shows these texts, in this order; none of them hides the cards. */
  show(texts) {
    this.#list.hidden = texts.length === 0;
    this.#list.replaceChildren(...texts.map((text, place) => card(text, place)));
  }
}

function card(content, place) {
  const letter = letterOf(place);
  const name = `several-name-${place}`;
  const more = make("button", { type: "button", class: "quiet more", hidden: true });
  const text = make("div", {
    class: "text",
    dir: "auto",
    role: "group",
    "aria-label": `Text of answer ${letter}`,
    tabindex: "-1",
  });
  new AnswerText(text, more).show(content);
  const heading = make(
    "h2",
    { id: name },
    make("span", { class: "letter", "aria-hidden": "true" }, letter),
    make("span", { class: "visually-hidden" }, `Answer ${letter}`),
  );
  return make("article", { class: "answer", "aria-labelledby": name }, heading, text, more);
}
