// The life of the page: it is admitted once and then kept up to date. What it shows is fetched anew whenever the daemon
// reports an event, and only while the page is visible.

import { Problem, admit, get, listen, post } from "./api.js";
import { ago, count, h, tick } from "./dom.js";
import { banner, known, say } from "./frame.js";
import { sentence } from "./overview.js";
import { PARTS } from "./parts.js";

const at = (id) => document.getElementById(id);
const WAITS = [1, 2, 5, 10];
const MOST_EVENTS = 200;
const began = Date.now(); // what happened before is not said aloud
const TONES = { ok: "good", starting: "calm" };

// The part that is shown, and the element that it draws into. Each change of parts makes a new element, so that a part
// whose answer comes late draws into one that is no longer visible.
let shown = null,
  place = null;
let drawing = null,
  due = false,
  soon = 0,
  syncing = false,
  complained = false;

function head() {
  const { status, down } = known;
  const words = down ? "not running" : !status ? "connecting" : status.state === "ok" ? "working" : status.state;
  at("state").className = `state ${down ? "bad" : status ? (TONES[status.state] ?? "warn") : "calm"}`;
  at("state").textContent = words;
  at("synced").replaceChildren(...(status?.last_pass_at && !down ? ["last sync ", ago(status.last_pass_at)] : []));
  at("sync").disabled = syncing || Boolean(down) || !status || Boolean(status.reason);
  at("sync").textContent = syncing || status?.running ? "Syncing…" : "Sync now";
  const held = status?.quarantine?.filter((one) => !one.rejected).length ?? 0;
  for (const link of document.querySelectorAll("#parts a")) {
    if (link.hash === `#${shown?.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    const number = link.querySelector(".number");
    if (number) {
      number.firstChild.textContent = String(held);
      number.hidden = !held;
    }
  }
}

// Draws one at a time; all requests to draw that come meanwhile make one more drawing.
function draw() {
  due = true;
  if (!document.hidden)
    drawing ??= drawn().finally(() => {
      drawing = null;
    });
  return drawing;
}

async function drawn() {
  while (due && !document.hidden && !known.down) {
    due = false;
    const [part, root] = [shown, place];
    try {
      [known.status, known.tally] = await Promise.all([get("status"), get("tally")]);
      head();
      await part.draw(root);
      if (complained) banner("");
      complained = false;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // The stream reports that the daemon is away (503); other errors are shown here.
      if (error.status === 503) continue;
      banner(error.message, error.hint);
      complained = true;
    }
  }
}

function drawSoon() {
  clearTimeout(soon);
  soon = setTimeout(draw, 150);
}

function heard(kind, value) {
  if (kind === "up") {
    if (known.down) {
      banner("");
      say("hublet is running again");
    }
    known.down = null;
  } else if (kind === "down") {
    known.down = value;
    banner(
      "hublet is not running.",
      "`hublet service start` or `hublet run` starts it.",
      h("p", null, "What is below is as it was last known. This page goes on by itself when hublet is back."),
      h("p", { class: "quiet" }, `Asked, it said: ${value.message}`),
    );
    at("view").classList.add("old");
    head();
    return;
  } else if (kind === "ended") {
    throw new Problem("This page has ended.", "Run `hublet ui` again.", 410);
  } else {
    known.events.unshift(value);
    known.events.length = Math.min(known.events.length, MOST_EVENTS);
    if (value.at * 1000 > began && value.kind !== "pass") say(sentence(value));
  }
  at("view").classList.remove("old");
  drawSoon();
}

async function live() {
  for (let tries = 0; tries < WAITS.length; tries++) {
    known.events.length = 0; // a stream begins with all that is kept
    try {
      await listen((kind, value) => {
        tries = 0;
        heard(kind, value);
      });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401 || error.status === 410) return over(error);
    }
    await new Promise((done) => setTimeout(done, 1000 * WAITS[tries]));
  }
  return over(new Problem("This page's server has ended.", "Run `hublet ui` again.", 0));
}

function over(error) {
  known.down = error;
  banner(error.message, error.hint);
  at("view").classList.add("old");
  head();
  at("state").textContent = "ended";
}

async function sync() {
  syncing = true;
  head();
  say("syncing");
  try {
    const { summary } = await post(["sync"]);
    const words = ["added", "changed", "withdrawn"]
      .filter((key) => summary[key])
      .map((key) => `${summary[key]} ${key}`);
    const text = summary.asked
      ? `${summary.answered} of ${count(summary.asked, "question")} answered, ${words.join(", ") || "nothing new"}`
      : (summary.problems[0] ?? "nothing was asked");
    say(`synced: ${text}`);
    if (summary.of_account) banner("");
    else
      banner(
        "The sync brought nothing.",
        "",
        h("p", null, text),
        h(
          "ul",
          null,
          summary.problems.slice(0, 5).map((line) => h("li", null, line)),
        ),
      );
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    banner(error.message, error.hint);
  } finally {
    syncing = false;
    head();
    draw();
  }
}

function route() {
  const part = PARTS.find((one) => `#${one.id}` === location.hash);
  if (location.hash && !part) return;
  const before = shown;
  shown = part ?? PARTS[0];
  document.title = `${shown.title} · hublet`;
  if (before === shown) return;
  const title = h("h1", { tabindex: "-1" }, shown.title);
  const cut = h(
    "p",
    { id: "cut", class: "quiet", hidden: true },
    "Some of this is too long for a page, and is left out: the commands have all of it.",
  );
  place = h("div", { class: `panels ${shown.layout ?? ""}` });
  at("view").replaceChildren(title, cut, place);
  if (before) title.focus();
  head();
  if (known.down && known.status && known.tally) shown.draw(place).catch(() => {});
  else draw();
}

function begin() {
  at("parts").replaceChildren(
    ...PARTS.map((one) =>
      h(
        "li",
        null,
        h(
          "a",
          { href: `#${one.id}` },
          one.title,
          one.id === "held" &&
            h(
              "span",
              { class: "number", hidden: true },
              h("span", null, "0"),
              h("span", { class: "unseen" }, " waiting"),
            ),
        ),
      ),
    ),
  );
  at("sync").addEventListener("click", sync);
  at("ask-yes").addEventListener("click", () => at("ask").close("yes"));
  at("ask-no").addEventListener("click", () => at("ask").close());
  addEventListener("hashchange", route);
  addEventListener("changed", draw);
  addEventListener("resize", drawSoon);
  addEventListener("cut", () => {
    at("cut").hidden = false;
  });
  document.addEventListener("visibilitychange", () => {
    tick();
    if (due) draw();
  });
  setInterval(() => {
    if (!document.hidden) tick();
  }, 10000);
  route();
  return live();
}

try {
  if (await admit()) await begin();
  else over(new Problem("This page needs a link of its own.", "`hublet ui` opens it, and prints the link.", 401));
} catch (error) {
  if (error instanceof Problem) over(error);
  else {
    over(
      new Problem(
        "This page can't go on.",
        "It needs this browser's cookies and storage for its address; then run `hublet ui` again.",
        0,
      ),
    );
    throw error;
  }
}
