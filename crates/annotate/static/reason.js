// Asks for a note before something is done that other people will wonder about.

import { part } from "./element.js";

/** Resolves to the note, or null if the person thinks better of it. */
export function askForReason({ title, text, action }) {
  const dialog = part("reason-dialog");
  part("reason-title").textContent = title;
  part("reason-text").textContent = text;
  part("reason-do").textContent = action;
  const note = part("reason-note");
  note.value = "";
  dialog.returnValue = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "do" ? note.value.trim() : null), {
      once: true,
    });
    dialog.showModal();
    note.focus();
  });
}
