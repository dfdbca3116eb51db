// The comparison page: shows one task after the other and sends what the person says about them.

import { get, post, Refusal, Unreachable } from "./api.js";
import { base } from "./base.js";
import { Comparison } from "./comparison.js";
import { Drafts } from "./drafts.js";
import { part } from "./element.js";
import { showFeedback } from "./feedback.js";
import { askForFlag } from "./flag.js";
import { Help } from "./help.js";
import { Keys } from "./keys.js";
import { announce } from "./notice.js";
import { Outbox } from "./outbox.js";
import { Reading } from "./reading.js";
import { showMessage, showProgress, showReturned, showTask, showTransport } from "./stage.js";
import { isDurable } from "./storage.js";
import { Tasks } from "./tasks.js";

/** How long to wait before asking again for what could not be loaded. */
const RETRY_MS = 3_000;
/** A pause is a matter of hours, and everybody waits for its end. */
const PAUSED_MS = 15_000;

/** Everything that happens on the page, from the first task to the last. */
class Session {
  #project;
  #me;
  #outbox;
  #drafts;
  #tasks;
  #comparison;
  #reading;
  #keys;
  #onScreen = null;
  #isBusy = false;
  #nTrained = 0;
  #retry = 0;

  constructor(project, me) {
    this.#project = project;
    this.#me = me;
    this.#outbox = new Outbox(me.name);
    this.#drafts = new Drafts(me.name);
    this.#tasks = new Tasks(project, () => this.#outbox.waiting.map((entry) => entry.assignment));
    this.#comparison = new Comparison(project);
    this.#reading = new Reading(project.min_reading_ms);
    this.#keys = new Keys(project.keys);
    const help = new Help(this.#keys);
    this.#keys.handle({
      ...this.#comparison.handlers,
      submit: () => this.#submit(),
      skip: () => this.#skip(),
      flag: () => this.#flag(),
      undo: () => this.#undo(),
      help: () => help.open(),
    });
    part("help-open").addEventListener("click", () => help.open());
    part("submit").addEventListener("click", () => this.#submit());
    part("skip").addEventListener("click", () => this.#skip());
    part("flag").addEventListener("click", () => this.#flag());
    part("undo").addEventListener("click", () => this.#undo());
    part("undo-last").addEventListener("click", () => this.#undo());
    part("again").addEventListener("click", () => this.#advance());
    document.addEventListener("keydown", (event) => this.#press(event));
    this.#comparison.addEventListener("change", () => this.#changed());
    this.#reading.addEventListener("tick", () => this.#showSubmit());
    this.#outbox.addEventListener("change", () => showTransport(this.#outbox));
    this.#outbox.addEventListener("sent", ({ detail }) => this.#sent(detail));
    this.#outbox.addEventListener("refused", ({ detail }) => this.#refused(detail));
    this.#tasks.addEventListener("lost", ({ detail }) => this.#lost(detail));
    // Only where the browser keeps nothing is anything lost with the page.
    window.addEventListener(
      "beforeunload",
      (event) => !isDurable && this.#outbox.waiting.length > 0 && event.preventDefault(),
    );
  }

  async start() {
    showTransport(this.#outbox);
    await this.#outbox.flush();
    await this.#advance();
  }

  /** Shows the next task, or why there is none. */
  async #advance() {
    let reason = null;
    try {
      if (this.#tasks.current === undefined) reason = await this.#tasks.refill();
    } catch (error) {
      if (!(error instanceof Unreachable)) return this.#stopped(error);
      reason = "unreachable";
    }
    showProgress(this.#me);
    const current = this.#tasks.current;
    if (current === undefined) return this.#rest(reason ?? "enough_held");
    // Two things may have asked for the next task at the same time.
    if (this.#onScreen !== current.task.assignment) this.#show(current);
    return this.#loadAhead();
  }

  #show({ task, images }) {
    this.#onScreen = task.assignment;
    this.#comparison.show(task, images, this.#drafts.of(task));
    showTask(task, this.#nTrained);
    showReturned(task.returned);
    this.#reading.begin();
    this.#changedButtons();
    this.#tasks.shown();
  }

  /** Nothing can be shown: says why, and comes back by itself where waiting helps. */
  #rest(reason) {
    this.#onScreen = null;
    this.#reading.end();
    if (reason === "guidelines") return location.assign(`${base}/guidelines`);
    if (reason === "none_left") showProgress(Object.assign(this.#me, { n_left: 0 }));
    showMessage(reason, this.#me);
    const waits = ["unreachable", "enough_held", "training_pending", "paused"];
    clearTimeout(this.#retry);
    const wait = reason === "paused" ? PAUSED_MS : RETRY_MS;
    if (waits.includes(reason)) this.#retry = setTimeout(() => this.#onScreen ?? this.#advance(), wait);
    return undefined;
  }

  async #loadAhead() {
    try {
      await this.#tasks.refill();
    } catch (error) {
      // There is a task on the screen; what is missing is asked for again after it.
      if (error instanceof Refusal && error.status === 401) this.#stopped(error);
    }
  }

  #stopped(error) {
    if (error instanceof Refusal && error.status === 401) {
      showMessage("login_required", this.#me);
      return;
    }
    announce(error instanceof Refusal ? error.sentence : `Something went wrong: ${error.message}`, { lasting: true });
  }

  /** What to work on now, if it is what the person sees; undefined while another task is about to be shown. */
  get #shown() {
    const current = this.#tasks.current;
    return current?.task.assignment === this.#onScreen ? current : undefined;
  }

  #changed() {
    const shown = this.#shown;
    if (shown !== undefined) this.#drafts.keep(shown.task.assignment, this.#comparison.value);
    this.#showSubmit();
  }

  #changedButtons() {
    const isTraining = this.#tasks.current?.task.kind === "training";
    part("skip").disabled = part("flag").disabled = isTraining;
    part("undo").disabled = isTraining || (this.#me.undo_left === 0 && this.#outbox.waiting.length === 0);
    this.#showSubmit();
  }

  #showSubmit() {
    const seconds = Math.ceil(this.#reading.left / 1000);
    const isReady = this.#comparison.isComplete && !this.#comparison.lacksImage && seconds === 0 && !this.#isBusy;
    part("submit").setAttribute("aria-disabled", String(!isReady));
    part("submit-text").textContent = seconds > 0 ? `Send in ${seconds} s` : "Send";
  }

  /** Keys that are not in the map: Ctrl+Enter sends from a text field, Backspace takes the last pick back. */
  #press(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#submit();
    else if (event.key === "Backspace" && event.target.matches("body, h1, input[type=radio], .chip"))
      this.#comparison.unpick();
  }

  #submit() {
    const current = this.#shown;
    if (current === undefined || this.#isBusy) return;
    if (!this.#comparison.isComplete) {
      announce(this.#comparison.missing);
      return;
    }
    if (this.#comparison.lacksImage) {
      announce("The image is not there, so no answer is taken. Load it again, or skip or report the comparison.");
      return;
    }
    const left = Math.ceil(this.#reading.left / 1000);
    if (left > 0) {
      announce(`Please read for another ${left === 1 ? "second" : `${left} seconds`}.`);
      return;
    }
    const { task } = current;
    this.#outbox.add(task.assignment, { ...this.#comparison.value, active_ms: this.#reading.activeMs });
    this.#drafts.forget(task.assignment);
    this.#reading.end();
    this.#comparison.stopMarking();
    if (task.kind === "training") {
      // What comes next depends on the server's feedback.
      this.#isBusy = true;
      announce("Sending …");
      this.#showSubmit();
      return;
    }
    this.#tasks.finish();
    this.#advance();
  }

  async #sent({ entry, reply }) {
    this.#me.undo_left = reply.undo_left;
    if (!reply.feedback) {
      this.#me.n_answered += 1;
      this.#me.n_left = Math.max(0, this.#me.n_left - 1);
      showProgress(this.#me);
      this.#changedButtons();
      await (this.#onScreen === null ? this.#advance() : this.#loadAhead());
      return;
    }
    this.#isBusy = false;
    this.#nTrained = reply.feedback.result ? 0 : reply.feedback.n_done;
    const wasShown = this.#tasks.current?.task.assignment === entry.assignment;
    if (wasShown) this.#tasks.finish();
    announce("");
    await showFeedback(reply.feedback, this.#project.questions);
    if (reply.feedback.result) await this.#reloadMe();
    if (wasShown) await this.#advance();
  }

  #refused({ entry, refusal }) {
    this.#isBusy = false;
    const lost = refusal.code === "lease_lost";
    announce(lost ? "An answer came too late: somebody else has that comparison now." : refusal.sentence, {
      lasting: true,
    });
    if (this.#tasks.current?.task.assignment !== entry.assignment) return;
    this.#tasks.finish();
    this.#advance();
  }

  #lost(task) {
    this.#drafts.forget(task.assignment);
    announce(
      "Nothing was heard from this page for too long, so somebody else has that comparison now. Here is the next one.",
      { lasting: true },
    );
    this.#advance();
  }

  async #skip() {
    await this.#giveBack("skip", {}, "Skipped.");
  }

  async #flag() {
    const asked = this.#shown?.task;
    if (asked?.kind !== "work") return;
    const flag = await askForFlag(this.#project.flag_reasons);
    if (flag === null) return;
    // It may be somebody else's by now, and another one on the screen.
    if (this.#shown?.task.assignment === asked.assignment) await this.#giveBack("flag", flag, "Reported. Thank you.");
    else announce("Nothing was reported, because another comparison has come on the screen meanwhile.", { lasting: true });
  }

  async #giveBack(how, body, done) {
    const task = this.#shown?.task;
    if (task === undefined || task.kind === "training" || this.#isBusy) return;
    const isGone = await this.#alone(async () => {
      await post(`/api/assignments/${encodeURIComponent(task.assignment)}/${how}`, body);
      this.#me.n_left = Math.max(0, this.#me.n_left - 1);
      announce(done);
    });
    if (!isGone) return;
    this.#drafts.forget(task.assignment);
    this.#tasks.finish();
    await this.#advance();
  }

  async #undo() {
    if (this.#isBusy || part("undo").disabled) return;
    const task = await this.#alone(async () => {
      await this.#outbox.flush();
      if (this.#outbox.waiting.length > 0) throw new Unreachable("answers are waiting");
      return (await post("/api/undo", {})).task;
    });
    if (!task) return;
    this.#tasks.putFirst(task);
    announce("The last answer is taken back. You can change it and send it again.");
    // It comes on the screen at once, however long the rest takes: until then the keys would be about another task.
    this.#onScreen = null;
    await Promise.all([this.#advance(), this.#reloadMe()]);
    showProgress(this.#me);
    this.#changedButtons();
  }

  async #reloadMe() {
    this.#me = await get("/api/me").catch(() => this.#me);
  }

  /** Does one thing at a time. Returns its result or true; false where it did not work and the person was told. */
  async #alone(work) {
    this.#isBusy = true;
    try {
      return (await work()) ?? true;
    } catch (error) {
      // Whoever lost the task has nothing left to give back.
      if (error instanceof Refusal && error.code === "lease_lost") return true;
      if (error instanceof Unreachable) announce("There is no connection. Try again when it is back.");
      else this.#stopped(error);
      return false;
    } finally {
      this.#isBusy = false;
      this.#changedButtons();
    }
  }
}

async function begin() {
  try {
    const [project, me] = await Promise.all([get("/api/project"), get("/api/me")]);
    await new Session(project, me).start();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    showMessage("unreachable", null);
    setTimeout(begin, RETRY_MS);
  }
}

begin();
