"""Where the Hub found a secret, as its own answer says, and when an answer takes a secret's value away."""

from __future__ import annotations

import orjson

from hublet.core.questions import Slug
from hublet.core.records import Content


def location_of(content: Content) -> tuple[str, Slug | None]:
    """Where it was found (user, organization, package, models_add_on, free_trial or not_found), and whose it is when it
    is a package's or an add-on's."""
    # Holes are inside strings: it is JSON without them.
    match orjson.loads(content.template.text):
        case {"found": True, "secretLocation": {"secretType": str(kind)} as place}:
            match place.get("packageSlug") or place.get("blockSlug"):
                case {"ownerSlug": str(owner), "packageSlug": str(package)}:
                    return kind, Slug(owner, package)
            return kind, None
    return "not_found", None


def is_found(content: Content) -> bool:
    return location_of(content)[0] != "not_found"


def takes_away(old: Content, new: Content) -> bool:
    """Whether what was found no longer is, or has lost its value where it was. One that is found elsewhere (an
    organization's of the same name, say, whose value is never told) has moved."""
    was, now = location_of(old)[0], location_of(new)[0]
    if was == "not_found":
        return False
    return now == "not_found" or (now == was and bool(old.bindings) and not new.bindings)
