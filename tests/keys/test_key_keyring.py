"""The key source `keyring`, against a real gnome-keyring, and what it says when there is none or nobody answers."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_source_contract import KeySourceContract, kek
from secret_service import SecretService, password, secret_service, why_not

from hublet.core.envelope import Key
from hublet.core.errors import KeySourceError
from hublet.keys import keyring as keyring_module
from hublet.keys import source_of
from hublet.keys.keyring import KeyringSource
from hublet.keys.source import KeySource


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretService]:
    """A running gnome-keyring for the tests of this file."""
    if why_not():
        pytest.skip(why_not())
    with secret_service(tmp_path_factory.mktemp("keyring") / "home") as running:
        yield running


@pytest.fixture
def session(service: SecretService, monkeypatch: pytest.MonkeyPatch) -> SecretService:
    """This process is in the session of that keyring."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    return service


class TestKeyringSource(KeySourceContract):
    @pytest.fixture
    def source(self, session: SecretService) -> KeySource:
        return KeyringSource()

    def again(self, source: KeySource) -> KeySource:
        return KeyringSource(source.parameters)


def test_the_next_key_is_kept_beside_until_it_takes_the_place(session: SecretService) -> None:
    """Then the old one is gone, and after discard both."""
    source = KeyringSource()
    source.create(kek)
    following = Key(bytes(32))
    assert source.successor().stage(following) == following
    assert (source.load(), source.staged()) == (kek, following)
    source.promote()
    source.promote()
    assert (source.load(), source.staged()) == (following, None)
    source.stage(kek)
    source.discard()
    source.discard()
    assert not [label for label in session.labels() if source.parameters["account"] in label]


def test_each_store_has_an_entry_of_its_own(session: SecretService) -> None:
    """A second cache of the same user does not touch the first one's key."""
    one, other = KeyringSource(), source_of("keyring", Path("unused"))
    one.create(kek)
    assert other.load() is None
    assert one.parameters["account"] in one.describe()


def test_an_entry_that_is_no_key_is_said(session: SecretService) -> None:
    """And not repeated."""
    source = KeyringSource()
    source._ask("set", source.parameters["account"], "canary, not a key")
    with pytest.raises(KeySourceError, match="is not a key") as caught:
        source.load()
    assert "canary" not in f"{caught.value!r}{caught.value.hint}"


def test_the_key_is_in_no_argument_and_no_variable_of_the_child(
    session: SecretService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from outside while the child runs: other programs of this user can read both."""
    monkeypatch.setenv("CONTINUE_API_KEY", "con_canary")
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes()
                    if b"keyring_worker" in words:
                        seen.append(words + (process / "environ").read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        KeyringSource().create(kek)
    finally:
        ended.set()
        watcher.join()
    assert len(seen) > 3
    said = b"".join(seen)
    assert b"DBUS_SESSION_BUS_ADDRESS" in said
    for canary in (kek.reveal(), kek.reveal().hex().encode(), b"con_canary", password.encode()):
        assert canary not in said


def refused(limit: float = 20) -> KeySourceError:
    with pytest.raises(KeySourceError) as caught:
        KeyringSource(limit=limit).load()
    assert caught.value.hint
    return caught.value


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a session."""
    pytest.importorskip("keyring")
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system has a keyring without a session")
def test_without_a_session_there_is_no_keyring(nowhere: Path) -> None:
    """The hint says what is needed."""
    error = refused()
    assert "there is no keyring in this session" in error.message
    assert "Secret Service" in error.hint


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str = "sitecustomize") -> None:
    """Code that the child imports first. Only tests let a PYTHONPATH through to it."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(keyring_module, "_KEPT", (*keyring_module._KEPT, "PYTHONPATH"))


def test_without_the_package_the_hint_is_to_install_it(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra's name, ready to be copied."""
    stand_in(nowhere, monkeypatch, "import sys; sys.modules['keyring'] = None")
    error = refused()
    assert "is not installed" in error.message
    assert error.hint == "pip install 'hublet[keyring]'"


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("keyring.backends.fail.Keyring", "there is no keyring"),
        ("keyring.backends.null.Keyring", "there is no keyring"),
        ("plain.PlaintextKeyring", "plain.PlaintextKeyring, which does not keep secrets"),
    ],
)
def test_a_backend_that_keeps_no_secrets_is_refused(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, backend: str, says: str
) -> None:
    """Even if somebody chose it: another key source would be the honest choice."""
    plain = """
        from keyring.backend import KeyringBackend
        class PlaintextKeyring(KeyringBackend):
            priority = 1
            def get_password(self, service, account): return "00" * 32
            def set_password(self, service, account, value): open("/dev/null", "w").write(value)
    """
    stand_in(nowhere, monkeypatch, plain, "plain")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    assert says in refused().message


def test_a_chain_with_a_plaintext_member_is_refused(
    session: SecretService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However good its first member is: the chain writes to the next one when the first fails."""
    chain = """
        import keyring
        from keyring.backend import KeyringBackend
        from keyring.backends import SecretService, chainer
        class PlaintextKeyring(KeyringBackend):
            priority = 1
            get_password = set_password = None
        class Chain(chainer.ChainerBackend):
            backends = [SecretService.Keyring(), PlaintextKeyring()]
        keyring.set_keyring(Chain())
    """
    stand_in(tmp_path, monkeypatch, chain)
    assert "sitecustomize.PlaintextKeyring, which does not keep secrets" in refused().message
    stand_in(tmp_path, monkeypatch, textwrap.dedent(chain).replace(", PlaintextKeyring()]", "]"))
    assert KeyringSource().load() is None


def test_a_keyring_that_never_answers_is_given_up(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unlock prompt that nobody sees can't hold the daemon; the child is ended."""
    marker = nowhere / "child"
    stand_in(
        nowhere, monkeypatch, f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    before = time.monotonic()
    assert "did not answer within 1 s" in refused(limit=1).message
    assert time.monotonic() - before < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


@pytest.mark.parametrize("answer", ["", "no JSON but a canary", "[]", '"canary"'])
def test_an_answer_that_makes_no_sense_is_an_error(nowhere: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """And the error has no reference to what was answered."""
    stand_in(nowhere, monkeypatch, f"import os; os.write(1, {answer.encode()!r}); os._exit(0)")
    error = refused()
    assert "can't be asked" in error.message
    assert error.__context__ is None


def test_what_a_backend_complains_about_is_not_repeated(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the name of its error is: the text could quote the key."""
    broken = """
        import keyring
        from keyring.backends import SecretService
        class Broken(SecretService.Keyring):
            priority = 1
            def get_password(self, service, account): raise RuntimeError("canary")
        Broken.__module__ = SecretService.__name__
        keyring.set_keyring(Broken())
    """
    stand_in(nowhere, monkeypatch, broken)
    error = refused()
    assert "refused (RuntimeError)" in error.message
    assert "canary" not in f"{error!r}{error.hint}"


def test_a_locked_keyring_is_said_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was unlocked when the key was put in, and is locked now, with nobody at its prompt."""
    if why_not():
        pytest.skip(why_not())
    with secret_service(tmp_path / "home") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        source = KeyringSource()
        source.create(kek)
        running.lock()
        for attempt in (source.load, lambda: source.stage(Key(bytes(32))), source.promote, source.discard):
            with pytest.raises(KeySourceError, match="the keyring is locked") as caught:
                attempt()
            assert "unlock it" in caught.value.hint
