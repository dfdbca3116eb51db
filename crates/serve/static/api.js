// Requests to the server. A failure is an Error whose message is for the person at the page.

let key = "";

/** The key that requests carry from now on. */
export function useKey(text) {
  key = text.trim();
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.error?.message ?? `The server answered with status ${response.status}.`);
  error.status = response.status;
  throw error;
}

function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** What is served: `{models, takesPreferences}`. */
export async function served() {
  const list = await (await request("/v1/models")).json();
  const models = list.data.filter((model) => model.kind !== "reward").map((model) => model.id);
  return { models, takesPreferences: list.takes_preferences };
}

/** Keeps a preference. */
export async function keep(preference) {
  await post("/preferences", preference);
}

/** Asks for an answer; `hear` is given its text piece by piece. Returns why it ended. */
export async function ask(body, signal, hear) {
  const response = await post("/v1/chat/completions", { ...body, stream: true }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let [rest, reason] = ["", null];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return reason;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const part = JSON.parse(line.slice("data: ".length));
      if (part.error) throw new Error(part.error.message);
      for (const choice of part.choices) {
        if (choice.delta.content) hear(choice.delta.content);
        reason = choice.finish_reason ?? reason;
      }
    }
  }
}
