// One item: image, question, reference, and what each run answered and was judged.
function showItem(item, number) {
  const benchmark = data.benchmarks[item.benchmark];
  const where = [benchmark.label, item.group, `item ${item.id}`].filter((text) => text !== "").join(" · ");
  const image = data.images[item.image];
  return element(
    "div.item",
    {},
    element("p.where", {}, where),
    element("h3", {}, item.question || "(no question)"),
    image === undefined
      ? element("p.missing", {}, `The image ${item.image} is not on this page.`)
      : element("img", { src: image, alt: `Image ${item.image}` }),
    item.reference === undefined
      ? null
      : element(
          "p.reference",
          {},
          element("b", {}, benchmark.key === "chair" ? "There is: " : "Reference: "),
          item.reference || "(nothing)",
        ),
    item.people === undefined ? null : peopleSay(item.people),
    element("div.answers", {}, ...item.answers.map((answer, k) => showAnswer(answer, k, benchmark))),
    parts(item, benchmark, number),
  );
}

function peopleSay({ truer, preferred }) {
  return element(
    "p",
    {},
    element("b", {}, "People: "),
    `fewer false things are said by ${opinionWords(truer)}; preferred: ${opinionWords(preferred)}`,
  );
}

// What an answer or the replies about it were read as.
const READ_AS = {
  mmhal: "Rating",
  llava_bench: "Marks of the reference and of this answer",
  chair: "Named and not there",
};

function showAnswer(answer, k, benchmark) {
  const [sign, name] = outcomeSign(answer);
  const head = element(
    `h4.run-${k % 8}`,
    {},
    data.runs[k],
    " ",
    element(`span.verdict.${name}`, {}, `${sign} ${outcomeWords(answer, benchmark)}`),
  );
  if (answer === null) return element("section.answer", {}, head);
  const replies = answer.replies ?? [];
  const readAs = answer.read_as ?? [];
  return element(
    "section.answer",
    {},
    head,
    element("p.text", {}, answer.text || "(says nothing)"),
    readAs.length === 0 ? null : element("p.read", {}, `${READ_AS[benchmark.key] ?? "Read as"}: ${readAs.join("; ")}`),
    replies.length === 0 ? null : showReplies(replies, answer.n_exchanged ?? 0),
  );
}

function showReplies(replies, nExchanged) {
  const words = replies.length === 1 ? "The judge's reply" : `The judge's ${replies.length} replies`;
  const reply = (text, index) => {
    const exchanged = index >= replies.length - nExchanged;
    return element(
      "div",
      {},
      exchanged ? element("p.read", {}, "With the two answers exchanged:") : null,
      element("pre", {}, text || "(empty)"),
    );
  };
  return element("details", { open: true }, element("summary", {}, words), ...replies.map(reply));
}

// What the item adds to each number: part and whole of the ratio.
function parts(item, benchmark, number) {
  const short = (value) => String(Math.round(value * 1000) / 1000);
  const cell = (answer, place) => {
    const [part, whole] = answer?.parts[place] ?? [0, 0];
    return element("td", {}, part === 0 && whole === 0 ? "–" : `${short(part)} / ${short(whole)}`);
  };
  const row = (measure, place) =>
    element(
      number?.place === place && number.measure.key === measure.key ? "tr.followed" : "tr",
      {},
      element("th", { scope: "row" }, measure.label),
      ...item.answers.map((answer) => cell(answer, place)),
    );
  const head = data.runs.map((run, k) => element(`th.run-${k % 8}`, { scope: "col" }, run));
  return element(
    "details.parts",
    { open: number !== null },
    element("summary", {}, "What this item adds to each number"),
    element(
      "div.scroll",
      {},
      element(
        "table.results",
        {},
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Number"), ...head)),
        element("tbody", {}, ...benchmark.measures.map(row)),
      ),
    ),
  );
}
