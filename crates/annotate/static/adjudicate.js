// The adjudication page: items that people disagree on, reported or skipped, one after the other, and what to do about them.

import { get, post, Refusal, Unreachable } from "./api.js";
import { Comparison } from "./comparison.js";
import { make, part } from "./element.js";
import { Help } from "./help.js";
import { Keys } from "./keys.js";
import { announce } from "./notice.js";
import { flagCard, opinionCard, skipCard } from "./opinions.js";
import { Pictures } from "./pictures.js";
import { askForReason } from "./reason.js";

const WHY = { disputed: "people disagree", flagged: "reported", skipped: "skipped by several" };

/** The queue and the item on the screen. */
class Bench {
  #project;
  #comparison;
  #items = [];
  #case = null;

  constructor(project) {
    this.#project = project;
    this.#comparison = new Comparison(project);
    const keys = new Keys(project.keys);
    const help = new Help(keys);
    keys.handle({
      ...this.#comparison.handlers,
      submit: () => this.#decide(),
      skip: () => this.#next(),
      help: () => help.open(),
    });
    part("help-open").addEventListener("click", () => help.open());
    part("submit").addEventListener("click", () => this.#decide());
    part("skip").addEventListener("click", () => this.#next());
    part("reopen").addEventListener("click", () => this.#reopen());
    part("withdraw").addEventListener("click", () => this.#withdraw());
    part("again").addEventListener("click", () => this.load());
    part("queue").addEventListener("change", ({ target }) => this.#open(Number(target.value)));
    this.#comparison.addEventListener("change", () => this.#showSubmit());
  }

  /** Loads the queue and opens its first item, or the one behind `after`. */
  async load(after = null) {
    await told(async () => {
      const at = this.#items.findIndex(({ item }) => item === after);
      const { n_waiting: n, items } = await get("/api/adjudication");
      this.#items = items;
      part("queue").replaceChildren(
        ...items.map(({ item, why }) =>
          make("option", { value: item }, `No. ${item}: ${why.map((reason) => WHY[reason] ?? reason).join(", ")}`),
        ),
      );
      const next = items[at >= 0 ? Math.min(at, items.length - 1) : 0];
      if (next === undefined) this.#rest(n);
      else await this.#open(next.item);
    });
  }

  #rest(n) {
    part("task").hidden = true;
    part("message").hidden = false;
    document.body.classList.remove("has-task");
    part("message-title").textContent = "Nothing to decide";
    part("message-text").textContent =
      n > 0
        ? "What waits was answered by you; somebody else has to decide it."
        : "No item is in dispute, reported or skipped.";
    part("again").hidden = false;
    part("message-title").focus();
  }

  async #open(item) {
    await told(async () => {
      this.#case = await get(`/api/adjudication/${item}`);
      const { image: addresses, why, judgements, flags, answers, n_skips: nSkips } = this.#case;
      const images = Pictures.load(addresses);
      part("message").hidden = true;
      part("task").hidden = false;
      document.body.classList.add("has-task");
      part("queue").value = String(item);
      part("task-title").textContent = `Item ${item}`;
      // What people disagree on has all its answers.
      part("reopen").hidden = why.includes("disputed");
      part("why").replaceChildren(...why.map((reason) => make("li", {}, WHY[reason] ?? reason)));
      part("opinions").replaceChildren(
        ...judgements.map((judgement) =>
          opinionCard(judgement, answers, this.#project, {
            adopt: () => this.#adopt(images, judgement),
            sendBack: () => this.#sendBack(judgement),
          }),
        ),
        ...flags.map(flagCard),
        ...(nSkips > 0 ? [skipCard(nSkips)] : []),
      );
      this.#comparison.show(this.#case, images, null);
      this.#showSubmit();
      window.scrollTo({ top: 0 });
      part("task-title").focus({ preventScroll: true });
    });
  }

  #adopt(images, judgement) {
    this.#comparison.show(this.#case, images, judgement);
    this.#showSubmit();
    announce(`Filled in as ${judgement.who} said. Change what is wrong, then decide.`);
  }

  #showSubmit() {
    part("submit").setAttribute("aria-disabled", String(!this.#comparison.isComplete));
  }

  #next() {
    const at = this.#items.findIndex(({ item }) => item === this.#case?.item);
    const next = this.#items[(at + 1) % this.#items.length];
    if (next !== undefined) this.#open(next.item);
  }

  #decide() {
    if (this.#case === null || part("task").hidden) return;
    if (!this.#comparison.isComplete) {
      announce(this.#comparison.missing);
      return;
    }
    if (this.#comparison.lacksImage) {
      announce("The image is not there, so nothing can be decided. Load it again, or withdraw the item.");
      return;
    }
    this.#settle("decide", this.#comparison.value, "Decided.");
  }

  async #withdraw() {
    const note = await askForReason({
      title: "Withdraw this item?",
      text: "It is handed out no more and is in no export.",
      action: "Withdraw",
    });
    if (note !== null) await this.#settle("withdraw", { note }, "Withdrawn.");
  }

  async #reopen() {
    const note = await askForReason({
      title: "Hand this item out again?",
      text: "Reports and skips count as dealt with.",
      action: "Hand out again",
    });
    if (note !== null) await this.#settle("reopen", { note }, "Handed out again.");
  }

  async #sendBack({ judgement, who }) {
    const text = `${who} gets this comparison again, before any new one, with your note.`;
    const note = await askForReason({ title: `Send back to ${who}?`, text, action: "Send back" });
    if (note !== null) await this.#settle("send_back", { judgement, note }, "Sent back.");
  }

  async #settle(how, body, done) {
    const { item } = this.#case;
    await told(async () => {
      await post(`/api/adjudication/${item}/${how}`, body);
      announce(done);
      await this.load(item);
    });
  }
}

/** Does something and says so where it does not work. */
async function told(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof Unreachable) announce("There is no connection. Try again when it is back.", { lasting: true });
    else if (error instanceof Refusal) announce(error.sentence, { lasting: true });
    else throw error;
  }
}

told(async () => {
  const project = await get("/api/project");
  await new Bench(project).load();
});
