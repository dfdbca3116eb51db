// The dialog that shows the keys and lets a person choose others.

import { make, part } from "./element.js";
import { keyLabel } from "./keys.js";

const ACTIONS = {
  a: "Pick answer A",
  b: "Pick answer B",
  tie: "No difference, or cannot tell",
  submit: "Send the answer",
  mark: "Mark false words; again: the other answer",
  diff: "Show where the answers differ",
  undo: "Take the last answer back",
  skip: "Skip this comparison",
  flag: "Report a problem",
  help: "Show this page",
};

/** Fills the help dialog and keeps it, and every key shown on the page, up to date. */
export class Help {
  #dialog = part("help");
  #rows = part("help-keys");
  #message = part("help-message");
  #switch = part("help-off");
  #keys;
  #waiting = null;

  constructor(keys) {
    this.#keys = keys;
    this.#dialog.addEventListener("keydown", (event) => this.#choose(event));
    this.#dialog.addEventListener("close", () => this.#wait(null));
    this.#switch.addEventListener("change", () => keys.switchOff(this.#switch.checked));
    part("help-reset").addEventListener("click", () => keys.reset());
    keys.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** Opens the dialog. */
  open() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #show() {
    this.#switch.checked = this.#keys.isOff;
    this.#rows.replaceChildren(
      ...Object.entries(ACTIONS)
        .filter(([action]) => this.#keys.of(action))
        .map((entry) => this.#row(entry)),
    );
    for (const hint of document.querySelectorAll("kbd[data-key]")) {
      hint.textContent = keyLabel(this.#keys.of(hint.dataset.key));
      hint.hidden = this.#keys.isOff;
    }
  }

  #row([action, text]) {
    const isWaiting = this.#waiting === action;
    const label = keyLabel(this.#keys.of(action));
    const button = make(
      "button",
      { type: "button", class: "quiet", "aria-label": `Change the key for: ${text}`, click: () => this.#wait(action) },
      isWaiting ? "press a key …" : "change",
    );
    if (isWaiting) queueMicrotask(() => button.focus());
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, text),
      make("td", {}, make("kbd", {}, label)),
      make("td", {}, button),
    );
  }

  #wait(action) {
    this.#waiting = action;
    this.#message.textContent =
      action === null ? "" : `Press the new key for “${ACTIONS[action]}”; Escape keeps the old one.`;
    this.#show();
  }

  #choose(event) {
    if (this.#waiting === null || ["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const action = this.#waiting;
    const refused = event.key === "Escape" ? null : this.#keys.remap(action, event.key);
    this.#wait(null);
    this.#message.textContent = refused ?? "";
    this.#rows.querySelectorAll("button")[Object.keys(ACTIONS).indexOf(action)]?.focus();
  }
}
