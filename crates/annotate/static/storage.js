// What must survive a reload: localStorage, or this page's memory where the browser refuses it (private windows, a full disk).

const memory = new Map();

/** False once the browser has refused to keep something: then closing the page loses what was not sent. */
export let isDurable = true;

/** The value kept under a name, or `otherwise`. */
export function recall(name, otherwise) {
  if (memory.has(name)) return structuredClone(memory.get(name));
  try {
    const text = localStorage.getItem(name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Keeps a value under a name. */
export function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
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
    localStorage.removeItem(name);
  } catch {
    isDurable = false;
  }
}
