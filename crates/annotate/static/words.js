// Words of a text, for the marking caret and for differences. The browser knows where words end, also in scripts
// without spaces.

import { countCodePoints } from "./characters.js";

const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
const PICTOGRAPH = /\p{Extended_Pictographic}/u;

/** The words as `{start, end, text}`, in code points. Spaces and punctuation are in none of them. */
export function wordsOf(text) {
  const words = [];
  let start = 0;
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    const end = start + countCodePoints(segment);
    if (isWordLike || PICTOGRAPH.test(segment)) words.push({ start, end, text: segment });
    start = end;
  }
  return words;
}
