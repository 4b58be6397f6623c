"""The elements of a `sync-secrets` answer that do not come from a Record, as the Hub would write them."""

from __future__ import annotations

import orjson

from hublet.core.secretstr import SecretStr


def not_found(asked: str, name: str) -> bytes:
    """The Hub's way to say that a secret has no value: clients then look into their own `.env` files. `asked` is the
    client's own JSON text of the element."""
    location = orjson.dumps({"secretType": "not_found", "secretName": name})
    return b'{"found":false,"fqsn":' + asked.encode() + b',"secretLocation":' + location + b"}"


def overridden(asked: str, name: str, value: SecretStr) -> bytes:
    """A value of the user's own (`secrets.override`), written like a secret that the Hub found at the user."""
    location = orjson.dumps({"secretType": "user", "userSlug": "", "secretName": name})
    text = orjson.dumps(value.reveal())
    return b'{"found":true,"fqsn":' + asked.encode() + b',"secretLocation":' + location + b',"value":' + text + b"}"
