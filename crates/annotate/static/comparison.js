// A task on the screen: images, conversation, two answers to compare or one to rate, and what a person has said so far.

import { AnswerPane } from "./answer-pane.js";
import { showConversation } from "./conversation.js";
import { differences } from "./difference.js";
import { part } from "./element.js";
import { Judgement } from "./judgement.js";
import { Marking } from "./marking.js";
import { announce, whisper } from "./notice.js";
import { Pictures } from "./pictures.js";
import { Rating } from "./rating.js";

/** Fires `change` whenever the person changes anything. */
export class Comparison extends EventTarget {
  #pictures = new Pictures();
  #panes = [new AnswerPane("a"), new AnswerPane("b")];
  #judgement;
  #rating;
  #isRated = false;
  #marking;
  #note = part("note");
  #diffButton = part("diff");

  constructor(project) {
    super();
    this.#judgement = new Judgement(project.questions);
    this.#rating = new Rating(project.scale);
    this.#marking = new Marking({
      panes: this.#panes,
      types: project.mark_types,
      maxMarks: project.limits.marks,
      button: part("mark"),
      announce: whisper,
    });
    const changed = () => this.dispatchEvent(new Event("change"));
    for (const source of [this.#judgement, this.#rating, ...this.#panes]) source.addEventListener("change", changed);
    this.#note.addEventListener("input", changed);
    this.#diffButton.addEventListener("click", () => this.toggleDifferences());
  }

  /** Shows a task with its loaded images and what was said about it already. */
  show({ turns, answers }, images, said) {
    this.#marking.stop();
    this.#pictures.show(images);
    showConversation(turns);
    this.#isRated = answers.b === null;
    part("text-b").closest("article").hidden = this.#diffButton.hidden = this.#isRated;
    for (const pane of this.#panes) {
      const marks = (said?.marks ?? []).filter(({ answer }) => answer === pane.which);
      pane.show(answers[pane.which] ?? "", marks, said?.corrections?.[pane.which]);
    }
    this.#judgement.ask(!this.#isRated, { first: said?.first, second: said?.second });
    this.#rating.ask(this.#isRated, { rating: said?.rating });
    this.#note.value = said?.note ?? "";
    this.#note.closest("details").open = this.#note.value !== "";
    if (this.#showsDifferences && !this.#isRated) this.#drawDifferences();
  }

  /** What is asked for now: both questions, or a rating. */
  get #asked() {
    return this.#isRated ? this.#rating : this.#judgement;
  }

  /** What has been said so far, as the server's `Draft`; an `Answer` once `isComplete`. */
  get value() {
    const [a, b] = this.#panes;
    return {
      ...this.#asked.value,
      marks: [...a.marks, ...b.marks],
      corrections: { a: a.correction, b: b.correction },
      note: this.#note.value.trim() === "" ? null : this.#note.value,
    };
  }

  /** Whether an image did not come: what nobody saw is not judged. */
  get lacksImage() {
    return this.#pictures.hasFailed;
  }

  /** Whether all questions are answered. */
  get isComplete() {
    return this.#asked.isComplete;
  }

  /** What is still to be done before it can be sent. */
  get missing() {
    return this.#asked.missing;
  }

  /** What the keys for picking, marking and differences do. */
  get handlers() {
    return {
      a: () => this.#pick("a"),
      b: () => this.#pick("b"),
      tie: () => this.#pick("tie"),
      digit: (digit) => this.#isRated && this.#rating.pick(digit),
      mark: () => this.#marking.step(),
      diff: () => this.toggleDifferences(),
    };
  }

  /** Takes the last pick back; says whether there was one. */
  unpick() {
    return this.#asked.unpick();
  }

  #pick(pick) {
    if (!this.#isRated) this.#judgement.pick(pick);
  }

  /** Ends marking. */
  stopMarking() {
    this.#marking.stop();
  }

  /** Shows or hides where the answers differ; stays as it is for the next task. */
  toggleDifferences() {
    if (this.#isRated) return;
    const shows = !this.#showsDifferences;
    this.#diffButton.setAttribute("aria-pressed", String(shows));
    if (shows) this.#drawDifferences();
    else for (const pane of this.#panes) pane.text.decorate({ differences: [] });
  }

  get #showsDifferences() {
    return this.#diffButton.getAttribute("aria-pressed") === "true";
  }

  #drawDifferences() {
    const [a, b] = this.#panes;
    const found = differences(a.text.words, b.text.words);
    if (found === null) {
      announce("These answers are too long to compare word by word.");
      return;
    }
    a.text.decorate({ differences: found.a });
    b.text.decorate({ differences: found.b });
    const n = found.a.length + found.b.length;
    whisper(n === 0 ? "The answers have the same words." : `${n} differences are underlined.`);
  }
}
