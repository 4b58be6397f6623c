// What is in quarantine, the history, how two revisions differ; and the buttons that change what is served.

import { get, post } from "./api.js";
import { ago, badge, button, card, code, count, h, name, said, table, when } from "./dom.js";
import { act, confirm, known } from "./frame.js";
import { keep, panel } from "./panel.js";

const MOST_LINES = 300;

// Lines with + and - get a colour and keep their sign; a screen reader says "added" and "removed".
function lines(all) {
  const shown = all.slice(0, MOST_LINES).map((line) => {
    const kind = { "+": "added", "-": "removed" }[line[0]];
    return h("div", { class: `line ${kind ?? ""}` }, kind && h("span", { class: "unseen" }, `${kind}: `), line || " ");
  });
  if (all.length > MOST_LINES)
    shown.push(h("div", { class: "line quiet" }, `… and ${all.length - MOST_LINES} more lines`));
  // A long one scrolls on its own, so it has to be reachable by keyboard.
  return h(
    "div",
    shown.length > 24 ? { class: "diff long", tabindex: "0", role: "group", "aria-label": "lines" } : { class: "diff" },
    shown,
  );
}

function differences(found) {
  if (!found.length) return h("p", { class: "quiet" }, "No difference.");
  return h(
    "ul",
    { class: "differences" },
    found.map((one) =>
      h(
        "li",
        null,
        h(
          "p",
          null,
          badge(one.how, { added: "good", removed: "bad" }[one.how] ?? "calm"),
          " ",
          one.section,
          ": ",
          said(one.name),
        ),
        one.lines.length > 0 && lines(one.lines),
      ),
    ),
  );
}

function list(title, items) {
  if (!items.length) return null;
  return h(
    "div",
    null,
    h("h3", null, title),
    h(
      "ul",
      { class: "plain" },
      items.slice(0, 100).map((item) => h("li", null, said(item))),
      items.length > 100 && h("li", { class: "quiet" }, `and ${items.length - 100} more`),
    ),
  );
}

function why(one) {
  if (one.what === "everything")
    return "The Hub refuses all that is your account's. It may be meant, and it may be the Hub's end.";
  if (one.changes.length) return "It changes what it runs or where it sends things.";
  return "The Hub no longer names what it named before. It may be meant, and it may be a fault.";
}

export async function held(root) {
  const groups = new Map();
  for (const one of known.status.quarantine ?? []) groups.set(one.what, [...(groups.get(one.what) ?? []), one]);
  panel(root, "none", groups.size, () =>
    groups.size ? null : card("", h("p", { class: "quiet" }, "Nothing is held back.")),
  );
  keep(
    root,
    "held ",
    [...groups.keys()].map((what) => `held ${what}`),
  );
  for (const [what, ones] of groups) {
    const one = ones[0],
      rejected = ones.every((each) => each.rejected);
    const id = `held ${what}`,
      data = ones.map((each) => [each.gone, each.changes, each.since, each.rejected]);
    const told = await post(["quarantine", "show"], { what }).catch((error) => ({ held: [], problem: error.message }));
    const accept = async () => {
      const text = one.changes.length
        ? "The changed one is served from now on."
        : "What is gone is no longer served, at once. Its history stays.";
      if (await confirm(`Accept ${what}?`, text, "Accept"))
        await act(() => post(["quarantine", "accept"], { what }), `${what} is accepted`);
    };
    const reject = async () => {
      if (await confirm(`Reject ${what}?`, "What there is, is kept until the Hub says something else.", "Reject"))
        await act(() => post(["quarantine", "reject"], { what }), `${what} is rejected: what there is, is kept`);
    };
    panel(root, id, [data, told], () =>
      h(
        "section",
        { class: "card", "aria-label": `Held back: ${what}` },
        h("h2", null, said(what)),
        h(
          "p",
          null,
          why(one),
          " Held since ",
          ago(one.since),
          ".",
          rejected && " You have rejected it: you keep what there is.",
        ),
        told.problem && h("p", null, told.problem),
        told.held.map((each) => [
          ones.length > 1 && h("h3", null, "In ", said(scopeName(each.scope))),
          list("The Hub answers", each.says),
          list("Would no longer be served", each.gone),
          list("Would run or send elsewhere", each.endpoints),
          each.differences.length > 0 &&
            h("details", { open: true }, h("summary", null, "What would change"), differences(each.differences)),
        ]),
        h(
          "div",
          { class: "row" },
          button("Accept", accept, { class: "main", "aria-label": `Accept ${what}` }),
          !rejected && button("Reject", reject, { "aria-label": `Reject ${what}` }),
        ),
      ),
    );
  }
}

