// A task on the screen: images, conversation, two answers to compare, one to rate or several to rank, and what a person
// has said so far.

import { AnswerPane } from "./answer-pane.js";
import { showConversation } from "./conversation.js";
import { differences } from "./difference.js";
import { part } from "./element.js";
import { Judgement } from "./judgement.js";
import { Marking } from "./marking.js";
import { announce, whisper } from "./notice.js";
import { Pictures } from "./pictures.js";
import { Ranking } from "./ranking.js";
import { Rating } from "./rating.js";
import { Several } from "./several.js";

/** Fires `change` whenever the person changes anything. */
export class Comparison extends EventTarget {
  #pictures = new Pictures();
  #panes = [new AnswerPane("a"), new AnswerPane("b")];
  #judgement;
  #rating;
  #ranking;
  #several = new Several();
  #isRated = false;
  #isRanked = false;
  #marking;
  #note = part("note");
  #diffButton = part("diff");

  constructor(project) {
    super();
    this.#judgement = new Judgement(project.questions);
    this.#rating = new Rating(project.scale);
    this.#ranking = new Ranking(project.ranking);
    this.#marking = new Marking({
      panes: this.#panes,
      types: project.mark_types,
      maxMarks: project.limits.marks,
      button: part("mark"),
      announce: whisper,
    });
    const changed = () => this.dispatchEvent(new Event("change"));
    const sources = [this.#judgement, this.#rating, this.#ranking, ...this.#panes];
    for (const source of sources) source.addEventListener("change", changed);
    this.#note.addEventListener("input", changed);
    this.#diffButton.addEventListener("click", () => this.toggleDifferences());
  }

  /** Shows a task with its loaded images and what was said about it already. */
  show({ turns, answers }, images, said) {
    this.#marking.stop();
    this.#pictures.show(images);
    showConversation(turns);
    this.#isRated = answers.b === null;
    this.#isRanked = answers.more.length > 0;
    part("text-b").closest("article").hidden = this.#isRated;
    part("pair").hidden = part("mark").hidden = this.#isRanked;
    this.#diffButton.hidden = !this.#isCompared;
    for (const pane of this.#panes) {
      const marks = (said?.marks ?? []).filter(({ answer }) => answer === pane.which);
      const text = this.#isRanked ? "" : (answers[pane.which] ?? "");
      pane.show(text, marks, said?.corrections?.[pane.which]);
    }
    const several = this.#isRanked ? [answers.a, answers.b, ...answers.more] : [];
    this.#several.show(several);
    this.#judgement.ask(this.#isCompared, { first: said?.first, second: said?.second });
    this.#rating.ask(this.#isRated, { rating: said?.rating });
    this.#ranking.ask(this.#isRanked, several.length, { ranking: said?.ranking });
    this.#note.value = said?.note ?? "";
    this.#note.closest("details").open = this.#note.value !== "";
    if (this.#showsDifferences && this.#isCompared) this.#drawDifferences();
  }

  get #isCompared() {
    return !this.#isRated && !this.#isRanked;
  }

  /** What is asked for now: both questions, a rating, or an order. */
  get #asked() {
    if (this.#isRanked) return this.#ranking;
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
      digit: (digit) => this.#digit(digit),
      mark: () => this.#marking.step(),
      diff: () => this.toggleDifferences(),
    };
  }

  /** Takes the last pick back; says whether there was one. */
  unpick() {
    return this.#asked.unpick();
  }

  #pick(pick) {
    if (this.#isCompared) this.#judgement.pick(pick);
    else if (this.#isRanked && pick === "tie") this.#ranking.tie();
  }

  /** Digits are ratings, or the answers that are put in order; says whether this one is. */
  #digit(digit) {
    if (this.#isRanked) return this.#ranking.toggle(digit - 1);
    return this.#isRated && this.#rating.pick(digit);
  }

  /** Ends marking. */
  stopMarking() {
    this.#marking.stop();
  }

  /** Shows or hides where the answers differ; stays as it is for the next task. */
  toggleDifferences() {
    if (!this.#isCompared) return;
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
