"""docs/reference/coverage.md: up to date, and true of Keras and PyTorch."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

import pytest

from support import ROOT, oracle


@pytest.fixture(scope="module")
def page() -> Any:
    """scripts/coverage_page.py as a module; it finds its data beside itself."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module("coverage_page")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def of(module: ModuleType, place: str) -> Any:
    for part in filter(None, place.split(".")):
        module = getattr(module, part)
    return module


def names(reasons: Any) -> set[str]:
    listed = [name for text in reasons.values() for name in text.split()]
    assert len(set(listed)) == len(listed), "a name is absent for one reason"
    return set(listed)


def test_the_page_is_up_to_date(page: Any) -> None:
    now = page.PAGE.read_text(encoding="utf-8")
    assert now == page.page(), "run: PYTHONPATH=src python scripts/coverage_page.py"


def test_talweg_has_what_the_page_says(page: Any) -> None:
    for section in page.SECTIONS:
        ours = importlib.import_module(f"talweg.keras.{section.place}").__all__
        found = {"Optimizer" if n == "UpdateRule" else n for n in page.here(section)} - {"ConstantRate", "gaussian"}
        assert found <= set(ours)
        assert set(section.torch) | set(section.own.split()) <= set(page.here(section)), (
            "a row without a name of Talweg's"
        )


def test_keras_has_what_the_page_says_and_no_more(page: Any) -> None:
    keras = oracle("keras")
    for section in page.SECTIONS:
        theirs = {n for n, thing in vars(of(keras, section.place)).items() if callable(thing) and not n.startswith("_")}
        beside = {name for ours in page.here(section) for name in page.calls(section, ours)[0]}
        absent = names(section.absent_keras)
        assert beside <= theirs, f"{section.place}: Keras has no {beside - theirs}"
        assert absent <= theirs, f"{section.place}: Keras has no {absent - theirs}"
        ours = set(importlib.import_module(f"talweg.keras.{section.place}").__all__)
        known = ours | absent | set(page.EVERYWHERE.split())
        assert theirs <= known, f"{section.place}: on neither side of the page: {sorted(theirs - known)}"
        assert not absent & (ours | set(page.here(section))), f"{section.place}: both here and not"


TORCH = {
    "torch.nn": lambda torch, thing: issubclass(thing, torch.nn.Module),
    "torch.optim": lambda torch, thing: issubclass(thing, torch.optim.Optimizer),
    "torch.optim.lr_scheduler": lambda torch, thing: issubclass(thing, torch.optim.lr_scheduler.LRScheduler),
}


def test_pytorch_has_what_the_page_says_and_no_more(page: Any) -> None:
    torch = oracle("torch")
    sides: dict[str, tuple[set[str], set[str]]] = {}
    for section in filter(lambda s: s.torch_in, page.SECTIONS):
        beside, absent = sides.setdefault(section.torch_in, (set(), set()))
        beside |= {name for ours in page.here(section) for name in page.calls(section, ours)[1]}
        absent |= names(section.absent_torch)
    for place, (beside, absent) in sides.items():
        things = vars(of(torch, place.removeprefix("torch.")))
        if place == "torch.nn.init":
            theirs = {n for n in things if n.endswith("_") and not n.startswith("_")}
        else:
            classes = {n: thing for n, thing in things.items() if inspect.isclass(thing) and not n.startswith("_")}
            theirs = {n for n, thing in classes.items() if TORCH[place](torch, thing)} - {"LRScheduler", "_LRScheduler"}
            theirs |= {"LRScheduler"} & beside
        assert beside | absent == theirs, f"{place}: {sorted((beside | absent) ^ theirs)}"
        assert not beside & absent, f"{place}: both here and not: {beside & absent}"


def test_nothing_of_the_course_s_lists_is_missing(page: Any) -> None:
    for section in page.SECTIONS:
        for whose, listed in enumerate(section.lists):
            known = {n for ours in page.here(section) for n in page.calls(section, ours)[whose]} | {"Reduction"}
            assert set(listed.split()) <= known
