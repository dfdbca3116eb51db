// Filters, list and item together. The address says what is shown; links in charts and tables only change the address.
let choice = {};

const detail = element("div.detail");
const list = makeList((item, byHand) => {
  if (byHand) {
    choice.item = nameOf(item);
    writeChoice(choice);
  }
  detail.replaceChildren(showItem(item, followed(choice)));
});
const count = element("p.count", { role: "status" });
const number = element("p.number");

const benchmark = chooser("Benchmark", [["", "all"], ...data.benchmarks.map(({ key, label }) => [key, label])], () => {
  update({ benchmark: benchmark.select.value, group: "", measure: "", run: "" });
});
const group = chooser("Category", [["", "all"]], () => update({ group: group.select.value }));
const standings = data.runs.map((run, k) => {
  const made = chooser(run, OUTCOMES, () => update({ [`r${k}`]: made.select.value }));
  made.label.classList.add(`run-${k % 8}`);
  return made;
});
const pairs = data.runs.flatMap((a, i) => data.runs.flatMap((b, k) => (i === k ? [] : [[i, k, a, b]])));
const pair = chooser(
  "Where they differ",
  [["", "choose …"], ...pairs.map(([i, k, a, b]) => [`${i} ${k}`, `${a} right, ${b} wrong`])],
  () => {
    if (pair.select.value === "") return;
    const [right, wrong] = pair.select.value.split(" ");
    const change = Object.fromEntries(data.runs.map((_, k) => [`r${k}`, ""]));
    update({ ...change, [`r${right}`]: "right", [`r${wrong}`]: "wrong" });
  },
);
// What people said of two of the runs, where they were asked.
const opinions = [
  ["truer", "People: fewer false things"],
  ["preferred", "People: preferred"],
]
  .filter(() => data.people !== null)
  .map(([question, words]) => {
    const winners = ["first", "second", "tie"].map((winner) => [winner, opinionWords(winner)]);
    const made = chooser(words, [["", "any"], ...winners], () => update({ [question]: made.select.value }));
    return { question, ...made };
  });
const search = element("input", { type: "search", input: () => update({ q: search.value }) });
const searchLabel = element("label.search", {}, element("span", {}, "Words in question, answers or replies"), search);
const reset = element("button", { type: "button", click: () => update(Object.fromEntries(Object.keys(choice).map((key) => [key, ""]))) }, "Show all");

function update(change) {
  show({ ...choice, ...change, item: "" });
  writeChoice(choice);
}

function groupsOf(key) {
  const of = data.items.filter((item) => !key || data.benchmarks[item.benchmark].key === key);
  return [...new Set(of.map((item) => item.group))].filter((name) => name !== "").sort();
}

function show(wanted) {
  choice = wanted;
  benchmark.select.value = choice.benchmark ?? "";
  offer(group.select, [["", "all"], ...groupsOf(choice.benchmark).map((name) => [name, name])]);
  group.select.value = choice.group ?? "";
  standings.forEach(({ select }, k) => {
    select.value = choice[`r${k}`] ?? "";
  });
  for (const { question, select } of opinions) select.value = choice[question] ?? "";
  pair.select.value = "";
  if (search.value !== (choice.q ?? "")) search.value = choice.q ?? "";
  const items = chosenItems(choice);
  count.textContent = `${items.length.toLocaleString("en")} of ${data.items.length.toLocaleString("en")} items`;
  const follow = followed(choice);
  number.textContent = follow === null ? "" : recomputed(items, follow);
  if (items.length === 0) detail.replaceChildren(element("p.missing", {}, "No item is like that."));
  list.show(items, items.find((item) => nameOf(item) === choice.item));
}

function keyPressed(event) {
  const writes = event.target.closest?.("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || (writes && event.key !== "Escape")) return;
  const does = {
    j: () => list.step(1),
    k: () => list.step(-1),
    "/": () => search.focus(),
    Escape: () => document.activeElement?.blur(),
  }[event.key];
  if (does === undefined) return;
  event.preventDefault();
  does();
}

function followAddress() {
  const wanted = readChoice();
  if (wanted === null) return;
  show(wanted);
  // The page is long: a smooth way to the items would take longer than to look at one.
  document.getElementById("items").scrollIntoView({ behavior: "instant" });
}

document.getElementById("browser").append(
  element(
    "form.filters",
    { submit: (event) => event.preventDefault() },
    benchmark.label,
    group.label,
    ...standings.map(({ label }) => label),
    ...opinions.map(({ label }) => label),
    pairs.length === 0 || pairs.length > 20 ? null : pair.label,
    searchLabel,
    reset,
  ),
  element("div.found", {}, count, number, element("p.keys", {}, "Keys: j next, k back, / search")),
  element("div.panes", {}, list.box, detail),
);
document.addEventListener("keydown", keyPressed);
window.addEventListener("hashchange", followAddress);
if (readChoice() === null) show({});
else followAddress();
