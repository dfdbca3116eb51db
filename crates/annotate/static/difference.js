// Which words stand in only one of two answers: those outside a longest common subsequence.

/** A table of more cells than this is not worth a person's waiting. */
const MAX_CELLS = 16_000_000;

/**
 * The spans `{start, end}` of `a` and of `b` that the other does not have, or null where the texts are too long
 * to compare. Both are lists of words, from `wordsOf`.
 */
export function differences(a, b) {
  const [left, right] = [a, b].map((words) => words.map((word) => word.text.toLowerCase()));
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head += 1;
  let tail = 0;
  while (
    tail < left.length - head &&
    tail < right.length - head &&
    left[left.length - 1 - tail] === right[right.length - 1 - tail]
  ) {
    tail += 1;
  }
  const middle = (list) => list.slice(head, list.length - tail);
  const common = commonWords(middle(left), middle(right));
  if (common === null) return null;
  return {
    a: spansOf(middle(a), common.inLeft),
    b: spansOf(middle(b), common.inRight),
  };
}

/** For each word of both lists whether it is in a longest common subsequence. */
function commonWords(left, right) {
  const width = right.length + 1;
  if ((left.length + 1) * width > MAX_CELLS) return null;
  // lengths[i * width + j]: the length for the words from left[i] and right[j] on.
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      const here = i * width + j;
      lengths[here] =
        left[i] === right[j] ? lengths[here + width + 1] + 1 : Math.max(lengths[here + width], lengths[here + 1]);
    }
  }
  const inLeft = new Array(left.length).fill(false);
  const inRight = new Array(right.length).fill(false);
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    const here = i * width + j;
    if (left[i] === right[j]) {
      inLeft[i] = inRight[j] = true;
      i += 1;
      j += 1;
    } else if (lengths[here + width] >= lengths[here + 1]) {
      i += 1;
    } else {
      j += 1;
    }
  }
  return { inLeft, inRight };
}

/** Spans of the words that are not common; neighbours become one. */
function spansOf(words, isCommon) {
  const spans = [];
  words.forEach((word, i) => {
    if (isCommon[i]) return;
    const isNeighbour = i > 0 && !isCommon[i - 1];
    if (isNeighbour) spans.at(-1).end = word.end;
    else spans.push({ start: word.start, end: word.end });
  });
  return spans;
}
