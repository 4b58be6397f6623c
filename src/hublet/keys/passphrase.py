"""The source `passphrase`: the key lies in the store's own header, sealed under what scrypt makes of a passphrase.

    parameters   n, r, p       scrypt's work factors, decimal
                 salt          16 bytes, hex, fresh for every key
                 key           the KEK under the scrypt key, 81 bytes, hex (envelope.wrap)

    scrypt key[32] = scrypt(passphrase as UTF-8, salt, n, r, p)
    associated data = "hublet/1/passphrase" ‖ n "," r "," p ‖ salt

Nothing lies on the disk that opens the store without the passphrase. Each guess costs 2^17 rounds over 128 MiB; whoever
has a copy of the store may guess as long as he likes, so the passphrase has to be long.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping

from hublet.core.envelope import Key, overhead, salt_size, unwrap, wrap
from hublet.core.envelope import key_size as _key_size
from hublet.core.errors import KeySourceError, StoreCorrupt, StoreFormat
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass
from hublet.keys.asking import Asker

_salt_size = 16
_most_n, _most_r, _most_p = 2**20, 16, 4
_damaged = "`hublet store reset` moves the cache aside and starts a new one"


@dataclass(frozen=True, slots=True)
class Factors:
    """scrypt's: cost, block size, parallelism. Memory is 128 · n · r bytes."""

    n: int = 2**17
    r: int = 8
    p: int = 1


class PassphraseSource:
    """`parameters` are those of a store's header, empty for a store (or a key) that is yet to be made."""

    name = "passphrase"

    def __init__(
        self,
        asker: Asker,
        parameters: Mapping[str, str] | None = None,
        *,
        factors: Factors | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._asker = asker
        self._parameters = dict(parameters or {})
        self._factors = factors or Factors()  # of a key that is to be made
        self._randomness = randomness
        self._made: Key | None = None  # so that nobody is asked again for what he has just typed twice

    def __repr__(self) -> str:
        return "PassphraseSource()"

    @property
    def parameters(self) -> Mapping[str, str]:
        return dict(self._parameters)

    def describe(self) -> str:
        return "a passphrase"

    def load(self) -> Key | None:
        """Asks, and unseals the key. Raises KeySourceError for a wrong passphrase, StoreFormat, StoreCorrupt."""
        if self._made is not None or not self._parameters:
            return self._made
        factors, salt, sealed = _read(self._parameters)
        scrypt_key = _derive(self._asker.ask(), salt, factors)
        try:
            return unwrap(scrypt_key, sealed, _associated(factors, salt))
        except StoreCorrupt:
            raise KeySourceError(
                "the passphrase is wrong, or the cache's header was changed", hint="try again: nothing was touched"
            ) from None

    def create(self, kek: Key) -> None:
        """Asks for a new passphrase and seals the key under it: it is durable with the header that holds it."""
        if self._parameters:
            raise KeySourceError("there is a key under a passphrase already", hint="`hublet keys move passphrase`")
        salt, factors = self._randomness(_salt_size), self._factors
        scrypt_key = _derive(self._asker.ask(new=True), salt, factors)
        sealed = wrap(scrypt_key, kek, _associated(factors, salt), self._randomness(salt_size))
        numbers = {"n": str(factors.n), "r": str(factors.r), "p": str(factors.p)}
        self._parameters = numbers | {"salt": salt.hex(), "key": sealed.hex()}
        self._made = kek

    def successor(self) -> PassphraseSource:
        """The same passphrase with another salt and today's work factors."""
        return PassphraseSource(self._asker, factors=self._factors, randomness=self._randomness)

    def stage(self, kek: Key) -> Key:
        self.create(kek)
        return kek

    def staged(self) -> None:
        return None  # what follows stands in the header that follows

    def promote(self) -> None:
        pass

    def discard(self) -> None:
        pass

    @property
    def counting(self) -> None:
        return None  # it keeps nothing outside the store

    def generation(self, store: bytes) -> None:  # noqa: ARG002  the contract's signature
        return None

    def count(self, store: bytes, generation: int) -> None:
        pass


def _read(parameters: Mapping[str, str]) -> tuple[Factors, bytes, bytes]:
    """What a header says, before it could be authenticated: nobody may have us work for an hour or take all memory.

    Raises StoreFormat for work factors beyond the ceiling, StoreCorrupt for what can't be.
    """
    try:
        # isascii: int() would take other scripts' digits. Ten digits: nor is it to read a megabyte of them.
        numbers = [parameters[name] for name in ("n", "r", "p")]
        if not all(text.isascii() and text.isdecimal() and len(text) <= 10 for text in numbers):
            raise ValueError
        factors = Factors(*map(int, numbers))
        salt, sealed = bytes.fromhex(parameters["salt"]), bytes.fromhex(parameters["key"])
    except (KeyError, ValueError):
        raise StoreCorrupt("the cache's header does not say how its passphrase is used", hint=_damaged) from None
    if factors.n > _most_n or factors.r > _most_r or factors.p > _most_p:
        raise StoreFormat(
            f"the cache's header asks for more work than hublet does for a passphrase"
            f" (n at most {_most_n}, r {_most_r}, p {_most_p})",
            hint="use a newer hublet, if one made it",
        )
    possible = factors.n > 1 and factors.n & (factors.n - 1) == 0 and factors.r > 0 and factors.p > 0
    if not possible or len(salt) != _salt_size or len(sealed) != overhead + _key_size:
        raise StoreCorrupt("the cache's header has work factors that can't be", hint=_damaged)
    return factors, salt, sealed


def _derive(passphrase: SecretStr, salt: bytes, factors: Factors) -> Key:
    import hashlib

    if not hasattr(hashlib, "scrypt"):  # it was loaded without OpenSSL, which alone has it (host/lean.py)
        importlib.reload(hashlib)
    memory = 128 * factors.r * (factors.n + factors.p + 2)
    try:
        return Key(
            hashlib.scrypt(  # without the GIL: an event loop goes on beside it
                passphrase.reveal().encode("utf-8", "surrogatepass"),
                salt=salt, n=factors.n, r=factors.r, p=factors.p, maxmem=memory + (1 << 20), dklen=_key_size,
            )
        )  # fmt: skip
    except (MemoryError, ValueError):  # OpenSSL's word for too little memory is a ValueError
        raise KeySourceError(
            f"there is not enough memory for the passphrase's scrypt ({memory >> 20} MiB)", hint="free some memory"
        ) from None


def _associated(factors: Factors, salt: bytes) -> bytes:
    return b"hublet/1/passphrase" + f"{factors.n},{factors.r},{factors.p}".encode() + salt
