// A caret that stands on words, so that false words can be found and marked without a mouse.

/** A run of words of one answer, from an anchor to where the caret is. Moving with `extend` keeps the anchor. */
export class WordCaret {
  #text;
  #anchor;
  #at;

  /** A caret in `text` on the word at index `at`; the text has at least one word. */
  constructor(text, at = 0) {
    this.#text = text;
    this.#anchor = this.#at = Math.max(0, Math.min(at, text.words.length - 1));
  }

  /** The characters under the caret. */
  get span() {
    const [from, to] = [this.#anchor, this.#at].sort((x, y) => x - y);
    return { start: this.#text.words[from].start, end: this.#text.words[to].end };
  }

  /** Goes to the word with that character, or the next one. */
  goTo(character) {
    const found = this.#text.words.findIndex((word) => word.end > character);
    this.#moveTo(found === -1 ? this.#text.words.length - 1 : found, false);
  }

  /** Goes to the word behind the span; says whether there is one. */
  leaveSpan() {
    const last = Math.max(this.#anchor, this.#at);
    this.#moveTo(last + 1, false);
    return last + 1 < this.#text.words.length;
  }

  /** Takes one more word into the span, before it (-1) or after it (1). */
  widen(direction) {
    const [from, to] = [this.#anchor, this.#at].sort((x, y) => x - y);
    this.#anchor = direction < 0 ? to : from;
    this.#moveTo(direction < 0 ? from - 1 : to + 1, true);
  }

  /** Does what a key means; says whether it means anything. */
  press(key, extend) {
    const target = this.#target(key);
    if (target === null) return false;
    this.#moveTo(target, extend);
    return true;
  }

  #target(key) {
    switch (key) {
      case "ArrowRight":
        return this.#at + this.#step;
      case "ArrowLeft":
        return this.#at - this.#step;
      case "ArrowDown":
        return this.#nextLine(1);
      case "ArrowUp":
        return this.#nextLine(-1);
      case "Home":
        return 0;
      case "End":
        return this.#text.words.length - 1;
      default:
        return null;
    }
  }

  /** In text from right to left the next word is on the left. */
  get #step() {
    return getComputedStyle(this.#text.element).direction === "rtl" ? -1 : 1;
  }

  /** The word of the line above or below that is nearest to the caret. */
  #nextLine(direction) {
    const words = this.#text.words;
    const here = this.#text.rectangleOf(words[this.#at]);
    const middle = (rectangle) => rectangle.left + rectangle.width / 2;
    let line = null;
    let best = this.#at;
    let distance = Infinity;
    for (let at = this.#at + direction; at >= 0 && at < words.length; at += direction) {
      const there = this.#text.rectangleOf(words[at]);
      if (Math.abs(there.top - here.top) < here.height / 2) continue;
      line ??= there.top;
      if (Math.abs(there.top - line) > here.height / 2) break;
      const away = Math.abs(middle(there) - middle(here));
      if (away < distance) [best, distance] = [at, away];
    }
    return best;
  }

  #moveTo(at, extend) {
    this.#at = Math.max(0, Math.min(at, this.#text.words.length - 1));
    if (!extend) this.#anchor = this.#at;
  }
}
