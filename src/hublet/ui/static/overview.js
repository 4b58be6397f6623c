// The first part: whether hublet works, what it has saved, what the passes brought, and what has happened.

import { ago, card, code, count, h, name, said, table } from "./dom.js";
import { known, marked } from "./frame.js";
import { panel } from "./panel.js";
import { plot } from "./plot.js";

const FIRST_EVENTS = 10,
  MOST_EVENTS = 80,
  LONGEST = 160;

const SENTENCES = {
  revision: "",
  withdrawn: "was withdrawn",
  held: "is held back",
  accepted: "was accepted",
  endpoints: "runs or sends elsewhere",
  stale: "has gone stale",
  expired: "Secret values have expired",
  locked: "Locked: no secret value is served",
  unlocked: "Unlocked",
  offline: "The Hub does not answer",
  online: "The Hub answers again",
  pass: "Synced",
  config: "The config was",
  pinned: "is pinned",
  unpinned: "is no longer pinned",
  missed: "Something was missed",
};

export function sentence(event) {
  const words = SENTENCES[event.kind] ?? event.kind;
  const place =
    event.scope && !event.what.includes(" ")
      ? known.status?.scopes?.find((one) => one.scope === event.scope)?.name
      : "";
  const what = event.what + (place ? ` (${place})` : "");
  if (event.kind === "revision") return `${what}: ${event.detail}`;
  if (event.kind === "config") return `The config was ${event.what}`;
  const told = event.detail.length > LONGEST ? `${event.detail.slice(0, LONGEST)}…` : event.detail;
  const detail =
    told && ["pass", "expired", "pinned", "endpoints", "missed", "held"].includes(event.kind) ? `: ${told}` : "";
  return `${what ? `${what} ` : ""}${words}${detail}`;
}

const STATES = {
  ok: ["Everything is working.", "Your assistants are fresh, and they stay when the Hub goes away."],
  offline: ["The Hub does not answer.", "Your tools go on from the cache; hublet tries again by itself."],
  locked: [
    "The cache is locked.",
    "Configs are served with references in place of secret values: `hublet status` says what unlocks it.",
  ],
  "logged-out": ["No Hub key is stored.", "Run `hublet login` in a terminal."],
  starting: ["hublet is starting.", ""],
  unavailable: ["Nothing can be served.", ""],
};

const tile = (number, words) => h("div", { class: "tile" }, h("dt", null, words), h("dd", null, number));

function numbers(status) {
  const asked = status.requests ?? {};
  const all = (asked.answered_from_cache ?? 0) + (asked.waited_for_hub ?? 0);
  const slugs = new Set((status.scopes ?? []).flatMap((scope) => scope.assistants.map((one) => one.slug)));
  return h(
    "dl",
    { class: "tiles" },
    tile(slugs.size, "assistants"),
    tile(asked.answered_from_cache ?? 0, "requests answered from the cache"),
    tile(all ? `${Math.floor((100 * asked.answered_from_cache) / all)} %` : "–", "of requests saved from the Hub"),
    tile(asked.asked_of_hub ?? 0, "questions asked of the Hub"),
    tile(asked.passed_through ?? 0, "requests passed through"),
  );
}

function troubles(status) {
  const lines = (status.troubles ?? []).map((one) => [said(one.what), `${one.detail}`, ago(one.since)]);
  for (const one of status.endpoints ?? [])
    lines.push([said(one.what), one.changes.map((line) => h("div", null, line)), ago(one.at)]);
  for (const text of [...(status.config_problems ?? []), ...(status.config_pending ?? [])])
    lines.push(["config", text, ""]);
  for (const text of status.override?.problems ?? []) lines.push(["secrets.override", text, ""]);
  if (status.export?.problem) lines.push(["export", status.export.problem, ""]);
  if (status.unsaved_since) lines.push(["disk", status.unsaved_reason, ago(status.unsaved_since)]);
  if (status.count_problem)
    lines.push(["cache", `older copies of it would not be noticed: ${status.count_problem}`, ""]);
  return lines;
}

