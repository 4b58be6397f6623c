// What stands around the parts: what is known, what is said aloud, the banner, the question before something is done.

import { Problem } from "./api.js";
import { h, visible } from "./dom.js";

const at = (id) => document.getElementById(id);

// The daemon's status, its tally, what has happened (newest first), and why it can't be asked.
export const known = { status: null, tally: null, events: [], down: null };

export function say(text) {
  at("said").textContent = visible(text);
}

// Texts of hublet's own name commands between backticks.
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

// Ask before something is done that changes what is served.
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

// Do something that the daemon may refuse; whether it was done. Whoever draws is told by a `changed` event.
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
