"""The report page: what it says, that it is whole HTML, that it loads nothing, and that nobody's text becomes a tag."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.errors import DataError, RunFolderError, ShapeError, UsageError
from talweg.insight import report as report_module
from talweg.insight.markup import VOID
from talweg.insight.report import environment, report, write_report

NAN = math.nan
HOSTILE = '</title><script src="https://evil.example/x.js">alert(1)</script>" onload="x \x00\ud800\u202e'


class Page(HTMLParser):
    """A page read strictly: unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f" {data}"

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and all(a.get(k.rstrip("_")) == v for k, v in attributes.items())]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def run(**changes: Any) -> dict[str, Any]:
    """The arguments of a report: 40 pictures of three classes, two of them mistaken."""
    true = np.arange(40) % 3
    outputs = np.full((40, 3), 0.1)
    outputs[np.arange(40), true] = 0.8
    outputs[5], outputs[7] = [0.9, 0.05, 0.05], [0.3, 0.3, 0.4]
    return {
        "history": {"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.2, 1.4], "accuracy": [0.3, 0.6, 0.8]},
        "config": {"seed": 7, "optimizer": {"class": "Adam", "learning_rate": 0.001}, "layers": [{"class": "Dense"}]},
        "environment": environment(),
        "task": "classification",
        "class_names": ["cat", "dog", "owl"],
        "x_test": np.random.default_rng(0).integers(0, 255, (40, 6, 6), dtype=np.uint8),
        "y_test": true,
        "predictions": outputs,
        "input_shape": (6, 6),
        "command": "talweg train animals --seed 7",
    } | changes


def page(**changes: Any) -> Page:
    return Page(report(**run(**changes)))


def regression_run(**changes: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).normal(size=(50, 3))
    y = 2 * x[:, 0] + 1
    return (
        run(task="regression", class_names=None, x_test=x, y_test=y, predictions=y[:, None] + 0.1, input_shape=(3,))
        | changes
    )


def test_says_the_result_the_curves_the_mistakes_and_how_to_do_it_again() -> None:
    p = page()
    for said in (
        "test accuracy 95.00 %",
        "38 of 40",
        "83.5 – 98.6",  # Wilson's interval for 38 of 40
        "epoch 2, with the lowest validation loss",
        "2 of 40 test examples are wrong",
        "predicted cat 90.0 %",
        "learning_rate",
        "talweg train animals --seed 7",
    ):
        assert said in p.words.replace("\N{NO-BREAK SPACE}", " "), said
    assert [a["alt"] for a in p.all("img")] == [
        "test example 5: predicted cat, true owl",
        "test example 7: predicted owl, true dog",
    ]


def test_confusion_matrix_has_counts_and_shares_of_each_row() -> None:
    words = page().words.replace("\N{NO-BREAK SPACE}", " ")
    assert "cat 14 100 % 0 0 dog 0 12 92.3 % 1 7.7 % owl 1 7.7 % 0 12 92.3 %" in words


def test_structure_is_semantic() -> None:
    p = page()
    assert len(p.all("h1")) == 1 and len(p.all("h2")) >= 6
    assert all("scope" in a for a in p.all("th"))
    assert all(a.get("aria-label") and a.get("role") == "img" for a in p.all("svg"))
    assert p.all("html", lang="en") and p.all("meta", name="viewport")
    ids = {a["id"] for _, a in p.tags if "id" in a}
    assert {a["href"] for a in p.all("a")} <= {f"#{i}" for i in ids}


@pytest.mark.parametrize("arguments", [run(), regression_run()], ids=["classes", "numbers"])
def test_loads_nothing(arguments: dict[str, Any]) -> None:
    text = report(**arguments)
    for _, attributes in Page(text).tags:
        for key in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert (attributes.get(key) or "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", text)
    [policy] = Page(text).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert (policy["content"] or "").startswith("default-src 'none';")


def test_nothing_of_a_file_becomes_a_tag() -> None:
    hostile = run(
        class_names=[HOSTILE, "<img src=x onerror=alert(1)>", "&lt;"],
        config={HOSTILE: HOSTILE, "deep": {HOSTILE: [{"a": HOSTILE}]}},
        environment={HOSTILE: HOSTILE},
        notes=[HOSTILE],
        history={HOSTILE: [1.0, 2.0], "loss": [1.0, 0.5]},
        command=HOSTILE,
        title=HOSTILE,
    )
    table = regression_run(feature_names=[HOSTILE, "b", "c"], notes=[HOSTILE])
    for arguments in (hostile, table, hostile | {"x_test": np.full((40, 2), "<script>"), "input_shape": (2,)}):
        text = report(**arguments)
        text.encode("utf-8")
        p = Page(text)
        kinds = {tag for tag, _ in p.tags}
        assert "script" not in kinds and not any(k.startswith("on") for _, a in p.tags for k in a)
        assert "\x00" not in text
        assert "<script" in p.text  # it is there, as text


EDGES: dict[str, dict[str, Any]] = {
    "one epoch": run(history={"loss": [0.5], "val_loss": [0.6]}),
    "no epochs": run(history={}),
    "no validation": run(history={"loss": [3.0, 2.0]}),
    "nan in curves": run(history={"loss": [1.0, NAN, 0.2, math.inf], "val_loss": [NAN] * 4}),
    "only nan": run(history={"loss": [NAN, NAN]}),
    "huge losses": run(history={"loss": [1e308, -1e308, 1e-280], "val_loss": [1e38, 1.0, 1e-30]}),
    "tiny losses": run(history={"loss": [1e-300, 2e-310], "val_loss": [5e-324, 1e-320]}),
    "constant loss": run(history={"loss": [0.0, 0.0], "accuracy": [1.0, 1.0]}),
    "long history": run(history={"loss": list(np.linspace(5, 1, 20_000))}),
    "not numbers in history": run(history={"loss": [None, "x", 1.0]}),
    "one class predicted": run(predictions=np.tile([0.8, 0.1, 0.1], (40, 1))),
    "no mistakes": run(predictions=np.eye(3)[np.arange(40) % 3]),
    "all wrong": run(predictions=np.eye(3)[(np.arange(40) + 1) % 3]),
    "nan predictions": run(predictions=np.full((40, 3), NAN)),
    "some nan predictions": run(predictions=np.where(np.arange(40)[:, None] < 3, NAN, np.eye(3)[np.arange(40) % 3])),
    "huge logits": run(predictions=np.tile([1e308, -1e308, 0.0], (40, 1))),
    "one-hot labels": run(y_test=np.eye(3)[np.arange(40) % 3]),
    "no names": run(class_names=None),
    "too few names": run(class_names=["cat"]),
    "two classes from one output": run(
        y_test=np.arange(40)[:, None] % 2, predictions=np.linspace(0, 1, 40), class_names=None
    ),
    "one test row": run(x_test=np.zeros((1, 6, 6)), y_test=[2], predictions=[[0.1, 0.2, 0.7]]),
    "no test rows": run(x_test=np.zeros((0, 6, 6)), y_test=[], predictions=np.zeros((0, 3))),
    "no test data": run(x_test=None, y_test=None, predictions=None),
    "colour pictures": run(x_test=np.random.default_rng(0).random((40, 300, 200, 3)), input_shape=(300, 200, 3)),
    "grey pictures with a channel, flattened": run(x_test=np.zeros((40, 36)), input_shape=(6, 6, 1)),
    "nan pictures": run(x_test=np.full((40, 6, 6), NAN)),
    "table of text": run(x_test=np.array([["a", "1.5"]] * 40, dtype=object), input_shape=(2,)),
    "wide table": run(x_test=np.zeros((40, 900)), input_shape=(900,)),
    "thirty classes": run(y_test=np.arange(40) % 30, predictions=np.eye(30)[np.arange(40) % 30], class_names=None),
    "many classes": run(y_test=np.arange(40), predictions=np.eye(1000)[(np.arange(40) + 1) % 40], class_names=None),
    "empty configuration": run(config={}, environment={}, command=None),
    "numbers": regression_run(),
    "numbers that never vary": regression_run(y_test=np.ones(50), predictions=np.ones(50)),
    "numbers, huge": regression_run(y_test=np.linspace(-1, 1, 50) * 1e308, predictions=np.linspace(1, -1, 50) * 1e308),
    "numbers, nan": regression_run(predictions=np.where(np.arange(50) < 5, NAN, 1.0)),
    "numbers, all nan": regression_run(predictions=np.full(50, NAN)),
    "numbers, five outputs": regression_run(y_test=np.ones((50, 5)), predictions=np.arange(250.0).reshape(50, 5)),
    "numbers of pictures": regression_run(x_test=np.zeros((50, 8, 8)), input_shape=(8, 8)),
    "numbers, one row": regression_run(x_test=np.zeros((1, 3)), y_test=[1.0], predictions=[[2.0]]),
}


@pytest.mark.parametrize("edge", EDGES, ids=list(EDGES))
@pytest.mark.filterwarnings("error")
def test_edges_make_a_whole_page(edge: str) -> None:
    text = report(**EDGES[edge])
    p = Page(text)
    for _, attributes in p.tags:
        for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points"):
            for value in re.split("[ ,]", attributes.get(key) or "0"):
                assert value == "device-width" or math.isfinite(float(value)), (key, attributes)
    if p.all("svg"):
        drawn = [float(a["cy"] or 0) for a in p.all("circle")]
        assert all(-1 <= y <= 281 for y in drawn)


@pytest.mark.parametrize(
    "edge, said",
    [
        ("no epochs", "No epochs were recorded"),
        ("no validation", "No validation data was given"),
        ("nan in curves", "Training has no finite number in 2 of 4 epochs, first in epoch 2"),
        ("huge losses", "(log scale)"),
        ("one class predicted", "This is not clearly better than always answering the commonest class"),
        ("no mistakes", "There is no mistake among 40 test examples"),
        ("nan predictions", "40 of 40 predictions are NaN or infinite. They count as mistakes"),
        ("nan predictions", "no class"),
        ("huge logits", "logits"),
        ("no test rows", "There was no test data"),
        ("no test data", "There was no test data"),
        ("wide table", "888 more columns"),
        ("many classes", "With 1,000 classes the matrix would not be readable"),
        ("empty configuration", "The command was not recorded"),
        ("numbers", "mean absolute error"),
        ("numbers, nan", "5 of 50 predictions are NaN or infinite"),
        ("numbers, all nan", "nothing to draw"),
        ("numbers, five outputs", "output 4"),
    ],
)
def test_edges_are_said(edge: str, said: str) -> None:
    assert said in Page(report(**EDGES[edge])).words


def test_log_scale_only_where_the_loss_spans_two_decades() -> None:
    assert "(log scale)" in report(**run(history={"loss": [10.0, 0.05]}))
    assert "(log scale)" not in report(**run(history={"loss": [10.0, 0.5]}))
    assert "(log scale)" not in report(**run(history={"loss": [10.0, 0.05, 0.0]}))


def test_numbers_of_a_regression() -> None:
    words = Page(report(**regression_run(y_test=[0.0, 2.0], predictions=[1.0, 2.0], x_test=np.zeros((2, 3))))).words
    assert re.search(r"R² \(1 is perfect, 0 is the mean\) 0\.5 mean absolute error 0\.5 .*squared error 0\.7071", words)


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my run" / "report.html"
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_report(path, **run())
    path.parent.mkdir()
    write_report(path, **run())
    before = path.read_bytes()
    assert b"<title>my run" in before

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("talweg.data.files.os.replace", full)
    with pytest.raises(RunFolderError, match="No space left"):
        write_report(path, **run(notes=["new"]))
    assert path.read_bytes() == before
    assert [f.name for f in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    "changes, error, said",
    [
        ({"task": "clustering"}, UsageError, "task must be one of classification, regression; got 'clustering'"),
        (
            {"y_test": np.zeros(39, int), "x_test": np.zeros((39, 6, 6))},
            ShapeError,
            "y has 39 rows, predictions have 40",
        ),
        ({"x_test": np.zeros((39, 6, 6))}, ShapeError, "x_test has 39 rows, y_test has 40"),
        ({"y_test": np.full(40, 0.5)}, DataError, "class numbers"),
        ({"y_test": np.full(40, -1)}, DataError, "class numbers"),
        ({"input_shape": (7, 7)}, ShapeError, r"examples of shape \[6, 6\]; input_shape is \[7, 7\]"),
        ({"task": "regression"}, ShapeError, "y has 1 values for each example, predictions have 3"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        report(**run(**changes))


def test_environment_is_of_this_machine() -> None:
    found = environment()
    assert found["numpy"] == np.__version__ and int(found["CPUs"]) >= 1
    assert found["talweg"] == report_module.__version__
