"""The command line: what it prints, what it leaves, and how it fails."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from talweg._version import __version__
from talweg.cli import app

QUICK = ["--epochs", "2", "--engine", "reference"]


def talweg(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def ok(*arguments: Any) -> Result:
    result = talweg(*arguments)
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs of each kind of data, not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    table, photos = fruit(folder), pictures(folder)
    made = {name: folder / "runs" / name for name in ("digits", "iris", "diabetes", "fruit", "photos")}
    for name in ("digits", "iris", "diabetes"):
        ok("train", name, *QUICK, "--out", made[name])
    ok("train", table, "--target", "kind", *QUICK, "--out", made["fruit"])
    ok("train", photos, *QUICK, "--size", "6x5", "--out", made["photos"])
    return made


def unsealed(path: Path) -> dict[str, Any]:
    """A model's JSON without its checksum, as whoever edits it by hand has to leave it."""
    document: dict[str, Any] = json.loads(path.read_text())
    del document["sha256"]
    return document


def fruit(folder: Path, rows: int = 60) -> Path:
    random = np.random.default_rng(1)
    kinds = random.choice(["apple", "kiwi", "plum"], rows)
    weight = {"apple": 150, "kiwi": 90, "plum": 40}
    skin = {"apple": "smooth", "kiwi": "rough", "plum": "smooth"}
    lines = [f"{weight[k] + random.normal(0, 9):.1f},{skin[k]},{random.normal(2, 0.5):.3f},{k}" for k in kinds]
    path = folder / "fruit.csv"
    path.write_text("weight,skin,price,kind\n" + "\n".join(lines) + "\n")
    return path


