"""The rooms of Talweg and the arrows between them, held as data and read from every import in the tree.

The table is that of docs/architecture.md. An arrow that is not in it fails here, wherever it stands: at the
top of a module, inside a function, under ``TYPE_CHECKING`` or as ``importlib.import_module("...")``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from support import ROOT

SRC = ROOT / "src"
TALWEG = SRC / "talweg"


@dataclass(frozen=True)
class Room:
    """What a room may import: `arrows` of Talweg ("engines.base": part of a room), `libraries` of others."""

    arrows: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


PUBLIC = ("*",)  # every room, but no module whose name begins with an underscore
TO_TRAIN = ("graph", "gradient", "passes", "nn", "optim", "data")
TO_EXPORT = ("graph", "passes", "nn", "optim", "data.files")
SAVED_FORM = ("train.saved", "train.document", "train.tensors")

ROOMS = {
    # what everyone may import, and which imports next to nothing
    "_version": Room(),
    "budgets": Room(("errors",)),
    "errors": Room(("escapes",)),
    "escapes": Room(),
    "formats": Room(),
    "registry": Room(("errors",)),
    "disk": Room(("errors", "escapes")),
    # the rooms, in the order in which data passes through them
    "graph": Room((), ("numpy",)),
    "gradient": Room(("graph",)),
    "passes": Room(("graph",), ("numpy",)),
    "engines": Room(("graph", "passes"), ("numpy", "jax", "ziglang")),
    "nn": Room(("graph",), ("numpy",)),
    "optim": Room(("graph",), ("numpy",)),
    "data": Room((), ("numpy", "pandas", "sklearn", "pooch", "PIL", "tqdm", "rich")),
    "train": Room((*TO_TRAIN, "engines.base", "engines.choose"), ("numpy", "safetensors", "matplotlib", "IPython")),
    "insight": Room((*TO_TRAIN, "engines", "train"), ("numpy", "matplotlib", "plotly", "IPython")),
    "export": Room((*TO_EXPORT, *SAVED_FORM), ("numpy", "flatbuffers", "onnx", "h5py", "safetensors")),
    "playground": Room(PUBLIC, ("numpy", "starlette", "uvicorn")),
    "scale": Room(("train",), ("numpy",)),
    # names for users
    "keras": Room(PUBLIC),
    "sklearn": Room(PUBLIC, ("numpy", "sklearn")),
    "datasets": Room(("data",)),
    "cli": Room(PUBLIC, ("typer", "rich")),
    "__main__": Room(("cli",)),
    "__init__": Room(PUBLIC),
}
FOR_EVERYONE = ("_version", "budgets", "errors", "escapes", "formats", "registry", "disk")

HEAVY = {
    *("matplotlib", "plotly", "sklearn", "scipy", "pandas", "PIL", "pooch"),
    *("jax", "h5py", "onnx", "rich", "typer", "IPython"),
}
# Where a heavy library may be imported as the module loads.
HEAVY_IN = {"cli": {"rich", "typer"}, "engines": {"jax"}, "sklearn": {"sklearn"}}


# ── reading imports ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Import:
    target: str | None  # dotted name of a module; None where it is computed and cannot be read
    line: int
    moment: str  # "load", "call" (inside a function) or "types" (under TYPE_CHECKING)


def modules(src: Path) -> dict[str, Path]:
    """Every module under src/talweg, by its dotted name."""
    found = {}
    for path in sorted((src / "talweg").rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


class ImportReader(ast.NodeVisitor):
    """Collects the imports of one module, relative ones resolved."""

    def __init__(self, name: str, path: Path, known: dict[str, Path]) -> None:
        self.known, self.moment, self.found = known, "load", list[Import]()
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))

    def add(self, target: str | None, node: ast.AST) -> None:
        self.found.append(Import(target, node.lineno, self.moment))

    def resolve(self, name: str, level: int) -> str:
        if level == 0:
            return name
        above = self.package.split(".")[: len(self.package.split(".")) - level + 1]
        return ".".join([*above, *filter(None, [name])])

    def within(self, moment: str, nodes: list[ast.AST]) -> None:
        outer, self.moment = self.moment, moment
        for node in nodes:
            self.visit(node)
        self.moment = outer

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.resolve(node.module or "", node.level)
        for alias in node.names:
            module = f"{base}.{alias.name}"
            self.add(module if module in self.known else base, node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            given = {k.arg: k.value for k in node.keywords}
            name = node.args[0] if node.args else given.get("name")
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                bare = name.value.lstrip(".")
                self.add(self.resolve(bare, len(name.value) - len(bare)), node)
            else:
                self.add(None, node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            self.within("types", node.body)
            self.within(self.moment, node.orelse)
        else:
            self.generic_visit(node)

    def visit_function(self, node: ast.AST) -> None:
        moment = "types" if self.moment == "types" else "call"
        self.within(moment, list(ast.iter_child_nodes(node)))

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_function


# ── judging them ────────────────────────────────────────────────────────────────────────────────────────


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def complaint(room: str, entry: Import, rooms: dict[str, Room]) -> str | None:
    """What is wrong with an import found in `room`, or None."""
    rule, target = rooms[room], entry.target
    if target is None:
        return None if rule.arrows == PUBLIC else "an import whose name is computed cannot be checked: name it"
    top = target.split(".")[0]
    if top in sys.stdlib_module_names:
        return None
    if top != "talweg":
        if top not in rule.libraries:
            return f"{room} -> {top}: not among the libraries of this room"
        if entry.moment == "load" and top in HEAVY - HEAVY_IN.get(room, set()):
            return f"{room} -> {top}: heavy, import it inside the function that uses it"
        return None
    other, inner = room_of(target), target.partition(".")[2]
    if other == room or (other in FOR_EVERYONE and room not in FOR_EVERYONE):
        return None
    if other not in rooms:
        return f"{room} -> {other}: no such room in the table"
    if any(part.startswith("_") and part != "__init__" for part in inner.split(".")):
        return f"{room} -> {inner}: private to {other}"
    if rule.arrows == PUBLIC or any(f"{inner}.".startswith(f"{arrow}.") for arrow in rule.arrows):
        return None
    return f"{room} -> {inner or 'talweg'}: not an arrow of the architecture"


def broken_arrows(src: Path, rooms: dict[str, Room] = ROOMS) -> list[str]:
    """Every import under src/talweg that the table does not allow, and every room that is not in it."""
    known, wrong = modules(src), []
    for name, path in known.items():
        room, where = room_of(name), path.relative_to(src)
        if room not in rooms:
            wrong.append(f"{where}: room {room!r} is not in the table of rooms")
            continue
        for entry in ImportReader(name, path, known).found:
            if problem := complaint(room, entry, rooms):
                wrong.append(f"{where}:{entry.line}: {problem}")
    return wrong


def cycle(src: Path) -> list[str] | None:
    """Modules that import each other as they load, or None."""
    known = modules(src)
    imports = {
        name: {e.target for e in ImportReader(name, path, known).found if e.moment == "load"} & set(known)
        for name, path in known.items()
    }
    try:
        TopologicalSorter({name: targets - {name} for name, targets in imports.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def more_than_aliases(path: Path) -> list[str]:
    """Statements in a module that do more than import names and give them other names."""
    data = (
        ast.Constant,
        ast.Name,
        ast.Attribute,
        ast.List,
        ast.Tuple,
        ast.Dict,
        ast.Starred,
        ast.expr_context,
    )
    wrong = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        plain = isinstance(node, (ast.Assign, ast.AnnAssign)) and all(
            isinstance(part, data) for part in ast.walk(node.value or node.target)
        )
        if not (docstring or plain or isinstance(node, (ast.Import, ast.ImportFrom))):
            wrong.append(f"{path}:{node.lineno}: {type(node).__name__} in a module of names")
    return wrong


def body_lines(function: ast.FunctionDef, text: list[str]) -> int:
    """Lines of code in the body: neither the docstring, nor comments, nor blank lines."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    lines = {n for node in body for n in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return sum(bool(code := text[n - 1].strip()) and not code.startswith("#") for n in lines)