function scopeName(scope) {
  return (known.status.scopes ?? []).find((one) => one.scope === scope)?.name ?? scope ?? "personal";
}

let looked = "",
  compared = null;
const MOST_REVISIONS = 100;

async function compare(root, old, now) {
  const told = await get("diff", old, now).catch((error) => ({ differences: [], problem: error.message }));
  compared = { ...told, old, now };
  drawDifference(root);
  document.getElementById("difference")?.focus();
}

function drawDifference(root) {
  panel(
    root,
    "difference",
    compared,
    () =>
      compared &&
      h(
        "section",
        { class: "card", "aria-labelledby": "difference" },
        h("h2", { id: "difference", tabindex: "-1" }, "Difference"),
        h("p", null, code(compared.old), " → ", code(compared.now)),
        compared.problem ? h("p", null, compared.problem) : differences(compared.differences),
        h(
          "div",
          { class: "row" },
          button("Close", () => {
            compared = null;
            drawDifference(root);
            document.querySelector("#view h1").focus();
          }),
        ),
      ),
  );
}

function besides(one) {
  return [
    one.pinned && badge(one.pinned_until ? "pinned for a time" : "pinned", "calm"),
    " ",
    one.secrets.length > 0 && h("span", { class: "quiet said" }, `secret values changed: ${one.secrets.join(", ")}`),
  ];
}

function actions(root, one, entries) {
  const same = entries
    .filter((each) => each.what === one.what && each.kind === one.kind && each.variant === one.variant)
    .sort((a, b) => a.since - b.since);
  const before = same[same.indexOf(one) - 1],
    full = `${one.what}@${one.revision}`;
  const pin = async () => {
    if (
      await confirm(
        `Pin ${full}?`,
        "This revision is served whatever the Hub says, in every scope that had it, until it is unpinned.",
        "Pin",
      )
    )
      await act(() => post(["pin"], { what: one.what, revision: one.revision }), `${full} is pinned`);
  };
  const unpin = () => act(() => post(["unpin"], { what: one.what }), `${one.what} is no longer pinned`);
  return h(
    "div",
    { class: "row tight" },
    before &&
      button("Compare", () => compare(root, `${one.what}@${before.revision}`, full), {
        "aria-label": `Compare ${full} with the one before`,
      }),
    one.kind === "assistant" &&
      (one.pinned
        ? button("Unpin", unpin, { "aria-label": `Unpin ${one.what} in ${one.variant}` })
        : button("Pin", pin, { "aria-label": `Pin ${full}` })),
  );
}

async function draw(root) {
  const all = (await get("history")).entries.sort((a, b) => b.since - a.since);
  const names = [...new Set(all.map((one) => one.what))].sort();
  if (looked && !names.includes(looked)) looked = "";
  panel(root, "choice", [names, looked], () =>
    card(
      "",
      h(
        "div",
        { class: "row" },
        h("label", { for: "which" }, "Show "),
        h(
          "select",
          {
            id: "which",
            onchange: (event) => {
              looked = event.currentTarget.value;
              dispatchEvent(new Event("changed"));
            },
          },
          h("option", { value: "" }, "everything"),
          names.map((what) => h("option", { value: what, selected: what === looked }, what)),
        ),
      ),
    ),
  );
  drawDifference(root);
  const shown = all.filter((one) => !looked || one.what === looked);
  panel(root, "revisions", [shown.slice(0, 1000)], () =>
    card(
      "",
      table(
        `${count(shown.length, "revision")}${looked ? ` of ${looked}` : ""}, the last one first`,
        ["what", "in", "revision", "since", "until", "besides", "actions"],
        shown.map((one) => [
          said(one.what),
          said(one.variant),
          name(one.revision),
          when(one.since),
          one.until ? when(one.until) : "now",
          besides(one),
          actions(root, one, all),
        ]),
        { most: MOST_REVISIONS, none: "Nothing is cached yet." },
      ),
    ),
  );
}

export const history = {
  draw,
  look: (what) => {
    looked = what;
  },
};
