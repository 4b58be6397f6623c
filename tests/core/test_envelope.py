"""The envelope: known answers, every corruption with its error, and that nothing secret is ever printed."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.envelope import Envelope, Key, check_value, hkdf, overhead, pad, unpad, unwrap, wrap
from hublet.core.errors import StoreCorrupt, StoreFormat

dek, kek = Key(bytes(range(32))), Key(bytes(range(32, 64)))
salt, record_id, uuid = bytes(range(64, 96)), bytes(range(96, 128)), bytes(range(16))
envelope = Envelope(dek, uuid)

# Made with cryptography's HKDF, AESGCM and the stdlib's hmac alone, from the layout in the docstring.
record = bytes.fromhex(
    "01404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5fd814a5cdf7a51f5363332d5caab57954fa09862775bb05ec"
)
wrapped = bytes.fromhex(
    "01404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
    "0654d6e2c5a3a3ae766bf8b453f9363e44fafaff8577f4080194976460396cf70692b9087036166ea3dfcf825bf6db15"
)

kinds = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ids = st.binary(min_size=32, max_size=32)


def test_a_record_has_the_bytes_that_the_layout_says() -> None:
    """The known answer, both ways."""
    assert envelope.seal("assistant", record_id, b"a config", salt) == record
    assert envelope.open("assistant", record_id, record) == b"a config"
    assert len(record) == len(b"a config") + overhead


def test_a_wrapped_key_has_the_bytes_that_the_layout_says() -> None:
    """The known answer, both ways."""
    assert wrap(kek, dek, b"the header", salt) == wrapped
    assert unwrap(kek, wrapped, b"the header") == dek


def test_names_have_the_bytes_that_the_layout_says() -> None:
    """Each name comes from a key of its own."""
    assert envelope.identify(b"a question").hex() == "d6738bb60eae491454709b626afdfc688a2cfbc5e16ffd0b5058d4cdada73ac6"
    assert envelope.icon_name("https://example.com/i.png") == "faa56db180f8c03eae1dd251f4e64e9c"
    assert envelope.etag_key.hex() == "c8be14655d859685712260a33c42b56b791e935c4b69139577e8c4d645d31f8c"
    assert check_value(kek, uuid).hex() == "340ed0b67633620daaa6c89d65e197bb"


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=40), st.integers(1, 100))
def test_hkdf_is_that_of_rfc_5869(secret: bytes, with_salt: bytes, info: bytes, length: int) -> None:
    """Our few lines agree with cryptography's class."""
    assert hkdf(secret, with_salt, info, length) == HKDF(hashes.SHA256(), length, with_salt, info).derive(secret)


@given(kinds, ids, st.binary(max_size=3000), ids)
def test_what_was_sealed_opens(kind: str, id: bytes, plaintext: bytes, fresh: bytes) -> None:
    """Seal and open are inverse, and a raw AES-GCM with the derived key reads the record too."""
    sealed = envelope.seal(kind, id, plaintext, fresh)
    assert envelope.open(kind, id, sealed) == plaintext
    derived = HKDF(hashes.SHA256(), 44, fresh, b"hublet/1/record").derive(dek.reveal())
    encoded = kind.encode()
    associated = b"hublet/1" + uuid + bytes([len(encoded)]) + encoded + id
    assert AESGCM(derived[:32]).decrypt(derived[32:], sealed[33:], associated) == plaintext


@given(st.integers(0, len(record) * 8 - 1))
def test_no_flipped_bit_goes_unseen(bit: int) -> None:
    """Any bit of a record: a StoreFormat in the version, a StoreCorrupt everywhere else."""
    changed = bytearray(record)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreFormat if bit < 8 else StoreCorrupt):
        envelope.open("assistant", record_id, bytes(changed))


@given(st.integers(0, len(wrapped) * 8 - 1))
def test_no_flipped_bit_of_a_wrapped_key_goes_unseen(bit: int) -> None:
    """The same for the wrapped data key."""
    changed = bytearray(wrapped)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreFormat if bit < 8 else StoreCorrupt):
        unwrap(kek, bytes(changed), b"the header")


