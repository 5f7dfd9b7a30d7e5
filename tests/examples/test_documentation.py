"""What the README, the guide and the docstrings show holds: on the native engine too, and in what is no doctest."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from support import ROOT
from talweg.cli import app
from talweg.engines.choose import PREFERRED
from talweg.engines.native import build

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
def test_the_doctests_hold_on_the_native_engine() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "README.md", "docs", "src"]
    command += ["-W", "error::talweg.errors.TalwegWarning"]
    environment = {**os.environ, PREFERRED: "native"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)  # of the pytest that runs this
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of a page, as words: those in its blocks for a shell, and those in the middle of a sentence."""
    lines = [line for kind, block in BLOCK.findall(text) if kind in ("sh", "console") for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))]:
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part.replace("'", "").removeprefix("$ "), comments=True)
            while words and "=" in words[0]:  # a variable, set for the command
                words.pop(0)
            if words[:1] in (["talweg"], ["python"], ["pytest"]):
                yield words


def unknown(words: list[str]) -> list[str]:
    """Those words of a command line that name a command, a file or an option that there is not."""
    if words[0] == "talweg":
        at = typer.main.get_command(app)
        for word in words[1:]:
            if not hasattr(at, "commands") or word.startswith("-"):
                break
            if word not in at.commands:
                return [word]
            at = at.commands[word]
        known = {option for parameter in at.params for option in parameter.opts} | {"--help", "-h"}
        return [word for word in words if word.startswith("-") and word not in known]
    if words[1:2] == ["-m"] and len(words) > 2:
        place = ROOT / words[2].replace(".", "/")
        found = next(filter(Path.exists, (place / "__main__.py", place.with_suffix(".py"))), None)
    else:
        found = next((ROOT / word for word in words[1:] if (ROOT / word).is_file() and word.endswith(".py")), None)
    if found is None:
        return [word for word in words[1:] if re.fullmatch(r"(scripts|examples|benchmarks)[/.].*", word)]
    text = found.read_text(encoding="utf-8")
    if elsewhere := re.search(r"from (\w+)\.(\w+) import main", text):  # a thin script: its options are read there
        text += (ROOT / "tests" / elsewhere[1] / f"{elsewhere[2]}.py").read_text(encoding="utf-8")
    return [word for word in words[1:] if word.startswith("--") and f'"{word}"' not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_what_there_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = [f"{shlex.join(words)}: {', '.join(bad)}" for words in commands(text) if (bad := unknown(words))]
    wrong += [
        f"never run, since it is no doctest: {b}"
        for kind, b in BLOCK.findall(text)
        if kind == "python" and ">>>" not in b
    ]
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    wrong += [f"a link to nothing: {link}" for link in links if not (page.parent / link).exists()]
    assert not wrong, "\n".join(wrong)


def test_a_command_that_there_is_not_is_found() -> None:
    text = """
`talweg tarin x`, `talweg train --modle cnn`, `python scripts/no.py`
```sh
X=1 python -m benchmarks --slow
```
"""
    assert [bad for words in commands(text) if (bad := unknown(words))] == [
        ["--slow"],
        ["tarin"],
        ["--modle"],
        ["scripts/no.py"],
    ]
