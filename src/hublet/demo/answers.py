"""The Hub's operations: the answer to a request that is authorized. Authorization, faults and counting are in
hub.py."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from hublet.demo.data import DEMO_KEY, DEMO_REFRESH_TOKEN, Organization, World
from hublet.demo.lookup import resolve
from hublet.demo.presign import Presigner
from hublet.demo.reply import Reply, json_reply, message
from hublet.demo.unroll import Unusable, unroll

_USER_NOT_FOUND = message(404, "User not found")
Json = Any


class Answers:
    """The state of the Hub and the operations on it. Not thread-safe by itself.

    `keys` maps each accepted bearer to the organization that it is bound to, or None. The model proxy answers with
    `tokens`, one every `token_pace` seconds. `public_url` is the origin of icon URLs. When `account_exists` is false
    every answer is 404 `User not found`, as a new account gets it for a while.
    """

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self.world = world
        self.clock = clock
        self.clock_skew = 0.0
        self.public_url = "http://localhost"
        self.keys: dict[str, str | None] = {DEMO_KEY: None}
        self.refresh_tokens: set[str] = {DEMO_REFRESH_TOKEN}
        self.account_exists = True
        self.checkout_sessions = 0
        self.tokens: tuple[str, ...] = ("Hello", " from", " the", " pretend", " Hub", ".")
        self.token_pace = 0.0
        self._refreshes = 0
        self._signer = Presigner(self.now)

    def now(self) -> float:
        """The time by the Hub's own clock, in seconds."""
        return self.clock() + self.clock_skew

    def answer(self, method: str, target: str, bearer: str, body: bytes) -> Reply:
        path, _, query = target.partition("?")
        segments = [unquote(segment) for segment in path.lstrip("/").split("/")]
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if segments[0] == "ide" and not self.account_exists:
            return _USER_NOT_FOUND
        match "GET" if method == "HEAD" else method, segments:
            case "GET", ["ide", "list-assistants"]:
                return self._in_scope(asked, lambda org: self._list(org, asked.get("alwaysUseProxy") == "true"))
            case "GET", ["ide", "get-assistant", owner, package]:
                slug, proxied = f"{owner}/{package}", asked.get("alwaysUseProxy") == "true"
                return self._in_scope(asked, lambda org: self._get(slug, org, proxied))
            case "GET", ["ide", "list-organizations"]:
                return json_reply(
                    200, {"organizations": list(map(self._organization, self.world.organizations.values()))}
                )
            case "GET", ["ide", "policy"]:
                return json_reply(200, {"policy": self.world.policy, "orgSlug": self.world.policy_slug})
            case "GET", ["ide", "free-trial-status"]:
                return json_reply(200, self.world.trial)
            case "GET", ["ide", "credits"]:
                return json_reply(200, self.world.credits)
            case "GET", ["ide", "list-assistant-full-slugs"]:
                return message(429, "Too many requests")
            case "GET", ["ide", "get-models-add-on-checkout-url"]:
                self.checkout_sessions += 1
                return json_reply(
                    200, {"url": f"https://checkout.stripe.com/c/pay/cs_demo_{self.checkout_sessions:06d}"}
                )
            case "POST", ["ide", "sync-secrets"]:
                return self._sync_secrets(body)
            case "GET", ["auth", "scope"]:
                return json_reply(200, {"organizationId": self.keys.get(bearer)})
            case "POST", ["auth", "refresh"]:
                return self._refresh(body)
            case "GET", ["registry", "v1", owner, package, version]:
                text = self.world.block(f"{owner}/{package}", version)
                return message(404, "Package not found") if text is None else json_reply(200, {"content": text})
            case "GET", ["v0", owner, package, version, "download"]:
                text = self.world.block(f"{owner}/{package}", version)
                return message(404, "Package not found") if text is None else _zipped(package, text)
            case "POST", ["model-proxy", "v1", "chat", "completions"]:
                return self._chat(body)
            case "GET", ["icons", *_]:
                return self._icon(path, query)
        return message(404, "Not found")

    def _in_scope(self, asked: Mapping[str, str], answer: Callable[[Organization | None], Reply]) -> Reply:
        scope = asked.get("organizationId")
        org = self.world.organization(scope)
        return message(404, "Organization not found") if scope and org is None else answer(org)

    def _list(self, org: Organization | None, proxied: bool) -> Reply:
        roster = self.world.roster if org is None else org.roster
        return json_reply(200, [self._assistant(slug, org, proxied) for slug in roster if slug in self.world.sources])

    def _get(self, slug: str, org: Organization | None, proxied: bool) -> Reply:
        if not self.world.visible(slug):
            return message(404, "Assistant not found")
        if org is not None and slug in org.disallowed:
            return message(403, "This assistant is not allowed in this organization")
        return json_reply(200, self._assistant(slug, org, proxied))

    def _assistant(self, slug: str, org: Organization | None, proxied: bool) -> dict[str, Json]:
        source = self.world.sources[slug]
        try:
            unrolled = unroll(self.world, slug, source, org, proxied=proxied)
            result: dict[str, Json] = {"config": unrolled.config, "configLoadInterrupted": False}
            if unrolled.errors:
                result["errors"] = unrolled.errors
        except Unusable as error:
            fatal = {"fatal": True, "message": str(error), "uri": f"slug://{slug}"}
            result = {"config": None, "configLoadInterrupted": True, "errors": [fatal]}
        owner, _, package = slug.partition("/")
        return {
            "configResult": result,
            "ownerSlug": owner,
            "packageSlug": package,
            "iconUrl": self._icon_url(f"/icons/assistants/{slug}.png") if slug in self.world.icons else None,
            "onPremProxyUrl": org.on_prem_proxy_url if org else None,
            "useOnPremProxy": bool(org and org.on_prem_proxy_url),
            "rawYaml": source,
        }

    def _organization(self, org: Organization) -> dict[str, Json]:
        icon = self._icon_url(f"/icons/organizations/{org.id}.png") if org.icon else None
        return {"id": org.id, "name": org.name, "iconUrl": icon, "slug": org.slug}

    def _icon_url(self, path: str) -> str:
        return self._signer.url(self.public_url, path)

    def _icon(self, path: str, query: str) -> Reply:
        if not self._signer.fits(path, query):
            denied = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
            return Reply(403, (("Content-Type", "application/xml"),), denied)
        kind, _, name = unquote(path).removeprefix("/icons/").removesuffix(".png").partition("/")
        org = self.world.organizations.get(name)
        picture = self.world.icons.get(name) if kind == "assistants" else org.icon if org else None
        return message(404, "Not found") if picture is None else Reply(200, (("Content-Type", "image/png"),), picture)

    def _sync_secrets(self, body: bytes) -> Reply:
        """One result for each of `fqsns`, in the same order, each with its `fqsn` repeated. The organization is found
        by id, else by slug. The body is read as JSON whatever the Content-Type says."""
        asked = _object(body)
        if asked is None or not isinstance(asked.get("fqsns"), list):
            return message(400, "Invalid request body")
        org = self.world.organization(asked.get("orgScopeId"), asked.get("orgScopeSlug"))
        return json_reply(200, [self._secret(fqsn, org) for fqsn in asked["fqsns"]])

    def _secret(self, fqsn: Json, org: Organization | None) -> dict[str, Json]:
        match fqsn:
            case {"packageSlugs": list(slugs), "secretName": str(name)} if all(isinstance(s, dict) for s in slugs):
                packages = [(str(each.get("ownerSlug", "")), str(each.get("packageSlug", ""))) for each in slugs]
                found = resolve(self.world, packages, name, org)
            case _:
                found = {"found": False, "secretLocation": {"secretType": "not_found", "secretName": ""}}
        return {"found": found["found"], "fqsn": fqsn, **found}

    def _refresh(self, body: bytes) -> Reply:
        asked = _object(body)
        token = asked.get("refreshToken") if asked else None
        if token not in self.refresh_tokens:
            return message(401, "Invalid refresh token")
        self._refreshes += 1
        now, seal = int(self.now()), hashlib.sha256(b"%d" % self._refreshes).hexdigest()
        claims = {"sub": "user_dana", "iat": now, "exp": now + 3600, "jti": seal[:8]}
        access = ".".join(map(_base64, (b'{"alg":"none"}', json.dumps(claims).encode(), seal.encode())))
        fresh = f"demo-refresh-{seal[:24]}"
        self.refresh_tokens = (self.refresh_tokens - {token}) | {fresh}
        self.keys[access] = None
        user = {"id": "user_dana", "email": "dana@example.com", "firstName": "Dana", "lastName": "Demo"}
        return json_reply(200, {"accessToken": access, "refreshToken": fresh, "user": user})

    def _chat(self, body: bytes) -> Reply:
        """A chat completion in OpenAI's format: one object, or server-sent events with one token each."""
        asked = _object(body)
        if asked is None or not isinstance(asked.get("messages"), list):
            return json_reply(400, {"error": {"message": "messages is required", "type": "invalid_request_error"}})
        same = {"id": "chatcmpl-demo", "created": int(self.now()), "model": str(asked.get("model", ""))}

        def choice(part: str, value: dict[str, str], finish: str | None) -> dict[str, Json]:
            kind = "chat.completion.chunk" if part == "delta" else "chat.completion"
            return {**same, "object": kind, "choices": [{"index": 0, part: value, "finish_reason": finish}]}

        if not asked.get("stream"):
            whole = choice("message", {"role": "assistant", "content": "".join(self.tokens)}, "stop")
            used = {"prompt_tokens": 1, "completion_tokens": len(self.tokens), "total_tokens": 1 + len(self.tokens)}
            return json_reply(200, {**whole, "usage": used})
        said = [choice("delta", {"role": "assistant", "content": token}, None) for token in self.tokens]
        events = [json.dumps(each).encode() for each in [*said, choice("delta", {}, "stop")]]
        pieces = [b"data: %s\n\n" % event for event in (*events, b"[DONE]")]
        return Reply(200, (("Content-Type", "text/event-stream"),), pieces, pace=self.token_pace)


def _object(body: bytes) -> dict[str, Json] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _zipped(package: str, text: str) -> Reply:
    """A package as a zip archive of one markdown file; the same bytes every time."""
    content = text if text.startswith("---") else f"---\nname: {package}\n---\n{text}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{package.replace('/', '_')}.md"), content)
    return Reply(200, (("Content-Type", "application/zip"),), file.getvalue())
