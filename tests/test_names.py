"""Names from strangers: no writer lets one out as anything but text.

Each name below harms one of the writers if it is passed on as it is: C, pages, diagrams, spreadsheets, file systems,
terminals. All of them go through all writers, and so do names that are drawn at random.
"""

from __future__ import annotations

import csv
import json
import re
import struct
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from talweg import callbacks, load
from talweg.cli import app
from talweg.engines.native.unit import unit
from talweg.errors import TalwegError, UsageError
from talweg.escapes import columns, file_name, visible
from talweg.graph import Program, to_graphviz, to_mermaid, to_text
from talweg.insight.report import report
from talweg.nn.layers import LSTM, Dense, Dropout, Input, Reshape
from talweg.train.model import Model
from talweg.train.sequential import Sequential

HOSTILE = [
    "*",  # with "/", which stands between the names of models and layers, this ends a comment of C
    "x*",
    "*y",
    "a\n#include <x.h>",
    "??/\n",
    "\\",
    '"; int x; "',
    "<script>alert(1)</script>",
    "&lt;b&gt;",
    '" onload="x',
    "]]>",
    '"]; n0 --> n1; n9["',
    "`**bold**`",
    "#quot;",
    '\\"]; }',
    '=HYPERLINK("http:x")',
    "@SUM(A1)",
    "+1",
    "-1",
    "..",
    ".",
    "a\x00b",
    "CON",
    "n" * 5000,
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\r over",
    "\u202egnp.exe",
    "\u2066x",
    "[bold]b[/bold]",
    "[link=http:x]x[/link]",
    ":bomb:",
    "%s%n",
    "{0.__class__}",
    "é",
    "中文",
    "😀",
]
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=12)


def named(names: Iterable[str]) -> Model:
    """Models within models, an input and two outputs with names of somebody else's; every kind of kernel."""
    first, second, third, fourth, fifth, sixth = names
    inner = Sequential([Input((4,)), Dense(4, "relu", name=first), Dropout(0.5)], name=second)
    x = Input((4,), name=third)
    h = inner(x)
    steps = Sequential([Input((4,)), Reshape((2, 2)), LSTM(3, name=first)], name=fourth)(h)
    return Model(x, [Dense(2, name=fifth)(steps), Dense(1, name=sixth)(h)], name=second, seed=0)


def compiled(names: Iterable[str]) -> Model:
    model = named(names)
    model.compile("adam", ["mse", "mae"], metrics=[["mae"], ["mse"]], engine="reference")
    return model


def different(name: str) -> list[str]:
    """Six names in which this one stands first, last and by itself; a "/" may be in none."""
    name = name.replace("/", "|")
    return [name, f"{name}*", f"*{name}-", f"-{name}", f"{name}-{name}", f"9{name}"]


def programs(model: Model) -> list[Program]:
    return [model.program("train", model.usual_form()), model.program("predict", model.usual_form())]


def sources(model: Model) -> list[str]:
    return [unit(p, 8, "float32", 8, profiled=True).source for p in programs(model)]


COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
PLAIN = sources(compiled("abcdef"))
OWN = {c for source in PLAIN for c in COMMENT.findall(source)}  # ours, which are not about a name


# ── generated C ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HOSTILE)
def test_code_is_the_same_whatever_things_are_called(name: str) -> None:
    examine_c(different(name))


@settings(max_examples=25, deadline=None)
@given(st.lists(NAMES, min_size=6, max_size=6, unique=True))
@example(["x*", "*y", "*", "**", "\n", "é"])
def test_code_is_the_same_under_names_drawn_at_random(names: list[str]) -> None:
    if not {"metrics", "optimizer"} & set(names):
        examine_c(names)


def examine_c(names: list[str]) -> None:
    for source, plain in zip(sources(compiled(names)), PLAIN, strict=True):
        assert COMMENT.sub("", source) == COMMENT.sub("", plain), "a name became code"
        for found in set(COMMENT.findall(source)) - OWN:
            assert re.fullmatch(r"/\* [A-Za-z0-9_ /.-]*(\n \* [A-Za-z0-9_ /.-]*)*\n? \*/", found), found
            assert len(found) < 20_000


def test_a_comment_cannot_be_left_by_any_path_of_names() -> None:
    """What the names of two models within each other did: ``x*`` and ``*y`` stand beside a ``/``."""
    evil = Sequential([Input((4,)), Dense(3, name="*y int evil = 1;")], name="x*")
    model = Sequential([Input((4,)), evil], name="m", seed=0)
    model.compile("sgd", "mse")
    source = model.native_source(4)
    assert "x_/_y int evil _ 1_" in source and "evil" not in COMMENT.sub("", source)


# ── text and diagrams ─────────────────────────────────────────────────────────────────────────────────────


