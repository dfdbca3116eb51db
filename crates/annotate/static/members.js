// The people of a project: what they may do, how far they are, and what an administrator can change about them.

import { make } from "./element.js";
import { count, time } from "./figures.js";

const ROLES = ["annotator", "adjudicator", "admin"];
const STAGES = {
  guidelines: "reads the guidelines",
  training: "in training",
  work: "works",
  failed_training: "failed the training",
};

/** All of `/api/admin/people`. `amend` is given a person and what to change, `renew` a person who needs a password. */
export function membersView({ people, invites }, amend, renew) {
  const head = ["Name", "Role", "Stage", "Answers", "Last seen", "Account"];
  const table = make(
    "table",
    {},
    make("caption", {}, "Accounts"),
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...people.map((person) => row(person, amend, renew))),
  );
  const waiting = invites.map(({ role, expires_at: at }) => make("li", {}, `${role}, until ${time(at)}`));
  return [
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Accounts" }, table),
    ...(waiting.length > 0 ? [make("h3", {}, "Invitations that wait"), make("ul", {}, ...waiting)] : []),
  ];
}

function row(person, amend, renew) {
  const { name, role, stage, disabled, n_answers: n, last_seen_at: seen } = person;
  const change = (what) => amend(person.person, { role: null, disabled: null, retrain: null, ...what });
  const select = make(
    "select",
    { "aria-label": `Role of ${name}`, change: ({ target }) => change({ role: target.value }) },
    ...ROLES.map((value) => make("option", { value, selected: value === role }, value)),
  );
  const buttons = [
    make(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": `${disabled ? "Enable" : "Disable"} ${name}`,
        click: () => change({ disabled: !disabled }),
      },
      disabled ? "Enable" : "Disable",
    ),
    make(
      "button",
      { type: "button", class: "quiet", "aria-label": `New password for ${name}`, click: () => renew(person) },
      "New password",
    ),
  ];
  if (stage === "failed_training") {
    buttons.push(
      make(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": `Let ${name} try the training again`,
          click: () => change({ retrain: true }),
        },
        "Train again",
      ),
    );
  }
  return make(
    "tr",
    { class: disabled ? "is-disabled" : null },
    make("th", { scope: "row" }, make("bdi", {}, name)),
    make("td", {}, select),
    make("td", {}, disabled ? "disabled" : (STAGES[stage] ?? stage)),
    make("td", { class: "number" }, count(n)),
    make("td", {}, seen ? time(seen) : "never"),
    make("td", {}, ...buttons),
  );
}
