// The parts of the page, in their order: an id for the address, a title, and how to draw it from what is known.

import { get } from "./api.js";
import { ago, badge, card, code, count, h, name, said, table } from "./dom.js";
import { held, history } from "./changes.js";
import { checks } from "./checks.js";
import { known, marked } from "./frame.js";
import { keep, panel } from "./panel.js";
import { plot } from "./plot.js";

const TONES = { fresh: "good", stale: "warn", expired: "bad", locked: "warn", missing: "bad", overridden: "calm", "location-only": "calm" };
export const grade = (word) => word ? badge(word, TONES[word] ?? "calm") : "";

// Ages as moments, so that a panel is the same as long as nothing was confirmed anew.
const moment = (age) => age === null || age === undefined ? null : Math.round((Date.now() / 1000 - age) / 5) * 5;

const FIRST_EVENTS = 10, MOST_EVENTS = 80, LONGEST = 160;

const SENTENCES = {
  revision: "", withdrawn: "was withdrawn", held: "is held back", accepted: "was accepted", endpoints: "runs or sends elsewhere",
  stale: "has gone stale", expired: "Secret values have expired", locked: "Locked: no secret value is served", unlocked: "Unlocked",
  offline: "The Hub does not answer", online: "The Hub answers again", pass: "Synced", config: "The config was",
  pinned: "is pinned", unpinned: "is no longer pinned", missed: "Something was missed",
};

export function sentence(event) {
  const words = SENTENCES[event.kind] ?? event.kind;
  const place = event.scope && !event.what.includes(" ") ? known.status?.scopes?.find((one) => one.scope === event.scope)?.name : "";
  const what = event.what + (place ? ` (${place})` : "");
  if (event.kind === "revision") return `${what}: ${event.detail}`;
  if (event.kind === "config") return `The config was ${event.what}`;
  const told = event.detail.length > LONGEST ? `${event.detail.slice(0, LONGEST)}…` : event.detail;
  const detail = told && ["pass", "expired", "pinned", "endpoints", "missed", "held"].includes(event.kind) ? `: ${told}` : "";
  return `${what ? `${what} ` : ""}${words}${detail}`;
}

const STATES = {
  ok: ["Everything is working.", "Your assistants are fresh, and they stay when the Hub goes away."],
  offline: ["The Hub does not answer.", "Your tools go on from the cache; hublet tries again by itself."],
  locked: ["The cache is locked.", "Configs are served with references in place of secret values: `hublet login`, or `hublet unlock`."],
  "logged-out": ["No Hub key is stored.", "Run `hublet login` in a terminal."],
  starting: ["hublet is starting.", ""],
  unavailable: ["Nothing can be served.", ""],
};

const tile = (number, words) => h("div", { class: "tile" }, h("dt", null, words), h("dd", null, number));

function numbers(status) {
  const asked = status.requests ?? {};
  const all = (asked.answered_from_cache ?? 0) + (asked.waited_for_hub ?? 0);
  const slugs = new Set((status.scopes ?? []).flatMap((scope) => scope.assistants.map((one) => one.slug)));
  return h("dl", { class: "tiles" },
    tile(slugs.size, "assistants"),
    tile(asked.answered_from_cache ?? 0, "requests answered from the cache"),
    tile(all ? `${Math.floor(100 * asked.answered_from_cache / all)} %` : "–", "of requests saved from the Hub"),
    tile(asked.asked_of_hub ?? 0, "questions asked of the Hub"),
    tile(asked.passed_through ?? 0, "requests passed through"));
}

function troubles(status) {
  const lines = (status.troubles ?? []).map((one) => [said(one.what), `${one.detail}`, ago(one.since)]);
  for (const one of status.endpoints ?? []) lines.push([said(one.what), one.changes.map((line) => h("div", null, line)), ago(one.at)]);
  for (const text of [...status.config_problems ?? [], ...status.config_pending ?? []]) lines.push(["config", text, ""]);
  for (const text of status.override?.problems ?? []) lines.push(["secrets.override", text, ""]);
  if (status.export?.problem) lines.push(["export", status.export.problem, ""]);
  if (status.unsaved_since) lines.push(["disk", status.unsaved_reason, ago(status.unsaved_since)]);
  if (status.count_problem) lines.push(["cache", `older copies of it would not be noticed: ${status.count_problem}`, ""]);
  return lines;
}

