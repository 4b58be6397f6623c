"""Endpoints one by one, and requests that no endpoint takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hublet.serve.admission import NOBODY
from tests.in_process import InProcess, text, value
from tests.serve.synced import CACHED, EVERY, LIST, ONE, asked, cache_status, told


def test_full_slugs_are_answered_here(tmp_path: Path) -> None:
    """The Hub always answers 429 to that; ours follow the list, versions and all."""

    async def story(it: InProcess) -> None:
        listed = value(await it.ask("GET", LIST))
        slugs = value(await it.ask("GET", "/ide/list-assistant-full-slugs"))
        assert isinstance(listed, list)
        assert slugs == {
            "fullSlugs": [
                {
                    "ownerSlug": one["ownerSlug"],
                    "packageSlug": one["packageSlug"],
                    "versionSlug": (one["configResult"]["config"] or {}).get("version", "latest"),
                }
                for one in listed
            ]
        }
        acme = value(await it.ask("GET", "/ide/list-assistant-full-slugs?organizationId=org_acme"))
        assert acme["fullSlugs"][0]["ownerSlug"] == "acme"  # type: ignore[index,call-overload]
        assert it.hub.count("/ide/list-assistant-full-slugs") == 0

    told(tmp_path, story)


def test_a_checkout_is_never_cached_repeated_or_asked_ahead(tmp_path: Path) -> None:
    """Each call makes a session at the Hub; it needs the client's own credential, and is 503 offline."""

    async def story(it: InProcess) -> None:
        path = "/ide/get-models-add-on-checkout-url"
        assert it.hub.checkout_sessions == 0
        own = {"Authorization": "Bearer con_demo_key_not_secret"}
        urls = [value(await it.ask("GET", f"{path}?profile_id=local", headers=own)) for _ in range(2)]
        assert urls[0] != urls[1]
        assert it.hub.checkout_sessions == 2
        assert (await it.ask("GET", path)).status == 401
        assert it.hub.checkout_sessions == 2
        await it.sync.run_pass()
        assert it.hub.checkout_sessions == 2
        it.network.up = False
        offline = await it.ask("GET", path, headers=own)
        assert offline.status == 503
        assert value(offline) == {"message": "the Hub does not answer, and this can't be cached"}

    told(tmp_path, story)


@pytest.mark.parametrize(("proxied", "first"), [("auto", 0), ("always", 3), ("never", 0)])
def test_the_proxied_variant_is_kept_fresh_as_configured(tmp_path: Path, proxied: str, first: int) -> None:
    """auto: in a scope where a client has asked for it once. Its answers are its own, without any user secret."""
    target = f"{LIST}?alwaysUseProxy=true"

    async def story(it: InProcess) -> None:
        def lists() -> list[str]:
            return [each for each in asked(it) if each.startswith(LIST) and "alwaysUseProxy=true" in each]

        it.clock.advance(EVERY)
        await it.sync.run_pass()
        assert len(lists()) == first
        it.hub.forget_requests()
        answer = await it.ask("GET", target)
        assert answer.status == 200
        assert "canary-user-" not in text(answer)
        assert text(answer) != text(await it.ask("GET", LIST))
        assert ("hit" in cache_status(answer)) is (proxied == "always")
        it.hub.forget_requests()
        it.clock.advance(EVERY)
        await it.sync.run_pass()
        expected = {"auto": [target], "never": [], "always": sorted(lists())}[proxied]
        assert sorted(lists()) == expected
        assert (await it.ask("GET", target)).header("Age") == ("0" if proxied != "never" else str(int(EVERY)))

    told(tmp_path, story, settings={"sync": {"proxied": proxied}})


def test_head_is_answered_like_get(tmp_path: Path) -> None:
    """The door leaves the body out; everything that counts is the same."""

    async def story(it: InProcess) -> None:
        for path in (*CACHED, "/healthz", "/readyz"):
            head, get = await it.ask("HEAD", path), await it.ask("GET", path)
            assert replace(head, body=b"") == replace(get, body=b"")
        assert (await it.ask("HEAD", "/no/such/path")).status == 404

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("POST", LIST, "GET, HEAD"), ("DELETE", ONE, "GET, HEAD"), ("GET", "/ide/sync-secrets", "POST"),
     ("PUT", "/ide/sync-secrets", "POST"), ("POST", "/healthz", "GET, HEAD"), ("OPTIONS", "/ide/policy", "GET, HEAD")],
)  # fmt: skip
def test_another_method_is_told_which_there_are(tmp_path: Path, method: str, path: str, allow: str) -> None:
    async def story(it: InProcess) -> None:
        answer = await it.ask(method, path, b"{}")
        assert (answer.status, answer.header("Allow")) == (405, allow)
        assert isinstance(value(answer), dict)
        assert it.hub.requests == []

    told(tmp_path, story)


@pytest.mark.parametrize(
    "path",
    ["/", "/ide", "/ide/", "/ide/list-assistants/", "/ide/get-assistant/dana", "/ide/get-assistant/a/b/c", "/status",
     "/favicon.ico", "/IDE/policy", "/ide/policy/x", "/tokens", "/icons/nothing"],
)  # fmt: skip
def test_an_unknown_path_is_404_with_a_message(tmp_path: Path, path: str) -> None:
    """The admin door's paths are unknown here, too."""

    async def story(it: InProcess) -> None:
        answer = await it.ask("GET", path)
        assert answer.status == 404
        assert value(answer) == {"message": "Not found"}
        assert it.hub.requests == []

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{LIST}?alwaysUseProxy=yes", b""),
        ("GET", f"{LIST}?alwaysUseProxy=", b""),
        ("GET", f"{LIST}?alwaysUseProxy=true&alwaysUseProxy=false", b""),
        ("GET", f"{LIST}?organizationId=%ff", b""),
        ("GET", "/ide/get-assistant/dana/..", b""),
        ("GET", "/ide/get-assistant/dana/%2e%2e", b""),
        ("GET", "/ide/get-assistant/dana/%00", b""),
        ("GET", "/ide/get-assistant/dana/%ff", b""),
        ("POST", "/ide/sync-secrets", b""),
        ("POST", "/ide/sync-secrets", b"not json"),
        ("POST", "/ide/sync-secrets", b"[]"),
        ("POST", "/ide/sync-secrets", b"{}"),
        ("POST", "/ide/sync-secrets", b'{"fqsns": {}}'),
        ("POST", "/ide/sync-secrets", b'{"fqsns": [], "orgScopeId": 7}'),
        ("POST", "/ide/sync-secrets", b'{"fqsns": []'),
        ("POST", "/ide/sync-secrets", b"\xff"),
    ],
)
def test_a_request_without_sense_is_400_with_a_message(tmp_path: Path, method: str, path: str, body: bytes) -> None:
    async def story(it: InProcess) -> None:
        answer = await it.ask(method, path, body)
        assert answer.status == 400, text(answer)
        said = value(answer)
        assert isinstance(said, dict)
        assert isinstance(said["message"], str)
        assert it.hub.requests == []

    told(tmp_path, story)


def test_readiness_tells_its_age_to_known_people_only(tmp_path: Path) -> None:
    async def story(it: InProcess) -> None:
        it.clock.advance(33)
        assert value(await it.ask("GET", "/readyz")) == {"status": "ready", "age": 33}
        assert value(await it.ask("GET", "/readyz", identity=NOBODY)) == {"status": "ready"}
        assert value(await it.ask("GET", "/healthz", identity=NOBODY)) == {"status": "alive"}

    told(tmp_path, story)
