// One of the two answers: its text, the words marked in it, and what the person would have written instead.

import { AnswerText } from "./answer-text.js";
import { make, part } from "./element.js";

/** Answer `a` or `b`. Fires `change` when marks or the correction change, and `removed` with the mark in `detail`. */
export class AnswerPane extends EventTarget {
  #list;
  #details;
  #field;
  #marks = [];

  constructor(which) {
    super();
    this.which = which;
    this.name = which.toUpperCase();
    this.text = new AnswerText(part(`text-${which}`), part(`more-${which}`));
    this.#list = part(`marks-${which}`);
    this.#field = part(`correction-${which}`);
    this.#details = this.#field.closest("details");
    this.#field.addEventListener("input", () => this.dispatchEvent(new Event("change")));
  }

  /** Shows an answer with the marks and the correction it has already. */
  show(text, marks, correction) {
    this.text.show(text);
    this.#field.value = correction ?? "";
    this.#details.open = this.#field.value !== "";
    this.#setMarks(marks.map(({ start, end, type }) => ({ start, end, type })));
  }

  /** The marks, each with the name of this answer. */
  get marks() {
    return this.#marks.map((mark) => ({ answer: this.which, ...mark }));
  }

  /** The correction, or null. */
  get correction() {
    return this.#field.value.trim() === "" ? null : this.#field.value;
  }

  /** Marks a span; the same span gets the new type instead of its old one. */
  mark({ start, end }, type) {
    const others = this.#marks.filter((mark) => mark.start !== start || mark.end !== end);
    this.#setMarks([...others, { start, end, type }].sort((x, y) => x.start - y.start || x.end - y.end));
    this.dispatchEvent(new Event("change"));
  }

  /** The marks that share characters with a span. */
  marksIn({ start, end }) {
    return this.#marks.filter((mark) => mark.start < end && start < mark.end);
  }

  /** Takes marks away. */
  unmark(marks) {
    this.#setMarks(this.#marks.filter((mark) => !marks.includes(mark)));
    this.dispatchEvent(new Event("change"));
  }

  #setMarks(marks) {
    this.#marks = marks;
    this.text.decorate({ marks });
    this.#list.replaceChildren(...marks.map((mark) => this.#entry(mark)));
    this.#list.hidden = marks.length === 0;
  }

  #entry(mark) {
    const words = shortened(this.text.slice(mark.start, mark.end));
    const remove = () => {
      this.unmark([mark]);
      this.text.element.focus();
      this.dispatchEvent(new CustomEvent("removed", { detail: mark }));
    };
    const button = make(
      "button",
      { type: "button", class: "quiet", "aria-label": `Remove mark: ${words}`, click: remove },
      "×",
    );
    return make("li", {}, make("span", { class: "tag" }, mark.type), make("q", { dir: "auto" }, words), button);
  }
}

/** As much of a text as is needed to recognise it. */
export function shortened(text, most = 60) {
  const characters = Array.from(text.replace(/\s+/gu, " "));
  return characters.length <= most ? characters.join("") : `${characters.slice(0, most - 1).join("")}…`;
}
