"""Where the Hub finds a secret, and how it writes that location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hublet.demo.data import Organization, World

Json = Any


def resolve(world: World, packages: list[tuple[str, str]], name: str, org: Organization | None) -> dict[str, Json]:
    """The result for one secret name, without the member `fqsn`. The Hub looks in this order: models add-on, the
    block's package, the assistant's package, organization, user, free trial. Only a user secret comes with its
    value."""
    slugs = ["/".join(package) for package in packages]
    block = slugs[1] if len(slugs) > 1 else None

    def owned(kind: str, slug: str) -> dict[str, Json]:
        owner, _, package = slug.partition("/")
        key = "packageSlug" if kind == "package" else "blockSlug"
        place = {"secretType": kind, key: {"ownerSlug": owner, "packageSlug": package}, "secretName": name}
        return {"found": True, "secretLocation": place}

    if block and world.add_on_subscribed and name in world.models_add_on.get(block, ()):
        return owned("models_add_on", block)
    for slug in (block, slugs[0] if slugs else None):
        if slug and name in world.package_secrets.get(slug, ()):
            return owned("package", slug)
    if org is not None and name in org.secrets:
        place = {"secretType": "organization", "orgSlug": org.slug, "secretName": name}
        return {"found": True, "secretLocation": place}
    if name in world.secrets:
        place = {"secretType": "user", "userSlug": world.user, "secretName": name}
        return {"found": True, "value": world.secrets[name], "secretLocation": place}
    if block and name in world.free_trial.get(block, ()):
        return owned("free_trial", block)
    return {"found": False, "secretLocation": {"secretType": "not_found", "secretName": name}}


def location(place: Mapping[str, Json]) -> str:
    """A secret's location as one word: `user:dana/NAME`, `package:owner/package/NAME`, `not_found:NAME`."""
    slug = place.get("packageSlug") or place.get("blockSlug")
    owner = f"{slug['ownerSlug']}/{slug['packageSlug']}" if slug else place.get("orgSlug") or place.get("userSlug")
    return f"{place['secretType']}:{owner}/{place['secretName']}" if owner else f"not_found:{place['secretName']}"
