// The parts of the page in order: an id for the address, a title, and a function that draws it from the known state.

import { get } from "./api.js";
import { held, history } from "./changes.js";
import { checks } from "./checks.js";
import { ago, badge, card, count, h, name, said, table } from "./dom.js";
import { known } from "./frame.js";
import { overview } from "./overview.js";
import { keep, panel } from "./panel.js";

const TONES = {
  fresh: "good",
  stale: "warn",
  expired: "bad",
  locked: "warn",
  missing: "bad",
  overridden: "calm",
  "location-only": "calm",
};
const grade = (word) => (word ? badge(word, TONES[word] ?? "calm") : "");

// Ages are turned into moments, so that the data of a panel stays equal until something is confirmed anew.
const moment = (age) => (age === null || age === undefined ? null : Math.round((Date.now() / 1000 - age) / 5) * 5);

async function assistants(root) {
  const { status } = known;
  const pinned = new Map((status.pins ?? []).map((one) => [`${one.scope} ${one.proxied} ${one.what}`, one.revision]));
  const troubles = new Map((status.troubles ?? []).map((one) => [one.what, one.detail]));
  const scopes = status.scopes ?? [];
  panel(root, "none", scopes.length === 0, () =>
    scopes.length ? null : card("", h("p", { class: "quiet" }, "Nothing is cached yet.")),
  );
  keep(
    root,
    "scope ",
    scopes.map((scope) => `scope ${scope.scope} ${scope.proxied}`),
  );
  for (const scope of scopes) {
    const called = scope.name + (scope.proxied ? " (proxied)" : ""),
      at = moment(scope.age);
    const pins = scope.assistants.map((one) => pinned.get(`${scope.scope} ${scope.proxied} ${one.slug}`));
    panel(
      root,
      `scope ${scope.scope} ${scope.proxied}`,
      [
        called,
        at,
        scope.grade,
        scope.error,
        scope.assistants,
        pins,
        scope.assistants.map((one) => troubles.get(one.slug)),
      ],
      () =>
        h(
          "section",
          { class: "card", "aria-label": `Assistants of ${called}` },
          h("h2", null, said(called)),
          h(
            "p",
            null,
            grade(scope.grade),
            " confirmed ",
            at ? ago(at) : "never",
            scope.error && h("span", { class: "said" }, `; last error: ${scope.error}`),
          ),
          table(
            `${count(scope.assistants.length, "assistant")} in the Hub's order`,
            ["assistant", "name", "besides"],
            scope.assistants.map((one, n) => [
              h("a", { href: "#history", onclick: () => history.look(one.slug) }, said(one.slug)),
              said(one.title ?? ""),
              [
                pins[n] && badge(`pinned to ${pins[n]}`, "calm"),
                " ",
                troubles.has(one.slug) && h("span", { class: "said" }, troubles.get(one.slug)),
              ],
            ]),
            { most: 200, none: "No assistant." },
          ),
        ),
    );
  }
  const rest = ["policy", "organizations"]
    .filter((what) => status[what]?.grade)
    .map((what) => {
      const one = status[what];
      return [what, grade(one.grade), one.age === null ? "" : ago(moment(one.age)), said(one.error ?? "")];
    });
  panel(
    root,
    "rest",
    [moment(status.policy?.age), moment(status.organizations?.age), status.policy?.grade, status.policy?.error],
    () => card("Besides", table("Policy and organizations", ["what", "grade", "confirmed", "last error"], rest)),
  );
}

async function secrets(root) {
  const found = (await get("secrets")).secrets;
  const scopes = new Map((known.status.scopes ?? []).map((one) => [one.scope, one.name]));
  panel(
    root,
    "secrets",
    found.map((one) => ({ ...one, age: moment(one.age) })),
    () =>
      card(
        "",
        h(
          "p",
          null,
          "No value is ever shown here: ",
          h("code", null, "hublet secrets get NAME"),
          " tells one in a terminal.",
        ),
        table(
          count(found.length, "secret"),
          ["secret", "state", "in", "found at", "referred to by", "confirmed"],
          found.map((one) => [
            one.name.startsWith("unnamed/") ? "(one without a name)" : said(one.name),
            grade(one.state),
            said(one.scope ? (scopes.get(one.scope) ?? one.scope) : "personal"),
            said(one.found_at),
            h(
              "span",
              { class: "said" },
              one.referred_by.slice(0, 5).join(", "),
              one.referred_by.length > 5 ? ` and ${one.referred_by.length - 5} more` : "",
            ),
            one.age === null ? "" : ago(moment(one.age)),
          ]),
          { none: "No secret is cached." },
        ),
      ),
  );
}

const RULES = {
  host: "another name for this machine, as after DNS rebinding",
  origin: "a web page",
  referer: "a web page",
  cookie: "a web page",
  "sec-fetch": "a web page",
  "browser-agent": "a browser",
  forwarded: "a proxy",
  upgrade: "a WebSocket or another upgrade",
  "other-user": "another user of this machine",
  "no-token": "no token where one is needed",
  "unknown-token": "a token that is none",
  container: "a process in a container",
  "unknown-cgroup": "a process in a container",
  gone: "a client that had gone",
  method: "a method for proxies",
  "target-form": "a request for a proxy",
  unaskable: "nobody could tell who asked",
  body: "a request's body from somebody unknown",
};

async function refused(root) {
  const counters = Object.entries(known.status.counters ?? {})
    .filter(([rule]) => rule.startsWith("refused:"))
    .map(([rule, n]) => [rule.slice(8), n])
    .sort((a, b) => b[1] - a[1]);
  panel(root, "counters", counters, () =>
    card(
      "Since hublet was started",
      table(
        "Refusals by rule",
        ["rule", "what it refuses", "how often"],
        counters.map(([rule, n]) => [name(rule), RULES[rule] ?? "", n]),
        { none: "Nobody was refused." },
      ),
    ),
  );
  const found = (await get("refused")).refusals;
  panel(root, "log", found, () =>
    card(
      "In the audit log",
      table(
        "The last refusals, the newest first",
        ["when", "rule", "asked for", "at", "by"],
        found.map((one) => [
          ago(one.at),
          name(one.detail ?? ""),
          one.what,
          one.door,
          [
            one.uid === null || one.uid === undefined ? "user unknown" : `user ${one.uid}`,
            one.program ? [", ", said(one.program)] : "",
            one.count > 1 ? `, ${one.count} times` : "",
          ],
        ]),
        { most: 50, none: "Nobody was refused." },
      ),
    ),
  );
}

export const PARTS = [
  { id: "overview", title: "Overview", layout: "overview", draw: overview },
  { id: "assistants", title: "Assistants", layout: "columns", draw: assistants },
  { id: "held", title: "Held back", draw: held },
  { id: "history", title: "History", draw: history.draw },
  { id: "secrets", title: "Secrets", draw: secrets },
  { id: "refused", title: "Refused", draw: refused },
  { id: "checks", title: "Checks", draw: checks },
];
