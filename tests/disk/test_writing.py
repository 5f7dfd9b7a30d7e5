"""Files appear whole or not at all, with the right permissions, in the right place, and dead ones' parts are swept."""

from __future__ import annotations

import ast
import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import ROOT
from talweg.disk import writing
from talweg.disk.process import this_process
from talweg.disk.writing import GrowingFile, make_folder, part_name, sweep, written_whole

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


def write(path: Path, data: bytes = b"new") -> None:
    with written_whole(path) as file:
        file.write(data)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_posix
@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_new_files_and_folders_respect_the_umask(tmp_path: Path, umask: int, expected: int) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "a" / "b")
        write(tmp_path / "a" / "b" / "file")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "b" / "file") == expected
    assert mode(tmp_path / "a" / "b") == mode(tmp_path / "a") == 0o777 & ~umask


@needs_posix
def test_an_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path)
    assert path.read_bytes() == b"new" and mode(path) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "file").read_bytes() == b"new"


@needs_posix
def test_a_device_or_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write(pipe, b"through the pipe")
        assert reader.communicate()[0] == b"through the pipe"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write(Path("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda p, m: False)  # what another user than root is told
    with pytest.raises(PermissionError, match="read-only"):
        write(path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "name", ["with space", "ünï-\u6f22\u5b57-\U0001f600", "x" * 255, "é" * 127, "'quoted' \"name\"\n"]
)
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for data in (b"old", b"new"):
        write(path, data)
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("there is none/file", errno.ENOENT),
        ("file/below", errno.ENOTDIR),
        ("folder", errno.EISDIR),
        ("x" * 300, errno.ENAMETOOLONG),
        ("d/" * 3000 + "x", errno.ENAMETOOLONG),
    ],
)
def test_errors_name_what_was_asked_for(tmp_path: Path, path: str, number: int) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as error:
        write(tmp_path / path)
    assert (error.value.errno, error.value.filename) == (number, str(tmp_path / path))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("operation", ["fsync", "replace", "open"])
def test_a_full_disk_names_the_file_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, operation, full)
        with pytest.raises(OSError, match="No space left") as error:
            write(path)
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@needs_posix
def test_the_file_is_on_the_disk_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    fsync, replaced = os.fsync, os.replace

    def noting_fsync(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noting_replace(*names: Any) -> None:
        order.append("name")
        replaced(*names)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    write(tmp_path / "file")
    assert order == ["file", "name", "folder"]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    class Half:
        """A file on a disk that fills up in the middle of a line."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 4

        def write(self, data: bytes) -> int:
            if self.left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(data[: self.left])
            self.left -= written
            return written

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    file = GrowingFile(tmp_path / "log")
    file.write(b"first\n")
    real, file._file = file._file, Half(file._file)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left") as error:
        file.write(b"second\n")
    assert error.value.filename == str(tmp_path / "log")
    file._file = real
    file.write(b"third\n")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"first\nthird\n"
    again = GrowingFile(tmp_path / "log", keep=6)
    again.write(b"2\n")
    again.close()
    assert (tmp_path / "log").read_bytes() == b"first\n2\n"


def test_only_what_the_dead_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()
    dead, elsewhere = replace(me, started=me.started + 1), replace(me, host="abcdef", boot="abcdef")
    names = {who: f".model{who.mark}00.part" for who in (me, dead, elsewhere)}
    for name in names.values():
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / f".run{dead.mark}01.part").mkdir()
    (tmp_path / f".run{dead.mark}01.part" / "config.json").write_bytes(b"{}")
    (tmp_path / ".theirs.part").write_bytes(b"not ours")
    monkeypatch.setattr(writing, "_swept", set())
    write(tmp_path / "model")  # the first write into a folder sweeps it
    assert sorted(os.listdir(tmp_path)) == sorted([names[me], names[elsewhere], ".theirs.part", "model"])
    sweep(tmp_path, is_ours=True)
    assert os.listdir(tmp_path) == ["model"]
    sweep(tmp_path / "none")


def test_a_part_s_name_is_short_enough_and_says_whose_it_is() -> None:
    for name in ("x" * 255, "é" * 127, "a"):
        assert len(os.fsencode(part_name(name))) < 255
    assert this_process().mark in part_name("a") and part_name("a") != part_name("a")


MAY_WRITE = {
    "disk/writing.py": "the door itself",
    "disk/lock.py": "a dead lock, moved aside",
    "data/datasets/fetch.py": "a download, into a folder of its own, renamed once its sum is right",
    "engines/native/build.py": "the C that is compiled, in a workplace of its own",
    "engines/native/cache.py": "an object, checked by its sum whenever it is read",
    "engines/native/compilers.py": "a probe, and what a compiler says, in a workplace of its own",
}


def writes(tree: ast.AST) -> Iterator[str]:
    """Calls that write, rename or make temporary files."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        modes = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
        opens = called.rpartition(".")[2] in ("open", "fdopen")
        if opens and any(isinstance(m, str) and set(m) <= set("rwaxbt+") and set(m) & set("wax+") for m in modes):
            yield f"{node.lineno}: {called}"
        if called.rpartition(".")[2] in ("write_text", "write_bytes", "to_csv", "savez", "mkdtemp", "mkstemp", "touch"):
            yield f"{node.lineno}: {called}"
        if called in ("os.replace", "os.rename", "np.save"):
            yield f"{node.lineno}: {called}"


def test_everything_is_written_through_one_door() -> None:
    source = ROOT / "src" / "talweg"
    found = {}
    for path in sorted(source.rglob("*.py")):
        if calls := list(writes(ast.parse(path.read_text(encoding="utf-8")))):
            found[path.relative_to(source).as_posix()] = calls
    assert {"disk/writing.py", "engines/native/build.py"} <= found.keys()  # it sees them
    assert found.keys() <= MAY_WRITE.keys() | {"train/run_folder.py"}, found
    assert [call.rpartition(" ")[2] for call in found["train/run_folder.py"]] == ["os.rename"]  # of the whole folder
