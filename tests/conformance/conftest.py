"""Keras, for whoever compares with it."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from support import oracle


@pytest.fixture(scope="module")
def keras() -> Iterator[ModuleType]:
    """Keras, computing in float64."""
    module = oracle("keras")
    floats, policy = module.config.floatx(), module.config.dtype_policy()  # asked for first: it is kept from then on
    module.config.set_floatx("float64")
    module.config.set_dtype_policy("float64")
    yield module
    module.config.set_floatx(floats)
    module.config.set_dtype_policy(policy)
