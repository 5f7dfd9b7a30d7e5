"""Emitted C as people like to read it: indented by its braces. Only for printing; the compiler takes it as it is."""

from __future__ import annotations

import re

NOT_CODE = re.compile(r'/\*.*?\*/|//.*|"(?:\\.|[^"\\])*"|' + r"'(?:\\.|[^'\\])*'")
WIDTH = 4


def indented(source: str) -> str:
    """`source` with every line as deep as its braces; comments and directives of the preprocessor stay as they are.

    >>> print(indented("void f(void)\\n{\\nfor (;;) {\\ng();\\n}\\n}"))
    void f(void)
    {
        for (;;) {
            g();
        }
    }
    """
    depth, lines, in_comment, goes_on = 0, [], False, False
    for line in source.splitlines():
        text = line.strip()
        if in_comment or text.startswith("#"):
            in_comment = in_comment and "*/" not in text
            lines.append(line.rstrip())
            continue
        code = NOT_CODE.sub("", text)
        if in_comment := "/*" in code:
            code = code[: code.index("/*")]
        leading = len(code) - len(code.lstrip("}"))
        own = depth - leading + (1 if goes_on and not code.startswith("{") else 0)
        lines.append(" " * WIDTH * max(own, 0) + text if text else "")
        depth += code.count("{") - code.count("}")
        bare = code.strip()
        goes_on = bool(bare) and depth > 0 and re.fullmatch(r"(for|if|while) \(.*\)|else", bare) is not None
    return "\n".join(lines) + "\n"
