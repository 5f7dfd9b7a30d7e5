"""What tests of engines share."""

from __future__ import annotations

import shlex

import pytest

from talweg.engines.native import build


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilers do not optimize: these are many kernels, each of which runs once."""
    command = build.compiler()
    assert command is not None
    monkeypatch.setenv("TALWEG_CC", shlex.join([*command, "-O0"]))
