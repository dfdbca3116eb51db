// Characters are Unicode code points, as the server counts them. Those that steer a terminal, turn the direction of the
// text or are not seen at all get a visible name: a person must see what a model wrote, and it must not move the page.

/** The code points of a text, one string each. */
export const codePoints = (text) => Array.from(text);

/** How many code points a text has. */
export function countCodePoints(text) {
  let n = 0;
  for (const _ of text) n += 1;
  return n;
}

// Joiners (200C, 200D) and variation selectors stay: scripts and emoji need them, and they do no harm.
const UNSEEN = [
  [0x00ad, 0x00ad], // soft hyphen
  [0x034f, 0x034f], // combining grapheme joiner
  [0x061c, 0x061c], // Arabic letter mark
  [0x115f, 0x1160], // Hangul fillers
  [0x180e, 0x180e], // Mongolian vowel separator
  [0x200b, 0x200b], // zero-width space
  [0x200e, 0x200f], // direction marks
  [0x2028, 0x202e], // line and paragraph separators, embeddings and overrides
  [0x2060, 0x206f], // word joiner, invisible operators, isolates
  [0x3164, 0x3164], // Hangul filler
  [0xd800, 0xdfff], // surrogates without their other half
  [0xfeff, 0xfeff], // byte-order mark
  [0xfff9, 0xfffb], // interlinear annotation
  [0xe0000, 0xe007f], // tags
];

/** The name to show for a character that would not be seen or would do something, or null. */
export function visibleName(character) {
  const code = character.codePointAt(0);
  if (code === 0x09 || code === 0x0a) return null;
  // Unicode has an image for each of these.
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  const isUnseen = (code >= 0x80 && code <= 0x9f) || UNSEEN.some(([from, to]) => from <= code && code <= to);
  return isUnseen ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}` : null;
}