@given(kinds, ids, st.binary(min_size=16, max_size=16))
def test_a_record_opens_only_where_it_was_sealed(kind: str, id: bytes, store: bytes) -> None:
    """Another kind, another id or another store is refused."""
    for where, other_kind, other_id in (
        (envelope, kind, record_id),
        (envelope, "assistant", id),
        (Envelope(dek, store), "assistant", record_id),
    ):
        if (where is envelope or store != uuid) and (other_kind, other_id) != ("assistant", record_id):
            with pytest.raises(StoreCorrupt):
                where.open(other_kind, other_id, record)
    if store != uuid:
        with pytest.raises(StoreCorrupt):
            Envelope(dek, store).open("assistant", record_id, record)


@pytest.mark.parametrize("cut", [0, 1, 32, 33, overhead - 1, len(record) - 1])
def test_a_record_that_was_cut_short_is_corrupt(cut: int) -> None:
    """However little of it is left."""
    with pytest.raises(StoreCorrupt):
        envelope.open("assistant", record_id, record[:cut])


def test_another_key_or_header_does_not_unwrap() -> None:
    """The data key is bound to the key-encryption key and to every byte of the header."""
    for key, header in ((dek, b"the header"), (kek, b"the headex"), (kek, b""), (kek, b"the header ")):
        with pytest.raises(StoreCorrupt):
            unwrap(key, wrapped, header)


@given(st.binary(max_size=1000), st.sampled_from([1, 16, 256]))
def test_padding_hides_the_length_and_comes_off_again(plaintext: bytes, block: int) -> None:
    """Padded lengths are multiples of the block, and unpad gives back every plaintext, one of zeros too."""
    padded = pad(plaintext, block)
    assert len(padded) % block == 0
    assert 0 < len(padded) - len(plaintext) <= block
    assert unpad(padded) == plaintext


@given(st.binary(max_size=40))
def test_unpad_gives_an_answer_or_a_store_error(anything: bytes) -> None:
    """No bytes make it fail in another way."""
    try:
        assert anything.startswith(unpad(anything))
    except StoreFormat:
        assert not anything.rstrip(b"\0").endswith(b"\x80")


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_tell_nothing_without_the_key(one: str, other: str) -> None:
    """Names are different for different things and for different stores' keys."""
    elsewhere = Envelope(kek, uuid)
    canonical = one.encode("utf-8", "surrogatepass")
    assert envelope.identify(canonical) != elsewhere.identify(canonical)
    assert envelope.icon_name(one) != elsewhere.icon_name(one)
    assert (envelope.icon_name(one) == envelope.icon_name(other)) == (one == other)


def test_keys_print_as_stars_and_are_not_pickled() -> None:
    """No repr, str or format of a key or an envelope has a byte of it."""
    for value in (dek, envelope, [dek], (envelope,)):
        assert "0x" not in repr(value)
        assert "********" in f"{value}"
        assert dek.reveal().hex() not in repr(value)
    with pytest.raises(TypeError):
        pickle.dumps(dek)
    with pytest.raises(TypeError):
        hash(dek)
    assert dek == Key(dek.reveal()) != kek
    assert dek != dek.reveal()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_wrong_sizes_are_programming_errors(size: int) -> None:
    """Keys, salts and ids of a wrong size never get as far as a cipher."""
    with pytest.raises(ValueError, match="32"):
        Key(bytes(size))
    with pytest.raises(ValueError, match="32"):
        envelope.seal("assistant", record_id, b"", bytes(size))
    with pytest.raises(ValueError, match="32"):
        envelope.seal("assistant", bytes(size), b"", salt)
    with pytest.raises(ValueError, match="32"):
        wrap(kek, dek, b"", bytes(size))
    with pytest.raises(ValueError, match="16"):
        Envelope(dek, bytes(size))


def test_errors_hold_neither_key_nor_plaintext() -> None:
    """What is raised, and what it was raised from, names no byte."""
    with pytest.raises(StoreCorrupt) as caught:
        envelope.open("secret", record_id, record)
    assert caught.value.__cause__ is None
    assert "a config" not in repr(caught.value)
