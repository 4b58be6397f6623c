// What all parts share: the last known state, messages for screen readers, the banner, the question before a change.

import { Problem } from "./api.js";
import { h, visible } from "./dom.js";

const at = (id) => document.getElementById(id);

// The daemon's status and tally, its events (newest first), and why the daemon can't be asked (null when it can).
export const known = { status: null, tally: null, events: [], down: null };

export function say(text) {
  at("said").textContent = visible(text);
}

// hublet's own texts have commands between backticks: these become code elements.
export function marked(text) {
  return text.split("`").map((piece, n) => (n % 2 ? h("code", null, piece) : piece));
}

export function banner(message, hint, ...more) {
  at("banner").replaceChildren(
    ...(message
      ? [
          h(
            "div",
            { class: "card warn" },
            h("p", null, h("strong", null, message)),
            hint && h("p", null, marked(hint)),
            ...more,
          ),
        ]
      : []),
  );
}

// Ask before a change of what is served; whether the answer was yes.
export function confirm(what, why, yes) {
  at("ask-what").textContent = visible(what);
  at("ask-why").textContent = visible(why);
  at("ask-yes").textContent = yes;
  const dialog = at("ask");
  dialog.returnValue = "";
  dialog.showModal();
  at("ask-no").focus();
  return new Promise((done) =>
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }),
  );
}

// Do something that the daemon may refuse; whether it was done. A `changed` event then has the page drawn anew.
export async function act(work, done) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    banner(error.message, error.hint);
    return false;
  }
  banner("");
  say(done);
  dispatchEvent(new Event("changed"));
  return true;
}
