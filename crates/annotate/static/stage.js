// What the comparison page shows around a task: progress, the connection, and why there is no task.

import { part } from "./element.js";
import { isDurable } from "./storage.js";

const MESSAGES = {
  none_left: ["All done", "There is nothing left for you to judge. Thank you."],
  enough_held: [
    "Waiting for the connection",
    "Your answers are kept in this browser and are sent as soon as the server can be reached. Please keep this page open.",
  ],
  unreachable: [
    "No connection",
    "The server cannot be reached. Your answers are kept in this browser; this page tries again by itself.",
  ],
  training_pending: ["One moment", "The next training comparison is being prepared."],
  paused: [
    "Paused",
    "This project is paused, so there is nothing new at the moment. All your answers are kept; this page goes on by itself.",
  ],
  failed_training: [
    "Training not passed",
    "Your answers in the training differ too much from the expected ones. Please talk to whoever invited you; they can give you another try.",
  ],
  login_required: [
    "You are logged out",
    "Your answers are kept in this browser. Log in again to send them and to go on.",
  ],
};

/**
 * Brings the task on the screen, and the keyboard to its beginning. A training task that was loaded ahead does not know
 * about those answered since: `nTrained` does.
 */
export function showTask({ kind, training, answers }, nTrained) {
  part("message").hidden = true;
  part("task").hidden = false;
  document.body.classList.add("has-task");
  const title = part("task-title");
  title.textContent =
    kind === "training"
      ? `Training ${Math.max(training.n_done, nTrained) + 1} of ${training.n_total}`
      : answers.more.length > 0
        ? "Put the answers in order"
        : answers.b === null
          ? "Rate the answer"
          : "Compare the two answers";
  title.classList.toggle("visually-hidden", kind !== "training");
  // On a phone every line counts, and the header's are not needed now.
  if (matchMedia("(max-width: 699.98px)").matches) part("task").scrollIntoView();
  else window.scrollTo({ top: 0 });
  title.focus({ preventScroll: true });
}

/** Says that an adjudicator sent the task back, and why. */
export function showReturned(returned) {
  part("returned").hidden = !returned;
  part("returned-note").textContent = returned?.note ?? "";
}

/** Says why there is no task. */
export function showMessage(reason, me) {
  const [title, text] = MESSAGES[reason] ?? MESSAGES.none_left;
  part("task").hidden = true;
  part("message").hidden = false;
  document.body.classList.remove("has-task");
  part("message-title").textContent = title;
  part("message-text").textContent = text;
  part("message-count").textContent =
    me && me.n_answered > 0 ? `You have judged ${me.n_answered.toLocaleString("en")} items.` : "";
  part("again").hidden = reason !== "none_left";
  part("undo-last").hidden = !["none_left", "paused"].includes(reason) || me.undo_left === 0;
  part("log-in").hidden = reason !== "login_required";
  part("message-title").focus({ preventScroll: true });
}

/** Shows how much is done. */
export function showProgress({ n_answered: done, n_left: left, stage }) {
  const bar = part("progress");
  bar.hidden = stage !== "work";
  bar.querySelector("progress").max = Math.max(1, done + left);
  bar.querySelector("progress").value = done;
  part("progress-text").textContent = `${done.toLocaleString("en")} done, ${left.toLocaleString("en")} left`;
}

/** Shows whether everything is saved. */
export function showTransport(outbox) {
  const n = outbox.waiting.length;
  const answers = n === 1 ? "1 answer" : `${n} answers`;
  const line = part("connection");
  let state = "saved";
  let text = isDurable ? "All saved" : "This browser keeps nothing: do not close the page before all is saved";
  if (outbox.waitsForLogin) [state, text] = ["offline", `Logged out: ${answers} kept here`];
  else if (!outbox.isConnected)
    [state, text] = ["offline", n === 0 ? "No connection" : `No connection: ${answers} kept here`];
  else if (n > 0) [state, text] = ["sending", `Sending ${answers}`];
  line.dataset.state = state;
  if (line.textContent !== text) line.textContent = text;
}