function outcomes(tally) {
  const rows = new Map();
  for (const one of tally.outcomes) rows.set(one.asked, { ...rows.get(one.asked), [one.outcome]: one.count });
  return [...rows].sort().map(([asked, found]) => {
    const { answered = 0, notmodified = 0, ...rest } = found;
    return [name(asked), answered, notmodified, Object.entries(rest).map(([what, n]) => `${n} ${what}`).join(", ") || "none"];
  });
}

const line = (event) => h("li", null, h("span", { class: `dot ${event.kind}`, "aria-hidden": "true" }),
  h("span", { class: "said" }, sentence(event)), " ", h("span", { class: "quiet" }, ago(event.at)));

function happened(events) {
  if (!events.length) return h("p", { class: "quiet" }, "Nothing yet.");
  const earlier = events.slice(FIRST_EVENTS, MOST_EVENTS);
  return [h("ol", { class: "events" }, events.slice(0, FIRST_EVENTS).map(line)), earlier.length > 0 && h("details", null,
    h("summary", null, "Earlier"), h("ol", { class: "events" }, earlier.map(line)))];
}

function stateOf(status) {
  const old = (status.scopes ?? []).some((scope) => scope.grade !== "fresh");
  if (status.state === "ok" && old) return ["It works, and some of it is older than it should be.", "What is stale is served all the same, until the Hub says something."];
  return STATES[status.state] ?? [status.state, ""];
}

async function overview(root) {
  const { status, tally, events } = known;
  const [what, why] = stateOf(status);
  const paced = { pause: "only when you ask", slow: "less often" }[status.pace];
  const waiting = (status.quarantine ?? []).filter((one) => !one.rejected);
  const wrong = troubles(status), width = root.clientWidth;
  panel(root, "waiting", waiting.map((one) => one.what), () => waiting.length ? h("section", { class: "card warn", "aria-label": "Held back" },
    h("p", null, h("strong", null, `${count(waiting.length, "change is", "changes are")} held back until you agree. `), h("a", { href: "#held" }, "Look at it"))) : null);
  panel(root, "state", [what, why, status.reason, status.hint, status.port, status.hub, paced], () => h("section", { class: "card hero", "aria-labelledby": "is-it" },
    h("h2", { id: "is-it" }, what), h("p", null, marked(status.reason ?? why)), status.hint && h("p", null, marked(status.hint)),
    h("p", { class: "quiet" }, status.port ? ["Serving ", code(`http://localhost:${status.port}`), " from the Hub at ", code(status.hub)] : ["Hub: ", code(status.hub)],
      paced ? `. Syncs come ${paced}: on battery or a metered connection.` : ".")));
  panel(root, "numbers", [status.requests, status.scopes?.map((one) => one.assistants.length)], () => card("What was saved", numbers(status)));
  let place = [...root.children].find((one) => one.dataset.panel === "plot");
  place = panel(root, "plot", [tally.passes, Math.floor(Date.now() / 60000), width], () => card("Passes over the Hub", tally.passes.length
    ? plot(tally.passes, Date.now() / 1000, (place ?? root).clientWidth - 34) : h("p", { class: "quiet" }, "None since hublet was started.")));
  panel(root, "events", events.slice(0, MOST_EVENTS), () => card("What happened", happened(events)));
  panel(root, "troubles", [status.troubles, status.endpoints, status.config_problems, status.unsaved_since], () => card("To know about",
    table("What did not work, and what runs elsewhere", ["what", "why", "since"], wrong, { most: 20, none: "Nothing." })));
  panel(root, "outcomes", tally.outcomes, () => card("What the Hub was asked",
    table("Questions to the Hub since hublet was started", ["question", "answered", "not changed", "otherwise"], outcomes(tally))));
}

