"""Where the Hub found a secret, as its answer says, and whether an answer takes a secret's value away."""

from __future__ import annotations

import orjson

from hublet.core.questions import Slug
from hublet.core.records import Content


def location_of(content: Content) -> tuple[str, Slug | None]:
    """(where the secret was found, whose it is). The first is user, organization, package, models_add_on, free_trial or
    not_found; the second is the package or the block of the add-on that has it, else None."""
    # Holes are inside strings, so the text of a template is JSON all the same.
    match orjson.loads(content.template.text):
        case {"found": True, "secretLocation": {"secretType": str(kind)} as place}:
            match place.get("packageSlug") or place.get("blockSlug"):
                case {"ownerSlug": str(owner), "packageSlug": str(package)}:
                    return kind, Slug(owner, package)
            return kind, None
    return "not_found", None


def is_found(content: Content) -> bool:
    """Whether the Hub has found the secret anywhere."""
    return location_of(content)[0] != "not_found"


def takes_away(old: Content, new: Content) -> bool:
    """Whether a secret that was found no longer is, or has lost its value at the same place. A secret that is found at
    another place has moved, and loses nothing: the value of an organization's, for example, is never told."""
    was, now = location_of(old)[0], location_of(new)[0]
    if was == "not_found":
        return False
    return now == "not_found" or (now == was and bool(old.bindings) and not new.bindings)
