"""What the differential machine found, once and for all: each case must agree, on vectors of every width."""

from __future__ import annotations

from typing import Any

import pytest

from differential import keeping, sizes
from differential.children import outcomes
from talweg.engines.native import build

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


@pytest.mark.parametrize("name", keeping.kept())
def test_what_was_found_stays_mended(name: str) -> None:
    case: dict[str, Any] = keeping.kept()[name]
    for lanes in sizes.LANES:
        (outcome,) = outcomes([{**case["recipe"], "lanes": lanes}])
        assert not outcome.kind, f"{outcome.kind}, {lanes} lanes: {outcome.wrong}"
