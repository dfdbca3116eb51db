// The order of three answers or more: chips that are put in order by digits, by clicks, by dragging, or by the arrow keys.

import { make, part } from "./element.js";
import { whisper } from "./notice.js";
import { letterOf } from "./several.js";

/** A pointer that moved less than this has clicked. */
const DRAG_PX = 6;
/** Where the arrow keys move an answer that has the focus. */
const ARROWS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** Fires `change` whenever the order is another. */
export class Ranking extends EventTarget {
  #field = part("question-ranking");
  #ranked = part("ranked");
  #unranked = part("unranked");
  #moves = part("ranking-moves");
  #allowsTies;
  #n = 0;
  /** From the best: lists of answers, by their places; those of one list are alike. */
  #groups = [];
  /** Whether the next answer shares the last rank. */
  #joins = false;
  /** The answer that the buttons move. */
  #chosen = null;
  #drag = null;
  #hasDragged = false;

  /** `text` and `ties` are the project's, as `/api/project` has them. */
  constructor({ text, ties }) {
    super();
    this.#allowsTies = ties;
    this.#field.querySelector("legend").textContent = text;
    part("ranking-better").addEventListener("click", () => this.#move(this.#chosen, -1));
    part("ranking-worse").addEventListener("click", () => this.#move(this.#chosen, 1));
    part("ranking-tie").hidden = !ties;
    part("ranking-tie").addEventListener("click", () => this.#join(this.#chosen));
    part("ranking-out").addEventListener("click", () => this.#takeOut(this.#chosen));
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    this.#field.addEventListener("pointerdown", (event) => this.#grab(event));
    this.#field.addEventListener("pointermove", (event) => this.#pull(event));
    this.#field.addEventListener("pointerup", (event) => this.#drop(event));
    this.#field.addEventListener("pointercancel", () => this.#forget());
  }

  /** What is said: `ranking` has the rank of each answer from 1, the best, and 0 where it has none yet. */
  get value() {
    const rank = (answer) => 1 + this.#groups.findIndex((group) => group.includes(answer));
    return { ranking: Array.from({ length: this.#n }, (_, answer) => rank(answer)) };
  }

  /** Whether every answer has a rank. */
  get isComplete() {
    return this.#n > 0 && this.#groups.flat().length === this.#n;
  }

  /** What is still to be done. */
  get missing() {
    return "Please put all answers in order first.";
  }

  /** Asks for the order of `n` answers, some of which may have their ranks already, or stops asking. */
  ask(isAsked, n = 0, { ranking = null } = {}) {
    this.#forget();
    this.#field.hidden = !isAsked;
    this.#n = isAsked ? n : 0;
    this.#joins = false;
    this.#chosen = null;
    const ranks = Array.from({ length: this.#n }, (_, answer) => ranking?.[answer] ?? 0);
    const groups = ranks.map((_, i) => [...ranks.keys()].filter((answer) => ranks[answer] === i + 1));
    this.#groups = groups.filter((group) => group.length > 0);
    this.#draw();
  }

  /** Gives an answer the next rank, or takes it out where it has one. Says whether there is such an answer. */
  toggle(answer) {
    if (answer < 0 || answer >= this.#n) return false;
    if (this.#isRanked(answer)) this.#takeOut(answer);
    else this.#append(answer);
    return true;
  }

  /** Lets the next answer share the last rank, or not after all. */
  tie() {
    if (!this.#allowsTies) {
      whisper("Each answer has a rank of its own here.");
    } else if (this.#groups.length > 0 && !this.isComplete) {
      this.#joins = !this.#joins;
      whisper(this.#joins ? "The next answer shares the last rank." : "The next answer has a rank of its own.");
      this.#draw();
    }
  }

  /** Takes the answer with the last rank out. Says whether there was one. */
  unpick() {
    const last = this.#groups.at(-1)?.at(-1);
    if (last === undefined) return false;
    this.#takeOut(last);
    return true;
  }

  #isRanked(answer) {
    return this.#groups.some((group) => group.includes(answer));
  }

  #groupOf(answer) {
    return this.#groups.findIndex((group) => group.includes(answer));
  }

  #append(answer) {
    if (this.#joins) this.#groups.at(-1).push(answer);
    else this.#groups.push([answer]);
    this.#changed(answer);
  }

  #takeOut(answer) {
    const hadFocus = this.#moves.contains(document.activeElement);
    this.#remove(answer);
    this.#chosen = null;
    this.#changed(answer);
    if (hadFocus) this.#focus(answer);
  }

  #remove(answer) {
    const rest = this.#groups.map((group) => group.filter((other) => other !== answer));
    this.#groups = rest.filter((group) => group.length > 0);
  }

  #focus(answer) {
    this.#field.querySelector(`.chip[data-answer="${answer}"]`)?.focus();
  }

  /** Makes an answer better or worse by one rank: out of those that it shares a rank with, or past its neighbours. */
  #move(answer, step) {
    const at = this.#groupOf(answer);
    if (at < 0) return;
    const isAlone = this.#groups[at].length === 1;
    const to = isAlone ? at + step : at + (step + 1) / 2;
    if (isAlone && (to < 0 || to >= this.#groups.length)) return;
    this.#remove(answer);
    this.#groups.splice(to, 0, [answer]);
    this.#changed(answer);
  }

  /** Lets an answer share the rank before its own, or have one of its own again. */
  #join(answer) {
    const at = this.#groupOf(answer);
    if (!this.#allowsTies || at < 0) return;
    if (this.#groups[at].length > 1) {
      this.#remove(answer);
      this.#groups.splice(at + 1, 0, [answer]);
    } else if (at > 0) {
      this.#groups[at - 1].push(answer);
      this.#groups.splice(at, 1);
    } else {
      return;
    }
    this.#changed(answer);
  }

  #changed(answer) {
    this.#joins = false;
    this.#draw();
    const rank = this.value.ranking[answer];
    const letter = letterOf(answer);
    const place = rank === 0 ? "is out of the order" : `has rank ${rank} of ${this.#groups.length}`;
    whisper(`Answer ${letter} ${place}.`);
    this.dispatchEvent(new Event("change"));
  }

  #press(event) {
    const answer = answerOf(event.target);
    if (answer === null || !this.#isRanked(answer)) return;
    if (event.key in ARROWS) this.#move(answer, ARROWS[event.key]);
    else if (event.key === "Delete") this.#takeOut(answer);
    else return;
    event.preventDefault();
  }

  #click(answer) {
    if (this.#hasDragged) return;
    if (!this.#isRanked(answer)) {
      this.#append(answer);
      return;
    }
    this.#chosen = this.#chosen === answer ? null : answer;
    this.#draw();
  }

  #grab(event) {
    const chip = event.target.closest(".chip");
    this.#hasDragged = false;
    if (chip === null || event.button !== 0) return;
    const box = chip.getBoundingClientRect();
    this.#drag = { chip, answer: answerOf(chip), box, x: event.clientX, y: event.clientY };
  }

  #pull(event) {
    // A button that was released outside the window tells nobody.
    if (this.#drag === null || event.buttons === 0) {
      this.#forget();
      return;
    }
    const { chip, x, y } = this.#drag;
    const [dx, dy] = [event.clientX - x, event.clientY - y];
    if (!this.#hasDragged && Math.hypot(dx, dy) < DRAG_PX) return;
    if (!this.#hasDragged) chip.setPointerCapture(event.pointerId);
    this.#hasDragged = true;
    chip.classList.add("is-dragged");
    chip.style.transform = `translate(${dx}px, ${dy}px)`;
  }

  #drop(event) {
    if (this.#drag === null || !this.#hasDragged) {
      this.#letGo();
      return;
    }
    // The click that the browser makes of a drag comes first.
    setTimeout(() => (this.#hasDragged = false));
    const { answer, box } = this.#drag;
    const { clientX: x, clientY: y } = event;
    const under = document.elementsFromPoint(x, y);
    this.#letGo();
    // It was a click of an unsteady hand.
    if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) return;
    const chip = under.find((element) => element.matches(".chip") && answerOf(element) !== answer);
    const neighbour = chip === undefined ? null : answerOf(chip);
    if (neighbour !== null && this.#isRanked(neighbour)) {
      const { left, width } = chip.getBoundingClientRect();
      this.#remove(answer);
      const at = this.#groupOf(neighbour) + (x > left + width / 2 ? 1 : 0);
      this.#groups.splice(at, 0, [answer]);
      this.#changed(answer);
    } else if (under.includes(this.#ranked)) {
      const next = this.#behind(x, y, answer);
      this.#remove(answer);
      this.#groups.splice(next === undefined ? this.#groups.length : this.#groupOf(next), 0, [answer]);
      this.#changed(answer);
    } else if (under.includes(this.#unranked) && this.#isRanked(answer)) {
      this.#takeOut(answer);
    }
  }

  /** An answer other than `answer` of the first group that stands behind a point of the page, in its line or in one below. */
  #behind(x, y, answer) {
    const others = this.#groups.map((group) => group.find((other) => other !== answer));
    return others.find((other, i) => {
      const { left, width, top, bottom } = this.#ranked.children[i].getBoundingClientRect();
      return other !== undefined && (y < top || (y <= bottom && x < left + width / 2));
    });
  }

  /** Ends a drag that nothing comes of. */
  #forget() {
    this.#letGo();
    this.#hasDragged = false;
  }

  #letGo() {
    if (this.#drag !== null) {
      this.#drag.chip.classList.remove("is-dragged");
      this.#drag.chip.style.transform = "";
    }
    this.#drag = null;
  }

  #draw() {
    const focused = this.#field.contains(document.activeElement) ? answerOf(document.activeElement) : null;
    const ranks = this.value.ranking;
    this.#ranked.replaceChildren(
      ...this.#groups.map((group) => make("li", {}, ...group.map((answer) => this.#chip(answer, ranks[answer])))),
    );
    this.#ranked.classList.toggle("is-joining", this.#joins);
    const rest = [...ranks.keys()].filter((answer) => ranks[answer] === 0);
    this.#unranked.replaceChildren(...rest.map((answer) => make("li", {}, this.#chip(answer, 0))));
    // Also what is empty is dropped into.
    this.#ranked.hidden = this.#n === 0;
    this.#unranked.hidden = rest.length === 0;
    this.#moves.hidden = this.#chosen === null;
    if (focused !== null) this.#focus(focused);
  }

  #chip(answer, rank) {
    const letter = letterOf(answer);
    const others = this.#groups[rank - 1]?.filter((other) => other !== answer) ?? [];
    const alike = others.length === 0 ? "" : `, as ${others.map(letterOf).join(" and ")}`;
    return make(
      "button",
      {
        type: "button",
        class: "chip",
        "data-answer": answer,
        "aria-pressed": rank === 0 ? null : String(this.#chosen === answer),
        click: () => this.#click(answer),
      },
      make("kbd", { "aria-hidden": "true" }, String(answer + 1)),
      unseen(rank === 0 ? "Put answer " : "Answer "),
      letter,
      unseen(rank === 0 ? " next" : `, rank ${rank}${alike}`),
    );
  }
}

/** Words for those who listen. */
function unseen(text) {
  return make("span", { class: "visually-hidden" }, text);
}

/** The answer that a chip stands for, or null. */
function answerOf(element) {
  const chip = element?.closest?.(".chip") ?? null;
  return chip === null ? null : Number(chip.dataset.answer);
}
