"""Sealing: the format of what is written to disk, and how its keys are made. Pure: every random byte is passed in.

    a record          0x01 ‖ salt[32] ‖ ciphertext ‖ tag[16]          49 bytes more than its plaintext
      key[32] ‖ nonce[12] = HKDF-SHA256(DEK, salt, "hublet/1/record", 44)
      cipher              = AES-256-GCM
      associated data     = "hublet/1" ‖ store UUID[16] ‖ length of kind[1] ‖ kind ‖ id[32]

    a wrapped key     0x01 ‖ salt[32] ‖ ciphertext[32] ‖ tag[16]      81 bytes
      key[32] ‖ nonce[12] = HKDF-SHA256(KEK, salt, "hublet/1/wrap", 44)
      associated data     = the store's whole header

    names             HMAC-SHA256 under keys of their own, each HKDF-SHA256(DEK, "", INFO, 32)
      a record's id       INFO "hublet/1/id"      all 32 bytes
      an icon's name      INFO "hublet/1/icon"    the first 16 bytes, in hex
      an entity tag       INFO "hublet/1/etag"    the key of a keyed blake2b
      a KEK's check       HKDF-SHA256(KEK, store UUID, "hublet/1/check", 16)

    padding           plaintext ‖ 0x80 ‖ 0x00 … up to a multiple of the block

The DEK (data-encryption key) is the store's own; the KEK (key-encryption key) comes from the configured key source.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hublet.core.errors import StoreCorrupt, StoreFormat

key_size = 32
salt_size = 32
id_size = 32
uuid_size = 16
check_size = 16
overhead = 1 + salt_size + 16

_sha256 = SHA256()
_version = b"\x01"
_domain = b"hublet/1"


class Key:
    """32 secret bytes. Prints as stars, compares in constant time, can't be pickled or hashed."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: bytes) -> None:
        if len(value) != key_size:
            raise ValueError(f"a key has {key_size} bytes")
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves: for a cipher, or for the place that keeps them."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._value, other._value) if isinstance(other, Key) else NotImplemented

    def __repr__(self) -> str:
        return "Key(********)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 of RFC 5869."""
    return HKDF(_sha256, length, salt, info).derive(secret)


def _hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 of RFC 2104. By `cryptography` like the rest, since Python's own may have no OpenSSL
    (host/lean.py)."""
    mac = HMAC(key, _sha256)
    mac.update(message)
    return mac.finalize()


class Envelope:
    """Seals and opens the records of one store, and names things so that a name tells nothing without the DEK."""

    def __init__(self, dek: Key, store_uuid: bytes) -> None:
        if len(store_uuid) != uuid_size:
            raise ValueError(f"a store's UUID has {uuid_size} bytes")
        secret = dek.reveal()
        self._dek = secret
        self._bound = _domain + store_uuid
        self._id_key = hkdf(secret, b"", b"hublet/1/id", key_size)
        self._icon_key = hkdf(secret, b"", b"hublet/1/icon", key_size)
        self._etag_key = hkdf(secret, b"", b"hublet/1/etag", key_size)

    def __repr__(self) -> str:
        return "Envelope(********)"

    @property
    def etag_key(self) -> bytes:
        """The key for `blake2b(body, key=...)`: nobody may test guesses of a secret body against its entity tag."""
        return self._etag_key

    def wrapped(self, kek: Key, header: bytes, salt: bytes) -> bytes:
        """The DEK of the store, wrapped under a KEK (`wrap`)."""
        return wrap(kek, Key(self._dek), header, salt)

    def seal(self, kind: str, id: bytes, plaintext: bytes, salt: bytes) -> bytes:
        """The sealed record. `salt` must be 32 fresh random bytes for every call: it makes the key and the nonce."""
        if len(salt) != salt_size:
            raise ValueError(f"a salt has {salt_size} bytes")
        key, nonce = _cipher(self._dek, salt, b"hublet/1/record")
        # The nonce may be derived from the salt like the key: no salt is used twice, so each key seals one plaintext.
        return b"".join((_version, salt, AESGCM(key).encrypt(nonce, plaintext, self._associated(kind, id))))

    def open(self, kind: str, id: bytes, sealed: bytes) -> bytes:
        """The plaintext of a record that `seal` made for this kind, id and store.

        Raises StoreFormat for a record of another version of the format, StoreCorrupt when a byte was changed or the
        record was sealed for another kind, id or store.
        """
        salt, body = _parts(sealed, "record")
        try:
            associated = self._associated(kind, id)
            key, nonce = _cipher(self._dek, salt, b"hublet/1/record")
            return AESGCM(key).decrypt(nonce, body, associated)
        except (InvalidTag, ValueError):
            raise StoreCorrupt("a record of the cache was changed: its authentication tag does not fit") from None

    def identify(self, canonical: bytes) -> bytes:
        """The 32-byte id under which the record of a Question is kept, from the Question's canonical bytes."""
        return _hmac(self._id_key, canonical)

    def icon_name(self, url_without_query: str) -> str:
        """The icon's public name, 128 bits in hex: a capability, so it can't be computed from the URL alone."""
        return _hmac(self._icon_key, url_without_query.encode("utf-8", "surrogatepass"))[:16].hex()

    def _associated(self, kind: str, id: bytes) -> bytes:
        encoded = kind.encode()
        if not 0 < len(encoded) < 256 or len(id) != id_size:
            raise ValueError(f"a kind has 1 to 255 bytes, an id {id_size}")
        # With the length in front, no other kind and id give the same bytes.
        return b"".join((self._bound, bytes((len(encoded),)), encoded, id))