def steers_nothing(text: str) -> bool:
    return all(c == "\n" or c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs" for c in text)


@pytest.mark.parametrize("name", HOSTILE)
def test_descriptions_are_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model, plain = compiled(different(name)), compiled("abcdef")
    for mine, other in zip(programs(model), programs(plain), strict=True):
        assert len(to_text(mine).splitlines()) == len(to_text(other).splitlines())
        diagram = to_mermaid(mine)
        for line in diagram.splitlines()[1:]:
            assert re.fullmatch(r'    n\d+(\(\["|\[")[^"<>&`]+(<br/>[^"<>&`]*)*("\]\)|"\])|    n\d+ \S+ n\d+', line), (
                line
            )
        assert len(diagram.splitlines()) == len(to_mermaid(other).splitlines())
        dot = to_graphviz(mine)
        assert len(dot.splitlines()) == len(to_graphviz(other).splitlines())
        for line in dot.splitlines()[1:-1]:
            assert re.fullmatch(r'  (\S.*|n\d+ \[label="(?:[^"\\]|\\.)*"(?:, style=rounded)?\];|n\d+ -> n\d+.*;)', line)
        for text in (to_text(mine), diagram, dot, *map(repr, mine.order), *map(repr, model.variables)):
            assert steers_nothing(text), text
    model.summary(expand_nested=True)
    plain.summary(expand_nested=True)
    shown = capsys.readouterr().out
    assert steers_nothing(shown)
    mine, other = shown.split("Model: ")[1:]
    assert len(mine.splitlines()) == len(other.splitlines())
    table = [line for line in mine.splitlines() if line[:1] in "┏┃┡│├└"]
    assert len({columns(line) for line in table}) == 1, "the table is not straight"


@pytest.mark.parametrize("name", ["é", "中文", "😀", "наука"])
def test_letters_of_every_script_are_shown_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled(different(name))
    model.summary()
    assert f" {name}-{name} (Dense)" in capsys.readouterr().out
    assert f"{name}/output" in to_text(programs(model)[0])
    with pytest.raises(UsageError, match=name):
        model.get_layer("nothing")


def test_errors_steer_no_terminal() -> None:
    model = compiled(different("\x1b[31m\u202e"))
    with pytest.raises(TalwegError) as caught:
        model.get_layer("nothing")
    assert steers_nothing(str(caught.value)) and r"\x1b[31m\u202e" in str(caught.value)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
YS = [np.ones((12, 2), np.float32), np.ones((12, 1), np.float32)]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_written_while_a_model_trains(name: str, tmp_path: Path) -> None:
    model = compiled(different(name))
    board = callbacks.TensorBoard(tmp_path / "board", histogram_freq=1)
    table, kept = tmp_path / "log.csv", callbacks.ModelCheckpoint(tmp_path / "kept.safetensors")
    model.fit(X, YS, epochs=2, verbose=0, callbacks=[board, callbacks.CSVLogger(table), kept])
    with open(table, newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)
    assert len(rows) == 2 and all(len(row) == len(heads) for row in rows)
    assert not any(head[:1] in ("=", "+", "-", "@", "\t", "\r") for head in heads)
    tags = {tag for file in (tmp_path / "board").rglob("events*") for tag in scalar_tags(file.read_bytes())}
    assert f"epoch_{model.output_names[1]}_loss" in tags
    loaded = load(tmp_path / "kept.safetensors", engine="reference")
    assert loaded.get_config() == model.get_config() and list(loaded.named_variables) == list(model.named_variables)
    inside = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")}
    assert inside == {"board", "log.csv", "kept.safetensors"}


def scalar_tags(data: bytes) -> list[str]:
    """The texts of an event file's first fields 1 within 5 within 1, found by walking the records."""
    tags, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        for number, value in fields(data[at + 12 : at + 12 + length]):
            if number == 5:
                tags += [t.decode() for n, v in fields(value) if n == 1 for m, t in fields(v) if m == 1]
        at += length + 16
    return tags


def fields(data: bytes) -> Iterable[tuple[int, Any]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at : at + size]
        at += size


@pytest.mark.parametrize("ending", ["safetensors", "keras"])
@pytest.mark.parametrize("name", HOSTILE)
def test_models_are_saved_under_any_name(name: str, ending: str, tmp_path: Path) -> None:
    if ending == "keras":
        pytest.importorskip("h5py")
    model = compiled(different(name))
    path = tmp_path / f"m.{ending}"
    model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    loaded = load(path, engine="reference")
    assert loaded.name == model.name
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["a\ud800", "\udce9"])
def test_half_a_character_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        Sequential([Input((4,)), Dense(2, name=name)])
    with pytest.raises(UsageError, match="name"):
        Sequential([Input((4,)), Dense(2)], name=name)


