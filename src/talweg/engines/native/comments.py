"""The one way for a name into generated C: as a comment of harmless characters.

Layers, models and outputs may have been named by whoever wrote a file. Code never holds their names, functions and
variables are numbered; comments do, for people to read. No character of theirs is a star, which alone ends a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from talweg.graph import Tensor

LONGEST = 200  # characters of a line: more of a name tells nobody anything
_STRANGE = re.compile(r"[^A-Za-z0-9_ /.-]")


def comment(text: str, further: Iterable[str] = ()) -> str:
    """A comment of C: `text`, and `further` lines.

    >>> comment("a*/ system(0); /*b")
    '/* a_/ system_0__ /_b */'
    >>> print(comment("Two lines.\\nOf é", ["x"]))
    /* Two lines._Of _
     * x
     */
    """
    first, *rest = [_harmless(line) for line in (text, *further)]
    return "\n * ".join([f"/* {first}", *rest]) + ("\n */" if rest else " */")


def described(t: Tensor) -> str:
    """A tensor in words, for a comment: ``dense/output of 4x3``."""
    return f"{t.name or t.op.name} of {'x'.join(map(str, t.shape)) or 'one number'}"


def _harmless(line: str) -> str:
    return _STRANGE.sub("_", line[:LONGEST])
