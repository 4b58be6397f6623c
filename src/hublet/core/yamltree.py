"""A YAML text as a tree that remembers where each scalar stood.

The YAML of authors (`rawYaml`) is read for two things only: which secrets stand where, and where a pasted secret has to
be cut out. Both need positions, which plain loading throws away. Neither needs types, so a scalar stays a text.

A text on which parsers differ (a key that is given twice, a second document, a key that is no scalar) is not read at
all: a secret may stand in the part that we would not see.
"""

from __future__ import annotations

from functools import lru_cache

from hublet.core.places import Leaf, Tree

__all__ = ["Leaf", "Tree", "read"]

_MOST_CHARACTERS = 4 * 1024 * 1024


@lru_cache(maxsize=512)
def read(source: str) -> Tree:
    """The tree of a document; None if it can't be read, is too large or too deep, or too large with aliases unfolded.

    Callers share the trees (a block is read for every assistant that uses it), so nobody may change one.
    """
    if len(source) > _MOST_CHARACTERS:
        return None
    from hublet.core.yamlbuilding import build  # loads YAML: 8 ms that a pass without a change need not take

    return build(source)