def formulas(talweg: Path) -> Iterator[tuple[str, int]]:
    """Each function under @loss or @activation in nn/, each method `update` in optim/, and its lines."""
    for path in sorted([*talweg.glob("nn/**/*.py"), *talweg.glob("optim/**/*.py")]):
        text = path.read_text(encoding="utf-8")
        body = ast.parse(text).body
        if path.is_relative_to(talweg / "optim"):
            methods = [node for top in body if isinstance(top, ast.ClassDef) for node in top.body]
            found = [node for node in methods if getattr(node, "name", "") == "update"]
        else:
            found = [node for node in body if marks(node) & {"loss", "activation"}]
        for node in found:
            where = f"{path.relative_to(talweg).as_posix()}:{node.lineno}: {node.name}"
            yield where, body_lines(node, text.splitlines())


def marks(node: ast.stmt) -> set[str]:
    """The names of a statement's decorators."""
    called = (ast.unparse(d) for d in getattr(node, "decorator_list", []))
    return {text.partition("(")[0].rpartition(".")[2] for text in called}


# ── the tests ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_arrow_is_in_the_table() -> None:
    assert modules(SRC)
    wrong = broken_arrows(SRC)
    assert not wrong, "\n".join(wrong)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    found = cycle(SRC)
    assert found is None, " -> ".join(found or ())


