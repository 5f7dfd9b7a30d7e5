"""How the reference pages read docstrings and classes; mkdocs.yml names it.

Doctests become blocks of code: in Markdown, ``>>>`` would be a quotation. A field that is declared as
``setting(convert, default)`` shows its default.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, ExprCall, ExprKeyword, Extension, Object

DOCTEST = re.compile(r"^>>> .*(?:\n.*\S.*)*", re.MULTILINE)


class ReferencePages(Extension):
    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(lambda found: f"```python\n{found[0]}\n```", obj.docstring.value)

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        if isinstance(attr.value, ExprCall) and str(attr.value.function) == "setting":
            default = attr.value.arguments[1] if len(attr.value.arguments) > 1 else None
            attr.value = default.value if isinstance(default, ExprKeyword) else default
