// Half-given answers: kept in the browser at once and on the server soon after, so that neither a closed tab nor another
// device loses them.

import { put, Refusal } from "./api.js";
import { forget, keep, recall } from "./storage.js";

/** Typing has paused for so long when a draft goes to the server. */
const QUIET_MS = 900;

/** The drafts of one person. */
export class Drafts {
  #owner;
  #timer = 0;
  /** The assignments whose draft is of this page: newer than what a task held since before it brought from the server. */
  #here = new Set();

  constructor(owner) {
    this.#owner = owner;
  }

  /** What was given so far: the browser's own draft unless the server has it from another page, then the server's. */
  of({ assignment, draft, returned }) {
    const own = recall(this.#name(assignment), null);
    if (own !== null && !own.isSent) {
      // It was begun before this page was loaded; the server should have it too.
      this.#sendSoon(assignment, own.draft);
      return own.draft;
    }
    if (own !== null && this.#here.has(assignment)) return own.draft;
    return draft ?? returned?.answer ?? null;
  }

  /** Keeps a draft. */
  keep(assignment, draft) {
    this.#here.add(assignment);
    keep(this.#name(assignment), { draft, isSent: false });
    this.#sendSoon(assignment, draft);
  }

  /** Forgets a draft: its answer is in the outbox, or its task is gone. */
  forget(assignment) {
    clearTimeout(this.#timer);
    this.#here.delete(assignment);
    forget(this.#name(assignment));
  }

  #sendSoon(assignment, draft) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(assignment, draft), QUIET_MS);
  }

  async #send(assignment, draft) {
    try {
      await put(`/api/assignments/${encodeURIComponent(assignment)}/draft`, draft);
    } catch (error) {
      // What the server cannot take now is still here, and the answer itself is what counts.
      if (!(error instanceof Refusal)) return;
    }
    const name = this.#name(assignment);
    if (JSON.stringify(recall(name, null)?.draft) === JSON.stringify(draft)) keep(name, { draft, isSent: true });
  }

  #name(assignment) {
    return `candor.draft.${this.#owner}.${assignment}`;
  }
}