def test_the_heart_is_small() -> None:
    heart = [*TALWEG.glob("graph/**/*.py"), TALWEG / "gradient.py", TALWEG / "engines" / "reference.py"]
    lines = {str(p.relative_to(TALWEG)): len(p.read_text().splitlines()) for p in heart if p.exists()}
    assert sum(lines.values()) <= 2700, lines  # a tenth of it is loops and their gradient


def test_no_file_is_two_rooms() -> None:
    long = {n: k for n, p in modules(SRC).items() if (k := len(p.read_text().splitlines())) > 500}
    assert not long, f"over 500 lines, which two rooms is it? {long}"


def test_every_function_has_a_subject() -> None:
    # talweg.keras.utils is a name of Keras's, and holds names only
    found = [p for p in (*SRC.rglob("utils.py"), *ROOT.glob("tests/**/utils.py")) if p.parent.name != "keras"]
    assert not found, f"{found}: put each function where its subject is"


def test_a_formula_is_short() -> None:
    found = dict(formulas(TALWEG))
    long = {where: lines for where, lines in found.items() if lines > 10}
    assert not long, f"more than 10 lines in the body: {long}"
    if (TALWEG / "train").is_dir():
        for kind in ("nn/losses", "nn/activations", "optim"):
            assert sum(where.startswith(kind) for where in found) >= 5, f"formulas of {kind} were not found"


def test_what_is_said_to_hold_only_names_holds_only_names() -> None:
    paths = [TALWEG / "datasets.py", *TALWEG.glob("keras/**/*.py")]
    wrong = [w for path in paths if path.exists() for w in more_than_aliases(path)]
    assert not wrong, "\n".join(wrong)


# ── the checker, checked ────────────────────────────────────────────────────────────────────────────────


