// Asks what is wrong with a task before it is reported.

import { make, part } from "./element.js";

const REASONS = {
  image: "The image is missing, broken or unreadable",
  text: "The text is broken or in a language I do not read",
  offensive: "It is offensive or harmful",
  other: "Something else",
};

/** Resolves to `{reason, note}`, or null if the person thinks better of it. */
export function askForFlag(reasons) {
  const dialog = part("flag-dialog");
  const choices = reasons.map((reason, i) => {
    const input = make("input", { type: "radio", name: "reason", value: reason, required: true, checked: i === 0 });
    return make("label", { class: "choice" }, input, ` ${REASONS[reason] ?? reason}`);
  });
  part("flag-reasons").replaceChildren(...choices);
  const note = part("flag-note");
  note.value = "";
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        if (dialog.returnValue !== "report") return resolve(null);
        const reason = dialog.querySelector("input:checked").value;
        return resolve({ reason, note: note.value.trim() || null });
      },
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
  });
}
