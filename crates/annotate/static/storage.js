// What must survive a reload: localStorage, or this page's memory where the browser refuses it (private windows, a full disk).

import { base } from "./base.js";

const memory = new Map();

/** The name under which localStorage has what is kept under a name: projects of one server share it. */
export const keyOf = (name) => (base === "" ? name : `${base}:${name}`);

/** False once the browser has refused to keep something: then closing the page loses what was not sent. */
export let isDurable = true;

/** The value kept under a name, or `otherwise`. */
export function recall(name, otherwise) {
  if (memory.has(name)) return structuredClone(memory.get(name));
  try {
    const text = localStorage.getItem(keyOf(name));
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Keeps a value under a name. */
export function keep(name, value) {
  try {
    localStorage.setItem(keyOf(name), JSON.stringify(value));
    memory.delete(name);
  } catch {
    isDurable = false;
    memory.set(name, structuredClone(value));
  }
}

/** Forgets a name. */
export function forget(name) {
  memory.delete(name);
  try {
    localStorage.removeItem(keyOf(name));
  } catch {
    isDurable = false;
  }
}
