// Shows a text that a model wrote, with spans of it decorated, and finds out which characters a person selected.
//
// The text is cut into pieces, elements that know the code point they start at. Long texts are shown in parts, because
// a browser lays out a megabyte without an end in minutes.

import { codePoints, countCodePoints, visibleName } from "./characters.js";
import { make } from "./element.js";
import { wordsOf } from "./words.js";

/** Code points shown at first, and added with each request for more. */
const PART_CHARS = 8_000;

/** A text inside an element of the page. */
export class AnswerText {
  #element;
  #more;
  #characters = [];
  #shown = 0;
  #words = null;
  #decorations = { marks: [], differences: [], pending: null };

  /** Shows texts in `element`; `more` is the button that asks for the next part of a long one. */
  constructor(element, more) {
    this.#element = element;
    this.#more = more;
    more.addEventListener("click", () => this.#showMore());
  }

  /** The element that holds the text. */
  get element() {
    return this.#element;
  }

  /** Shows another text, without decorations. */
  show(text) {
    this.#characters = codePoints(text);
    this.#shown = Math.min(this.#characters.length, PART_CHARS);
    this.#words = null;
    this.#decorations = { marks: [], differences: [], pending: null };
    this.#draw();
  }

  /** Changes decorations: `marks` with their `type`, `differences`, and the `pending` span that is being marked. */
  decorate(decorations) {
    this.#decorations = { ...this.#decorations, ...decorations };
    this.#draw();
  }

  /** The words of the shown part. */
  get words() {
    this.#words ??= wordsOf(this.slice(0, this.#shown));
    return this.#words;
  }

  /** The characters from `start` to `end`. */
  slice(start, end) {
    return this.#characters.slice(start, end).join("");
  }

  /** The span that the person has selected with the mouse or a finger, without the spaces around it, or null. */
  selectedSpan() {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed || selection.rangeCount === 0) return null;
    const range = selection.getRangeAt(0);
    if (!this.#element.contains(range.startContainer) || !this.#element.contains(range.endContainer)) return null;
    let start = this.#offsetOf(range.startContainer, range.startOffset);
    let end = this.#offsetOf(range.endContainer, range.endOffset);
    while (start < end && this.#characters[start].trim() === "") start += 1;
    while (end > start && this.#characters[end - 1].trim() === "") end -= 1;
    return start < end ? { start, end } : null;
  }

  /** Where the characters from `start` to `end` are on the screen. */
  rectangleOf({ start, end }) {
    const range = document.createRange();
    range.setStart(...this.#positionOf(start));
    range.setEnd(...this.#positionOf(end));
    const rectangles = range.getClientRects();
    return rectangles.length > 0 ? rectangles[0] : range.getBoundingClientRect();
  }

  #showMore() {
    this.#shown = Math.min(this.#characters.length, this.#shown + PART_CHARS);
    this.#words = null;
    this.#draw();
  }

  #draw() {
    this.#element.replaceChildren(...this.#pieces());
    const total = this.#characters.length;
    this.#more.hidden = this.#shown === total;
    const [shown, all] = [this.#shown, total].map((n) => n.toLocaleString("en"));
    this.#more.textContent = `Show more (${shown} of ${all} characters so far)`;
  }

  *#pieces() {
    const { marks, differences, pending } = this.#decorations;
    const spans = [...marks, ...differences, ...(pending ? [pending] : [])];
    const cuts = new Set([0, this.#shown]);
    for (const { start, end } of spans) {
      cuts.add(Math.min(start, this.#shown));
      cuts.add(Math.min(end, this.#shown));
    }
    const sorted = [...cuts].sort((x, y) => x - y);
    for (let i = 0; i + 1 < sorted.length; i += 1) yield* this.#piece(sorted[i], sorted[i + 1]);
  }

  *#piece(start, end) {
    const covers = (span) => span !== null && span.start <= start && end <= span.end;
    const types = this.#decorations.marks.filter(covers);
    const looks = [
      types.length > 0 && "is-marked",
      this.#decorations.differences.some(covers) && "is-different",
      covers(this.#decorations.pending) && "is-pending",
    ].filter(Boolean);
    const endsMark = types.some((mark) => mark.end === end);
    const tag = types.length > 0 ? "mark" : "span";
    const look = looks.join(" ");
    let last = null;
    for (const { from, to, name } of this.#runs(start, end)) {
      last =
        name === null
          ? make(tag, { class: look || null, "data-start": from }, this.slice(from, to))
          : make(tag, { class: `control ${look}`, "data-start": from, "data-single": true }, name);
      yield last;
    }
    if (endsMark) last.dataset.types = types.map((mark) => mark.type).join(", ");
  }

  /** Cuts a span into runs of harmless characters and single characters that need a `name`. */
  *#runs(start, end) {
    let from = start;
    for (let at = start; at < end; at += 1) {
      const name = visibleName(this.#characters[at]);
      if (name === null) continue;
      if (from < at) yield { from, to: at, name: null };
      yield { from: at, to: at + 1, name };
      from = at + 1;
    }
    if (from < end) yield { from, to: end, name: null };
  }

  /** The character at a point of the window, or null. */
  characterAt(x, y) {
    const position = document.caretPositionFromPoint?.(x, y);
    const range = position ? null : document.caretRangeFromPoint?.(x, y);
    const node = position?.offsetNode ?? range?.startContainer;
    if (!node || !this.#element.contains(node)) return null;
    return this.#offsetOf(node, position?.offset ?? range.startOffset);
  }

  #offsetOf(node, offset) {
    if (node === this.#element) {
      const next = node.childNodes[offset];
      return next === undefined ? this.#shown : Number(next.dataset.start);
    }
    const piece = (node instanceof Element ? node : node.parentElement).closest("[data-start]");
    const start = Number(piece.dataset.start);
    if ("single" in piece.dataset) return offset === 0 ? start : start + 1;
    if (node instanceof Element) return offset === 0 ? start : start + countCodePoints(piece.textContent);
    return start + countCodePoints(node.data.slice(0, offset));
  }

  #positionOf(offset) {
    let found = null;
    for (const piece of this.#element.children) {
      if (Number(piece.dataset.start) > offset) break;
      found = piece;
    }
    if (found === null) return [this.#element, 0];
    const within = offset - Number(found.dataset.start);
    if ("single" in found.dataset) return [found, Math.min(within, 1)];
    const text = codePoints(found.textContent).slice(0, within).join("");
    return [found.firstChild, text.length];
  }
}