def pictures(folder: Path) -> Path:
    from PIL import Image

    random = np.random.default_rng(2)
    for name, low in (("dark", 0), ("light", 128)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(15):
            pixels = random.integers(low, low + 127, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    return folder / "photos"


# ── train ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_train_digits_says_what_it_does_and_keeps_it() -> None:
    shown = ok("train", "digits", *QUICK).stdout
    for text in (
        "1,293 training, 144 validation and 360 test",
        "reference, float32",
        "epoch 1/2 - ",
        "epoch 2/2 - ",
        "test ",
    ):
        assert text in shown
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("digits-dropout-")
    assert str(run / "report.html") in shown
    names = {p.name for p in run.iterdir()}
    assert names == {
        *("config.json", "metrics.jsonl", "checkpoint", "model.safetensors", "model.json", "result.json", "report.html")
    }
    assert json.loads((run / "config.json").read_text())["seed"] == 0
    assert "<html" in (run / "report.html").read_text()


def test_train_digits_reaches_97_percent() -> None:
    result = json.loads(ok("train", "digits", "--engine", "reference", "--json").stdout)
    assert result["test"]["accuracy"] >= 0.97
    assert result["rows"]["test"] == 360


@pytest.mark.parametrize(("model", "least"), [("softmax", 0.90), ("relu", 0.97)])
def test_the_ladder_on_mnist(mnist_folder: Path, model: str, least: float) -> None:
    result = json.loads(ok("train", "mnist", "--model", model, "--epochs", "5", "--json").stdout)
    assert result["test"]["accuracy"] >= least


def test_json_is_one_object_and_all_else_goes_to_stderr() -> None:
    result = ok("train", "iris", *QUICK, "--json")
    answer = json.loads(result.stdout)
    assert answer["epochs"] == 2 and answer["engine"] == "reference" and answer["task"] == "classification"
    assert set(answer["test"]) == {"loss", "accuracy"} == set(answer["validation"])
    assert Path(answer["run"]).is_dir() and Path(answer["report"]).is_file()
    assert "epoch 2/2" in result.stderr
    assert "epoch" not in ok("train", "iris", *QUICK, "--json", "--quiet").stderr


def test_quiet_leaves_the_result() -> None:
    assert len(ok("train", "iris", *QUICK, "--quiet").stdout.strip().splitlines()) == 1


def test_equal_seeds_equal_runs_and_others_not() -> None:
    scores = [json.loads(ok("train", "iris", *QUICK, "--json", "--seed", s).stdout)["test"] for s in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


def test_options_reach_the_training() -> None:
    ok(
        "train",
        "iris",
        "--model",
        "relu",
        "--epochs",
        3,
        "--batch-size",
        7,
        "--optimizer",
        "SGD",
        "--learning-rate",
        0.02,
        "--out",
        "r",
    )
    config = json.loads(Path("r/config.json").read_text())
    assert (config["model"], config["epochs"], config["batch_size"]) == ("relu", 3, 7)
    assert config["optimizer"] == {"class": "SGD", "learning_rate": 0.02}


def test_a_table_tells_its_decisions_and_can_be_regression(tmp_path: Path) -> None:
    table = fruit(tmp_path)
    shown = ok("train", table, "--target", "kind", *QUICK).stdout
    assert "because the target is text" in shown and "one-hot" in shown
    answer = json.loads(ok("train", table, "--target", "price", *QUICK, "--json").stdout)
    assert answer["task"] == "regression" and set(answer["test"]) == {"loss", "mae", "r2"}
    assert any("fractions" in note for note in answer["notes"])
    ok("train", table, "--target", "kind", "--ignore", "price", "--ignore", "skin", *QUICK, "--out", "w")
    assert json.loads(Path("w/model.json").read_text())["architecture"]["input_shape"] == [1]
    table.write_text(table.read_text() + ",smooth,2.0,apple\n")
    failed = talweg("train", table, "--target", "kind", *QUICK)
    assert failed.exit_code == 2 and "missing" in failed.stderr
    ok("train", table, "--target", "kind", "--missing", "mean", *QUICK)


@pytest.mark.parametrize("toy", ["xor", "line", "spiral"])
def test_toys_can_be_trained_on(toy: str) -> None:
    ok("train", toy, *QUICK)


def test_a_model_from_a_file(runs: dict[str, Path]) -> None:
    fresh = json.loads(ok("train", "iris", "--model", runs["iris"] / "model.json", *QUICK, "--json").stdout)
    assert (
        fresh["model"] == "model"
        and fresh["parameters"] == json.loads(ok("summary", runs["iris"], "--json").stdout)["parameters"]
    )
    ok("train", "iris", "--model", runs["iris"], *QUICK, "--out", "more")
    losses = [
        json.loads(line)["loss"]
        for path in (runs["iris"], Path("more"))
        for line in (path / "metrics.jsonl").read_text().splitlines()
    ]
    assert losses[2] < losses[1], "a saved model is gone on from"


# ── evaluate, predict, summary ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["digits", "iris", "diabetes", "fruit", "photos"])
def test_evaluate_gives_what_train_gave(runs: dict[str, Path], name: str) -> None:
    answer = json.loads(ok("evaluate", runs[name], "--json").stdout)
    assert answer["test"] == json.loads((runs[name] / "result.json").read_text())["test"]
    assert "test" in ok("evaluate", runs[name]).stdout


def test_predict_a_table_with_nothing_but_the_model(runs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.json"):
        (tmp_path / "alone").mkdir(exist_ok=True)
        shutil.copy(runs["fruit"] / name, tmp_path / "alone")
    Path("new.csv").write_text("skin,price,weight\nrough,2.1,88\nsmooth,1.9,152\n")  # columns are found by name
    answer = json.loads(ok("predict", "alone", "new.csv", "--json").stdout)
    assert [set(p["probabilities"]) for p in answer["predictions"]] == [{"apple", "kiwi", "plum"}] * 2
    assert all(abs(sum(p["probabilities"].values()) - 1) < 1e-5 for p in answer["predictions"])
    shown = ok("predict", "alone", "new.csv").stdout.splitlines()
    assert shown[0].split() == ["row", "class", "probability", "apple", "kiwi", "plum"] and len(shown) == 3
    with gzip.open("new.csv.gz", "wt") as file:
        file.write(Path("new.csv").read_text())
    assert json.loads(ok("predict", "alone", "new.csv.gz", "--json").stdout)["predictions"] == answer["predictions"]


def test_predict_numbers(runs: dict[str, Path]) -> None:
    names = json.loads((runs["diabetes"] / "model.json").read_text())["preprocessing"]["encoding"]["columns"]
    Path("p.csv").write_text(",".join(c["name"] for c in names) + "\n" + ",".join("1" for _ in names) + "\n")
    (answer,) = json.loads(ok("predict", runs["diabetes"], "p.csv", "--json").stdout)["predictions"]
    assert isinstance(answer["value"], float)
    assert ok("predict", runs["diabetes"], "p.csv").stdout.split()[:2] == ["row", "value"]


def test_predict_pictures(runs: dict[str, Path]) -> None:
    from PIL import Image

    from talweg import load
    from talweg.data import load as data

    x = data("digits").x_test[:4]
    Path("in").mkdir()
    for i, image in enumerate(x):
        Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(f"in/{i}.png")
    expected = load(runs["digits"]).predict(x, verbose=0)
    answers = json.loads(ok("predict", runs["digits"], "in", "--json").stdout)["predictions"]
    assert [a["picture"] for a in answers] == ["0.png", "1.png", "2.png", "3.png"]
    assert np.allclose([list(a["probabilities"].values()) for a in answers], expected, atol=1e-6)
    one = json.loads(ok("predict", runs["digits"], "in/2.png", "--json").stdout)["predictions"]
    assert one[0]["class"] == answers[2]["class"]
    two = json.loads(ok("predict", runs["digits"], "in/2.png", "in/0.png", "--json").stdout)  # as a shell writes *.png
    assert [(a["picture"], a["class"]) for a in two["predictions"]] == [
        ("in/2.png", answers[2]["class"]),
        ("in/0.png", answers[0]["class"]),
    ]
    np.savez("x.npz", x=x)
    npz = json.loads(ok("predict", runs["digits"], "x.npz", "--json").stdout)["predictions"]
    assert [a["class"] for a in npz] == [a["class"] for a in answers]
    from talweg.data import write_idx

    write_idx("x-idx3-ubyte.gz", x[0])  # a single example will do
    assert len(json.loads(ok("predict", runs["digits"], "x-idx3-ubyte.gz", "--json").stdout)["predictions"]) == 1
    ok("predict", runs["photos"], "in/2.png")  # resized, and given three channels


def test_summary(runs: dict[str, Path]) -> None:
    shown = ok("summary", runs["digits"]).stdout
    for text in ("Total params", "30,010", "digits, classification", "seed 0", "accuracy"):
        assert text in shown
    answer = json.loads(ok("summary", runs["digits"], "--json").stdout)
    assert answer["finished"] and answer["parameters"] == 30010


def test_lists() -> None:
    assert "fashion_mnist" in ok("datasets").stdout and "spiral" in ok("datasets").stdout
    assert set(json.loads(ok("datasets", "--json").stdout)) == {"datasets", "toys"}
    assert "softmax" in ok("models").stdout
    assert "relu" in json.loads(ok("models", "--json").stdout)["models"]


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────


def damaged(run: Path, name: str) -> Path:
    copy = Path("damaged")
    shutil.copytree(run, copy)
    if name == "version":
        for file in ("model.json", "config.json"):
            document = unsealed(copy / file)
            (copy / file).write_text(json.dumps({**document, "format_version": 77}))
    else:
        (copy / name).write_bytes((copy / name).read_bytes()[:-9])
    return copy


def bad(*arguments: Any, says: str, code: int = 2) -> None:
    """Fails with the code, on one screen, the same to programs."""
    arguments = tuple(a() if callable(a) else a for a in arguments)
    failed = talweg(*arguments)
    assert failed.exit_code == code, failed.output
    assert says in failed.stderr.replace("\n", " "), failed.stderr
    assert "Traceback" not in failed.output and len(failed.stderr.splitlines()) < 24
    answer = json.loads(talweg(*arguments, "--json").stdout)
    assert says in answer["error"]["message"].replace("\n", " ")


WRONG = [
    (["train", "digts"], "did you mean 'digits'"),
    (["train"], "Give DATA"),
    (["train", "nowhere.csv"], "no such file"),
    (["train", "no/where/x.csv", "--target", "y"], "nor is there a folder"),
    (["train", "digits", "--model", "sofmax"], "did you mean 'softmax'"),
    (["train", "digits", "--model", "gone.json"], "no such file"),
    (["train", "iris", "--model", "cnn"], "looks at pictures"),
    (["models", "rellu"], "did you mean 'relu'"),
    (["models", "--python"], "Give its NAME"),
    (["models", "cnn", "--data", "mnits"], "did you mean 'mnist'"),
    (["models", "cnn", "--python", "--data", "iris"], "looks at pictures"),
    (["train", "digits", "--optimizer", "adma"], "did you mean '"),
    (["train", "digits", "--optimizer", "adma"], "optimizer 'adma'"),
    (["train", "digits", "--learning-rate", "-1"], "--learning-rate must"),
    (["train", "digits", "--learning-rate", "nan"], "--learning-rate must"),
    (["train", "digits", "--engine", "fast"], "engine"),
    (["train", "digits", "--task", "guessing"], "task"),
    (["train", "digits", "--task", "regression"], "is for classification"),
    (["train", "digits", "--target", "y"], "--target"),
    (["train", "digits", "--size", "8x8"], "--size"),
    (["train", "fruit.csv"], "weight, skin, price, kind"),
    (["train", "fruit.csv", "--target", "kid"], "did you mean 'kind'"),
    (["train", "fruit.csv", "--target", "kind", "--task", "regression"], "regression needs numbers"),
    (["train", "fruit.csv", "--target", "kind", "--missing", "guess"], "guess"),
    (["train", "fruit.csv", "--target", "kind", "--size", "8x8"], "--size is for pictures"),
    (["train", "fruit.csv", "--target", "kind", "--separator", ";"], "give --separator ,"),
    (["train", "diabetes", "--model", "softmax"], "is for classification"),
    (["train", "empty"], "one folder for each class"),
    (["train", "few.csv", "--target", "y"], "at least 10 examples"),
    (["train", "photos", "--size", "8by8"], "28x28"),
    (["train", "photos", "--target", "y"], "folder of pictures"),
    (["train", "photos", "--separator", ";"], "tables"),
    (["train", "model.keras"], "no such file"),
    (["train", "--resume", "nowhere"], "no such run folder"),
    (["train", "--resume", "empty"], "not a run folder"),
    (["train", "digits", "--resume", "empty", "--seed", "3"], "DATA, --seed"),
    (["evaluate", "nowhere"], "no such run folder"),
    (["evaluate", "empty"], "not a run folder"),
    (["predict", "nowhere", "fruit.csv"], "no such run folder or model"),
    (["evaluate", "fruit.csv"], "fruit.csv is a file; a run is a folder"),
    (["predict", "empty", "fruit.csv"], "not a saved model"),
    (["predict", "fruit.csv", "fruit.csv"], "header"),
    (["summary", "nowhere"], "no such run folder or model"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda v: str(v)[:60])
def test_wrong_use(tmp_path: Path, arguments: list[str], says: str) -> None:
    fruit(tmp_path)
    pictures(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "few.csv").write_text("x,y\n1,2.5\n2,3.5\n")
    bad(*arguments, says=says)
    assert not (tmp_path / "runs").exists(), "nothing is written before all is understood"


@pytest.mark.parametrize("option", [["--epochs", "0"], ["--epochs", "x"], ["--seed", "-1"], ["--speed", "3"]])
def test_wrong_options(option: list[str]) -> None:
    failed = talweg("train", "digits", *option)
    assert failed.exit_code == 2 and option[0] in failed.output and "Traceback" not in failed.output


def test_files_that_do_not_fit_the_model(runs: dict[str, Path], tmp_path: Path) -> None:
    fruit(tmp_path)
    pictures(tmp_path)
    np.savez("y.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez("shape.npz", x=np.zeros((2, 5, 5)))
    Path("cut.npz").write_bytes(Path("shape.npz").read_bytes()[:-40])
    Path("cut.png").write_bytes(next(Path("photos/dark").iterdir()).read_bytes()[:50])
    Path("unseen.csv").write_text("weight,skin,price\n3,spiky,2\n")
    Path("short.csv").write_text("weight,skin\n3,rough\n")
    bad("predict", runs["fruit"], "photos/dark", says="holds pictures, and the model was trained on a table")
    bad("predict", runs["digits"], "fruit.csv", says="is a table, and the model was trained on pictures")
    bad("predict", runs["fruit"], "unseen.csv", says="spiky")
    bad("predict", runs["fruit"], "short.csv", says="price")
    bad("predict", runs["fruit"], "nowhere.csv", says="no such file")
    bad("predict", runs["digits"], "y.npz", says="it holds a, b")
    bad("predict", runs["digits"], "shape.npz", says="[5, 5]")
    bad("predict", runs["digits"], "cut.npz", says="cut.npz")
    bad("predict", runs["digits"], "cut.png", says="cut.png")
    Path("x.docx").write_bytes(b"x")
    bad("predict", runs["digits"], "x.docx", says="expected a table")
    bad("train", "iris", "--model", runs["digits"], says="takes examples of shape [8, 8]")
    document = unsealed(runs["iris"] / "model.json")
    document["architecture"]["layers"][-1]["units"] = 5
    Path("five.json").write_text(json.dumps(document))
    bad("train", "iris", "--model", "five.json", says="3 classes need a last layer Dense(3, activation='softmax')")
    document["architecture"]["layers"][-1]["class"] = "Dens"
    Path("wrong.json").write_text(json.dumps(document))
    bad("train", "iris", "--model", "wrong.json", says="unknown layer 'Dens'")
    document["format_version"] = 9
    Path("later.json").write_text(json.dumps(document))
    bad("train", "iris", "--model", "later.json", says="reads version 1")


@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "config.json", "version"])
def test_damaged_runs(runs: dict[str, Path], tmp_path: Path, file: str) -> None:
    copy = damaged(runs["fruit"], file)
    fruit(tmp_path)
    says = "reads version 1" if file == "version" else file
    if file != "config.json":
        bad("predict", copy, "fruit.csv", says=says)
    bad("summary", copy, says=says)
    bad("evaluate", copy, says=says)


def test_a_folder_that_is_there_is_not_written_to() -> None:
    ok("train", "iris", *QUICK, "--out", "run")
    bad("train", "iris", *QUICK, "--out", "run", says="nothing is overwritten")


def test_a_run_folder_that_cannot_be_written() -> None:
    Path("file").write_text("in the way")
    bad("train", "iris", *QUICK, "--out", "file/run", says="cannot be written", code=1)


def test_a_disk_that_fills_up_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.fsync, [10]  # files and folders of the configuration and the first checkpoint go through

    def fsync(file: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        failed = talweg("train", "iris", *QUICK, "--out", "run")
    assert failed.exit_code == 1
    assert "No space left on device" in failed.stderr and "talweg train --resume run" in failed.stderr
    ok("train", "--resume", "run")
    ok("train", "iris", *QUICK, "--out", "unbroken")
    assert Path("run/model.safetensors").read_bytes() == Path("unbroken/model.safetensors").read_bytes()


def test_a_run_that_diverges() -> None:
    arguments = ["train", "diabetes", "--model", "mlp", "--optimizer", "sgd", "--learning-rate", "10"]
    failed = talweg(*arguments, "--out", "run")
    assert failed.exit_code == 1
    assert "diverged" in failed.stderr and "--learning-rate (it was 10)" in failed.stderr
    assert Path("run/metrics.jsonl").exists()
    answer = json.loads(talweg(*arguments, "--out", "run2", "--json").stdout)
    assert answer["error"]["type"] == "Diverged" and answer["error"]["run"] == "run2"


def test_data_that_changed_since(tmp_path: Path) -> None:
    table = fruit(tmp_path)
    ok("train", table, "--target", "kind", *QUICK, "--out", "run")
    table.write_text(table.read_text().replace("rough", "hairy"))
    bad("train", "--resume", "run", says="changed since")
    table.unlink()
    bad("evaluate", "run", says="not there any more")


# ── the process itself ──────────────────────────────────────────────────────────────────────────────────────


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "talweg", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_ctrl_c_says_how_to_go_on_and_the_run_ends_as_if_unbroken() -> None:
    arguments = ["train", "digits", "--epochs", "30", "--engine", "reference", "--out"]
    child = process(*arguments, "my run")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 3/"):
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate()
    assert child.returncode == 130
    assert "talweg train --resume 'my run'" in errors and "Traceback" not in errors
    assert "is not finished" in ok("evaluate", "my run").stdout
    shown = ok("train", "--resume", "my run").stdout
    assert "resumed" in shown and "epoch 30/30" in shown
    ok(*arguments, "unbroken")
    for name in ("model.safetensors", "model.json"):
        assert Path("my run", name).read_bytes() == Path("unbroken", name).read_bytes()
    assert "All 30 epochs were trained before" in ok("train", "--resume", "my run").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_asks_a_run_to_end_leaves_it_to_go_on_with(number: signal.Signals) -> None:
    child = process("train", "digits", "--epochs", "2000", "--engine", "reference", "--out", "run")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 3/"):
            break
    child.send_signal(number)
    _, errors = child.communicate()
    assert child.returncode == 128 + number
    assert "talweg train --resume run" in errors and "Traceback" not in errors
    assert not list(Path().rglob("*.part")) and not list(Path().rglob("*.lock"))
    assert "is not finished" in ok("evaluate", "run").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_what_a_program_ignores_stays_ignored() -> None:
    """As `nohup` starts it, a command goes on when its terminal closes."""
    child = process(
        *("train", "iris", "--epochs", "50", "--engine", "reference", "--out", "run"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 1/"):
            break
    child.send_signal(signal.SIGHUP)
    child.communicate()
    assert child.returncode == 0 and Path("run/result.json").exists()


def test_a_second_writer_on_the_command_line_is_refused() -> None:
    from talweg.train.run_folder import RunFolder

    ok("train", "iris", "--epochs", "1", "--engine", "reference", "--out", "run")
    held = RunFolder.held("run")
    failed = talweg("train", "--resume", "run", "--epochs", "5")
    assert failed.exit_code == 1 and "is being written by" in failed.stderr
    held.let_go()
    ok("train", "--resume", "run", "--epochs", "5")


def test_a_kill_in_the_middle_resumes_too() -> None:
    arguments = ["train", "iris", "--epochs", "400", "--engine", "reference", "--out"]
    child = process(*arguments, "run")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch 200/"):
            break
    child.kill()
    child.communicate()
    assert not Path("run/model.json").exists()
    ok("train", "--resume", "run")
    ok(*arguments, "unbroken")
    assert Path("run/model.safetensors").read_bytes() == Path("unbroken/model.safetensors").read_bytes()


def test_whoever_stops_reading_gets_no_traceback() -> None:
    command = f"{sys.executable} -m talweg datasets | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr


def test_version_and_speed_of_a_start() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "talweg", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == f"talweg {__version__}"
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in ran.stderr.splitlines()}
    assert not imported & {"numpy", "pandas", "sklearn", "PIL", "safetensors"}, "a start must not wait for these"


def test_in_a_terminal_there_is_a_bar_and_a_table() -> None:
    pty = pytest.importorskip("pty")
    control, terminal = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-m", "talweg", "train", "iris", "--epochs", "3"]
    child = subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=terminal, env=env)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(control, 65536)
        except OSError:  # the other end was closed
            break
        if not piece:
            break
        shown += piece
    assert child.wait() == 0
    text = shown.decode()
    assert "val_accuracy" in text and "━" in text and "Traceback" not in text


def test_a_model_that_does_not_say_how_to_read(runs: dict[str, Path]) -> None:
    shutil.copytree(runs["digits"], "garbled")
    document = unsealed(Path("garbled/model.json"))
    Path("garbled/model.json").write_text(json.dumps({**document, "preprocessing": {"kind": "images"}}))
    pictures(Path())
    bad("predict", "garbled", "photos/dark", says="does not say how its examples are read")
