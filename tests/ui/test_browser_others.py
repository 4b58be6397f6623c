"""The page in a real Chromium, and other sites in it: they read nothing of it and change nothing."""

from __future__ import annotations

import json

import pytest

from tests.daemon.attacking import Origin, serving
from tests.ui.stage import IN_A_BROWSER, Stage

pytestmark = IN_A_BROWSER


_TRIES = """
const at = target + '/api/status', told = async answer => answer.type + ' ' + answer.status + ' ' + await answer.text();
const inside = frame => { try { return frame.contentDocument?.body.innerText ?? ''; } catch { return 'closed'; } };
const element = (tag, attribute, value) => new Promise(done => {
  const one = document.createElement(tag);
  one.onload = () => done('loaded ' + inside(one));
  one.onerror = () => done('error');
  if (tag === 'link') one.rel = 'stylesheet';
  one[attribute] = value;
  document.body.appendChild(one);
});
const open = source => new Promise(done => {
  source.onopen = () => done('open');
  source.onerror = () => { source.close(); done('error'); };
});
const credentials = 'include', mode = 'no-cors', method = 'POST', sync = target + '/api/sync', body = '{}';
const headers = {'Content-Type': 'application/json', 'Hublet-Page': 'x'};
const tries = {
  fetch: () => fetch(at, {credentials}).then(told),
  opaque: () => fetch(at, {mode, credentials}).then(told),
  page: () => fetch(target + '/', {credentials}).then(told),
  post: () => fetch(sync, {method, credentials, headers, body}).then(told),
  simple: () => fetch(sync, {method, mode, credentials, body}).then(told),
  session: () => fetch(target + '/session', {method, mode, body: '{"code":"x"}'}).then(told),
  beacon: () => Promise.resolve(String(navigator.sendBeacon(sync, body))),
  events: () => open(new EventSource(target + '/api/events', {withCredentials: true})),
  websocket: () => open(new WebSocket(target.replace('http', 'ws') + '/api/events')),
  form: () => new Promise(done => {
    const frame = document.createElement('iframe'), form = document.createElement('form');
    Object.assign(form, {method, enctype: 'text/plain', target: 'answer', action: sync});
    frame.name = 'answer';
    document.body.append(frame, form);
    frame.onload = () => done('loaded ' + inside(frame));
    form.submit();
  }),
  image: () => element('img', 'src', target + '/icon.svg'),
  script: () => element('script', 'src', target + '/app.js'),
  style: () => element('link', 'href', target + '/style.css'),
  object: () => element('object', 'data', target + '/'),
  frame: () => element('iframe', 'src', target + '/'),
};
(async () => {
  const found = {}, late = () => new Promise(done => setTimeout(() => done('nothing came'), 4000));
  await Promise.all(Object.entries(tries).map(async ([what, run]) => {
    try { found[what] = await Promise.race([run(), late()]); } catch (error) { found[what] = error.name; }
  }));
  document.title = 'done';
  window.found = found;
})();
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_origin_reads_nothing_and_changes_nothing(stage: Stage, name: str) -> None:
    """Of another site, and of the same one on another port, which the browser sends the cookie along with."""
    with serving(Origin()) as origin:
        target = f"const target = {json.dumps(stage.shown.origin)};"
        origin.pages["/"] = f"<!doctype html><title>evil</title><body><script>{target}{_TRIES}</script>".encode()
        asked = len(stage.hub.requests)
        passes = len(stage.tally()["passes"])
        evil = stage.browser.open(f"http://{name}:{origin.port}/")
        evil.until("document.title === 'done'")
        found: dict[str, str] = evil.run("window.found")
    assert "dana/" not in json.dumps(found)
    for what in ("fetch", "page", "post"):
        assert found[what] == "TypeError", what
    for what in ("opaque", "simple", "session"):
        assert found[what] in ("TypeError", "opaque 0 "), what
    for what in ("events", "websocket", "image", "script", "style"):
        assert found[what] == "error", what
    for what in ("form", "object", "frame"):
        # What the browser shows in place of a frame that was refused is of an origin of its own, too.
        assert found[what] in (
            "SecurityError",
            "TypeError",
            "error",
            "nothing came",
            "loaded ",
            "loaded SecurityError",
        ), what
    assert len(stage.tally()["passes"]) == passes
    assert len(stage.hub.requests) == asked
    refused = stage.shown.log.read_text()
    for rule in ("sec-fetch", "origin", "method"):
        assert f"refused a request ({rule})" in refused


def test_a_window_that_another_site_opened_is_out_of_its_reach(stage: Stage) -> None:
    """It can open the empty page in a window, and then has no hold of it."""
    with serving(Origin()) as origin:
        origin.pages["/"] = b"<!doctype html><title>evil</title><body>"
        evil = stage.browser.open(f"http://127.0.0.1:{origin.port}/")
        evil.run(f"window.opened = window.open({json.dumps(stage.shown.origin + '/')}); null")
        assert evil.until("window.opened === null || window.opened.closed") is True
