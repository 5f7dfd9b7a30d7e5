"""`talweg models`: the list, one model, and a model as a program; and what a run says of its model's lesson."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talweg.cli import app
from talweg.train.preset_program import program
from talweg.train.presets import PRESETS


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_has_a_line_for_each_and_fits_a_screen() -> None:
    lines = shown("models").splitlines()
    for preset in PRESETS.values():
        (line,) = [line for line in lines if line.strip().startswith(f"{preset.name} ")]
        assert preset.lesson in line and len(line) <= 80
    assert len(lines) < 24
    told = json.loads(shown("models", "--json"))
    assert list(told["models"]) == list(PRESETS) and told["defaults"]["digits"] == "dropout"
    assert told["models"]["relu-decay"]["decay"] == PRESETS["relu-decay"].decay


def test_one_model_is_shown_on_a_set_that_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALWEG_DATA", raising=False)
    text = shown("models", "cnn-batchnorm")
    for part in ("(None, 28, 28, 8)", "learning rate 0.01 to 0.0001", "talweg train mnist --model cnn-batchnorm"):
        assert part in text
    assert "(None, 8, 8, 8)" in shown("models", "cnn", "--data", "digits")
    told = json.loads(shown("models", "cnn", "--json"))
    assert told["lesson"] == PRESETS["cnn"].lesson and told["architecture"]["input_shape"] == [28, 28]


def test_a_model_as_a_program() -> None:
    assert shown("models", "relu", "--python") == program(PRESETS["relu"])
    told = json.loads(shown("models", "relu", "--python", "--data", "digits", "--json"))
    assert told == {"model": "relu", "program": program(PRESETS["relu"], "digits")}


def test_a_run_that_is_meant_to_fail_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ("train", "digits", "--model", "sigmoid-deep", "--epochs", "1", "--engine", "reference")
    text = shown(*quick, "--out", "fails")
    assert "Meant to fail" in text and "Meant to fail" in Path("fails/report.html").read_text()
    assert "learning rate 0.01;" in text
    assert "Meant to fail" not in shown(*quick, "--optimizer", "adam")


def test_a_rate_that_falls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ("train", "digits", "--model", "relu-decay", "--epochs", "1", "--engine", "reference")
    assert "learning rate 0.5 to 0.005 by ExponentialDecay" in shown(*quick, "--learning-rate", "0.5")
