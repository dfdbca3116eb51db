// The data of the page, and what an answer is in words.
const data = JSON.parse(document.getElementById("data").textContent);

const RIGHT = 1;
const WRONG = 2;
const HALLUCINATED = 4;
const UNREAD = 8;

// What names an item on this page.
function nameOf(item) {
  return `${data.benchmarks[item.benchmark].key}/${item.id}`;
}

// What can be asked of a run's answer, by the value in the address.
const STANDINGS = [
  ["", "any answer"],
  ["right", "right"],
  ["wrong", "wrong"],
  ["hallucinated", "hallucinated"],
  ["unread", "not read"],
  ["missing", "not asked"],
];

function hasStanding(answer, standing) {
  if (standing === "") return true;
  if (standing === "missing") return answer === null;
  if (answer === null) return false;
  const bits = { right: RIGHT, wrong: WRONG, hallucinated: HALLUCINATED, unread: UNREAD };
  return (answer.standing & (bits[standing] ?? 0)) !== 0;
}

function standingWords(answer, benchmark) {
  if (answer === null) return "not asked";
  // A judge of two answers says which is better, and not what is right.
  const [right, wrong] =
    benchmark.key === "llava_bench" ? ["no lower than the reference", "below the reference"] : ["right", "wrong"];
  const words = [];
  if (answer.standing & RIGHT) words.push(right);
  if (answer.standing & WRONG) words.push(wrong);
  if (answer.standing & HALLUCINATED) words.push("hallucinated");
  if (answer.standing & UNREAD) words.push("not read");
  return words.join(", ") || "no verdict";
}

// A sign that does not need its colour to be told from the others.
function standingSign(answer) {
  if (answer === null) return ["–", "none"];
  if (answer.standing & UNREAD) return ["?", "unread"];
  return answer.standing & RIGHT ? ["✓", "right"] : ["✗", "wrong"];
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
