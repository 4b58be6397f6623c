// Requests to the page's server: with the cookie, which the browser sends, and the word, which only this origin knows.

const WORD = "hublet-page";

export class Problem extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint ?? "";
    this.status = status;
  }
}

async function send(method, path, body) {
  const headers = { [WORD]: sessionStorage.getItem(WORD) ?? "" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Problem("This page's server has ended.", "Run `hublet ui` again.", 0);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem(said.message ?? `The server answered ${answer.status}.`, said.hint, answer.status);
}

const path = (parts) => "/api/" + parts.map(encodeURIComponent).join("/");

async function value(answer) {
  const told = await answer.json();
  if (told.cut) dispatchEvent(new Event("cut")); // the server has left something out
  return told;
}

export const get = async (...parts) => value(await send("GET", path(parts)));
export const post = async (parts, body = {}) => value(await send("POST", path(parts), body));

// Exchange the code of the link for a session. First the fragment is removed from the address and the history.
export async function admit() {
  const given = location.hash.slice(1);
  if (!/^[\w-]{43}$/.test(given)) return sessionStorage.getItem(WORD) !== null;
  history.replaceState(null, "", location.pathname);
  const { word } = await (await send("POST", "/session", { code: given })).json();
  sessionStorage.setItem(WORD, word);
  return true;
}

// Server-sent events (the HTML standard, section 9.2), read by fetch, since an EventSource can't send the word.
export async function listen(heard) {
  const answer = await send("GET", "/api/events");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [kind, data] = ["event: ", "data: "].map((name) =>
        block
          .split("\n")
          .find((line) => line.startsWith(name))
          ?.slice(name.length),
      );
      if (kind && data) heard(kind, JSON.parse(data));
    }
  }
}
