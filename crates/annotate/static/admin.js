// The admin page: loads its sections and does what its buttons say.

import { get, post, Refusal, Unreachable } from "./api.js";
import { showDays, showOlderDays } from "./days.js";
import { make, part } from "./element.js";
import { showMoreEvents } from "./events.js";
import { time } from "./figures.js";
import { membersView } from "./members.js";
import { announce } from "./notice.js";
import { overviewView } from "./overview.js";
import { qualityView } from "./quality.js";
import { makeToken, showTokens } from "./tokens.js";

/** Progress is looked at again so often; quality takes the server longer and waits to be asked. */
const REFRESH_MS = 30_000;
/** Figures that are being computed are asked for again after this time. */
const COMPUTING_MS = 3000;

/** Whether the project is paused, as was last seen. */
let isPaused = false;
/** How often quality was asked for; only the last who asked goes on looking. */
let nQualityAsked = 0;

async function told(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof Refusal) announce(error.sentence, { lasting: true });
    else if (error instanceof Unreachable) announce("There is no connection.");
    else throw error;
  }
}

async function showOverview() {
  const overview = await get("/api/admin/overview");
  part("progress-body").replaceChildren(...overviewView(overview));
  isPaused = overview.paused_at !== null;
  part("pause").textContent = isPaused ? "Go on" : "Pause";
  part("pause").disabled = false;
}

async function pause() {
  await post("/api/admin/pause", { paused: !isPaused });
  await showOverview();
}

/** Shows what the server has, and what it computes because of that when it is there. */
async function showQuality() {
  nQualityAsked += 1;
  const asked = nQualityAsked;
  const isLast = () => asked === nQualityAsked;
  const show = async () => {
    const aged = await get("/api/admin/quality");
    if (isLast()) part("quality-body").replaceChildren(...qualityView(aged));
    return aged;
  };
  const before = await show();
  let newest = before;
  while (isLast() && !newest.is_current && newest.computed_at === before.computed_at) {
    await new Promise((resolve) => setTimeout(resolve, COMPUTING_MS));
    if (isLast()) newest = await show();
  }
}

async function showPeople() {
  const people = await get("/api/admin/people");
  part("people-body").replaceChildren(...membersView(people, amend, (person) => told(() => renew(person))));
}

function amend(person, change) {
  return told(async () => {
    try {
      await post(`/api/admin/people/${encodeURIComponent(person)}`, change);
      announce("Changed.");
    } finally {
      await showPeople();
    }
  });
}

async function invite() {
  const body = { role: part("invite-role").value, hours: Number(part("invite-hours").value) };
  const { link, expires_at: at } = await post("/api/admin/invites", body);
  const text = `Send this link to one ${body.role}. It makes one account, until ${time(at)}, and is not shown again: `;
  showOnce("invite-result", text, link);
  await showPeople();
}

async function renew({ person, name }) {
  const { link, expires_at: at } = await post(`/api/admin/people/${encodeURIComponent(person)}/renewal`, {});
  const text = `Send this link to ${name}. Whoever opens it chooses their new password, until ${time(at)}: `;
  showOnce("invite-result", text, link);
  part("invite-result").scrollIntoView({ block: "nearest" });
}

const tokensView = () => showTokens((end) => told(() => end().finally(tokensView)));

async function newToken() {
  showOnce("token-result", "Give this token to the program. It is not shown again: ", await makeToken());
  await tokensView();
}

/** Shows a secret that the server does not keep. */
function showOnce(place, text, secret) {
  const copy = make(
    "button",
    { type: "button", click: () => navigator.clipboard.writeText(secret).then(() => announce("Copied.")) },
    "Copy",
  );
  const parts = [make("bdi", {}, text), make("code", {}, secret), " "];
  // The clipboard is there only where the connection is safe.
  if (navigator.clipboard) parts.push(copy);
  part(place).replaceChildren(...parts);
}

part("invite").addEventListener("submit", (event) => {
  event.preventDefault();
  told(invite);
});
part("token").addEventListener("submit", (event) => {
  event.preventDefault();
  told(newToken);
});
part("export-format").addEventListener(
  "change",
  ({ target }) => (part("export-aggregate").disabled = target.value === "events"),
);
part("pause").addEventListener("click", () => told(pause));
part("days-older").addEventListener("click", showOlderDays);
part("quality-again").addEventListener("click", () => told(showQuality));
part("events-more").addEventListener("click", ({ target }) => told(() => showMoreEvents(target)));
setInterval(() => document.hidden || told(showOverview), REFRESH_MS);
for (const show of [showOverview, showDays, showQuality, showPeople, tokensView]) told(show);
