// What is chosen, which is what the address says behind its #. Keys: benchmark, group, measure and run (the number that
// was followed), r0, r1, … (what a run's answer is), truer and preferred (what people said), q (words), item.
function readChoice() {
  const hash = location.hash.slice(1);
  return hash.includes("=") ? Object.fromEntries(new URLSearchParams(hash)) : null;
}

function writeChoice(choice) {
  const kept = Object.entries(choice).filter(([, value]) => value !== "" && value !== undefined);
  const address = new URLSearchParams(kept).toString();
  // Every keystroke in the history would bury the page before this one.
  history.replaceState(null, "", `#${address}`);
}

// The measure that was followed, with its place in the items' parts.
function followed(choice) {
  const benchmark = data.benchmarks.find(({ key }) => key === choice.benchmark);
  const place = benchmark ? benchmark.measures.findIndex(({ key }) => key === choice.measure) : -1;
  const run = Number(choice.run);
  if (place < 0 || !(run in data.runs)) return null;
  return { measure: benchmark.measures[place], place, run };
}

function chosenItems(choice) {
  const words = (choice.q ?? "").toLowerCase().split(/\s+/).filter((word) => word !== "");
  const number = followed(choice);
  const fits = (item) => {
    if (choice.benchmark && data.benchmarks[item.benchmark].key !== choice.benchmark) return false;
    if (choice.group && item.group !== choice.group) return false;
    if (!data.runs.every((_, k) => hasOutcome(item.answers[k], choice[`r${k}`] ?? ""))) return false;
    for (const question of ["truer", "preferred"]) {
      if (choice[question] && item.people?.[question] !== choice[question]) return false;
    }
    if (number && !counts(item, number)) return false;
    return words.every((word) => searched(item).includes(word));
  };
  return data.items.filter(fits);
}

// Whether an item says anything of a number.
function counts(item, { place, run }) {
  const parts = item.answers[run]?.parts[place];
  return parts !== undefined && (parts[0] !== 0 || parts[1] !== 0);
}

// The number again, from the items that are listed.
function recomputed(items, { measure, place, run }) {
  const sums = [0, 0];
  for (const item of items) {
    const parts = item.answers[run]?.parts[place] ?? [0, 0];
    sums[0] += parts[0];
    sums[1] += parts[1];
  }
  const value = sums[1] === 0 ? "undefined" : (sums[0] / sums[1]).toFixed(measure.decimals);
  const short = (sum) => String(Math.round(sum * 1000) / 1000);
  return `${measure.label} of ${data.runs[run]} over ${items.length} listed ${items.length === 1 ? "item" : "items"}: ${short(sums[0])} / ${short(sums[1])} = ${value}`;
}
