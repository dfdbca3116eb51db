// Talks to the server: JSON both ways, see docs/annotate-http.md. What went wrong is one of two errors, because they
// ask for different things: a refusal needs a decision, a lost connection only another try.

import { base } from "./base.js";

/** The server said no. `code` is stable; `message` and `remedy` are for people. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.message);
    this.status = status;
    this.code = body.code;
    this.remedy = body.remedy ?? "";
    this.details = body;
  }

  /** What to show. */
  get sentence() {
    const sentences = [this.message, this.remedy].filter(Boolean).map(asSentence);
    return sentences.join(" ");
  }
}

/** Nothing came back, or only a passing failure of the server. */
export class Unreachable extends Error {}

/** A request that takes longer is given up and counts as a lost connection. */
const PATIENCE_MS = 20_000;

function asSentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/u.test(capital) ? capital : `${capital}.`;
}

/** Without what is no character: half of a surrogate pair, which JSON cannot carry, and the zero, which PostgreSQL cannot. */
const harmless = (_, value) => (typeof value === "string" ? value.toWellFormed().replaceAll("\0", "\uFFFD") : value);

async function request(method, path, body) {
  const options = { method, headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body, harmless);
  }
  let response;
  let text;
  try {
    response = await fetch(base + path, options);
    text = await response.text();
  } catch {
    throw new Unreachable("no connection to the server");
  }
  if (!response.ok) throw failure(response.status, text);
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // Networks that want a login of their own answer for every server.
    throw new Unreachable("somebody else answered for the server");
  }
}

function failure(status, text) {
  let error;
  try {
    error = JSON.parse(text).error;
  } catch {
    error = undefined;
  }
  // A proxy in front answers for a server that is restarting; nobody decided anything.
  if (status >= 500 || error === undefined) return new Unreachable(`the server answered ${status}`);
  return new Refusal(status, error);
}

/** The answer to a `GET`. */
export const get = (path) => request("GET", path);
/** The answer to a `POST`, or null where there is none. */
export const post = (path, body) => request("POST", path, body);
/** The answer to a `PUT`, or null where there is none. */
export const put = (path, body) => request("PUT", path, body);
