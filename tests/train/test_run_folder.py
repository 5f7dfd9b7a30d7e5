"""Run folders: a kill at any instant, a full disk or a damaged file loses nothing that was there before."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.disk import lock
from talweg.errors import CorruptFileError, DataError, RunFolderError, UsageError, VersionError
from talweg.train.callbacks.base import Callback
from talweg.train.document import write_json
from talweg.train.experiment import Experiment, Wishes
from talweg.train.prepared import Source
from talweg.train.run_folder import RunFolder, history_of, trained_model
from talweg.train.saved import load

EPOCHS = 5


def begin(out: Path, **wishes: Any) -> Experiment:
    wishes = {"model": "dropout", "epochs": EPOCHS, "seed": 4, "engine": "reference", **wishes}
    return Experiment.begin(Wishes(Source("iris"), **wishes), out)


def finish(experiment: Experiment) -> RunFolder:
    recorder = experiment.train(checkpoint_seconds=0)
    assert recorder.diverged is None and experiment.finished
    result, _ = experiment.finish()
    experiment.folder.write_result(result)
    return experiment.folder


def without_seconds(lines: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return finish(begin(tmp_path_factory.mktemp("unbroken") / "run"))


def assert_same(run: RunFolder, other: RunFolder) -> None:
    """The same bits: weights, the optimizer's memory, metrics, result."""
    for name in ("model.safetensors", "model.json"):
        assert (run.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert without_seconds(run.metrics()) == without_seconds(other.metrics())
    result, expected = run.result(), other.result()
    assert result is not None and expected is not None
    assert result["test"] == expected["test"]


# ── what is in it ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_run_leaves(unbroken: RunFolder) -> None:
    names = {p.name for p in unbroken.path.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoint", "model.safetensors", "model.json", "result.json"}
    assert len(list((unbroken.path / "checkpoint").iterdir())) == 2, "old numbers were not deleted"
    lines = unbroken.metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert set(history_of(lines)) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    config = unbroken.config
    assert (config["seed"], config["epochs"], config["engine"], config["model"]) == (4, EPOCHS, "reference", "dropout")
    model, note = trained_model(unbroken.path)
    assert note is None
    assert model.class_names == ["setosa", "versicolor", "virginica"]
    assert model.preprocessing is not None and model.preprocessing["kind"] == "table"


def test_a_run_can_be_told_to_go_further(unbroken: RunFolder, tmp_path: Path) -> None:
    short = finish(begin(tmp_path / "run", epochs=2))
    assert len(short.metrics()) == 2
    assert_same(finish(Experiment.resume(short.path, epochs=EPOCHS)), unbroken)
    with pytest.raises(UsageError, match="already"):
        Experiment.resume(short.path, epochs=1)


def test_a_finished_run_that_is_resumed_stays_as_it_is(unbroken: RunFolder, tmp_path: Path) -> None:
    run = finish(begin(tmp_path / "run"))
    assert_same(finish(Experiment.resume(run.path)), unbroken)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    begin(tmp_path / "run")  # an empty folder is as good as none
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(UsageError, match="already"):
        begin(tmp_path / "run", seed=9)
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_two_runs_in_the_same_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = begin(tmp_path / "x")
    model, config = first.model, first.folder.config
    paths = [RunFolder.create(tmp_path / "run", config, model, may_rename=True).path.name for _ in range(3)]
    assert paths == ["run", "run-2", "run-3"]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    experiment = Experiment.begin(
        Wishes(Source("diabetes"), model="mlp", optimizer="sgd", learning_rate=10.0, epochs=20), tmp_path / "run"
    )
    recorder = experiment.train(checkpoint_seconds=1e9)
    assert recorder.diverged is not None and recorder.diverged[0] == "loss"
    lines = experiment.folder.metrics()
    assert lines[-1]["loss"] is None and math.isnan(history_of(lines)["loss"][-1])
    kept, before = experiment.folder.checkpoint()
    assert all(np.isfinite(w).all() for w in kept.get_weights())
    assert [line["epoch"] for line in before] == [line["epoch"] for line in lines[:-1]], "of the epochs before, all"


class InterruptsIn(Callback):
    """Ctrl-C in the second batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.wanted, self.epoch = epoch, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == (self.wanted, 1):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_ctrl_c_keeps_every_whole_epoch(tmp_path: Path, unbroken: RunFolder, epoch: int) -> None:
    """Also where the last checkpoint is older: epochs are short, and not each is written."""
    experiment = begin(tmp_path / "run")
    experiment.train([InterruptsIn(epoch)], checkpoint_seconds=1e9)
    assert not experiment.finished
    _, note = trained_model(tmp_path / "run")
    assert len(experiment.lines) == epoch and note is not None and f"after {epoch} epochs" in note
    assert_same(finish(Experiment.resume(tmp_path / "run")), unbroken)


# ── kills ───────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """Where the process would be gone: nothing after it runs, so nothing may be tidied up either."""


OPERATIONS = ("replace", "fsync", "rename", "unlink", "chmod")


def until_killed(monkeypatch: pytest.MonkeyPatch, step: int, work: Any) -> bool:
    """Does `work` until the file operation of that number, and answers whether it was killed there."""
    left = [step]

    def dies(real: Any) -> Any:
        def instead(*arguments: Any, **options: Any) -> Any:
            if left[0] <= 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return instead

    with monkeypatch.context() as patched:
        for name in OPERATIONS:
            patched.setattr(os, name, dies(getattr(os, name)))
        patched.setattr(shutil, "rmtree", lambda *a, **k: None)
        try:
            work()
        except Killed:
            lock._left_to_the_parent()  # what the kernel does with a dead process's locks
            return True
    return False


def test_a_kill_between_any_two_file_operations(
    tmp_path: Path, unbroken: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, survived = 0, 0
    while True:
        path = tmp_path / str(step)

        def work(path: Path = path) -> None:
            finish(begin(path))

        if not until_killed(monkeypatch, step, work):
            break
        if path.exists():  # the folder appears whole or not at all
            survived += 1
            assert_same(finish(Experiment.resume(path)), unbroken)
            assert not [p for p in path.rglob("*") if p.name.endswith(".part")]
        step += 1
    assert step > 20 and survived > 15


def test_numbers_of_an_older_checkpoint_go_when_a_run_goes_on(unbroken: RunFolder, tmp_path: Path) -> None:
    """A kill between the new state and the old numbers' end, after the last epoch: no later checkpoint clears them."""
    shutil.copytree(unbroken.path, tmp_path / "run")
    (tmp_path / "run" / "checkpoint" / "00003-0123456789ab.safetensors").write_bytes(b"old")
    finish(Experiment.resume(tmp_path / "run"))
    assert sorted(p.name for p in (tmp_path / "run").rglob("*")) == sorted(p.name for p in unbroken.path.rglob("*"))


def test_kills_while_it_resumes(tmp_path: Path, unbroken: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    begin(path)
    chance = random.Random(5)
    for kills in range(200):  # noqa: B007
        if not until_killed(monkeypatch, chance.randint(3, 30), lambda: finish(Experiment.resume(path))):
            break
    else:
        pytest.fail("the run never came to its end")
    assert kills > 1
    assert_same(RunFolder(path), unbroken)


CHILD = """
import sys
from pathlib import Path
from talweg.train.experiment import Experiment, Wishes
from talweg.train.prepared import Source
path = Path(sys.argv[1])
wishes = Wishes(Source("iris"), model="dropout", epochs=300, seed=4, engine="reference")
experiment = Experiment.resume(path) if path.exists() else Experiment.begin(wishes, path)
print("ready", flush=True)
experiment.train(checkpoint_seconds=0)
experiment.folder.write_result(experiment.finish()[0])
"""


def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(11)
    kills = 0
    while not (tmp_path / "run" / "result.json").exists():
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "run")], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        if kills < 6:
            time.sleep(chance.uniform(0.02, 0.5))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            RunFolder(tmp_path / "run").checkpoint()  # whole after every kill
        else:
            assert child.wait() == 0
    assert kills > 0
    assert_same(RunFolder(tmp_path / "run"), finish(begin(tmp_path / "unbroken", epochs=300)))


RESUMING = """
import sys
from pathlib import Path
from talweg.errors import InUseError
from talweg.train.experiment import Experiment
sys.stdin.readline()
try:
    experiment = Experiment.resume(Path(sys.argv[1]), epochs=60)
except InUseError as error:
    sys.exit(f"refused: {error}")
print("holds", flush=True)
sys.stdin.readline()
experiment.train(checkpoint_seconds=0)
experiment.folder.write_result(experiment.finish()[0])
"""


def test_of_three_that_resume_at_once_one_trains(tmp_path: Path) -> None:
    """Three `--resume` at once once wrote 799 epochs twice."""
    path = tmp_path / "run"
    begin(path).folder.let_go()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    three = [subprocess.Popen([sys.executable, "-c", RESUMING, str(path)], **pipes) for _ in range(3)]  # type: ignore
    for child in three:
        child.stdin.write("begin\n")
        child.stdin.flush()
    said = [child.stdout.readline() for child in three]  # one holds, and waits; two have ended
    assert sorted(said) == ["", "", "holds\n"]
    holder = three[said.index("holds\n")]
    for child in three:
        if child is not holder:
            assert child.wait() == 1
            assert f"is being written by process {holder.pid} on" in child.stderr.read()
    assert holder.communicate("train\n")[1] == "" and holder.returncode == 0
    assert [line["epoch"] for line in RunFolder(path).metrics()] == list(range(1, 61))
    assert not (path / ".lock").exists()


def test_a_folder_that_was_replaced_under_a_run_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    experiment = begin(path)
    path.rename(tmp_path / "moved")
    with pytest.raises(RunFolderError, match="deleted, moved or replaced"):
        experiment.train()
    begin(path, seed=9).folder.let_go()
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    experiment.folder._lock = None
    other = Experiment.resume(tmp_path / "moved")
    path.rename(tmp_path / "third")
    (tmp_path / "moved").rename(path)
    (tmp_path / "third").rename(tmp_path / "moved")
    with pytest.raises(RunFolderError, match="deleted, moved or replaced"):
        other.train()
    assert {tmp_path / "moved" / p.relative_to(path): b for p, b in before.items()} == {
        p: p.read_bytes() for p in (tmp_path / "moved").rglob("*") if p.is_file()
    }


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize(
    ("umask", "private", "folder"), [(0o022, False, 0o755), (0o077, False, 0o700), (0, True, 0o700)]
)
def test_a_run_folder_respects_the_umask(tmp_path: Path, umask: int, private: bool, folder: int) -> None:
    before = os.umask(umask)
    try:
        wishes = Wishes(Source("iris"), model="dropout", epochs=1, engine="reference")
        run = finish(Experiment.begin(wishes, tmp_path / "run", private=private)).path
    finally:
        os.umask(before)
    assert run.stat().st_mode & 0o777 == folder
    assert (run / "checkpoint").stat().st_mode & 0o777 == 0o777 & ~umask
    assert {p.stat().st_mode & 0o777 for p in run.rglob("*") if p.is_file()} == {0o666 & ~umask}


def test_a_half_written_line_of_metrics_is_passed_over(tmp_path: Path, unbroken: RunFolder) -> None:
    experiment = begin(tmp_path / "run", epochs=3)
    experiment.train(checkpoint_seconds=0)
    with open(experiment.folder.path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 4, "loss": 0.1}\n{"epoch": 5, "lo')
    assert [line["epoch"] for line in RunFolder(tmp_path / "run").metrics()] == [1, 2, 3, 4]
    again = Experiment.resume(tmp_path / "run", epochs=EPOCHS)
    assert [line["epoch"] for line in again.folder.metrics()] == [1, 2, 3]
    assert_same(finish(again), unbroken)


# ── disks that are full, folders that cannot be written ─────────────────────────────────────────────────────


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_disk_that_fills_up_loses_nothing(
    tmp_path: Path, unbroken: RunFolder, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    experiment = begin(tmp_path / "run", epochs=2)
    finish(experiment)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file() and p.name != "metrics.jsonl"}
    experiment = Experiment.resume(tmp_path / "run")
    experiment.epochs = EPOCHS
    with monkeypatch.context() as patched:
        patched.setattr(os, operation, full)
        with pytest.raises(RunFolderError, match="No space left"):
            experiment.train(checkpoint_seconds=0)
    assert {p: p.read_bytes() for p in before} == before
    assert not [p for p in (tmp_path / "run").rglob("*") if p.name.endswith(".part")]
    assert_same(finish(Experiment.resume(tmp_path / "run", epochs=EPOCHS)), unbroken)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_metrics_that_cannot_be_written(tmp_path: Path) -> None:
    experiment = begin(tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match="cannot be written"):
        experiment.train()


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be written"):
        begin(tmp_path / "file" / "run")
    with pytest.raises(UsageError, match="already"):
        begin(tmp_path / "file")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunFolderError, match="No space left"):
            begin(tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# ── folders that are damaged ────────────────────────────────────────────────────────────────────────────────


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def changed(path: Path, **entries: Any) -> None:
    """The document with other entries, and the sum that fits them."""
    write_json(path, {**json.loads(path.read_text()), **entries})


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda p: truncated(p / "config.json"), CorruptFileError, r"config\.json"),
        (lambda p: changed(p / "config.json", format="x"), CorruptFileError, r"config\.json"),
        (lambda p: changed(p / "config.json", format_version=7), VersionError, "version 7"),
        (lambda p: changed(p / "config.json", epochs="many"), CorruptFileError, "'epochs' as int"),
        (lambda p: changed(p / "config.json", data={"x": 1}), CorruptFileError, "source of the data"),
        (lambda p: (p / "config.json").unlink(), UsageError, "not a run folder"),
        (lambda p: truncated(p / "checkpoint" / "state.json"), CorruptFileError, r"state\.json"),
        (lambda p: (p / "checkpoint" / "state.json").unlink(), CorruptFileError, r"state\.json"),
        (lambda p: changed(p / "checkpoint" / "state.json", format_version=7), VersionError, "version 7"),
        (lambda p: changed(p / "checkpoint" / "state.json", metrics=3), CorruptFileError, "metrics"),
        (
            lambda p: changed(p / "checkpoint" / "state.json", weights={"file": "../x"}),
            CorruptFileError,
            "name of a file",
        ),
        (lambda p: changed(p / "checkpoint" / "state.json", weights=None), CorruptFileError, "name of a file"),
        (lambda p: truncated(only(p, "checkpoint/*.safetensors")), CorruptFileError, r"\.safetensors"),
        (lambda p: only(p, "checkpoint/*.safetensors").write_bytes(b""), CorruptFileError, r"\.safetensors"),
        (lambda p: changed(p / "config.json", data_sha256="0"), DataError, "changed since"),
    ],
)
def test_a_damaged_run_folder(tmp_path: Path, damage: Any, error: type, message: str) -> None:
    begin(tmp_path / "run").train()
    damage(tmp_path / "run")
    with pytest.raises(error, match=message):
        Experiment.resume(tmp_path / "run")


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run folder"):
        RunFolder(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no such run folder or model"):
        trained_model(tmp_path / "nowhere")


def test_the_model_of_a_run_that_is_not_finished(tmp_path: Path) -> None:
    experiment = begin(tmp_path / "run", epochs=2)
    experiment.train()
    model, note = trained_model(tmp_path / "run")
    assert note is not None and "after 2 epochs" in note
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), experiment.model.get_weights(), strict=True))
    experiment.finish()
    assert load(tmp_path / "run").epochs_trained == 2
