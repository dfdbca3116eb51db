// How long a task has been looked at: what must pass before an answer counts, and what the answer reports.

/** Somebody who has not moved for so long is not reading. */
const STILL_MS = 60_000;
const TICK_MS = 250;

/** Fires `tick` while the time that must pass is running, with the milliseconds left in `detail`. */
export class Reading extends EventTarget {
  #least;
  #since = 0;
  #active = 0;
  #ticked = 0;
  #moved = 0;
  #timer = 0;

  /** `least` is the time that must pass, in milliseconds. */
  constructor(least) {
    super();
    this.#least = least;
    const moved = () => (this.#moved = performance.now());
    for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll"]) {
      document.addEventListener(name, moved, { passive: true });
    }
  }

  /** A task comes on the screen. */
  begin() {
    this.#since = this.#ticked = this.#moved = performance.now();
    this.#active = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  /** The task leaves the screen. */
  end() {
    clearInterval(this.#timer);
  }

  /** What must still pass before an answer counts. */
  get left() {
    return Math.max(0, this.#least - (performance.now() - this.#since));
  }

  /** How long the task was on the screen with somebody before it. */
  get activeMs() {
    return Math.round(this.#active);
  }

  #tick() {
    const now = performance.now();
    if (!document.hidden && now - this.#moved < STILL_MS) this.#active += now - this.#ticked;
    this.#ticked = now;
    this.dispatchEvent(new CustomEvent("tick", { detail: this.left }));
  }
}
