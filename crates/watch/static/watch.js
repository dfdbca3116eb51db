// The page: asks for the runs every few seconds, and draws what was chosen.

import { charts } from "./charts.js";
import { draw, make } from "./element.js";
import { bytes, duration, figure } from "./figures.js";

const EVERY_MS = 4000;
const LOOKS = 6;

const part = (id) => document.getElementById(id);
/** Numbers of the runs that are chosen, the last one last. */
let chosen = [];
let runs = [];
let wanted = null;
let shownSamples = "";

async function ask(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

function how(run) {
  const steps = run.n_steps === null ? `step ${run.step}` : `step ${run.step} of ${run.n_steps}`;
  const step = run.stage === "eval" ? [] : [steps];
  const states = {
    finished: "finished",
    running: run.secs_left === null ? "running" : `${duration(run.secs_left)} left`,
    quiet: `nothing written for ${duration(run.quiet_secs)}`,
  };
  const speed = run.step_secs === null ? [] : [`${run.step_secs.toFixed(2)} s a step`];
  const memory = run.peak_bytes === null ? [] : [bytes(run.peak_bytes)];
  const phases = Object.entries(run.phases).sort(([, a], [, b]) => b - a).slice(0, 3);
  const longest = phases.length === 0 ? [] : [phases.map(([name, secs]) => `${name} ${secs.toFixed(1)} s`).join(", ")];
  return [run.stage, ...step, states[run.state], ...speed, ...memory, ...longest].join(" · ");
}

function choose(id, isChosen) {
  const stage = runs[id].stage;
  // Runs of different stages have no curve in common.
  chosen = chosen.filter((other) => other !== id && runs[other].stage === stage);
  if (isChosen) chosen.push(id);
  wanted = null;
  history.replaceState(null, "", `#${chosen.map((id) => encodeURIComponent(runs[id].name)).join(",")}`);
  showRuns();
  showChosen();
}

function showRuns() {
  const focused = document.activeElement?.id;
  const items = runs.map((run) => {
    const look = chosen.indexOf(run.id);
    const swatch = look < 0 ? null : draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, draw("rect", { width: 10, height: 10, rx: 2, class: `run-${look % LOOKS}` }));
    const box = make("input", { type: "checkbox", id: `run-${run.id}`, change: (event) => choose(run.id, event.target.checked) });
    box.checked = look >= 0;
    const bar = run.n_steps === null ? null : make("progress", { max: run.n_steps, value: run.step, "aria-label": `${run.name}: steps done` });
    return make(
      "li",
      {},
      make("label", {}, box, make("span", { class: "name" }, swatch, run.name), make("span", { class: "how" }, bar, how(run))),
      run.warnings.length === 0 ? null : make("ul", { class: "warnings" }, ...run.warnings.map(({ text }) => make("li", {}, text))),
    );
  });
  part("runs").replaceChildren(...items);
  if (focused) part(focused)?.focus();
}

async function showChosen() {
  const weight = Number(part("smooth").value);
  const read = await Promise.all(chosen.map(async (id, look) => {
    const { metrics, timings } = await ask(`api/runs/${id}/curves`);
    return { name: runs[id].name, look: look % LOOKS, curves: metrics, timings };
  }));
  const stage = chosen.length === 0 ? null : runs[chosen[0]].stage;
  part("charts").replaceChildren(...(stage === null ? [make("p", { class: "soft" }, "No run is chosen.")] : charts(stage, read, weight)));
  await showSamples();
}

function sample(id, row) {
  const numbers = ["score", "correctness", "length_penalty", "symbolic_reward", "reward_sum"].filter((name) => typeof row[name] === "number");
  // Several names stand in one text, each on a line.
  const images = row.image ? String(row.image).split("\n") : [];
  const src = (name) => `api/runs/${id}/image?name=${encodeURIComponent(name)}`;
  return make(
    "article",
    {},
    ...images.map((name) => make("img", { src: src(name), loading: "lazy", alt: `image ${name}` })),
    make("p", {}, make("strong", {}, String(row.query ?? "").replaceAll("<image>\n", ""))),
    make("p", {}, String(row.response ?? "")),
    make("dl", {}, ...numbers.flatMap((name) => [make("dt", {}, name), make("dd", {}, figure(row[name]))])),
    Array.isArray(row.facts) && row.facts.length > 0 ? make("details", {}, make("summary", {}, "what the reward model was told"), ...row.facts.map((fact) => make("p", {}, fact))) : null,
  );
}

async function showSamples() {
  const id = chosen.at(-1);
  const read = id === undefined ? { steps: [], step: null, samples: [] } : await ask(`api/runs/${id}/samples${wanted === null ? "" : `?step=${wanted}`}`);
  const key = JSON.stringify([id, read.step, read.steps.length, read.samples.length]);
  if (key === shownSamples) return;
  shownSamples = key;
  const options = read.steps.map((step) => make("option", { value: step, selected: step === read.step }, String(step)));
  part("step").replaceChildren(...options);
  part("step").disabled = options.length === 0;
  const none = "This run wrote no samples.";
  part("samples-note").textContent = read.samples.length === 0 ? none : `${read.samples.length} of ${runs[id].name} at step ${read.step}.`;
  part("samples").replaceChildren(...read.samples.map((row) => sample(id, row)));
}

async function update() {
  try {
    runs = await ask("api/runs");
    if (chosen.length === 0 && runs.length > 0) {
      const names = decodeURIComponent(location.hash.slice(1)).split(",");
      const asked = runs.filter(({ name }) => names.includes(name)).map(({ id }) => id);
      // Without a wish: what runs now, else the last.
      const running = runs.findLast(({ state }) => state === "running") ?? runs.at(-1);
      chosen = asked.length > 0 ? asked : [running.id];
    }
    showRuns();
    await showChosen();
    part("updated").textContent = `as of ${new Date().toLocaleTimeString()}`;
  } catch {
    part("updated").textContent = "candor watch does not answer; trying again";
  }
}

part("smooth").addEventListener("input", showChosen);
part("step").addEventListener("change", (event) => {
  wanted = Number(event.target.value);
  showSamples();
});
update();
setInterval(() => {
  if (!document.hidden) update();
}, EVERY_MS);
