"""The key source `passphrase`: where it is asked, what it costs, and that a header can't make it cost more."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from key_source_contract import KeySourceContract, kek

from hublet.core.envelope import Key, hkdf
from hublet.core.errors import HubletError, KeySourceError, StoreCorrupt, StoreFormat
from hublet.core.secretstr import SecretStr
from hublet.keys import source_of
from hublet.keys.asking import Asker
from hublet.keys.passphrase import Factors, PassphraseSource
from hublet.keys.source import KeySource

words = "canary correct horse battery staple"
quick = Factors(n=2**4)


def asker(said: str = words) -> Asker:
    return Asker(given=SecretStr(said))


class TestPassphraseSource(KeySourceContract):
    @pytest.fixture
    def source(self) -> KeySource:
        return PassphraseSource(asker(), factors=quick)

    def again(self, source: KeySource) -> KeySource:
        return PassphraseSource(asker(), source.parameters, factors=quick)


def test_the_known_answer() -> None:
    """Made from the docstring's layout with cryptography's Scrypt and AESGCM alone, at the real work factors."""
    salts = iter((bytes(range(16)), bytes(range(32))))
    source = PassphraseSource(asker(), randomness=lambda _: next(salts))
    source.create(kek)
    scrypt_key = Scrypt(bytes(range(16)), 32, 2**17, 8, 1).derive(words.encode())
    made = hkdf(scrypt_key, bytes(range(32)), b"hublet/1/wrap", 44)
    body = AESGCM(made[:32]).encrypt(made[32:], kek.reveal(), b"hublet/1/passphrase131072,8,1" + bytes(range(16)))
    assert source.parameters == {
        "n": "131072",
        "r": "8",
        "p": "1",
        "salt": "000102030405060708090a0b0c0d0e0f",
        "key": (b"\x01" + bytes(range(32)) + body).hex(),
    }
    assert PassphraseSource(asker(), source.parameters).load() == kek


def made() -> dict[str, str]:
    source = PassphraseSource(asker(), factors=quick)
    source.create(kek)
    return dict(source.parameters)


def test_a_wrong_passphrase_is_said_and_not_repeated() -> None:
    """Neither of the two shows in what is said, nor in any repr."""
    wrong = "canary wrong wrong wrong"
    source = PassphraseSource(asker(wrong), made())
    with pytest.raises(KeySourceError, match="the passphrase is wrong") as caught:
        source.load()
    assert caught.value.hint
    assert "canary" not in f"{caught.value!r}{caught.value.hint}{source!r}{asker(wrong)!r}{source.describe()}"


def test_the_next_key_has_another_salt_under_the_same_passphrase() -> None:
    """And with today's work factors."""
    old = PassphraseSource(asker(), made())
    following = old.successor()
    assert following.stage(Key(bytes(32))) == Key(bytes(32))
    assert following.parameters["n"] == "131072"
    assert following.parameters["salt"] != old.parameters["salt"]
    assert following.load() == Key(bytes(32))
    assert old.load() == kek


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"n": str(2**21)}, StoreFormat),
        ({"r": "17"}, StoreFormat),
        ({"p": "5"}, StoreFormat),
        ({"n": "9" * 10}, StoreFormat),
        ({"n": "9" * 5000}, StoreCorrupt),
        ({"n": "15"}, StoreCorrupt),
        ({"n": "1"}, StoreCorrupt),
        ({"n": "0"}, StoreCorrupt),
        ({"r": "0"}, StoreCorrupt),
        ({"p": "0"}, StoreCorrupt),
        ({"p": "-1"}, StoreCorrupt),
        ({"n": "١٦"}, StoreCorrupt),
        ({"n": ""}, StoreCorrupt),
        ({"salt": "00"}, StoreCorrupt),
        ({"salt": "zz" * 16}, StoreCorrupt),
        ({"key": "00"}, StoreCorrupt),
        ({"n": "32"}, KeySourceError),
        ({"salt": "00" * 16}, KeySourceError),
    ],
)
def test_a_header_can_not_ask_for_more_work_than_the_ceiling(
    change: dict[str, str], expected: type[HubletError]
) -> None:
    """Before anybody is asked for anything, and before any work is done; what was only changed does not open."""
    asks = asker() if expected is KeySourceError else Asker(terminal=False)
    with pytest.raises(expected) as caught:
        PassphraseSource(asks, made() | change).load()
    assert caught.value.hint


