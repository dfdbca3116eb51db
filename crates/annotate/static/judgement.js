// The protocol's two questions: which answer says fewer false things, and only after a tie, which helps more.

import { part } from "./element.js";

const QUESTIONS = ["first", "second"];

/** Fires `change` whenever another answer is picked. */
export class Judgement extends EventTarget {
  #fields = QUESTIONS.map((name) => part(`question-${name}`));
  #settled = part("settled");

  /** `questions` has the wording, as `/api/project` has it. */
  constructor(questions) {
    super();
    QUESTIONS.forEach((name, i) => {
      const field = this.#fields[i];
      field.querySelector("legend").textContent = questions[name].text;
      for (const input of field.querySelectorAll("input")) {
        input.nextElementSibling.textContent = questions[name][input.value];
        input.addEventListener("change", () => this.#changed());
      }
    });
    part("settled-question").textContent = questions.first.text;
    part("settled-text").textContent = questions.first.tie;
    part("settled-change").addEventListener("click", () => {
      this.show({});
      this.#fields[0].querySelector("input").focus();
      this.dispatchEvent(new Event("change"));
    });
  }

  /** What is picked: `first` and `second`, null where nothing is. */
  get value() {
    const first = this.#picked(0);
    return { first, second: first === "tie" ? this.#picked(1) : null };
  }

  /** Whether both questions that have to be answered are. */
  get isComplete() {
    const { first, second } = this.value;
    return first !== null && (first !== "tie" || second !== null);
  }

  /** What is still to be done. */
  get missing() {
    return this.value.first === "tie" ? "Please answer the second question too." : "Please pick an answer first.";
  }

  /** Asks both questions, of which some may be answered already, or stops asking. */
  ask(isAsked, said = {}) {
    this.show(said);
    if (isAsked) return;
    this.#settled.hidden = true;
    for (const field of this.#fields) field.hidden = true;
  }

  /** Sets both answers, without firing. */
  show({ first = null, second = null }) {
    [first, second].forEach((pick, i) => {
      for (const input of this.#fields[i].querySelectorAll("input")) input.checked = input.value === pick;
    });
    this.#arrange();
  }

  /** Answers the question that is being asked: the first, or the second once the first is a tie. */
  pick(pick) {
    const asked = this.value.first === "tie" ? 1 : 0;
    const input = this.#fields[asked].querySelector(`input[value="${pick}"]`);
    input.checked = true;
    this.#changed();
  }

  /** Takes the last pick back. Says whether there was one. */
  unpick() {
    const { first, second } = this.value;
    if (first === null) return false;
    this.show(second === null ? {} : { first });
    this.dispatchEvent(new Event("change"));
    return true;
  }

  #picked(i) {
    return this.#fields[i].querySelector("input:checked")?.value ?? null;
  }

  #changed() {
    if (this.#picked(0) !== "tie") for (const input of this.#fields[1].querySelectorAll("input")) input.checked = false;
    this.#arrange();
    this.dispatchEvent(new Event("change"));
  }

  /** One question at a time: after a tie the second stands where the first was. */
  #arrange() {
    const isTie = this.#picked(0) === "tie";
    const hadFocus = this.#fields[0].contains(document.activeElement);
    this.#settled.hidden = !isTie;
    this.#fields[0].hidden = isTie;
    this.#fields[1].hidden = !isTie;
    if (isTie && hadFocus) this.#fields[1].querySelector("input").focus();
  }
}
