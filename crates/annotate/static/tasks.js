// The tasks in hand: the one on the screen and those loaded ahead, with their images, and the leases on all of them.

import { post, Refusal } from "./api.js";
import { Pictures } from "./pictures.js";

/** A person who has not touched anything for so long has left; the task goes to somebody else then. */
const AWAY_MS = 10 * 60_000;

/** Fires `lost` with the task in `detail` when the task on the screen belongs to somebody else now. */
export class Tasks extends EventTarget {
  #project;
  #unsent;
  #queue = [];
  #touched = Date.now();
  #claiming = null;

  /** `unsent` lists the assignments whose answers are still on their way: the server counts them as held. */
  constructor(project, unsent) {
    super();
    this.#project = project;
    this.#unsent = unsent;
    const touched = () => (this.#touched = Date.now());
    for (const name of ["pointerdown", "keydown", "wheel"]) document.addEventListener(name, touched, { passive: true });
    setInterval(() => this.#beat(), project.heartbeat_ms);
  }

  /** What to work on now, `{task, images}`, or undefined. */
  get current() {
    return this.#queue[0];
  }

  /** Takes the current task off the list: it is answered or given back. */
  finish() {
    return this.#queue.shift();
  }

  /** Puts a task before all others. */
  putFirst(task) {
    this.#queue = this.#queue.filter((held) => held.task.assignment !== task.assignment);
    this.#queue.unshift(withImages(task));
  }

  /** Says that the current task is on the screen. */
  shown() {
    return this.#beat();
  }

  /** Claims until enough are in hand. Resolves to why there are no more, or null. */
  refill() {
    this.#claiming ??= this.#claim().finally(() => (this.#claiming = null));
    return this.#claiming;
  }

  async #claim() {
    while (this.#queue.length < this.#project.n_hold) {
      const holding = [...this.#held, ...this.#unsent()];
      const { task, reason } = await post("/api/claim", { holding });
      if (task === null) return reason;
      if (holding.includes(task.assignment)) return null;
      this.#queue.push(withImages(task));
    }
    return null;
  }

  get #held() {
    return this.#queue.map(({ task }) => task.assignment);
  }

  async #beat() {
    const isAway = Date.now() - this.#touched > AWAY_MS;
    const holding = [...this.#held, ...this.#unsent()];
    if (isAway || holding.length === 0) return;
    const showing = this.current?.task.assignment ?? null;
    try {
      const { lost } = await post("/api/heartbeat", { showing, holding });
      const current = this.current?.task;
      this.#queue = this.#queue.filter(({ task }) => !lost.includes(task.assignment));
      if (current && lost.includes(current.assignment))
        this.dispatchEvent(new CustomEvent("lost", { detail: current }));
    } catch (error) {
      // The next beat tries again; the outbox says that the connection is gone, and a lost session shows at the answer.
      if (!(error instanceof Refusal)) return;
    }
  }
}

function withImages(task) {
  return { task, images: Pictures.load(task.image) };
}
