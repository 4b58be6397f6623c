"""The source `passphrase`: the KEK lies in the store's header, wrapped under a key that scrypt derives from a
passphrase.

    parameters   n, r, p       scrypt's work factors, decimal
                 salt          16 bytes, hex, fresh for every key
                 key           the KEK under the scrypt key, 81 bytes, hex (envelope.wrap)

    scrypt key[32] = scrypt(passphrase as UTF-8, salt, n, r, p)
    associated data = "hublet/1/passphrase" ‖ n "," r "," p ‖ salt

Nothing on the disk opens the store without the passphrase. Whoever has a copy of the store can guess as long as they
like, so the passphrase has to be long. Each guess costs scrypt's work with n = 2^17, which takes 128 MiB.
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
    """scrypt's work factors: cost, block size, parallelism. It takes 128 · n · r bytes of memory."""

    n: int = 2**17
    r: int = 8
    p: int = 1


class PassphraseSource:
    """`parameters` are those in the store's header, empty or None for a store or a key that is to be made."""

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
        self._factors = factors or Factors()  # for a key that is to be made
        self._randomness = randomness
        self._made: Key | None = None  # so that nobody is asked again for what they have just typed twice

    def __repr__(self) -> str:
        return "PassphraseSource()"

    @property
    def parameters(self) -> Mapping[str, str]:
        return dict(self._parameters)

    def describe(self) -> str:
        return "a passphrase"

    def load(self) -> Key | None:
        """Ask for the passphrase and unwrap the key. None when there are no parameters yet. Raises KeySourceError, also
        for a wrong passphrase; StoreFormat and StoreCorrupt for impossible parameters."""
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
        """Ask for a new passphrase and wrap the key under it. Nothing is written here: the store writes `parameters`
        into its header. Raises KeySourceError."""
        if self._parameters:
            raise KeySourceError("there is a key under a passphrase already", hint="`hublet keys move passphrase`")
        salt, factors = self._randomness(_salt_size), self._factors
        scrypt_key = _derive(self._asker.ask(new=True), salt, factors)
        sealed = wrap(scrypt_key, kek, _associated(factors, salt), self._randomness(salt_size))
        numbers = {"n": str(factors.n), "r": str(factors.r), "p": str(factors.p)}
        self._parameters = numbers | {"salt": salt.hex(), "key": sealed.hex()}
        self._made = kek

    def successor(self) -> PassphraseSource:
        """A source for the next key: the same asker, a new salt and today's work factors."""
        return PassphraseSource(self._asker, factors=self._factors, randomness=self._randomness)

    def stage(self, kek: Key) -> Key:
        self.create(kek)
        return kek

    def staged(self) -> None:
        return None  # the next key comes with the next header

    def promote(self) -> None:
        pass

    def discard(self) -> None:
        pass

    @property
    def counting(self) -> None:
        return None  # this source keeps nothing outside the store

    def generation(self, store: bytes) -> None:  # noqa: ARG002  the contract's signature
        return None

    def count(self, store: bytes, generation: int) -> None:
        pass


def _read(parameters: Mapping[str, str]) -> tuple[Factors, bytes, bytes]:
    """Work factors, salt and wrapped key from a header that is not authenticated yet. The factors have a ceiling, so
    that a changed header can't make us compute for an hour or take all memory.

    Raises StoreFormat for factors above the ceiling, StoreCorrupt for values that can't be.
    """
    try:
        # isascii, because int() accepts the digits of other scripts; ten digits, because its time grows with them.
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

    if not hasattr(hashlib, "scrypt"):  # host/lean.py loads hashlib without OpenSSL, which alone has scrypt
        importlib.reload(hashlib)
    memory = 128 * factors.r * (factors.n + factors.p + 2)
    try:
        return Key(
            hashlib.scrypt(  # runs without the GIL: an event loop goes on meanwhile
                passphrase.reveal().encode("utf-8", "surrogatepass"),
                salt=salt, n=factors.n, r=factors.r, p=factors.p, maxmem=memory + (1 << 20), dklen=_key_size,
            )
        )  # fmt: skip
    except (MemoryError, ValueError):  # OpenSSL raises ValueError for too little memory
        raise KeySourceError(
            f"there is not enough memory for the passphrase's scrypt ({memory >> 20} MiB)", hint="free some memory"
        ) from None


def _associated(factors: Factors, salt: bytes) -> bytes:
    return b"hublet/1/passphrase" + f"{factors.n},{factors.r},{factors.p}".encode() + salt