@given(st.text())
@example("../../x")
@example("\x00")
@example("x" * 999)
@example(".hidden")
def test_a_file_name_is_a_part_of_a_path(text: str) -> None:
    name = file_name(text)
    assert Path(name).name == name and name not in (".", "..") and len(name.encode()) <= 100
    assert not name.startswith((".", "-")) and steers_nothing(name)


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Any] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, sorted(name for name, value in attrs if name != "title")))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_has_the_same_tags_whatever_things_are_called(name: str) -> None:
    def page(names: list[str]) -> str:
        outputs = np.eye(3)[np.arange(12) % 3] * 0.8 + 0.05
        return report(
            history={"loss": [2.0, 1.0], names[0]: [1.0, 1.0]},
            config={"a": names[1], names[2]: {names[3]: 1}},
            environment={names[4]: names[5]},
            task="classification",
            class_names=names[:3],
            x_test=np.zeros((12, 4)),
            y_test=np.arange(12) % 3,
            predictions=outputs,
            input_shape=(4,),
            notes=[names[0]],
            feature_names=names[:4],
            title=names[1],
        )

    short = [each[:10] for each in different(name)]
    assert Tags(page(short)).found == Tags(page(["a", "b", "c", "d", "e", "f"])).found


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────


def talweg(*arguments: Any, code: int | None = 0) -> str:
    """What a command shows; it must end as expected, and steer nothing."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert code is None or result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert steers_nothing(result.output), result.output
    assert "\N{BOMB}" not in result.output
    return result.output


STEERING = ["\x1b[31m", "\x1b]0;t\x07", "\x9b2J", "\u202e", "[bold]", "[/nothing]", ":bomb:", "中文", "a\rb", "\x7f"]


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table whose every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile\x1b[31m\u202e[bold]")
    table = folder / "t\x1b[31m\u202e[b]:bomb:.csv"
    random = np.random.default_rng(0)
    heads = [*(f"h{s}" for s in STEERING[:6]), "target:bomb:\x1b[2J"]
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        for i in range(60):
            writer.writerow([*random.normal(size=5).round(3), f"v{STEERING[i % 3]}", f"c{STEERING[i % 4]}"])
    run = folder / "run\x1b[31m:bomb:"
    quick = ("--epochs", 2, "--engine", "reference", "--out", run)
    talweg("train", table, "--target", heads[-1], *quick)
    return run


def test_commands_on_a_hostile_run(hostile_run: Path, tmp_path: Path) -> None:
    table = next(hostile_run.parent.glob("*.csv"))
    for more in ((), ("--json",)):
        for command in (("summary", hostile_run), ("evaluate", hostile_run), ("predict", hostile_run, table)):
            shown = talweg(*command, *more)
            if more:
                json.loads(shown.splitlines()[-1])
    talweg("explain", hostile_run)
    talweg("train", "--resume", hostile_run, "--epochs", 3)
    talweg("lr-find", table, "--target", "target:bomb:\x1b[2J", "--steps", 10, "--engine", "reference")


@pytest.mark.parametrize("steering", STEERING)
def test_errors_about_hostile_files(steering: str, hostile_run: Path, tmp_path: Path) -> None:
    strange = tmp_path / f"f{steering}.csv".replace("/", "-")
    strange.write_text(f"a{steering},b\n1,x{steering}\n")
    for command in (
        ("train", strange),
        ("train", strange, "--target", f"z{steering}"),
        ("predict", hostile_run, strange),
    ):
        talweg(*command, code=2)
    for command in (("summary", f"no{steering}"), ("evaluate", tmp_path), ("train", f"no{steering}"), ("datasets",)):
        talweg(*command, code=None)
    model = tmp_path / "m.safetensors"
    Sequential([Input((4,)), Dense(2, name=f"d{steering}".replace("/", "-"))], name=f"m{steering}").save(model)
    np.savez(tmp_path / "x.npz", x=np.ones((2, 4), np.float32))
    np.savez(tmp_path / "y.npz", x=np.ones((2, 5), np.float32))
    talweg("summary", model)
    talweg("summary", model, "--json")
    talweg("predict", model, tmp_path / "x.npz")
    talweg("predict", model, tmp_path / "y.npz", code=2)
    talweg("explain", model, code=None)
    broken = tmp_path / f"b{steering}.safetensors".replace("/", "-")
    broken.write_bytes(model.read_bytes().replace(b"units", b"un\xc2\x9bs"))
    talweg("predict", broken, tmp_path / "x.npz", code=2)


def test_a_terminal_is_not_steered(hostile_run: Path) -> None:
    """The same with colours, as in a terminal: all that steers is ours."""
    script = "import io, sys; sys.stdout.isatty = sys.stderr.isatty = lambda: True\nfrom talweg.cli import main; main()"
    command = [sys.executable, "-c", script, "summary", str(hostile_run)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=None)
    assert shown.returncode == 0, shown.stderr
    ours = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]", "", shown.stdout + shown.stderr)
    assert steers_nothing(ours), ours
    assert visible("\x1b[31m") in ours
