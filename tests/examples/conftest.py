"""The examples as modules, loaded from where a reader finds them, and run on the engine that a reader gets."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support import ROOT
from talweg.engines.choose import PREFERRED
from talweg.engines.native import build


@pytest.fixture(scope="module", autouse=True)
def users_engine() -> Iterator[None]:
    """Not the engine that tests/conftest.py prefers; but where there is no compiler, a warning would say so."""
    with pytest.MonkeyPatch.context() as patch:
        if build.compiler() is not None:
            patch.delenv(PREFERRED, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What we show to readers must itself give no cause for a warning."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error::talweg.errors.TalwegWarning"))


@pytest.fixture(scope="session")
def example() -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load
