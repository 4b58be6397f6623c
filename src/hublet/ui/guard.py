"""Refuses requests before routing: those that the page itself never sends, but other sites, proxies and tunnels do.

The rules of the API's guard hold here too, except those against browsers. In addition a browser tells who asks, by
`Origin` (the Fetch standard, section 3.2) and `Sec-Fetch-Site` (Fetch Metadata Request Headers, section 2.4). Only `/`
may be opened from another site, by a person who follows a link: that page is empty until it is admitted.
"""

from __future__ import annotations

from hublet.core.messages import Head
from hublet.door import guard
from hublet.door.guard import Refused

_READING = ("GET", "HEAD")
_ELSEWHERE = "only the page itself is answered"


def refusal(head: Head, hosts: frozenset[str]) -> Refused | None:
    """The first rule that refuses a request; None when none does. `hosts` is what `door.guard.hosts_of` gives for the
    port."""
    refused = guard.refusal(head, hosts, browsers=True)
    if refused is not None:
        return refused
    if head.method not in (*_READING, "POST"):
        return Refused("method", 405, "this method is not allowed here")
    if not _is_ours(head):
        return Refused("origin", 403, _ELSEWHERE)
    if not _is_from_here(head):
        return Refused("sec-fetch", 403, _ELSEWHERE)
    if head.method == "POST" and head.values("content-type") != ["application/json"]:
        return Refused("content-type", 415, "only JSON is taken")
    return None


def _is_ours(head: Head) -> bool:
    """Whether Origin is exactly our own. A GET may have none; a browser sends one with every POST."""
    origins = head.values("origin")
    if not origins:
        return head.method in _READING
    return origins == [f"http://{head.values('host')[0].lower()}"]


def _is_from_here(head: Head) -> bool:
    """Whether Sec-Fetch-Site says that the request comes from the page itself, or that a person opens `/` by a link.
    Old browsers send no such header, which is accepted."""
    site = head.values("sec-fetch-site")
    if site in ([], ["same-origin"]):
        return True
    followed = head.values("sec-fetch-mode") == ["navigate"] and head.values("sec-fetch-dest") == ["document"]
    return followed and head.method in _READING and head.target == "/"