@pytest.mark.parametrize("name", ["n", "r", "p", "salt", "key"])
def test_a_header_without_one_of_them_is_damaged(name: str) -> None:
    """Each is needed."""
    parameters = made()
    del parameters[name]
    with pytest.raises(StoreCorrupt):
        PassphraseSource(asker(), parameters).load()


def test_a_new_passphrase_is_not_empty_and_not_short() -> None:
    """A passphrase that is in force already may be short."""
    for said, problem in (("", "empty"), ("elevencharc", "at least 12")):
        with pytest.raises(KeySourceError, match=problem):
            PassphraseSource(asker(said), factors=quick).create(kek)
    with pytest.raises(KeySourceError, match="wrong"):
        PassphraseSource(asker("short"), made()).load()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.touch(mode=0o600)
    path.write_text(words + "\n")
    return path


def test_it_is_read_from_a_private_file(file: Path) -> None:
    """Without the newline at its end."""
    assert Asker(file=file).ask(new=True).reveal() == words
    source = source_of("passphrase", file.parent / "kek", parameters=made(), asker=Asker(file=file))
    assert source.load() == kek


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (lambda file: file.chmod(0o640), r"can be used by others \(mode 0640\)"),
        (lambda file: file.unlink(), "is not there"),
        (lambda file: file.write_bytes(b"x" * 5000), "longer than 4096"),
        (lambda file: file.write_bytes(b"\xff" * 20), "not UTF-8"),
        (lambda file: file.write_text("\n"), "empty"),
        (lambda file: (file.rename(file.with_name("x")), file.symlink_to(file.with_name("x"))), "symbolic link"),
        (lambda file: file.parent.chmod(0o777), "can be changed by others"),
    ],
)
def test_each_fault_of_the_file_is_its_own_error(file: Path, fault: object, problem: str) -> None:
    """A sentence and, where something can be done, a hint."""
    assert callable(fault)
    fault(file)
    with pytest.raises(KeySourceError, match=problem) as caught:
        Asker(file=file).ask()
    assert "canary" not in f"{caught.value}{caught.value.hint}"


@pytest.fixture
def descriptor() -> int:
    reader, writer = os.pipe()
    os.write(writer, words.encode() + b"\n")
    os.close(writer)
    return reader


def test_a_descriptor_is_read_once_and_let_go(descriptor: int) -> None:
    """The same asker knows it until it is told to forget it; nobody can read it again."""
    asks = Asker(descriptor=descriptor)
    assert asks.ask().reveal() == asks.ask().reveal() == words
    asks.forget()
    with pytest.raises(KeySourceError, match="can't be read from descriptor") as caught:
        asks.ask()
    assert "once" in caught.value.hint


def test_two_places_are_one_too_many(file: Path) -> None:
    """Which of them is meant can't be guessed."""
    with pytest.raises(KeySourceError, match="both set"):
        Asker(file=file, descriptor=0).ask()


def test_without_a_terminal_nobody_is_asked() -> None:
    """A daemon of a service manager says what to set instead of waiting."""
    code = "from hublet.keys.asking import Asker; Asker().ask()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, check=False
    )
    assert "there is no terminal to ask at" in done.stderr


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [([words, words], "said twice the same"), ([words, "another one, typed"], "are not the same")],
)
def test_a_person_is_asked_twice_for_a_new_one(typed: list[str], outcome: str) -> None:
    """At the terminal itself, wherever standard input comes from, and without an echo."""
    code = (
        "import sys; from hublet.keys.asking import Asker; from hublet.core.errors import HubletError\n"
        "try:\n  said = Asker().ask(new=True).reveal(); print('said twice the same' * (said == sys.stdin.read()))\n"
        "except HubletError as error: print(error)"
    )
    child, terminal = pty.fork()
    if child == 0:
        reader, writer = os.pipe()
        os.write(writer, words.encode())
        os.close(writer)
        os.dup2(reader, 0)
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    answers = iter(typed)
    while True:
        try:
            part = os.read(terminal, 1000)
        except OSError:  # on Linux this means that the other side has gone
            break
        if not part:
            break
        shown += part
        if part.rstrip().endswith(b":"):
            os.write(terminal, next(answers).encode() + b"\n")
    os.close(terminal)
    os.waitpid(child, 0)
    assert outcome in shown.decode()
    assert b"canary" not in shown
