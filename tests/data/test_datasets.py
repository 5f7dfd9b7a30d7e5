"""Real data sets: forms, sums, where they are looked for, and what happens where they are not."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import talweg.datasets
from talweg.data import DATASETS, load, write_idx
from talweg.data.datasets import fashion_mnist, mnist
from talweg.data.datasets.fetch import RemoteFile, RemoteSet, cache_folder, load_remote
from talweg.errors import CorruptFileError, DataError, UnknownNameError

SMALL = sorted(name for name, info in DATASETS.items() if not info.download)


@pytest.mark.parametrize("name", SMALL)
def test_bundled_sets_are_as_the_table_says(name: str) -> None:
    data = load(name)
    check_against_table(data)
    if data.info.class_names and name != "digits":
        bundle = __import__("sklearn.datasets", fromlist=["x"])
        source = getattr(bundle, f"load_{name}")()
        assert tuple(source.target_names) == data.info.class_names
        assert tuple(source.feature_names) == data.info.feature_names
    (x_train, y_train), _ = getattr(talweg.datasets, name).load_data()
    np.testing.assert_array_equal(x_train, data.x_train)  # the split is always the same
    np.testing.assert_array_equal(y_train, data.y_train)


def check_against_table(data: talweg.data.LoadedData) -> None:
    info = data.info
    assert (len(data.x_train), len(data.x_test)) == (len(data.y_train), len(data.y_test)) == info.rows
    assert data.x_train.shape[1:] == data.x_test.shape[1:] == info.input_shape
    low = min(data.x_train.min(), data.x_test.min())
    high = max(data.x_train.max(), data.x_test.max())
    assert (float(low), float(high)) == pytest.approx(info.value_range, rel=1e-6)
    if info.feature_names:
        assert (len(info.feature_names),) == info.input_shape
    if info.class_names is None:
        assert info.task == "regression" and data.y_train.dtype == np.float32
        return
    train, test = (np.bincount(y) / len(y) for y in (data.y_train, data.y_test))
    assert len(train) == len(test) == len(info.class_names)
    if not info.download:
        assert np.abs(train - test).max() < 0.02  # stratified


@pytest.mark.parametrize("name", SMALL)
def test_no_row_is_in_both_parts(name: str) -> None:
    data = load(name)
    source = getattr(__import__("sklearn.datasets", fromlist=["x"]), f"load_{name}")
    whole = source(scaled=False) if name == "diabetes" else source()
    rows = np.concatenate([data.x_train, data.x_test]).reshape(len(whole.data), -1)
    expected = whole.data.astype(np.float32)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))


def test_mnist_is_mnist(mnist_folder: Path) -> None:
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert x_train.dtype == x_test.dtype == y_train.dtype == y_test.dtype == np.uint8
    assert y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3] and y_test[:4].tolist() == [7, 2, 1, 0]
    check_against_table(load("mnist"))


def test_fashion_mnist_is_fashion_mnist(fashion_mnist_folder: Path) -> None:
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert y_train[:4].tolist() == [9, 0, 0, 3] and np.bincount(y_test).tolist() == [1000] * 10
    assert load("Fashion-MNIST").info.class_names[9] == "Ankle boot"  # type: ignore[index]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'minst': did you mean 'mnist'"):
        load("minst")


# ── Where they are looked for, tried with a set of four tiny files ───────────────────────────────────

ARRAYS = {
    "train-images-idx3-ubyte": np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2),
    "train-labels-idx1-ubyte": np.array([0, 1, 2], np.uint8),
    "t10k-images-idx3-ubyte": np.ones((1, 2, 2), np.uint8),
    "t10k-labels-idx1-ubyte": np.array([1], np.uint8),
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with the tiny set as its publisher offers it."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, array in ARRAYS.items():
        write_idx(folder / f"{name}.gz", array)
    return folder


def remote_set(published: Path, *addresses: str) -> RemoteSet:
    contents = {name: gzip.decompress((published / f"{name}.gz").read_bytes()) for name in ARRAYS}
    files = tuple(RemoteFile(name, hashlib.sha256(c).hexdigest(), len(c)) for name, c in contents.items())
    return RemoteSet("Tiny", ("tiny", "tiny_set"), addresses, files)  # type: ignore[arg-type]


def check_tiny(loaded: tuple) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    for found, expected in zip((x_train, y_train, x_test, y_test), ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "talweg"


@pytest.fixture
def no_talweg_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALWEG_DATA", raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("layout", ["tiny", "tiny_set", "."])
@pytest.mark.parametrize("name", ["{}.gz", "{}", "{dotted}"])
def test_found_in_talweg_data(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch, layout: str, name: str
) -> None:
    folder = tmp_path / "mine" / layout
    folder.mkdir(parents=True)
    for file in ARRAYS:
        path = folder / name.format(file, dotted=file.replace("-idx", ".idx"))
        content = (published / f"{file}.gz").read_bytes()
        path.write_bytes(content if path.suffix == ".gz" else gzip.decompress(content))
    monkeypatch.setenv("TALWEG_DATA", str(tmp_path / "mine"))
    check_tiny(load_remote(remote_set(published)))


def test_damaged_file_in_talweg_data_is_an_error(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = remote_set(published)
    published.rename(tmp_path / "tiny")
    monkeypatch.setenv("TALWEG_DATA", str(tmp_path))
    write_idx(tmp_path / "tiny/train-labels-idx1-ubyte.gz", np.array([2, 1, 0], np.uint8))
    with pytest.raises(CorruptFileError, match=r"(?s)train-labels-idx1-ubyte\.gz: expected the published.*SHA-256"):
        load_remote(data)


def test_files_of_another_set_directly_in_talweg_data_are_passed_over(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = remote_set(published)
    monkeypatch.setenv("TALWEG_DATA", str(published))
    write_idx(published / "t10k-labels-idx1-ubyte.gz", np.array([9], np.uint8))
    with pytest.raises(DataError, match=r"(?s)Tiny was found nowhere.*t10k-labels.*set TALWEG_DATA"):
        load_remote(data)


@pytest.mark.usefixtures("no_talweg_data")
def test_downloaded_once_from_the_first_address_that_works(
    tmp_path: Path, published: Path, server: str, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "train-images-idx3-ubyte.gz").write_bytes(b"<html>Sign in to the hotel's network</html>")
    dead = "http://127.0.0.1:9/"
    data = remote_set(published, dead, server + "absent/", server + "wrong/", server + "published/")
    check_tiny(load_remote(data))
    asked = [line for line in capsys.readouterr().err.splitlines() if line.startswith("downloading")]
    assert len(asked) == 3 + 4  # an address that fails once is not asked again
    assert cache_folder() == own_cache
    assert sorted(p.name for p in (own_cache / "tiny").iterdir()) == sorted(f"{name}.gz" for name in ARRAYS)

    check_tiny(load_remote(remote_set(published, dead)))  # from the cache
    (own_cache / "tiny/t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="Talweg does so now"):
        check_tiny(load_remote(data))
    check_tiny(load_remote(remote_set(published, dead)))


@pytest.mark.usefixtures("no_talweg_data")
def test_found_nowhere_says_what_was_tried(published: Path, server: str) -> None:
    with pytest.raises(DataError) as raised:
        load_remote(remote_set(published, "http://127.0.0.1:9/", server + "absent/"))
    message = str(raised.value)
    for part in ("TALWEG_DATA is not set", "not downloaded before", "127.0.0.1:9", "404", "folder 'tiny'"):
        assert part in message


@pytest.mark.usefixtures("no_talweg_data")
def test_a_terminal_gets_a_bar(
    published: Path, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    check_tiny(load_remote(remote_set(published, server + "published/")))
    shown = capsys.readouterr().err
    assert "t10k-labels-idx1-ubyte.gz" in shown and "bytes" in shown and "downloading" not in shown


@pytest.mark.usefixtures("no_talweg_data")
def test_an_address_that_sends_too_much_is_cut_off(published: Path, server: str) -> None:
    data = remote_set(published, server + "published/")
    (published / "train-images-idx3-ubyte.gz").write_bytes(bytes(200_000))
    with pytest.raises(DataError, match="but more came"):
        load_remote(data)


@pytest.mark.usefixtures("no_talweg_data")
def test_unwritable_cache(tmp_path: Path, published: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="set XDG_CACHE_HOME"):
        load_remote(remote_set(published, "http://127.0.0.1:9/"))
