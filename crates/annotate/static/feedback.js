// What a person learns from a training item.

import { make, part } from "./element.js";

const percent = (share) => `${Math.round(share * 100)} %`;

/** Shows feedback and resolves when the person goes on. */
export function showFeedback(feedback, questions) {
  const dialog = part("feedback");
  part("feedback-title").textContent = feedback.correct ? "✓ That is right" : "✗ Not quite";
  dialog.classList.toggle("is-right", feedback.correct);
  const lines = [];
  if (!feedback.correct)
    lines.push(make("p", {}, "Expected: ", make("strong", {}, wording(feedback.expected, questions)), "."));
  if (feedback.explanation) lines.push(make("p", { dir: "auto" }, feedback.explanation));
  if (feedback.result) lines.push(make("p", { class: "outcome" }, outcome(feedback.result)));
  else lines.push(make("p", { class: "soft" }, `${feedback.n_done} of ${feedback.n_total} training comparisons done.`));
  part("feedback-body").replaceChildren(...lines);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(), { once: true });
    dialog.showModal();
  });
}

function wording({ first, second }, questions) {
  const name = questions.first[first];
  return second === null ? name : `${name}, then: ${questions.second[second]}`;
}

function outcome({ passed, share, attempts_left: left }) {
  if (passed) return `You passed the training with ${percent(share)}. The real comparisons begin now.`;
  if (left > 0)
    return `${percent(share)} were right, which is not enough yet. You can try ${left === 1 ? "once more" : `${left} times more`}.`;
  return `${percent(share)} were right, which is not enough. Please talk to whoever invited you.`;
}
