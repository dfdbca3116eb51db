// Which key does what. The project says it; a person may choose other keys for this browser, or switch them off.

import { forget, keep, recall } from "./storage.js";

const KEPT = "candor.keys";

const LABELS = { enter: "Enter", arrowup: "↑", arrowdown: "↓", arrowleft: "←", arrowright: "→", backspace: "⌫" };
/** Keys that people without a mouse need to move about. */
const RESERVED = [
  "tab",
  "escape",
  " ",
  "shift",
  "control",
  "alt",
  "meta",
  "altgraph",
  "capslock",
  "dead",
  "unidentified",
  "process",
];

/** Whether keys mean letters there. */
export function isTextField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "button", "submit"].includes(target.type);
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

/** What to call a key. */
export function keyLabel(key) {
  return LABELS[key] ?? (key.length === 1 ? key.toUpperCase() : key.charAt(0).toUpperCase() + key.slice(1));
}

/** Fires `change` when a person has chosen other keys. */
export class Keys extends EventTarget {
  #project;
  #own;
  #handlers = {};

  /** `projectKeys` leads from actions to keys, as `/api/project` has them. */
  constructor(projectKeys) {
    super();
    const lower = Object.entries(projectKeys).map(([action, key]) => [action, key.toLowerCase()]);
    this.#project = Object.fromEntries(lower);
    this.#own = recall(KEPT, { map: {}, isOff: false });
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Says what to do at the key of each action. */
  handle(handlers) {
    Object.assign(this.#handlers, handlers);
  }

  /** The key of an action. */
  of(action) {
    return this.#own.map[action] ?? this.#project[action];
  }

  /** Whether the keys do nothing. */
  get isOff() {
    return this.#own.isOff;
  }

  /** Switches all keys off or on. */
  switchOff(isOff) {
    this.#save({ ...this.#own, isOff });
  }

  /** Gives an action another key. Returns why that is impossible, or null. */
  remap(action, pressed) {
    const key = pressed.toLowerCase();
    if (RESERVED.includes(key)) return `${keyLabel(key)} is needed to move about the page.`;
    const other = Object.keys(this.#project).find((name) => name !== action && this.of(name) === key);
    if (other !== undefined) return `${keyLabel(key)} is taken already.`;
    this.#save({ ...this.#own, map: { ...this.#own.map, [action]: key } });
    return null;
  }

  /** Goes back to the keys of the project. */
  reset() {
    forget(KEPT);
    this.#own = { map: {}, isOff: false };
    this.dispatchEvent(new Event("change"));
  }

  #save(own) {
    this.#own = own;
    keep(KEPT, own);
    this.dispatchEvent(new Event("change"));
  }

  #press(event) {
    if (this.isOff || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.altKey || event.metaKey || isTextField(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const key = event.key.toLowerCase();
    // Enter on a button presses that button.
    if (key === "enter" && event.target.closest?.("button, a, summary")) return;
    // Where an answer is rated, digits are ratings; where several are ranked, digits are answers.
    if (/^[0-9]$/.test(key) && this.#handlers.digit?.(Number(key))) {
      event.preventDefault();
      return;
    }
    const action = Object.keys(this.#handlers).find((name) => this.of(name) === key);
    if (action === undefined) return;
    event.preventDefault();
    this.#handlers[action]();
  }
}
