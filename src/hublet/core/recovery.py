"""A recovery code: 32 random bytes to be written on paper, in groups that are easy to copy, with a checksum that
notices a slip.

    code = base32(key[32] ‖ SHA-256("hublet/1/recovery" ‖ key)[:3])     56 letters, 14 groups of 4

Base32 has no 0, 1 and 8: who types them has misread O, I and B. Case, spaces and dashes do not matter. Three bytes of
checksum let one slip in sixteen million pass, and the key of such a code opens nothing.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from hashlib import sha256

from hublet.core.envelope import Key, key_size
from hublet.core.errors import UsageError

_checksum_size = 3
_letters = (key_size + _checksum_size) * 8 // 5
_misread = str.maketrans("018", "OIB")


def code_of(key: Key) -> str:
    """A key as text. No other function makes a key readable."""
    letters = b32encode(key.reveal() + _checksum(key.reveal())).decode()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def key_of(code: str) -> Key:
    """The inverse of `code_of`. Raises UsageError, which never repeats what was typed."""
    letters = "".join(code.replace("-", " ").split()).upper().translate(_misread)
    if len(letters) != _letters:
        raise UsageError(
            f"a recovery code has {_letters} letters and digits, this one has {len(letters)}",
            hint="see what is missing",
        )
    try:
        value = b32decode(letters)
    except ValueError:  # binascii.Error is one; characters beyond ASCII are another
        value = bytes(key_size + _checksum_size)
    if _checksum(value[:key_size]) != value[key_size:]:
        raise UsageError("the recovery code has a typing error: its checksum does not fit", hint="compare each group")
    return Key(value[:key_size])


def _checksum(key: bytes) -> bytes:
    return sha256(b"hublet/1/recovery" + key).digest()[:_checksum_size]
