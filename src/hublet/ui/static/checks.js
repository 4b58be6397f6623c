// The reports of `hublet doctor` and `hublet doctor --sunset`. They run only on request, since they take a while.

import { get } from "./api.js";
import { badge, button, card, code, count, h, name, said, table } from "./dom.js";
import { act, marked, say } from "./frame.js";
import { panel } from "./panel.js";

const TONES = {
  ok: "good",
  warning: "warn",
  problem: "bad",
  works: "good",
  "with a key": "good",
  "needs a key": "warn",
  "can't work": "bad",
};
const ORDER = ["problem", "warning", "ok"];
const words = (text) => h("bdi", { class: "said" }, marked(text));
const kept = { doctor: null, sunset: null, running: "" };

function findings(found) {
  const sorted = [...found.findings].sort((a, b) => ORDER.indexOf(a.grade) - ORDER.indexOf(b.grade));
  return table(
    found.problems ? count(found.problems, "problem") : "No problem",
    ["check", "grade", "what was found", "what to do"],
    sorted.map((one) => [
      name(one.check),
      badge(one.grade, TONES[one.grade]),
      words(one.message),
      words(one.grade === "ok" ? "" : one.fix),
    ]),
  );
}

function without(found) {
  const standing = (word) => (word ? badge(word, TONES[word]) : "");
  const rows = found.assistants.flatMap((one) => {
    const whole = one.slug + (one.place ? ` (${one.place})` : "");
    const parts = one.parts.map((part) => [
      said(whole),
      said(part.section === "models" ? part.name : `${part.section} ${part.name}`),
      standing(part.standing),
      words(part.why),
    ]);
    return parts.length ? parts : [[said(whole), "", standing(one.standing), words(one.notes.join("; "))]];
  });
  const rest = [found.files, ...found.clients].map((one) => [
    one.name,
    code(one.part),
    standing(one.standing),
    words(one.why),
  ]);
  return [
    h("p", null, found.breaks ? "Something would break." : "Nothing would break."),
    table("Assistants without the Hub", ["assistant", "part", "then", "why"], rows),
    table("Files and clients without the Hub", ["what", "which", "then", "why"], rest),
  ];
}

export async function checks(root) {
  const run = async (which) => {
    kept.running = which;
    await checks(root);
    say("looking");
    await act(async () => {
      kept[which] = await get(which);
    }, "the checks are done").finally(() => {
      kept.running = "";
    });
    await checks(root);
  };
  const part = (which, title, what, press, show) =>
    panel(root, which, [kept[which], kept.running], () =>
      card(
        title,
        h("p", null, marked(what)),
        h(
          "div",
          { class: "row" },
          button(kept.running === which ? "Looking…" : press, () => run(which), {
            class: "main",
            disabled: Boolean(kept.running),
          }),
        ),
        kept[which] && show(kept[which]),
      ),
    );
  part(
    "doctor",
    "Is everything as it should be?",
    "Everything that hublet needs is looked at, as by `hublet doctor`. Nothing is changed. It takes some seconds.",
    "Run the checks",
    findings,
  );
  part(
    "sunset",
    "And without the Hub?",
    "How each assistant and client stands when the Hub is gone for good, as by `hublet doctor --sunset`.",
    "Look",
    without,
  );
}
