"""Threads: the same bits for any number, several models at once, after a fork, on few cores; and how many there are."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import os
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.engines import engine_by_name
from talweg.engines.native import Native, build, compilers, cores, runtime
from talweg.errors import UsageError
from talweg.graph import Array, Program
from talweg.nn.layers import Dense, Flatten
from talweg.train.sequential import Sequential

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
X = np.random.default_rng(0).normal(size=(256, 12, 12)).astype(np.float32)
Y = (X.sum((1, 2)) > 0).astype(int) + (X[:, 0, 0] > 1)


def fitted(threads: int, batch_size: int = 64, width: int = 200, epochs: int = 2) -> Sequential:
    layers = [Flatten(), Dense(width, activation="relu"), Dense(60, activation="tanh"), Dense(3, activation="softmax")]
    model = Sequential(layers, seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"], engine=Native("float32", threads))
    model.fit(X, Y, epochs=epochs, batch_size=batch_size, verbose=0)
    return model


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


@pytest.fixture(scope="module")
def alone() -> list[bytes]:
    """The weights of `fitted`, made by one thread."""
    return bits(fitted(1))


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """What the jobs answer, each in a Python thread of its own."""
    answers: list[Any] = [None] * len(jobs)

    def run(i: int) -> None:
        answers[i] = jobs[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────


@needs_compiler
@pytest.mark.parametrize("threads", [2, 3, 7, 100])
def test_the_same_bits_for_any_number_of_threads(threads: int, alone: list[bytes]) -> None:
    assert bits(fitted(threads)) == alone


@needs_compiler
def test_threads_that_come_and_go(alone: list[bytes]) -> None:
    """Workers are added to a pool that has worked before, and left out of calls that have fewer."""
    for threads in (2, 5, 1, 3, 2, 7, 4):
        assert bits(fitted(threads)) == alone


@needs_compiler
def test_several_models_at_once(alone: list[bytes]) -> None:
    """Three share an object, and so a pool of threads; one has its own."""
    jobs: list[Callable[[], Any]] = [lambda t=t: bits(fitted(t)) for t in (2, 3, 4)]  # type: ignore[misc]
    answers = at_once([*jobs, lambda: bits(fitted(2, width=100))])
    assert answers[0] == answers[1] == answers[2] == alone
    assert answers[3] == bits(fitted(1, width=100))


@needs_compiler
def test_one_model_asked_by_several() -> None:
    model = fitted(2, epochs=1)
    rows = [X[i : i + 40 + i] for i in range(6)]
    expected = [model.predict(r) for r in rows]
    session = model.predict  # of one session: each call uses the same memory

    def ask(i: int) -> bool:
        return all(np.array_equal(session(rows[i]), expected[i]) for _ in range(20))

    assert all(at_once([lambda i=i: ask(i) for i in range(6)]))  # type: ignore[misc]


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_a_fit(alone: list[bytes]) -> None:
    """The child has none of the parent's threads, and locks that they held: it must come to an end all the same."""
    context, stop = multiprocessing.get_context("fork"), threading.Event()
    model = fitted(2)

    def keep_busy() -> None:
        while not stop.is_set():
            model.fit(X, Y, epochs=5, batch_size=64, verbose=0)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for _ in range(3):
            here, there = context.Pipe()
            child = context.Process(target=lambda out=there: out.send(bits(fitted(3))))  # type: ignore[misc]
            child.start()
            try:
                assert here.recv() == alone
            finally:
                child.kill()
                child.join()
    finally:
        stop.set()
        busy.join()


THREADS = Path("/proc/self/task")


