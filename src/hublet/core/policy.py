"""The rule of the policy: what is stricter counts at once, what is looser is believed a full interval later."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from hublet.core.records import Content, Template
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Weighed:
    """What follows from a policy that the Hub said. `content` is what is to be kept from now on, None when that stays
    as it is; `believed` when it is the Hub's own word; `looser` the text that waits, and since when it is said."""

    content: Content | None
    believed: bool
    looser: tuple[str, float] | None = None


def restrictions(policy: Mapping[str, object] | None) -> dict[str, object]:
    """What a policy forbids: every key that is not plainly `true`. An unknown key counts as a restriction."""
    return {key: value for key, value in (policy or {}).items() if value is not True}


def weigh(
    old: Content, new: Content, looser: tuple[str, float] | None, now: float, *, interval: float, trusted: bool
) -> Weighed:
    """Compare the kept policy with what the Hub says now. Without `trusted` a looser one is not believed, however often
    it is said: a lost organization takes its policy with it."""
    was, said = orjson.loads(old.template.text), orjson.loads(new.template.text)
    kept = restrictions(was.get("policy"))
    policy = said.get("policy") or {}
    weakened = {key: value for key, value in kept.items() if policy.get(key, True) != value}
    if not weakened:
        return Weighed(new, believed=True)
    text = new.template.text.decode()
    if looser is None or looser[0] != text or looser[1] > now:
        looser = (text, now)
    if now - looser[1] >= interval and trusted:
        return Weighed(new, believed=True)
    both = {**said, "policy": {**policy, **weakened}, "orgSlug": said.get("orgSlug") or was.get("orgSlug")}
    stricter = restrictions(both["policy"]) != kept
    return Weighed(Content(Template(orjson.dumps(both))) if stricter else None, believed=False, looser=looser)
