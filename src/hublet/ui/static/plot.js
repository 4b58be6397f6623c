// The passes over the Hub on a time line: one bar for each pass, as high as the number of its questions. Those that
// were not answered are on top.

import { h, svg, hours, when, count, duration, table, visible } from "./dom.js";

const LEFT = 30,
  RIGHT = 8,
  TOP = 10,
  BOTTOM = 24;
const TICK = 150,
  SLOT = 5;

export function outcome(one) {
  if (!one.asked || !one.of_account) return "failed";
  return one.answered < one.asked ? "partly" : "answered";
}

const WORDS = { answered: "answered", partly: "answered in part", failed: "not answered" };

export function changes(one) {
  const told = ["added", "changed", "withdrawn", "held"].filter((key) => one[key]).map((key) => `${one[key]} ${key}`);
  return told.join(", ") || "nothing new";
}

// `width` is in CSS pixels, so that words in the plot are as large as elsewhere.
export function plot(all, now, width) {
  const WIDTH = Math.max(240, Math.min(1400, width)),
    ticks = Math.max(1, Math.min(8, Math.floor(WIDTH / TICK)));
  const HEIGHT = Math.max(150, Math.min(260, WIDTH * 0.18));
  const passes = all.slice(-Math.floor((WIDTH - LEFT - RIGHT) / SLOT)); // the last ones, where there is no room for more
  const first = Math.min(passes[0].at, now - 600),
    span = Math.max(now - first, 1);
  const most = Math.max(...passes.map((one) => one.asked), 1);
  const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * (at - first)) / span;
  const y = (n) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * n) / most;
  const wide = Math.max(3, Math.min(12, ((WIDTH - LEFT - RIGHT) / passes.length) * 0.6));
  const failed = passes.filter((one) => outcome(one) === "failed").length;
  const summary = `${count(passes.length, "pass", "passes")} since ${hours(first)}, ${failed ? `${failed} of them not answered` : "all answered"}`;
  const picture = svg("svg", {
    class: "plot",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": summary,
    focusable: "false",
  });
  for (const n of [0, most]) {
    picture.append(
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(n), y2: y(n) }),
      svg("text", { class: "axis", x: LEFT - 6, y: y(n) + 4, "text-anchor": "end" }, n),
    );
  }
  for (let n = 0; n <= ticks; n++) {
    const at = first + (span * n) / ticks;
    const anchor = n === 0 ? "start" : n === ticks ? "end" : "middle";
    picture.append(
      svg("text", { class: "axis", x: x(at), y: HEIGHT - 6, "text-anchor": anchor }, n === ticks ? "now" : hours(at)),
    );
  }
  for (const one of passes) {
    const left = Math.max(LEFT, Math.min(WIDTH - RIGHT - wide, x(one.at) - wide / 2));
    const kind = outcome(one);
    const bar = svg(
      "g",
      { class: `bar ${kind}` },
      svg("title", null, `${hours(one.at)}: ${one.answered} of ${one.asked} answered, ${changes(one)}`),
    );
    if (one.answered)
      bar.append(
        svg("rect", {
          class: "yes",
          x: left,
          width: wide,
          y: y(one.answered),
          height: y(0) - y(one.answered),
          rx: 1.5,
        }),
      );
    if (one.answered < one.asked)
      bar.append(
        svg("rect", {
          class: "no",
          x: left,
          width: wide,
          y: y(one.asked),
          height: y(one.answered) - y(one.asked),
          rx: 1.5,
        }),
      );
    if (!one.asked) bar.append(svg("rect", { class: "no", x: left, width: wide, y: y(0) - 4, height: 4 }));
    if (one.added || one.changed || one.withdrawn)
      bar.append(svg("circle", { class: "news", cx: left + wide / 2, cy: TOP - 4, r: 3 }));
    picture.append(bar);
  }
  const rows = passes
    .toReversed()
    .map((one) => [
      when(one.at),
      WORDS[outcome(one)],
      `${one.answered} of ${one.asked}`,
      changes(one),
      duration(one.took) || "0 s",
    ]);
  const legend = h(
    "ul",
    { class: "legend" },
    h("li", null, h("span", { class: "key yes", "aria-hidden": "true" }), "answered"),
    h("li", null, h("span", { class: "key no", "aria-hidden": "true" }), "not answered"),
    h("li", null, h("span", { class: "key news", "aria-hidden": "true" }), "something new"),
  );
  return h(
    "figure",
    null,
    picture,
    h("figcaption", null, h("span", null, visible(summary), "."), legend),
    h(
      "details",
      null,
      h("summary", null, "As a table"),
      table("Passes, the last one first", ["when", "outcome", "questions", "what changed", "took"], rows, { most: 20 }),
    ),
  );
}
