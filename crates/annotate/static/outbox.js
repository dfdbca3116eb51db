// Answers on their way to the server. They are kept in the browser until the server has said that they are on its disk,
// and sent again for as long as nothing comes back; the server stores what is repeated once.

import { post, Refusal, Unreachable } from "./api.js";
import { keep, keyOf, recall } from "./storage.js";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * The unsent answers of one person. Fires `change` when their number or the connection changes, `sent` and `refused`
 * with `{entry, reply}` or `{entry, refusal}` in `detail`.
 */
export class Outbox extends EventTarget {
  #name;
  #pause = 0;
  #timer = 0;
  #running = null;
  #isConnected = true;
  #waitsForLogin = false;

  constructor(owner) {
    super();
    // By person: somebody else may log in at the same browser before these are sent.
    this.#name = `candor.outbox.${owner}`;
    window.addEventListener("online", () => this.flush());
    window.addEventListener("storage", ({ key }) => key === keyOf(this.#name) && this.#changed());
    document.addEventListener("visibilitychange", () => document.hidden || this.flush());
  }

  /** The entries that are not sent yet. */
  get waiting() {
    return recall(this.#name, []);
  }

  /** Whether the last try reached the server. */
  get isConnected() {
    return this.#isConnected;
  }

  /** Whether sending waits until the person logs in again. */
  get waitsForLogin() {
    return this.#waitsForLogin;
  }

  /** Keeps an answer to `assignment` and begins to send it. */
  add(assignment, answer) {
    const entry = { assignment, body: { submission: uuid(), ...answer } };
    keep(this.#name, [...this.waiting, entry]);
    this.#changed();
    this.flush();
    return entry;
  }

  /** Tries to send everything now. Resolves when nothing is left or the next try has to wait. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run() {
    try {
      await this.#exclusively(() => this.#sendAll());
    } finally {
      this.#running = null;
    }
    // What was added while the box was being closed.
    if (this.#timer === 0 && this.waiting.length > 0) await this.flush();
  }

  /** Two tabs of one person share the box; one of them sends. Locks exist only where the connection is safe. */
  #exclusively(work) {
    return navigator.locks ? navigator.locks.request(this.#name, work) : work();
  }

  async #sendAll() {
    for (let entry = this.waiting[0]; entry !== undefined; entry = this.waiting[0]) {
      const wait = await this.#send(entry);
      if (wait === null) continue;
      this.#timer = setTimeout(() => this.flush(), wait);
      return;
    }
  }

  /** Sends one entry. Returns null when it is dealt with, or how long to wait before the next try. */
  async #send(entry) {
    try {
      const reply = await post(`/api/assignments/${encodeURIComponent(entry.assignment)}/answer`, entry.body);
      this.#reached();
      this.#remove(entry);
      this.dispatchEvent(new CustomEvent("sent", { detail: { entry, reply } }));
      return null;
    } catch (error) {
      if (error instanceof Unreachable) return this.#unreachable();
      if (!(error instanceof Refusal)) throw error;
      this.#reached();
      if (error.code === "too_soon") return this.#readOn(entry, error.details.retry_after_ms);
      if (error.status === 429) return LONGEST_PAUSE_MS;
      if (error.status === 401) return this.#loggedOut();
      this.#remove(entry);
      this.dispatchEvent(new CustomEvent("refused", { detail: { entry, refusal: error } }));
      return null;
    }
  }

  /** The server has not seen this task on the screen for long enough: it was shown while there was no connection. */
  async #readOn(entry, wait) {
    await post("/api/heartbeat", { showing: entry.assignment, holding: [] }).catch(() => null);
    return Math.max(200, wait);
  }

  #reached() {
    this.#pause = 0;
    this.#waitsForLogin = false;
    this.#setConnected(true);
  }

  #unreachable() {
    this.#setConnected(false);
    this.#pause = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pause * 2));
    // Not all pages of a team come back at the same moment.
    return this.#pause * (0.75 + Math.random() / 2);
  }

  #loggedOut() {
    this.#waitsForLogin = true;
    this.#changed();
    return LONGEST_PAUSE_MS;
  }

  #setConnected(isConnected) {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    this.#changed();
  }

  #remove({ body }) {
    keep(
      this.#name,
      this.waiting.filter((entry) => entry.body.submission !== body.submission),
    );
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** A random UUID; `crypto.randomUUID` exists only where the connection is safe. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
