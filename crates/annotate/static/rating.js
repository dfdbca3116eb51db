// The rating of an answer that is shown by itself, from 0 to 6.

import { make, part } from "./element.js";

/** Fires `change` whenever another rating is picked. */
export class Rating extends EventTarget {
  #field = part("question-rating");
  #meaning = part("rating-meaning");
  #scale = part("scale");
  #ratings;

  /** `scale` has the wording, as `/api/project` has it. */
  constructor({ text, ratings }) {
    super();
    this.#ratings = ratings;
    this.#field.querySelector("legend").textContent = text;
    part("ratings").replaceChildren(...ratings.map((meaning, rating) => this.#pickOf(meaning, rating)));
    const line = (meaning, rating) => make("li", {}, make("b", {}, String(rating)), ` ${meaning}`);
    part("scale-lines").replaceChildren(...ratings.map(line).reverse());
  }

  /** What is picked: `rating`, null where nothing is. */
  get value() {
    const picked = this.#field.querySelector("input:checked");
    return { rating: picked === null ? null : Number(picked.value) };
  }

  /** Whether a rating is picked. */
  get isComplete() {
    return this.value.rating !== null;
  }

  /** What is still to be done. */
  get missing() {
    return "Please rate the answer first.";
  }

  /** Asks for a rating, of which one may be picked already, or stops asking. */
  ask(isAsked, { rating = null } = {}) {
    this.#field.hidden = this.#scale.hidden = !isAsked;
    for (const input of this.#field.querySelectorAll("input")) input.checked = Number(input.value) === rating;
    this.#explain();
  }

  /** Picks a rating; says whether there is such a one. */
  pick(rating) {
    const input = this.#field.querySelector(`input[value="${rating}"]`);
    if (input === null) return false;
    input.checked = true;
    this.#changed();
    return true;
  }

  /** Takes the pick back. Says whether there was one. */
  unpick() {
    if (!this.isComplete) return false;
    this.ask(true);
    this.dispatchEvent(new Event("change"));
    return true;
  }

  #pickOf(meaning, rating) {
    const input = make("input", { type: "radio", name: "rating", value: rating, change: () => this.#changed() });
    const words = make("span", {}, String(rating), make("span", { class: "visually-hidden" }, `: ${meaning}`));
    return make("label", { class: "pick", title: meaning }, input, words);
  }

  #changed() {
    this.#explain();
    this.dispatchEvent(new Event("change"));
  }

  #explain() {
    const { rating } = this.value;
    this.#meaning.textContent = rating === null ? "" : this.#ratings[rating];
  }
}