@needs_compiler
@pytest.mark.skipif(not THREADS.exists(), reason="this system does not list a process's threads")
def test_threads_and_memory_of_models_that_are_gone_are_freed() -> None:
    """Twenty shapes once left up to twenty-four threads, and every object stayed loaded."""

    def objects() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count("object.so")

    fitted(1)
    mapped, before = objects(), len(list(THREADS.iterdir()))
    for width in range(20, 40):
        fitted(4, width=width, epochs=1)
    assert objects() == mapped and len(list(THREADS.iterdir())) == before
    model = fitted(4, epochs=1)
    for rows in range(65, 85):  # each batch is larger than the one before, and is compiled for
        model.predict(X[:rows], batch_size=rows, verbose=0)
    own = len(list(THREADS.iterdir())) - before
    assert 0 < own <= 2 * 3  # one pool for training, one for prediction
    del model
    assert objects() == mapped and len(list(THREADS.iterdir())) == before


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_frees_what_it_inherited(alone: list[bytes]) -> None:
    model = fitted(3)
    child = os.fork()
    if child == 0:
        del model
        gc.collect()
        os._exit(0 if bits(fitted(3)) == alone else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bits(model) == alone
    model.fit(X, Y, batch_size=64, verbose=0)


# ── the C of the pool, without a network ──────────────────────────────────────────────────────────────────

COUNTING = """
typedef float real;
static void steps(const job *j, int thread)
{
    int64_t *cells = (int64_t *)j->memory;
    for (int64_t step = 0; step < j->rows; step++) {
        cells[8 * thread]++;
        barrier(j->threads);
        for (int t = 0; t < j->threads; t++) if (cells[8 * t] != cells[8 * thread]) cells[8 * 64]++;
        barrier(j->threads);
    }
}
"""


@needs_compiler
@pytest.mark.parametrize("waiting", ["", "-DTALWEG_WITHOUT_FUTEX"])
@pytest.mark.parametrize("spins", [0, 50, 4000])
def test_barriers_and_calls_lose_no_one(waiting: str, spins: int, tmp_path: Path) -> None:
    """Every thread of a call counts every step once, and after a barrier sees that all others did."""
    found = compilers.find()
    assert found is not None
    text, made = tmp_path / "pool.c", tmp_path / f"pool{len(waiting)}{spins}.so"
    several = [1, 2, 3, 64, 2, 5, 1, 7, *np.random.default_rng(0).integers(1, 8, 150), 64]
    text.write_text(runtime.INCLUDES + runtime.THREADS + COUNTING)
    assert compilers.compile_file(found.command, (*found.flags, *shlex.split(waiting)), text, made) is None
    library, steps, expected = ctypes.CDLL(str(made)), 60, np.zeros((65, 8), np.int64)
    run, cells, rng = library.talweg_run, np.zeros((65, 8), np.int64), np.random.default_rng(0)
    for call, threads in enumerate(several):
        if call % 40 == 39:
            assert library.talweg_rest() == 1  # they come back when they are wanted
        rows = int(rng.integers(1, steps))
        run(
            cells.ctypes.data_as(ctypes.c_void_p),
            None,
            None,
            *map(ctypes.c_int64, (rows, 1)),
            None,
            None,
            None,
            int(threads),
            spins,
        )
        expected[:threads, 0] += rows
        # Threads that were in fewer calls have counted less; a call compares equals only.
        cells[:64], expected[:64] = cells[:64] - expected[:64], 0
        assert not cells.any()


# ── how many ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_number_of_threads_is_the_users_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALWEG_THREADS", raising=False)
    assert 1 <= cores.default_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("TALWEG_THREADS", "7")
    assert cores.default_threads() == 7
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("TALWEG_THREADS", wrong)
        with pytest.raises(UsageError, match="TALWEG_THREADS"):
            cores.default_threads()
    with pytest.raises(UsageError, match="threads"):
        engine_by_name("auto", threads=0)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores.cgroup_limit(tmp_path) == math.inf
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/outer/inner\n")
    inner = tmp_path / "sys/fs/cgroup/outer/inner"
    inner.mkdir(parents=True)
    assert cores.cgroup_limit(tmp_path) == math.inf
    (inner / "cpu.max").write_text("max 100000\n")
    assert cores.cgroup_limit(tmp_path) == math.inf
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert cores.cgroup_limit(tmp_path) == 1.5
    monkeypatch.setattr(cores, "cgroup_limit", lambda: 0.5)
    assert cores.usable_cores() == 1


def test_an_older_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/docker/abc\n2:memory:/\n0::/\n")
    mounted = tmp_path / "sys/fs/cgroup/cpu"  # as a container sees it: its own group is the root
    mounted.mkdir(parents=True)
    (mounted / "cpu.cfs_period_us").write_text("100000\n")
    (mounted / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores.cgroup_limit(tmp_path) == math.inf
    (mounted / "cpu.cfs_quota_us").write_text("300000\n")
    assert cores.cgroup_limit(tmp_path) == 3


def test_waits_are_short_where_threads_outnumber_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_cores", lambda: 4)
    with cores.at_work(2) as first, cores.at_work(2) as second, cores.at_work(1) as third:
        assert (first, second, third) == (cores.SPINS, cores.SPINS, cores.SPINS_IN_A_CROWD)
    with cores.at_work(4) as again:
        assert again == cores.SPINS


@needs_compiler
def test_a_larger_batch_that_does_not_compile_leaves_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    x, seen = g.input_tensor("x", (g.BATCH, 3)), g.state_tensor("seen", ())
    program = Program("p", (x,), (seen,), {}, {seen: seen + g.sum(x)})
    session = Native().compile(program, {"seen": np.array(0.0)})
    data: dict[str, Array] = {"x": np.ones((8, 3), np.float32)}
    session.run(data, np.arange(8), 2)

    def refuse(source: str) -> None:
        raise build.CompileError("no")

    monkeypatch.setattr(build, "Making", refuse)
    with pytest.raises(build.CompileError):
        session.run(data, np.arange(8), 4)
    assert session.states()["seen"] == 24
    session.run(data, np.arange(8), 2)
    assert session.states()["seen"] == 48
