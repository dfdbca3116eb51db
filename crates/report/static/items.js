// The data of the page, and what an answer is in words.
const data = JSON.parse(document.getElementById("data").textContent);

const RIGHT = 1;
const WRONG = 2;
const HALLUCINATED = 4;
const UNPARSED = 8;

// What names an item on this page.
function nameOf(item) {
  return `${data.benchmarks[item.benchmark].key}/${item.id}`;
}

// What can be asked of a run's answer, by the value in the address.
const OUTCOMES = [
  ["", "any answer"],
  ["right", "right"],
  ["wrong", "wrong"],
  ["hallucinated", "hallucinated"],
  ["unparsed", "not read"],
  ["missing", "not asked"],
];

function hasOutcome(answer, outcome) {
  if (outcome === "") return true;
  if (outcome === "missing") return answer === null;
  if (answer === null) return false;
  const bits = { right: RIGHT, wrong: WRONG, hallucinated: HALLUCINATED, unparsed: UNPARSED };
  return (answer.outcome & (bits[outcome] ?? 0)) !== 0;
}

function outcomeWords(answer, benchmark) {
  if (answer === null) return "not asked";
  // A judge of two answers says which is better, and not what is right.
  const [right, wrong] =
    benchmark.key === "llava_bench" ? ["no lower than the reference", "below the reference"] : ["right", "wrong"];
  const words = [];
  if (answer.outcome & RIGHT) words.push(right);
  if (answer.outcome & WRONG) words.push(wrong);
  if (answer.outcome & HALLUCINATED) words.push("hallucinated");
  if (answer.outcome & UNPARSED) words.push("not read");
  return words.join(", ") || "no verdict";
}

// A sign that does not need its colour to be told from the others.
function outcomeSign(answer) {
  if (answer === null) return ["–", "none"];
  if (answer.outcome & UNPARSED) return ["?", "unparsed"];
  return answer.outcome & RIGHT ? ["✓", "right"] : ["✗", "wrong"];
}

// Everything of an item that a search looks at, made when it is first looked for.
function searched(item) {
  item.words ??= [
    item.id,
    item.image,
    item.question,
    item.reference ?? "",
    ...item.answers.flatMap((answer) => (answer === null ? [] : [answer.text, ...(answer.replies ?? [])])),
  ]
    .join("\n")
    .toLowerCase();
  return item.words;
}

// What each of two people's questions came to, in words.
function opinionWords(winner) {
  if (winner === "tie") return "neither";
  return data.people[winner === "first" ? 0 : 1];
}
