// The tokens of programs: what each may do, when it was last used, and a button that ends it.

import { get, post } from "./api.js";
import { make, part } from "./element.js";
import { time } from "./figures.js";

/** Shows all tokens; `revoked` is called with what is to be done when one is to end. */
export async function showTokens(revoked) {
  const { tokens } = await get("/api/admin/tokens");
  if (tokens.length === 0) {
    part("tokens-body").replaceChildren(make("p", { class: "soft" }, "There are no tokens."));
    return;
  }
  const head = ["Name", "May", "Made by", "Good until", "Last used", "End"];
  const table = make(
    "table",
    {},
    make("caption", {}, "Tokens of programs"),
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...tokens.map((token) => row(token, revoked))),
  );
  const scroll = { class: "scroll", tabindex: "0", role: "group", "aria-label": "Tokens of programs" };
  part("tokens-body").replaceChildren(make("div", scroll, table));
}

function row({ token, name, scopes, made_by: by, expires_at: until, used_at: used }, revoked) {
  const end = () => post(`/api/admin/tokens/${encodeURIComponent(token)}/revoke`, {});
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, make("bdi", {}, name)),
    make("td", {}, scopes.join(", ")),
    make("td", {}, make("bdi", {}, by)),
    make("td", {}, until === null ? "it is revoked" : time(until)),
    make("td", {}, used === null ? "never" : time(used)),
    make(
      "td",
      {},
      make(
        "button",
        { type: "button", class: "quiet", "aria-label": `Revoke ${name}`, click: () => revoked(end) },
        "Revoke",
      ),
    ),
  );
}

/** Makes the token that the form describes, and returns its secret. */
export async function makeToken() {
  const scopes = ["read", "import", "export"].filter((scope) => part(`token-${scope}`).checked);
  const days = part("token-days").value;
  const body = { name: part("token-name").value, scopes, days: days === "" ? null : Number(days) };
  return (await post("/api/admin/tokens", body)).secret;
}
