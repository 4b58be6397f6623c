"""What every key source must do. A source's tests inherit from this class and give it two things to work with."""

from __future__ import annotations

import pytest

from hublet.core.envelope import Key
from hublet.core.errors import KeySourceError
from hublet.keys.source import KeySource

kek = Key(bytes(range(200, 232)))


class KeySourceContract:
    @pytest.fixture
    def source(self) -> KeySource:
        """A source that works and holds no key yet."""
        raise NotImplementedError

    def again(self, source: KeySource) -> KeySource:
        """The same source as another process would make it."""
        raise NotImplementedError

    def put(self, source: KeySource) -> None:
        """Make the source hold `kek`; the test of a source that does not make keys overrides this."""
        source.create(kek)

    def test_an_empty_source_gives_none_and_changes_nothing(self, source: KeySource) -> None:
        """Loading twice gives the same as loading once."""
        assert source.load() is None
        assert source.load() is None

    def test_a_created_key_is_loaded_by_every_later_process(self, source: KeySource) -> None:
        """create is durable: the same key comes back, here and in a new source."""
        self.put(source)
        assert source.load() == kek
        assert self.again(source).load() == kek
        assert self.again(source).load() == kek

    def test_a_key_is_never_overwritten(self, source: KeySource) -> None:
        """A second create is an error, and the first key stays."""
        self.put(source)
        with pytest.raises(KeySourceError):
            self.again(source).create(Key(bytes(32)))
        assert self.again(source).load() == kek

    def test_it_says_what_and_where_it_is_without_the_key(self, source: KeySource) -> None:
        """Name, parameters and description are text, stay the same, and hold no byte of the key."""
        self.put(source)
        again = self.again(source)
        assert again.name == source.name
        assert dict(again.parameters) == dict(source.parameters)
        assert again.describe() == source.describe()
        said = f"{source!r}{source.name}{source.describe()}{dict(source.parameters)}"
        assert kek.reveal().hex() not in said
        assert repr(kek.reveal())[2:-1] not in said
        assert all(isinstance(part, str) for pair in source.parameters.items() for part in pair)

    def test_a_staged_key_is_sealed_with_and_opens_after_promote(self, source: KeySource) -> None:
        """The one in force stays until then; promoting twice is harmless."""
        self.put(source)
        following = self.again(source).successor()
        given = following.stage(Key(bytes(range(32))))
        assert self.again(source).load() == kek
        assert given in (following.staged(), following.load())
        following.promote()
        following.promote()
        assert self.again(following).load() == given
        assert following.staged() is None

    def test_a_count_is_kept_for_each_store_by_a_source_that_can(self, source: KeySource) -> None:
        """None before the first; the last one afterwards, in every later process, beside a key that stays the same;
        gone with the key. A source that can't says so, and does nothing."""
        self.put(source)
        one, other = bytes(16), bytes(range(16))
        if source.counting is None:
            source.count(one, 7)
            assert self.again(source).generation(one) is None
            return
        assert source.counting >= 0
        assert self.again(source).generation(one) is None
        for generation in (1, 7, 2**40):
            self.again(source).count(one, generation)
            assert self.again(source).generation(one) == generation
        assert self.again(source).generation(other) is None
        following = self.again(source).successor()
        following.stage(Key(bytes(range(32))))
        following.promote()
        assert self.again(following).generation(one) == 2**40
        self.again(following).discard()
        assert self.again(following).generation(one) is None
        assert self.again(following).load() is None
