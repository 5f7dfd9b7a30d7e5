"""The compiler that is found, the cache of what it made, and what "auto" does where either fails."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from talweg import graph as g
from talweg.engines import Engine, Reference, choose, engine_by_name
from talweg.engines.native import Native, build, cache, compilers
from talweg.errors import UnknownNameError, UsageError
from talweg.graph import Program

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and permissions as POSIX has them")
SOURCE = "int talweg_answer(void) { return 42; }\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(build, "_loaded", {})
    compilers._search.cache_clear()
    cache._temporary_folder.cache_clear()
    yield tmp_path / "home" / "talweg" / "native"  # type: ignore[misc]
    compilers._search.cache_clear()
    cache._temporary_folder.cache_clear()


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def answer() -> int:
    build._loaded.clear()
    loaded = build.load(SOURCE)
    return loaded.function("talweg_answer")()


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────────────


@needs_compiler
def test_an_object_is_made_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer() == 42
    assert len(cache.entries()) == 1
    assert not list(folder.glob("tmp-*"))

    def compile_again(*_: object) -> str:
        raise AssertionError("it was there")

    monkeypatch.setattr(compilers, "Compilation", compile_again)
    compilers._search.cache_clear()  # as a new process: what is known of the compiler is read, the compiler not started
    assert answer() == 42


@needs_compiler
@needs_posix
def test_a_folder_above_the_cache_that_everybody_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can rename a folder above the cache can put another cache in its place."""
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(above / "home"))
    cache._temporary_folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="can be written by everybody"):
        assert not cache.cache_folder().is_relative_to(above)
    above.chmod(0o1777)  # as /tmp is: only owners rename there
    assert cache.cache_folder().is_relative_to(above)


def test_a_cache_within_the_working_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert cache.user_cache().is_absolute() and not cache.user_cache().is_relative_to(tmp_path)


@needs_posix
def test_only_the_user_may_write_there(folder: Path) -> None:
    before = os.umask(0o002)  # as many systems set it
    try:
        assert answer() == 42
    finally:
        os.umask(before)
    for path in (folder, *folder.rglob("*")):
        assert not path.lstat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@needs_compiler
@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "no check"])
def test_a_damaged_object_is_made_again(folder: Path, damage: str) -> None:
    assert answer() == 42
    path = cache.entries()[0].folder / cache.OBJECT
    content = path.read_bytes()
    path.unlink()  # not written over: this process has it loaded
    if damage == "no check":
        (path.parent / cache.CHECK).unlink()
    changed = {"truncated": content[:1000], "changed": content[:-1] + b"!", "empty": b"", "no check": content}
    path.write_bytes(changed[damage])
    assert answer() == 42
    assert cache.find(path.parent.name) == path
    assert len(cache.entries()) == 1


@needs_compiler
@needs_posix
@pytest.mark.parametrize("what", ["writable", "link"])
def test_an_object_that_others_could_have_put_there_is_not_loaded(folder: Path, what: str, tmp_path: Path) -> None:
    assert answer() == 42
    path = cache.entries()[0].folder / cache.OBJECT
    if what == "writable":
        path.chmod(0o777)
    else:
        os.rename(path, tmp_path / "elsewhere.so")
        path.symlink_to(tmp_path / "elsewhere.so")
    key = path.parent.name
    assert cache.find(key) is None
    assert answer() == 42
    assert cache.find(key) == path and not path.is_symlink()


@needs_compiler
@needs_posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_an_object_of_another_user_is_not_loaded(folder: Path) -> None:
    assert answer() == 42
    path = cache.entries()[0].folder / cache.OBJECT
    os.chown(path, 12345, 12345)
    assert cache.find(path.parent.name) is None
    os.chown(folder, 12345, 12345)
    with pytest.warns(RuntimeWarning, match="another user"):
        assert cache.cache_folder() != folder


@needs_compiler
@needs_posix
@pytest.mark.parametrize("what", ["a file", "a link", "writable"])
def test_a_folder_that_will_not_do_is_said_once_and_a_temporary_one_used(
    folder: Path, what: str, tmp_path: Path
) -> None:
    folder.parent.mkdir(parents=True)
    if what == "a file":
        folder.write_text("")
    elif what == "a link":
        (tmp_path / "other").mkdir()
        folder.symlink_to(tmp_path / "other")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="not kept.*XDG_CACHE_HOME"):
        used = cache.cache_folder()
    assert used != folder and stat.S_IMODE(used.stat().st_mode) == 0o700
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer() == 42
        assert cache.cache_folder() == used


def test_without_a_home_a_temporary_folder_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.warns(RuntimeWarning, match="home"):
        assert cache.cache_folder().is_dir()


