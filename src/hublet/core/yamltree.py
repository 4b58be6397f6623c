"""A YAML text as a tree that remembers where each scalar stood.

Authors' YAML (`rawYaml`) is read for two things only: which secrets stand where, and where a pasted one has to be cut
out. Both need positions, which plain loading throws away; neither needs types, so a scalar stays the text it was.

What readers differ on (a key given twice, a second document, a key that is no scalar) is not read at all: a secret may
stand in the half that we would not see.
"""

from __future__ import annotations

from functools import lru_cache

from hublet.core.places import Leaf, Tree

__all__ = ["Leaf", "Tree", "read"]

_MOST_CHARACTERS = 4 * 1024 * 1024


@lru_cache(maxsize=512)
def read(source: str) -> Tree:
    """The tree of a document; None when it can't be read, is too large or too deep, or unfolds its aliases without end.

    Trees are shared between callers (the same block is read for every assistant that uses it): nobody may change one.
    """
    if len(source) > _MOST_CHARACTERS:
        return None
    from hublet.core.yamlbuilding import build  # with it comes YAML: 8 ms, which a pass without a change does without

    return build(source)