def wrap(kek: Key, dek: Key, header: bytes, salt: bytes) -> bytes:
    """The DEK sealed under the KEK and bound to every byte of `header`; `salt` is 32 fresh random bytes."""
    if len(salt) != salt_size:
        raise ValueError(f"a salt has {salt_size} bytes")
    key, nonce = _cipher(kek.reveal(), salt, b"hublet/1/wrap")
    return b"".join((_version, salt, AESGCM(key).encrypt(nonce, dek.reveal(), header)))


def unwrap(kek: Key, wrapped: bytes, header: bytes) -> Key:
    """The DEK. Raises StoreFormat for another version of the format, StoreCorrupt when the KEK, the header and the
    wrapped key do not belong together."""
    salt, body = _parts(wrapped, "wrapped key")
    key, nonce = _cipher(kek.reveal(), salt, b"hublet/1/wrap")
    try:
        return Key(AESGCM(key).decrypt(nonce, body, header))
    except (InvalidTag, ValueError):
        raise StoreCorrupt("the cache's header or its wrapped key was changed: it does not open") from None


def check_value(kek: Key, store_uuid: bytes) -> bytes:
    """16 bytes by which a wrong KEK is told from a damaged header. They reveal no more of the KEK than the wrapped DEK
    does: a guess of it can be tested with either."""
    return hkdf(kek.reveal(), store_uuid, b"hublet/1/check", check_size)


def pad(plaintext: bytes, block: int = 256) -> bytes:
    """The plaintext filled up to a multiple of `block`, by at least one byte, so that its length says little."""
    return plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % block)


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`. Raises StoreFormat for bytes that `pad` can't have made."""
    end = len(padded.rstrip(b"\0")) - 1
    if end < 0 or padded[end] != 0x80:
        raise StoreFormat("a record of the cache is not padded as its kind should be")
    return padded[:end]


def _cipher(secret: bytes, salt: bytes, info: bytes) -> tuple[bytes, bytes]:
    made = hkdf(secret, salt, info, 44)
    return made[:32], made[32:]


def _parts(sealed: bytes, what: str) -> tuple[bytes, memoryview]:
    """The salt, and the ciphertext with its tag. The version need not be authenticated: only one is accepted here.
    Raises StoreFormat for another version, StoreCorrupt for too few bytes."""
    if len(sealed) < overhead:
        raise StoreCorrupt(f"a {what} of the cache is cut short")
    if sealed[:1] != _version:
        raise StoreFormat(f"a {what} of the cache has a version that this hublet does not know")
    return sealed[1 : 1 + salt_size], memoryview(sealed)[1 + salt_size :]