@needs_compiler
def test_processes_that_make_the_same_object_at_once(folder: Path) -> None:
    """Four processes, none of which has it, and then one object."""
    answer()  # the compiler is known, so that the four begin with the object itself
    cache._remove(cache.entries()[0].folder)
    code = f"from talweg.engines.native import build; o = build.load({SOURCE!r}); print(o.function('talweg_answer')())"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        out, err = process.communicate()
        assert (out, err) == ("42\n", "")
    assert len(cache.entries()) == 1
    assert not list(folder.glob("tmp-*"))


def put(key: str, size: int, age: float) -> None:
    with cache.workplace() as place:
        made = place / "x.so"
        made.write_bytes(b"x" * size)
        path = cache.add(key, made)
    os.utime(path, (1e9 - age, 1e9 - age))


def test_the_cache_is_bounded_and_what_was_used_longest_ago_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_OBJECTS", 3)
    for i, key in enumerate(("a", "b", "c")):
        put(key, 10, age=100 - i)
    assert cache.find("a") is not None  # used just now
    put("d", 10, age=0)
    assert {e.folder.name for e in cache.entries()} == {"a", "c", "d"}
    monkeypatch.setattr(cache, "MOST_BYTES", 25)
    cache.trim()
    assert len(cache.entries()) == 2
    assert cache.clear() == (2, 20)
    assert cache.entries() == [] and list(folder.iterdir()) == []


def test_what_a_killed_process_left_behind_is_removed(folder: Path) -> None:
    left, fresh = cache.cache_folder() / "tmp-old", cache.cache_folder() / "tmp-new"
    left.mkdir()
    fresh.mkdir()
    os.utime(left, (1e9, 1e9))
    cache.trim()
    assert not left.exists() and fresh.exists()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    for system, expected in (
        ("linux", "/home/ada/.cache/talweg"),
        ("darwin", "/home/ada/Library/Caches/talweg"),
        ("win32", "/local/talweg/Cache"),
    ):
        monkeypatch.setattr(sys, "platform", system)
        assert cache.user_cache() == Path(expected)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache.user_cache() == Path("/x/talweg")


# ── the compiler ──────────────────────────────────────────────────────────────────────────────────────────


@needs_compiler
@needs_posix
def test_flags_that_a_compiler_does_not_know_are_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = 'case "$*" in *vect-cost-model*|*avoid-fma*) echo "error: unknown argument" >&2; exit 1;; esac\n'
    command = build.compiler()
    assert command is not None
    monkeypatch.setenv("TALWEG_CC", script(tmp_path / "oldcc", f'{refuse}exec {" ".join(command)} "$@"'))
    found = compilers.find()
    assert found is not None and "-ftree-vectorize" in found.flags
    assert not any("vect-cost-model" in f or "avoid-fma" in f for f in found.flags)
    assert answer() == 42


@needs_posix
def test_a_compiler_that_does_not_work_is_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    script(bin / "cc", "echo 'fatal error: pthread.h: No such file or directory' >&2; exit 1")
    before = build.compiler()
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    found = compilers.find()
    if before is not None:
        assert found is not None and found.command[0] != str(bin / "cc")
    monkeypatch.setenv("TALWEG_CC", str(bin / "cc"))
    assert compilers.find() is None  # what was asked for by name is not replaced by another
    with pytest.raises(UsageError, match=r"TALWEG_CC=.*cc does not work \(fatal error: pthread.h.*talweg\[compiler\]"):
        Native()
    monkeypatch.setenv("TALWEG_CC", "/no/such/compiler")
    with pytest.raises(UsageError, match="/no/such/compiler"):
        Native()


