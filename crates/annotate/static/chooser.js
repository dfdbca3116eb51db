// Asks what is false about the words that are being marked.

import { shortened } from "./answer-pane.js";
import { make, part } from "./element.js";
import { isTextField } from "./keys.js";

/** Space between the words and the panel, in pixels. */
const GAP = 8;

/**
 * The panel with the types of marks. Fires `chosen` (the type in `detail`), `removed`, `widened` (-1 or 1 in `detail`)
 * and `cancelled`.
 */
export class Chooser extends EventTarget {
  #panel = part("chooser");
  #words = part("chooser-words");
  #buttons;
  #remove;
  #widen;

  constructor(types) {
    super();
    const tell = (name, detail) => () => this.dispatchEvent(new CustomEvent(name, { detail }));
    this.#buttons = types.map((type, i) =>
      make("button", { type: "button", click: tell("chosen", type) }, make("kbd", {}, String(i + 1)), ` ${type}`),
    );
    this.#widen = [
      make("button", { type: "button", class: "quiet", click: tell("widened", -1) }, "+ word before"),
      make("button", { type: "button", class: "quiet", click: tell("widened", 1) }, "+ word after"),
    ];
    this.#remove = make("button", { type: "button", class: "quiet", click: tell("removed") }, "Remove mark");
    const cancel = make(
      "button",
      { type: "button", class: "quiet", click: tell("cancelled") },
      make("kbd", {}, "Esc"),
      " Stop",
    );
    part("chooser-types").replaceChildren(...this.#buttons);
    part("chooser-actions").replaceChildren(...this.#widen, this.#remove, cancel);
    // A press on the panel must not take the selection away.
    this.#panel.addEventListener("pointerdown", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => this.#press(event), { capture: true });
  }

  /** Whether the panel is on the screen. */
  get isOpen() {
    return !this.#panel.hidden;
  }

  /** Shows the panel for words: below the text they are in, or below the words themselves where the text is too long. */
  open(words, { ofText, ofWords }, { hasMarks, canWiden }) {
    this.#words.textContent = shortened(words);
    this.#remove.hidden = !hasMarks;
    for (const button of this.#widen) button.hidden = !canWiden;
    this.#panel.hidden = false;
    const { width, height } = this.#panel.getBoundingClientRect();
    const fitsBelow = (rectangle) => rectangle.bottom + height + 2 * GAP < window.innerHeight;
    const anchor = fitsBelow(ofText) ? ofText : ofWords;
    const top = fitsBelow(anchor) ? anchor.bottom + GAP : anchor.top - height - GAP;
    const left = Math.min(anchor.left, window.innerWidth - width - GAP);
    this.#panel.style.setProperty("--top", `${Math.max(GAP, top)}px`);
    this.#panel.style.setProperty("--left", `${Math.max(GAP, left)}px`);
  }

  /** Hides the panel. */
  close() {
    this.#panel.hidden = true;
  }

  /** Brings the keyboard to the types. */
  focus() {
    this.#buttons[0].focus();
  }

  /** Digits choose and Escape cancels wherever the keyboard is, except where a person writes. */
  #press(event) {
    if (!this.isOpen || event.ctrlKey || event.altKey || event.metaKey || isTextField(event.target)) return;
    const button = /^[1-9]$/.test(event.key) ? this.#buttons[Number(event.key) - 1] : undefined;
    if (button === undefined && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (button) button.click();
    else this.dispatchEvent(new CustomEvent("cancelled"));
  }
}