async function assistants(root) {
  const { status } = known;
  const pinned = new Map((status.pins ?? []).map((one) => [`${one.scope} ${one.proxied} ${one.what}`, one.revision]));
  const troubles = new Map((status.troubles ?? []).map((one) => [one.what, one.detail]));
  const scopes = status.scopes ?? [];
  panel(root, "none", scopes.length === 0, () => scopes.length ? null : card("", h("p", { class: "quiet" }, "Nothing is cached yet.")));
  keep(root, "scope ", scopes.map((scope) => `scope ${scope.scope} ${scope.proxied}`));
  for (const scope of scopes) {
    const called = scope.name + (scope.proxied ? " (proxied)" : ""), at = moment(scope.age);
    const pins = scope.assistants.map((one) => pinned.get(`${scope.scope} ${scope.proxied} ${one.slug}`));
    panel(root, `scope ${scope.scope} ${scope.proxied}`, [called, at, scope.grade, scope.error, scope.assistants, pins, scope.assistants.map((one) => troubles.get(one.slug))], () =>
      h("section", { class: "card", "aria-label": `Assistants of ${called}` },
        h("h2", null, said(called)), h("p", null, grade(scope.grade), " confirmed ", at ? ago(at) : "never",
          scope.error && h("span", { class: "said" }, `; last error: ${scope.error}`)),
        table(`${count(scope.assistants.length, "assistant")} in the Hub's order`, ["assistant", "name", "besides"], scope.assistants.map((one, n) => [
          h("a", { href: "#history", onclick: () => history.look(one.slug) }, said(one.slug)), said(one.title ?? ""),
          [pins[n] && badge(`pinned to ${pins[n]}`, "calm"), " ", troubles.has(one.slug) && h("span", { class: "said" }, troubles.get(one.slug))]]), { most: 200, none: "No assistant." })));
  }
  const rest = ["policy", "organizations"].filter((what) => status[what]?.grade).map((what) => {
    const one = status[what];
    return [what, grade(one.grade), one.age === null ? "" : ago(moment(one.age)), said(one.error ?? "")];
  });
  panel(root, "rest", [moment(status.policy?.age), moment(status.organizations?.age), status.policy?.grade, status.policy?.error], () =>
    card("Besides", table("Policy and organizations", ["what", "grade", "confirmed", "last error"], rest)));
}

async function secrets(root) {
  const found = (await get("secrets")).secrets;
  const scopes = new Map((known.status.scopes ?? []).map((one) => [one.scope, one.name]));
  panel(root, "secrets", found.map((one) => ({ ...one, age: moment(one.age) })), () => card("",
    h("p", null, "No value is ever shown here: ", h("code", null, "hublet secrets get NAME"), " tells one in a terminal."),
    table(count(found.length, "secret"), ["secret", "state", "in", "found at", "referred to by", "confirmed"], found.map((one) => [
      one.name.startsWith("unnamed/") ? "(one without a name)" : said(one.name), grade(one.state), said(one.scope ? scopes.get(one.scope) ?? one.scope : "personal"),
      said(one.found_at), h("span", { class: "said" }, one.referred_by.slice(0, 5).join(", "), one.referred_by.length > 5 ? ` and ${one.referred_by.length - 5} more` : ""),
      one.age === null ? "" : ago(moment(one.age))]), { none: "No secret is cached." })));
}

const RULES = {
  host: "another name for this machine, as after DNS rebinding", origin: "a web page", referer: "a web page", cookie: "a web page",
  "sec-fetch": "a web page", "browser-agent": "a browser", forwarded: "a proxy", upgrade: "a WebSocket or another upgrade",
  "other-user": "another user of this machine", "no-token": "no token where one is needed", "unknown-token": "a token that is none",
  container: "a process in a container", "unknown-cgroup": "a process in a container", gone: "a client that had gone",
  method: "a method for proxies", "target-form": "a request for a proxy", unaskable: "nobody could tell who asked",
};

async function refused(root) {
  const counters = Object.entries(known.status.counters ?? {}).filter(([rule]) => rule.startsWith("refused:"))
    .map(([rule, n]) => [rule.slice(8), n]).sort((a, b) => b[1] - a[1]);
  panel(root, "counters", counters, () => card("Since hublet was started", table("Refusals by rule", ["rule", "what it refuses", "how often"],
    counters.map(([rule, n]) => [name(rule), RULES[rule] ?? "", n]), { none: "Nobody was refused." })));
  const found = (await get("refused")).refusals;
  panel(root, "log", found, () => card("In the audit log", table("The last refusals, the newest first", ["when", "rule", "asked for", "at", "by"],
    found.map((one) => [ago(one.at), name(one.detail ?? ""), one.what, one.door, [
      one.uid === null || one.uid === undefined ? "user unknown" : `user ${one.uid}`, one.program ? [", ", said(one.program)] : "", one.count > 1 ? `, ${one.count} times` : ""]]),
    { most: 50, none: "Nobody was refused." })));
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