def plant(src: Path, files: dict[str, str]) -> None:
    """Writes a tree of modules: {"graph/tensor": "import numpy"} is talweg/graph/tensor.py."""
    for name, text in files.items():
        path = src / "talweg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "line", "arrow"),
    [
        ("from talweg.train import loop", 1, "graph -> train.loop"),
        ("import math, talweg.train.loop as l", 1, "graph -> train.loop"),
        ("from talweg import train", 1, "graph -> train"),
        ("from talweg import Sequential", 1, "graph -> talweg"),
        ("import talweg", 1, "graph -> talweg"),
        ("from ..train import Sequential", 1, "graph -> train"),
        ("from .. import train", 1, "graph -> train"),
        ("def f():\n    from talweg.train import loop", 2, "graph -> train.loop"),
        ("class A:\n    async def f(self):\n        import talweg.train", 3, "graph -> train"),
        ("f = lambda: __import__('talweg.train')", 1, "graph -> train"),
        ("if TYPE_CHECKING:\n    from talweg.train import loop", 2, "graph -> train.loop"),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    import talweg.train", 4, "graph -> train"),
        ("try:\n    import talweg.train\nexcept ImportError:\n    pass", 2, "graph -> train"),
        ("import importlib\nimportlib.import_module('talweg.train')", 2, "graph -> train"),
        ("from importlib import import_module\nimport_module('..train', __package__)", 2, "graph -> train"),
        ("from importlib import import_module\nimport_module(name='talweg.train')", 2, "graph -> train"),
        ("from importlib import import_module\nimport_module('talweg.' + n)", 2, "an import whose name"),
        ("import torch", 1, "graph -> torch"),
        ("def f():\n    from scipy.special import erf", 2, "graph -> scipy"),
        ("import talweg.attic", 1, "graph -> attic: no such room"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, code: str, line: int, arrow: str) -> None:
    plant(tmp_path, {"graph/__init__": "", "train/__init__": "", "train/loop": "", "graph/new": code})
    (wrong,) = broken_arrows(tmp_path)
    assert wrong.startswith(f"talweg/graph/new.py:{line}: {arrow}")


def test_an_allowed_import_is_not_found(tmp_path: Path) -> None:
    allowed = "import math, numpy\nfrom . import tensor\nfrom talweg.errors import ShapeError\nimport talweg.graph"
    plant(tmp_path, {"graph/__init__": "from talweg.registry import register", "graph/tensor": allowed})
    plant(tmp_path, {"registry": "from talweg.errors import UsageError", "errors": "import difflib"})
    assert broken_arrows(tmp_path) == []


def test_what_everyone_imports_imports_no_one(tmp_path: Path) -> None:
    plant(tmp_path, {"errors": "import talweg.registry", "registry": "import talweg.graph", "graph": ""})
    assert len(broken_arrows(tmp_path)) == 2


def test_a_part_of_a_room_is_less_than_the_room(tmp_path: Path) -> None:
    plant(tmp_path, {"engines/__init__": "", "engines/base": "", "engines/basement": ""})
    plant(tmp_path, {"train/a": "from talweg.engines.base import Engine\nfrom talweg.engines import base"})
    plant(tmp_path, {"train/b": "import talweg.engines", "train/c": "from talweg.engines import basement"})
    found = [wrong.partition(":")[0] for wrong in broken_arrows(tmp_path)]
    assert found == ["talweg/train/b.py", "talweg/train/c.py"]


def test_an_unknown_room_a_private_module_and_a_heavy_import_are_found(tmp_path: Path) -> None:
    plant(tmp_path, {"attic/old": "", "data/csv": "import pandas", "data/idx": "def f():\n    import pandas"})
    plant(tmp_path, {"data/_bytes": "", "cli/__init__": "import rich\nfrom talweg.data import _bytes"})
    wrong = "\n".join(broken_arrows(tmp_path))
    assert len(wrong.splitlines()) == 3, wrong
    assert "room 'attic' is not in the table" in wrong
    assert "talweg/data/csv.py:1: data -> pandas: heavy" in wrong
    assert "talweg/cli/__init__.py:2: cli -> data._bytes: private" in wrong


def test_a_circle_is_found(tmp_path: Path) -> None:
    plant(tmp_path, {"graph/a": "from . import b", "graph/b": "def f():\n    from . import a"})
    plant(tmp_path, {"graph/c": "from . import a"})
    assert cycle(tmp_path) is None
    plant(tmp_path, {"graph/b": "from talweg.graph.c import x"})
    assert set(cycle(tmp_path) or ()) == {f"talweg.graph.{name}" for name in "abc"}


@pytest.mark.parametrize(
    "code",
    [
        "def f(): pass",
        "class A: pass",
        "if x: y = 1",
        "for x in y: pass",
        "a = f()",
        "f()",
        "a = [x for x in y]",
    ],
)
def test_logic_among_names_is_found(tmp_path: Path, code: str) -> None:
    names = '"""Names."""\nfrom talweg.nn import Dense\n__all__ = ["Dense"]\nDenser: type = Dense\n'
    plant(tmp_path, {"names": names})
    assert more_than_aliases(tmp_path / "talweg" / "names.py") == []
    plant(tmp_path, {"names": names + code})
    assert len(more_than_aliases(tmp_path / "talweg" / "names.py")) == 1


def test_lines_of_a_formula_are_counted_without_its_words(tmp_path: Path) -> None:
    table = "def get():\n    return\n\n"
    loss = '@loss("l2")\ndef mse(a, b):\n    """One.\n\n    Two."""\n    # why\n\n    return (\n        a\n    )\n'
    rule = "class SGD:\n    def update(self, w):\n        return w\n    def other(self): ...\n"
    plant(tmp_path, {"nn/losses/regression": table + loss, "optim/sgd": rule})
    found = dict(formulas(tmp_path / "talweg"))
    assert found == {"nn/losses/regression.py:5: mse": 3, "optim/sgd.py:2: update": 1}
