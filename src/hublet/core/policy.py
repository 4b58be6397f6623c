"""The rule for a new policy: what makes it stricter counts at once; what makes it looser counts when the Hub says the
same again a full interval later."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from hublet.core.records import Content, Template
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Weighed:
    """What follows from a policy that the Hub sent. `content` is the policy to keep from now on; None when the kept one
    stays. `believed` says whether it is the Hub's own. `looser` is the text of a policy that waits to be said again,
    and when it was first said."""

    content: Content | None
    believed: bool
    looser: tuple[str, float] | None = None


def restrictions(policy: Mapping[str, object] | None) -> dict[str, object]:
    """The restrictions of a policy: every key that is not simply `true`, unknown keys too."""
    return {key: value for key, value in (policy or {}).items() if value is not True}


def weigh(
    old: Content, new: Content, looser: tuple[str, float] | None, now: float, *, interval: float, trusted: bool
) -> Weighed:
    """Weigh what the Hub says now (`new`) against the kept policy (`old`). `looser` is what has waited so far. Without
    `trusted`, a looser policy is not believed however often it is said: some organization is gone, and with it perhaps
    its policy."""
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
