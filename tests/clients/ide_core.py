"""The first requests of an IDE window, with the headers that its core sends: a program of its own, for another user.

python ide_core.py PORT    prints {"METHOD target": {"status", "headers", "body"}, ...} as JSON
"""

from __future__ import annotations

import gzip
import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

HEADERS = {
    "Authorization": "Bearer undefined",
    "x-extension-version": "1.3.33",
    "x-is-prerelease": "false",
    "user-agent": "node-fetch",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate, br",
    "connection": "keep-alive",
}
FQSNS = [
    {
        "packageSlugs": [{"ownerSlug": "", "packageSlug": ""}, {"ownerSlug": "acme", "packageSlug": "house-model"}],
        "secretName": "HOUSE_KEY",
    },
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "GITHUB_TOKEN"},
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "NOT_ANYWHERE"},
    {"packageSlugs": [{"ownerSlug": "", "packageSlug": ""}], "secretName": "ANTHROPIC_API_KEY"},
]
"""What a local profile with blocks refers to, in its own order."""

Said = dict[str, dict[str, Any]]


def ask(port: int, method: str, target: str, body: object = None) -> dict[str, Any]:
    """One request on a connection of its own; node-fetch calls a string body text/plain."""
    headers = HEADERS | ({} if body is None else {"content-type": "text/plain;charset=UTF-8"})
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        sent = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    if sent.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return {"status": response.status, "headers": sent, "body": content.decode()}


def cascade(port: int) -> Said:
    """What core's ConfigHandler does at start: policy, organizations, then every scope's list at once; then the
    secrets of a local profile, in the personal scope and in each organization's; then, as the chat opens, credits."""
    said: Said = {}
    for target in ("/ide/policy", "/ide/list-organizations"):
        said[f"GET {target}"] = ask(port, "GET", target)
    scopes = [each["id"] for each in json.loads(said["GET /ide/list-organizations"]["body"])["organizations"]]
    targets = ["/ide/list-assistants", *(f"/ide/list-assistants?organizationId={quote(each)}" for each in scopes)]
    with ThreadPoolExecutor(len(targets)) as threads:
        for target, answer in zip(targets, threads.map(lambda each: ask(port, "GET", each), targets), strict=True):
            said[f"GET {target}"] = answer
    for scope in (None, *scopes):
        body = {"fqsns": FQSNS, "orgScopeId": scope}
        said[f"POST /ide/sync-secrets {scope}"] = ask(port, "POST", "/ide/sync-secrets", body)
    said["GET /ide/credits"] = ask(port, "GET", "/ide/credits")
    return said


if __name__ == "__main__":
    json.dump(cascade(int(sys.argv[1])), sys.stdout)
