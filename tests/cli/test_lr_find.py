"""``talweg lr-find``: a table, a figure where it is asked for, one JSON object, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from talweg.cli import app


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["lr-find", *(str(a) for a in arguments)])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_and_a_figure(tmp_path: Path) -> None:
    ran = run("iris", "--engine", "reference", "--plot", "rates.png", "--optimizer", "sgd", "--steps", 40)
    assert ran.exit_code == 0, ran.output
    assert "learning rate" in ran.output and "--learning-rate" in ran.output and "<-" in ran.output
    assert [p.name for p in tmp_path.iterdir()] == ["rates.png"]


def test_one_object_says_it_all(tmp_path: Path) -> None:
    csv = tmp_path / "line.csv"
    csv.write_text("x,y\n" + "".join(f"{i / 10},{3 * i / 10 + 2}\n" for i in range(60)))
    ran = run(csv, "--target", "y", "--engine", "reference", "--json", "--seed", 1, "--batch-size", 8)
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["plot"] is None and isinstance(found["diverged"], bool)
    assert found["suggestion"] in found["curve"]["learning_rate"]
    assert len(found["curve"]["loss"]) == len(found["curve"]["smoothed"]) == len(found["curve"]["learning_rate"])
    again = run(csv, "--target", "y", "--engine", "reference", "--json", "--seed", 1, "--batch-size", 8)
    assert again.stdout == ran.stdout


def test_asked_for_wrongly() -> None:
    for arguments, said in (
        ((), "lr-find what? Give DATA"),
        (("iris", "--optimizer", "adm"), "did you mean 'Adam'"),
        (("iris", "--engine", "reference", "--min-lr", 2, "--max-lr", 1), "below --max-lr"),
    ):
        ran = run(*arguments)
        assert ran.exit_code == 2 and said in ran.output, ran.output