function outcomes(tally) {
  const rows = new Map();
  for (const one of tally.outcomes) rows.set(one.asked, { ...rows.get(one.asked), [one.outcome]: one.count });
  return [...rows].sort().map(([asked, found]) => {
    const { answered = 0, notmodified = 0, ...rest } = found;
    return [
      name(asked),
      answered,
      notmodified,
      Object.entries(rest)
        .map(([what, n]) => `${n} ${what}`)
        .join(", ") || "none",
    ];
  });
}

const line = (event) =>
  h(
    "li",
    null,
    h("span", { class: `dot ${event.kind}`, "aria-hidden": "true" }),
    h("span", { class: "said" }, sentence(event)),
    " ",
    h("span", { class: "quiet" }, ago(event.at)),
  );

function happened(events) {
  if (!events.length) return h("p", { class: "quiet" }, "Nothing yet.");
  const earlier = events.slice(FIRST_EVENTS, MOST_EVENTS);
  return [
    h("ol", { class: "events" }, events.slice(0, FIRST_EVENTS).map(line)),
    earlier.length > 0 &&
      h("details", null, h("summary", null, "Earlier"), h("ol", { class: "events" }, earlier.map(line))),
  ];
}

function stateOf(status) {
  const old = (status.scopes ?? []).some((scope) => scope.grade !== "fresh");
  if (status.state === "ok" && old)
    return [
      "It works, and some of it is older than it should be.",
      "What is stale is served all the same, until the Hub says something.",
    ];
  return STATES[status.state] ?? [status.state, ""];
}

export async function overview(root) {
  const { status, tally, events } = known;
  const [what, why] = stateOf(status);
  const paced = { pause: "only when you ask", slow: "less often" }[status.pace];
  const waiting = (status.quarantine ?? []).filter((one) => !one.rejected);
  const wrong = troubles(status),
    width = root.clientWidth;
  panel(
    root,
    "waiting",
    waiting.map((one) => one.what),
    () =>
      waiting.length
        ? h(
            "section",
            { class: "card warn", "aria-label": "Held back" },
            h(
              "p",
              null,
              h("strong", null, `${count(waiting.length, "change is", "changes are")} held back until you agree. `),
              h("a", { href: "#held" }, "Look at it"),
            ),
          )
        : null,
  );
  panel(root, "state", [what, why, status.reason, status.hint, status.port, status.hub, paced], () =>
    h(
      "section",
      { class: "card hero", "aria-labelledby": "is-it" },
      h("h2", { id: "is-it" }, what),
      h("p", null, marked(status.reason ?? why)),
      status.hint && h("p", null, marked(status.hint)),
      h(
        "p",
        { class: "quiet" },
        status.port
          ? ["Serving ", code(`http://localhost:${status.port}`), " from the Hub at ", code(status.hub)]
          : ["Hub: ", code(status.hub)],
        paced ? `. Syncs come ${paced}: on battery or a metered connection.` : ".",
      ),
    ),
  );
  panel(root, "numbers", [status.requests, status.scopes?.map((one) => one.assistants.length)], () =>
    card("What was saved", numbers(status)),
  );
  let place = [...root.children].find((one) => one.dataset.panel === "plot");
  place = panel(root, "plot", [tally.passes, Math.floor(Date.now() / 60000), width], () =>
    card(
      "Passes over the Hub",
      tally.passes.length
        ? plot(tally.passes, Date.now() / 1000, (place ?? root).clientWidth - 34)
        : h("p", { class: "quiet" }, "None since hublet was started."),
    ),
  );
  panel(root, "events", events.slice(0, MOST_EVENTS), () => card("What happened", happened(events)));
  panel(root, "troubles", [status.troubles, status.endpoints, status.config_problems, status.unsaved_since], () =>
    card(
      "To know about",
      table("What did not work, and what runs elsewhere", ["what", "why", "since"], wrong, {
        most: 20,
        none: "Nothing.",
      }),
    ),
  );
  panel(root, "outcomes", tally.outcomes, () =>
    card(
      "What the Hub was asked",
      table(
        "Questions to the Hub since hublet was started",
        ["question", "answered", "not changed", "otherwise"],
        outcomes(tally),
      ),
    ),
  );
}
