"""Tables on the command line: its messages speak of options, a split by time, and rows that do not fit."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from support import ROOT
from talweg.cli import app
from talweg.cli.inspecting import predict
from talweg.cli.options import as_option
from talweg.cli.rates import lr_find
from talweg.cli.reading import DIALECT, FOR_PREDICTION, FOR_TRAINING
from talweg.cli.training import train
from talweg.data import csv_text, read_csv, read_image_folder
from talweg.train.inputs import read_inputs

QUICK = ["--epochs", "2", "--engine", "reference"]
PYTHON_ONLY = {"verbose"}  # arguments that messages name and no command passes on


def talweg(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def ok(*arguments: Any) -> Result:
    result = talweg(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fruit(rows: int = 60) -> Path:
    random = np.random.default_rng(1)
    kinds = random.choice(["apple", "kiwi"], rows)
    lines = [
        f"{i},2024-{i // 28 + 1:02}-{i % 28 + 1:02},{random.normal(90 if k == 'kiwi' else 150, 9):.1f},"
        f"{['smooth', 'rough'][i % 3 == 0]},{'' if i % 9 == 4 else 'x'},{k}"
        for i, k in enumerate(kinds)
    ]
    path = Path("fruit.csv")
    path.write_text("id,day,weight,skin,note,kind\n" + "\n".join(lines) + "\n")
    return path


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────

SAYS = [
    ("a,y\n1,p\n,q\n", [], "--missing drop leaves those rows out"),
    ("zip code,y\n" + "".join(f"M {i},{i % 2}\n" for i in range(20)), [], "--ignore 'zip code'"),
    ("a;y\n1;p\n", [], "give --separator ';'"),
    ("a;y\n1,5;p\n2,5;q\n3,5;p\n", ["--separator", ";"], "--decimal ,"),
    ('a,y\n"1,000",p\n"2,000",q\n"3,000",p\n', [], "--thousands ,"),
    ("1.5,p\n2.5,q\n", [], "--no-header"),
    ("a,y\n?,p\n2.5,q\n3.5,q\n", [], "--na-values '?'"),
    ("a,y\n#x,\n2.5,q\n3.5,q\n", [], "--comment '#'"),
    ("a,y\n1/1/2024,p\n2/1/2024,q\n", [], "--date-order dmy"),
    ("a,y\n1,p\n2,q\n", ["--missing", "guess"], "--missing: expected"),
    ("a,y\n1,p\n2,q\n", ["--encoding", "utf-99"], "--encoding: 'utf-99'"),
    ("a,y\n1,p\n2,q\n", ["--task", "regression"], "regression needs numbers"),
    ("a,y\n1,é\n2,q\n", [], "--encoding cp1252"),
]


@pytest.mark.parametrize(("text", "options", "says"), SAYS, ids=[says for *_, says in SAYS])
def test_messages_speak_of_options(text: str, options: list[str], says: str) -> None:
    Path("t.csv").write_bytes(text.encode("latin-1"))
    failed = talweg("train", "t.csv", "--target", "y", *options, *QUICK)
    said = " ".join(failed.stderr.split())
    assert failed.exit_code == 2 and says in said, failed.output
    assert not re.search(r"\b[a-z_]+=['\[0-9]", said), "Python's words on a command line"
    assert len(said) < 1500 and "Traceback" not in failed.output


def test_warnings_speak_of_options_and_stand_in_the_report() -> None:
    result = ok("train", fruit(), "--target", "kind", "--missing", "category", *QUICK, "--quiet", "--out", "r")
    said = " ".join(result.stderr.split())
    assert "note: fruit.csv: Column 'id' only counts the rows" in said and "--ignore id" in said
    assert "--split-by COLUMN tests it on the latest rows" in said
    assert "only counts the rows" in Path("r/report.html").read_text()
    assert "only counts" not in ok("evaluate", "r").stderr, "what was said when the run began is not said again"


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("missing", ..., "--missing"),
        ("ignore", ["zip code", "id"], "--ignore 'zip code' --ignore id"),
        ("header", False, "--no-header"),
        ("invert", True, "--invert"),
        ("na_values", [""], "--na-values ''"),
        ("size", (28, 30), "--size 28x30"),
        ("data", ..., "DATA"),
    ],
)
def test_an_argument_as_an_option(name: str, value: Any, option: str) -> None:
    assert as_option(name, value) == option


def calls_of_argument() -> set[str]:
    """The first arguments, where they are texts, of all calls of `argument` in the sources."""
    found = set()
    for path in (ROOT / "src/talweg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "argument":
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) else set()
    return found


def test_every_argument_that_messages_name_is_an_option() -> None:
    known = {name for command in (train, predict, lr_find) for name in inspect.signature(command).parameters}
    named = calls_of_argument()
    assert len(named) > 20
    assert {n for n in named if as_option(n).lstrip("-").replace("-", "_") not in known} <= PYTHON_ONLY


def test_options_are_the_readers_arguments() -> None:
    """Whoever gives a reader another argument learns here that commands lack it."""
    taken = {name for reader in (read_csv, read_image_folder) for name in inspect.signature(reader).parameters}
    assert set(FOR_TRAINING) == taken - {"path", "target", "task", "grayscale", "invert"}
    assert csv_text.DIALECT == DIALECT
    taken = set(inspect.signature(read_inputs).parameters)
    assert set(FOR_PREDICTION) == taken - {"path", "model", "invert", "dialect"} | set(DIALECT)


def test_only_the_command_line_writes_options() -> None:
    """Elsewhere a message says `argument("out")`, which is --out there, and out in Python."""
    wrong = []
    for path in (ROOT / "src/talweg").rglob("*.py"):
        if {"cli", "native"} & set(path.parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
            if is_text and re.search(r"(?<![\w-])--[a-z]+(?!:)", node.value) and "talweg train" not in node.value:
                wrong.append(f"{path.name}:{node.lineno}: {node.value[:60]!r}")
    assert not [w for w in wrong if not w.startswith("sections.py")], wrong  # CSS has such names too


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_by_time_can_be_gone_on_with() -> None:
    shown = ok("train", fruit(), "--target", "kind", "--drop", "id", "--missing", "drop", "--split-by", "day", *QUICK)
    assert "'day' orders the rows in time" in shown.stdout and "the latest are the test part" in shown.stdout
    (run,) = Path("runs").iterdir()
    test = json.loads((run / "result.json").read_text())["test"]
    assert json.loads(ok("evaluate", run, "--json").stdout)["test"] == test
    ok("train", "--resume", run, "--epochs", "3")


# ── predict ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_predict_refuses_fills_or_skips() -> None:
    ok(
        "train",
        fruit(),
        "--target",
        "kind",
        "--ignore",
        "id",
        "--ignore",
        "day",
        "--missing",
        "category",
        *QUICK,
        "--out",
        "r",
    )
    Path("new.csv").write_text("skin,weight,note\nrough,100,\nspiky,100,x\n\nrough,,x\nsmooth,900,x\n")
    failed = talweg("predict", "r", "new.csv")
    said = " ".join(failed.stderr.split())
    assert failed.exit_code == 2
    for part in (
        "new.csv",
        "row 2 (line 3) holds 'spiky'",
        "'weight': 1 missing",
        "--bad-rows skip",
        "--bad-rows fill",
    ):
        assert part in said
    skipped = ok("predict", "r", "new.csv", "--bad-rows", "skip", "--json")
    answer = json.loads(skipped.stdout)
    assert [p["row"] for p in answer["predictions"]] == ["1", "4"]
    assert [p["row"] for p in answer["skipped"]] == ["2", "3"]
    assert "2 of 4 rows got no prediction" in skipped.stderr and "900 (training:" in skipped.stderr
    filled = ok("predict", "r", "new.csv", "--bad-rows", "fill", "--json")
    assert len(json.loads(filled.stdout)["predictions"]) == 4 and "filled as in training" in filled.stderr
    Path("semi.csv").write_text("skin;weight;note\nrough;100,5;x\n")
    ok("predict", "r", "semi.csv", "--separator", ";", "--decimal", ",")
    Path("none.csv").write_text("skin,weight,note\nspiky,100,x\n")
    assert "no row to predict" in talweg("predict", "r", "none.csv", "--bad-rows", "skip").stderr


def test_a_dialect_is_kept_with_the_model() -> None:
    text = fruit().read_text().replace(",", ";").replace(".", ",")
    Path("de.csv").write_bytes(text.replace("smooth", "glatt é").encode("cp1252"))
    how = ["--separator", ";", "--decimal", ",", "--encoding", "cp1252"]
    ok("train", "de.csv", "--target", "kind", *how, "--missing", "drop", "--drop", "id", *QUICK, "--out", "r")
    assert len(json.loads(ok("predict", "r", "de.csv", "--bad-rows", "skip", "--json").stdout)["predictions"]) == 60


def test_ids_beyond_float32_are_told_apart_by_a_run() -> None:
    lines = [f"{2**27 + i % 2},{i * 7 % 11},{'pq'[i % 2]}" for i in range(200)]
    Path("ids.csv").write_text("code,b,y\n" + "\n".join(lines) + "\n")
    answer = json.loads(
        ok("train", "ids.csv", "--target", "y", "--epochs", "20", "--engine", "reference", "--json").stdout
    )
    assert answer["test"]["accuracy"] == 1.0
    Path("new.csv").write_text(f"code,b\n{2**27},3\n{2**27 + 1},3\n")
    predicted = json.loads(ok("predict", answer["run"], "new.csv", "--json").stdout)["predictions"]
    assert [p["class"] for p in predicted] == ["p", "q"]
