// Marks false words: select them with the mouse or a finger, tap them in marking mode, or walk to them with the caret.
// Either way a span is pending until its type is chosen.

import { WordCaret } from "./caret.js";
import { Chooser } from "./chooser.js";
import { shortened } from "./answer-pane.js";

/** A selection counts once it has stood still for so long: fingers and Shift+arrows change it many times. */
const SETTLED_MS = 250;

/** Marking in both answers. `announce` tells people who do not see the screen what happens. */
export class Marking extends EventTarget {
  #panes;
  #chooser;
  #announce;
  #button;
  #maxMarks;
  #pane = null;
  #span = null;
  #caret = null;
  #timer = 0;
  #isPressed = false;
  #before = null;

  constructor({ panes, types, maxMarks, button, announce }) {
    super();
    this.#panes = panes;
    this.#announce = announce;
    this.#button = button;
    this.#maxMarks = maxMarks;
    this.#chooser = new Chooser(types);
    this.#chooser.addEventListener("chosen", ({ detail }) => this.#choose(detail));
    this.#chooser.addEventListener("removed", () => this.#unmark());
    this.#chooser.addEventListener("widened", ({ detail }) => this.#widen(detail));
    this.#chooser.addEventListener("cancelled", () => this.stop());
    button.addEventListener("click", () => this.step());
    for (const pane of panes) this.#listen(pane);
    document.addEventListener("selectionchange", () => this.#selectionChanged());
    document.addEventListener("pointerdown", () => (this.#isPressed = true));
    for (const name of ["pointerup", "pointercancel"]) {
      document.addEventListener(name, () => {
        this.#isPressed = false;
        this.#selectionChanged();
      });
    }
    window.addEventListener("scroll", () => this.#place(), { passive: true });
  }

  /** Begins at the first answer, goes on to the second, and ends: what the key for marking does. */
  step() {
    const next = this.#caret === null ? 0 : this.#panes.indexOf(this.#pane) + 1;
    const pane = this.#panes.slice(next).find(({ text }) => text.words.length > 0);
    if (pane === undefined) this.stop();
    else this.#enter(pane);
  }

  /** Ends marking; nothing is pending any more. */
  stop() {
    if (this.#pane === null) return;
    const wasCaret = this.#caret !== null;
    this.#leavePane();
    this.#chooser.close();
    document.getSelection()?.removeAllRanges();
    this.#button.setAttribute("aria-pressed", "false");
    if (wasCaret) {
      this.#announce("Marking ended.");
      if (this.#before?.isConnected) this.#before.focus();
    }
    this.#before = null;
  }

  #listen(pane) {
    pane.text.element.addEventListener("keydown", (event) => {
      if (this.#caret === null || this.#pane !== pane) return;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key === "Enter") this.#chooser.focus();
      else if (event.key === "Delete" || event.key === "Backspace") this.#unmark();
      else if (this.#caret.press(event.key, event.shiftKey)) this.#caretMoved();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    pane.text.element.addEventListener("click", (event) => {
      if (this.#caret === null || !document.getSelection()?.isCollapsed) return;
      const at = pane.text.characterAt(event.clientX, event.clientY);
      if (at === null) return;
      if (this.#pane !== pane) this.#enter(pane);
      this.#caret.goTo(at);
      this.#caretMoved();
    });
    pane.addEventListener("removed", ({ detail }) =>
      this.#announce(`Mark removed: ${shortened(pane.text.slice(detail.start, detail.end))}`),
    );
  }

  #enter(pane) {
    this.#before ??= document.activeElement;
    this.#leavePane();
    document.getSelection()?.removeAllRanges();
    this.#pane = pane;
    this.#caret = new WordCaret(pane.text);
    const { element } = pane.text;
    // Screen readers keep the arrow keys for themselves elsewhere.
    element.setAttribute("role", "application");
    element.focus({ preventScroll: true });
    this.#button.setAttribute("aria-pressed", "true");
    this.#announce(
      `Marking answer ${pane.name}. Arrows go from word to word, with Shift they take more words; ` +
        "a digit says what is false; Escape ends.",
    );
    this.#caretMoved(false);
  }

  #leavePane() {
    if (this.#pane === null) return;
    this.#pane.text.element.setAttribute("role", "group");
    this.#pane.text.decorate({ pending: null });
    this.#pane = this.#span = this.#caret = null;
  }

  #caretMoved(speak = true) {
    this.#span = this.#caret.span;
    const { text } = this.#pane;
    text.decorate({ pending: this.#span });
    const [piece] = text.element.getElementsByClassName("is-pending");
    piece?.scrollIntoView({ block: "nearest" });
    this.#place();
    if (speak) this.#announce(shortened(text.slice(this.#span.start, this.#span.end)));
  }

  #widen(direction) {
    this.#caret.widen(direction);
    this.#caretMoved();
  }

  #selectionChanged() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#takeSelection(), SETTLED_MS);
  }

  #takeSelection() {
    if (this.#isPressed) return;
    for (const pane of this.#panes) {
      const span = pane.text.selectedSpan();
      if (span === null) continue;
      if (this.#caret !== null) this.#leaveCaret();
      this.#pane = pane;
      this.#span = span;
      this.#place();
      this.#announce(`Selected: ${shortened(pane.text.slice(span.start, span.end))}. A digit says what is false.`);
      return;
    }
    if (this.#caret === null && this.#pane !== null) this.stop();
  }

  #leaveCaret() {
    this.#leavePane();
    this.#button.setAttribute("aria-pressed", "false");
  }

  #place() {
    if (this.#span === null) return;
    const { text } = this.#pane;
    const places = { ofText: text.element.getBoundingClientRect(), ofWords: text.rectangleOf(this.#span) };
    this.#chooser.open(text.slice(this.#span.start, this.#span.end), places, {
      hasMarks: this.#pane.marksIn(this.#span).length > 0,
      canWiden: this.#caret !== null,
    });
  }

  #choose(type) {
    const n = this.#panes.reduce((sum, { marks }) => sum + marks.length, 0);
    if (n >= this.#maxMarks) {
      this.#announce(`There are ${n} marks already; mark fewer, longer spans.`);
      return;
    }
    const [pane, span] = [this.#pane, this.#span];
    pane.mark(span, type);
    const words = shortened(pane.text.slice(span.start, span.end));
    if (this.#caret === null) {
      this.stop();
    } else {
      pane.text.element.focus({ preventScroll: true });
      this.#caret.leaveSpan();
      this.#caretMoved(false);
    }
    this.#announce(`Marked as false ${type}: ${words}`);
  }

  #unmark() {
    const marks = this.#pane.marksIn(this.#span);
    if (marks.length === 0) return;
    this.#pane.unmark(marks);
    this.#announce(marks.length === 1 ? "Mark removed." : `${marks.length} marks removed.`);
    if (this.#caret === null) this.stop();
    else this.#place();
  }
}