@needs_compiler
def test_another_version_of_a_compiler_is_another_compiler(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = build.compiler()
    assert command is not None
    body = f'exec {" ".join(command)} "$@"'
    monkeypatch.setenv("TALWEG_CC", script(tmp_path / "mycc", body))
    answer()
    script(tmp_path / "mycc", f'case "$*" in --version) echo "mycc 2"; exit;; esac\n{body}')
    compilers._search.cache_clear()
    answer()
    assert len(cache.entries()) == 2


@needs_compiler
def test_a_refused_source_is_kept_with_the_command_that_failed(folder: Path) -> None:
    with pytest.raises(build.CompileError, match="error") as failure:
        build.load("this is not C")
    (kept,) = (folder / cache.FAILED).iterdir()
    assert kept.read_text() == "this is not C"
    assert f"{kept}:1:1" in str(failure.value)
    line = str(failure.value).splitlines()[-1]
    assert line.startswith(" ".join(compilers.find().command)) and str(kept) in line  # type: ignore[union-attr]


@needs_compiler
def test_no_call_of_a_kernel_is_left_out() -> None:
    """gcc 12 takes the kernel of y · ln for one that stores nothing, but for -fno-delete-null-pointer-checks."""
    x, y = (g.input_tensor(name, (g.BATCH, 3)) for name in "xy")
    share = g.clip(x / g.sum(x, 1, keepdims=True), 1e-7, 1 - 1e-7)
    program = Program("p", (x, y), (), {"sums": g.sum(y * g.log(share), 1)}, {})
    rows = {name: np.random.default_rng(i).uniform(0.1, 1.0, (5, 3)) for i, name in enumerate("xy")}
    found, expected = (e.compile(program, {}).run(rows, np.arange(5), 5) for e in (Native(threads=2), Reference()))
    np.testing.assert_allclose(found["sums"], expected["sums"], rtol=1e-5)


# ── auto ──────────────────────────────────────────────────────────────────────────────────────────────────


def summing() -> Program:
    x, seen = g.input_tensor("x", (g.BATCH, 3)), g.state_tensor("seen", ())
    return Program("summing", (x,), (seen,), {"sum": g.sum(x, 1)}, {seen: seen + g.sum(x)})


def run(engine: Engine) -> None:
    session = engine.compile(summing(), {"seen": np.array(5.0)})
    assert session.states()["seen"] == 5
    out = session.run({"x": np.ones((4, 3), np.float32)}, np.arange(4), 2)
    assert out["sum"].tolist() == [3, 3, 3, 3]
    assert session.states(["seen"])["seen"] == 17
    session.load({"seen": np.array(1.0)})
    session.run({"x": np.ones((4, 3), np.float32)}, np.arange(4), 4)
    assert session.states()["seen"] == 13
    assert session.program.name == "summing"


@pytest.fixture
def fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choose.PREFERRED)  # the tests' own choice
    choose._say_once.cache_clear()


def test_an_environment_variable_says_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALWEG_ENGINE", "reference")
    assert isinstance(engine_by_name("auto"), Reference)
    monkeypatch.setenv("TALWEG_ENGINE", "natif")
    with pytest.raises(UnknownNameError, match="TALWEG_ENGINE 'natif': did you mean 'native'"):
        engine_by_name("auto")
    assert engine_by_name("reference").name == "reference"  # what was named in the program is not overruled


@needs_compiler
def test_an_object_on_its_way_is_waited_for_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = build.Making(SOURCE), build.Making(f"{SOURCE}/* another */")
    both = second.wait(), first.wait()
    assert [loaded.function("talweg_answer")() for loaded in both] == [42, 42]
    assert len(cache.entries()) == 2 and not list(folder.glob("tmp-*"))
    assert first.is_over and build.Making(SOURCE).is_over  # it is there


@needs_compiler
def test_a_session_says_whether_it_can_run_at_once(folder: Path) -> None:
    session = Native().compile(summing(), {"seen": np.array(0.0)})
    assert not session.prepare(2)
    assert session.prepare(2, wait=True) and session.prepare(1)
    session.run({"x": np.ones((4, 3), np.float32)}, np.arange(4), 2)
    assert not session.prepare(4) and session.states()["seen"] == 12
    session.run({"x": np.ones((4, 3), np.float32)}, np.arange(4), 4)
    assert session.prepare(4) and session.states()["seen"] == 24
    assert Reference().compile(summing(), {"seen": np.array(0.0)}).prepare(2)


@needs_compiler
def test_auto_is_native_where_there_is_a_compiler(fastest: None) -> None:
    engine = engine_by_name("auto", threads=3)
    assert isinstance(engine, Native) and engine.name == "native" and engine.threads == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(engine)


def test_auto_is_the_reference_where_there_is_none_and_says_so_once(
    fastest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "compiler", lambda: None)
    monkeypatch.setattr(build, "complaint", lambda: "none is on the path: `pip install 'talweg[compiler]'`")
    with pytest.warns(RuntimeWarning, match=r"talweg\[compiler\]") as said:
        engine = engine_by_name("auto")
        engine_by_name("auto")
    assert len(said) == 1 and len(str(said[0].message).splitlines()) == 1
    assert isinstance(engine, Reference)
    run(engine)


@needs_compiler
def test_auto_runs_what_does_not_compile_on_the_reference(fastest: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str) -> None:
        raise build.CompileError("internal compiler error")

    monkeypatch.setattr(build, "Making", refuse)
    with pytest.warns(RuntimeWarning, match="program 'summing'; the reference.*internal compiler error") as said:
        run(engine_by_name("auto"))
    assert len(said) == 1
    with pytest.warns(RuntimeWarning, match="internal compiler error"):
        assert engine_by_name("auto").compile(summing(), {"seen": np.array(0.0)}).prepare(2)
    with pytest.raises(build.CompileError, match="internal compiler error"):
        run(engine_by_name("native"))
