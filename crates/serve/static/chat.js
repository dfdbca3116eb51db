// The chat page: a question about an image to one model or two, and which answer is better.

import { keep, served, useKey } from "./api.js";
import { Pane } from "./pane.js";

const part = (id) => document.getElementById(id);
const panes = [...document.querySelectorAll(".pane")].map((section) => new Pane(section));
let takesPreferences = false;
/** The image of the next question: its data URL, and what the page shows. */
let picture = null;
/** What both panes were asked first, while it can be preferred. */
let first = null;
let stopping = null;

function say(text) {
  part("notice").textContent = text;
}

function begin() {
  stopping?.abort();
  panes[0].begin(part("first-model").value);
  panes[1].begin(part("second-model").value);
  first = null;
  part("preference").hidden = true;
  say("");
}

function option(value, text) {
  const node = document.createElement("option");
  node.value = value;
  node.textContent = text;
  return node;
}

async function load() {
  try {
    const { models, takesPreferences: takes } = await served();
    takesPreferences = takes;
    const options = () => models.map((model) => option(model, model));
    part("first-model").replaceChildren(...options());
    part("second-model").replaceChildren(option("", "nothing"), ...options());
    if (models.length > 1) part("second-model").value = models[1];
    part("key-field").hidden = !part("key").value;
    begin();
  } catch (error) {
    part("key-field").hidden = error.status !== 401;
    say(error.message);
  }
}

function show(shown) {
  picture = shown;
  part("shown").src = picture.shown;
  part("shown").hidden = part("remove").hidden = false;
}

function choose(file) {
  if (!file) return;
  if (!["image/png", "image/jpeg", "image/webp"].includes(file.type)) {
    say("Only PNG, JPEG and WebP images can be shown.");
    return;
  }
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    show({ url: reader.result, shown: URL.createObjectURL(file) });
    part("question").focus();
  });
  reader.readAsDataURL(file);
}

function forget() {
  picture = null;
  part("file").value = "";
  part("shown").hidden = part("remove").hidden = true;
}

function offerPreference() {
  if (!takesPreferences || !first || panes.some((pane) => !pane.answer?.text)) return;
  if (panes[0].answer.text === panes[1].answer.text) return;
  for (const pane of panes) pane.offerMarks();
  part("preference").reset();
  part("preference").hidden = false;
}

part("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = part("question").value.trim();
  if (!question || stopping) return;
  const asked = picture;
  const open = panes.filter((pane) => pane.model);
  const isFirst = open.every((pane) => pane.messages.length === 0);
  first = isFirst && open.length === 2 ? { question, image: asked?.url } : null;
  part("preference").hidden = true;
  part("question").value = "";
  forget();
  say("");
  stopping = new AbortController();
  part("send").hidden = true;
  part("stop").hidden = false;
  const settings = { temperature: part("temperature").valueAsNumber || 0, max_tokens: part("length").valueAsNumber || 256 };
  const { signal } = stopping;
  const done = await Promise.all(open.map((pane) => pane.ask(question, asked, settings, signal)));
  stopping = null;
  part("stop").hidden = true;
  part("send").hidden = false;
  if (done.every(Boolean)) {
    say("Answered.");
    offerPreference();
  } else {
    // What was asked can be asked again.
    part("question").value ||= question;
    if (asked && !picture) show(asked);
    first = null;
  }
});

part("preference").addEventListener("submit", async (event) => {
  event.preventDefault();
  const chosen = new FormData(part("preference"));
  const [fewer, helpful] = [chosen.get("fewer"), chosen.get("helpful")];
  if (fewer === "tie" && !helpful) {
    say("Say as well which answer is more helpful.");
    part("helpful").querySelector("input").focus();
    return;
  }
  try {
    await keep({
      image: first.image ?? null,
      question: first.question,
      outputs: panes.map((pane) => pane.answer.text),
      fewer_hallucinations: fewer,
      more_helpful: helpful,
      false_words: panes.map((pane) => pane.marked()),
    });
    part("preference").hidden = true;
    first = null;
    say("Saved.");
    part("question").focus();
  } catch (error) {
    say(error.message);
  }
});

part("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    part("ask").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopping?.abort();
});
part("stop").addEventListener("click", () => stopping?.abort());
part("anew").addEventListener("click", begin);
part("settings").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["first-model", "second-model"]) part(id).addEventListener("change", begin);
part("key").addEventListener("change", () => {
  useKey(part("key").value);
  load();
});
part("file").addEventListener("change", () => choose(part("file").files[0]));
part("remove").addEventListener("click", () => {
  forget();
  part("question").focus();
});
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  choose(event.dataTransfer.files[0]);
});

load();
