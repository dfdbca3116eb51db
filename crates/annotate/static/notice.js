// Tells people what happened: a line on the screen that screen readers read out.

import { part } from "./element.js";

/** How long a passing message stays, in milliseconds. */
const STAY_MS = 6_000;

let timer = 0;

/** Shows and reads out a sentence. A `lasting` one stays until the next. */
export function announce(text, { lasting = false } = {}) {
  const line = part("notice");
  clearTimeout(timer);
  line.textContent = text;
  line.classList.toggle("is-lasting", lasting);
  if (!lasting) timer = setTimeout(() => (line.textContent = ""), STAY_MS);
}

/** Reads out a sentence without showing it. */
export function whisper(text) {
  part("whisper").textContent = text;
}
