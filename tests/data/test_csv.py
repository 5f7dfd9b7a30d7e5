"""CSV: what is decided is told, what cannot be decided is asked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from talweg.data import TableData, TableEncoding, read_csv, train_test_split
from talweg.errors import CorruptFileError, DataError, UnknownNameError, UsageError

PEOPLE = "age,city,member,income\n" + "".join(
    f"{20 + i},{['Bonn', 'Oslo', 'Rome'][i % 3]},{['true', 'false'][i % 2]},{1000.5 * i}\n" for i in range(30)
)


def table(tmp_path: Path, text: str, **arguments: object) -> TableData:
    path = tmp_path / "table.csv"
    path.write_text(text)
    return read_csv(path, **arguments)  # type: ignore[arg-type]


def test_columns_are_encoded_and_told(tmp_path: Path) -> None:
    people = table(tmp_path, PEOPLE, target="income")
    assert people.feature_names == ("age", "city=Bonn", "city=Oslo", "city=Rome", "member")
    assert people.features.dtype == np.float64 and people.features.shape == (30, 5)
    assert people.features[1].tolist() == [21, 0, 1, 0, 0]
    assert people.task == "regression" and people.class_names is None and people.target.dtype == np.float32
    told = "\n".join(people.notes)
    assert "'city' is a category with 3 values, one-hot encoded: Bonn, Oslo, Rome" in told
    assert "'member' holds truth values" in told and "because the target has fractions" in told
    assert "'age' only counts the rows" in "\n".join(people.warnings)


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["cat", "dog"] * 10, "classification", ("cat", "dog")),
        (["True", "False"] * 10, "classification", ("False", "True")),
        (["0", "1"] * 2, "classification", ("0", "1")),  # XOR's truth table
        ([10, 2, 1] * 10, "classification", ("1", "2", "10")),
        (["1.0", "2.0"] * 10, "classification", ("1", "2")),
        ([-3, -1, 1, 3, 5, 7], "regression", None),  # y = 2x - 1
        (range(100), "regression", None),
        ([0.5, 1.5] * 10, "regression", None),
    ],
)
def test_task_is_decided_by_the_target(tmp_path: Path, cells: list, task: str, classes: tuple[str, ...] | None) -> None:
    text = "x,y\n" + "".join(f"{i * 0.5},{cell}\n" for i, cell in enumerate(cells))
    found = table(tmp_path, text, target="y")
    assert (found.task, found.class_names) == (task, classes)
    assert any(note.startswith(f"Task: {task}, because") for note in found.notes)
    if classes:
        assert found.target.dtype == np.int64 and set(found.target) == set(range(len(classes)))


def test_task_can_be_set(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(10))
    assert table(tmp_path, text, target="y", task="regression").target.tolist() == [0.0, 1.0] * 5
    many = "x,y\n" + "".join(f"{i * 0.5},{i}\n" for i in range(10))
    assert len(table(tmp_path, many, target="y", task="classification").class_names or ()) == 10
    with pytest.raises(UsageError, match="task: expected"):
        table(tmp_path, text, target="y", task="clustering")
    with pytest.raises(DataError, match="regression needs numbers, but it holds 'a'"):
        table(tmp_path, "x,y\n1,a\n2,b\n", target="y", task="regression")
    with pytest.raises(DataError, match=r"row 1 \(line 2\) holds .*0\.5"):
        table(tmp_path, "x,y\n1,0.5\n2,1.5\n", target="y", task="classification")


def test_encoding_is_the_same_from_json(tmp_path: Path) -> None:
    people = table(tmp_path, PEOPLE, target="income")
    again = TableEncoding.from_config(json.loads(json.dumps(people.encoding.to_config())))
    assert again == people.encoding
    frame = again.read(tmp_path / "table.csv")
    np.testing.assert_array_equal(again.encode(frame), people.features)
    np.testing.assert_array_equal(again.encode_target(frame), people.target)
    # Another order, another set of categories, no target: the columns of the matrix stay where they were.
    (tmp_path / "new.csv").write_text("member,note,city,age\ntrue,hello,Rome,50\n")
    assert again.encode(again.read(tmp_path / "new.csv")).tolist() == [[50, 0, 0, 1, 1]]
    for broken in ({}, {**again.to_config(), "task": "guess"}, {**again.to_config(), "columns": [{}]}):
        with pytest.raises(DataError, match="config: expected"):
            TableEncoding.from_config(broken)


def test_text_that_looks_like_numbers_stays_text(tmp_path: Path) -> None:
    codes = table(tmp_path, "code,y\n007,0.5\nA1,1.5\nB1,0.1\n", target="y")
    (tmp_path / "new.csv").write_text("code\n007\n")
    assert codes.encoding.encode(codes.encoding.read(tmp_path / "new.csv")).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"city": ["Bonn"], "member": [True]}, "expected the columns .* 'age' is not there; the columns are 'city'"),
        ({"age": [1], "city": ["Lima"], "member": [True]}, "row 1 holds 'Lima', which training never saw.*Bonn, Oslo"),
        ({"age": ["old"], "city": ["Bonn"], "member": [True]}, "'age': expected a finite number.* row 1 holds 'old'"),
        ({"age": [1, None], "city": ["Bonn"] * 2, "member": [True] * 2}, "'age': 1 missing values, the first in row 2"),
        ({"age": [1.0], "city": ["Bonn"], "member": ["maybe"]}, "'member': expected a finite truth value"),
        ({"age": 5, "city": "Bonn", "member": True}, "expected a pandas frame or lists of equal length"),
        ({"age": [float("inf")], "city": ["Bonn"], "member": [True]}, "row 1 holds inf"),
    ],
)
def test_prediction_refuses_what_training_never_saw(tmp_path: Path, frame: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table(tmp_path, PEOPLE, target="income").encoding.encode(frame)


HOLES = "a,b,c,y\n1,x,0.5,0\n,x,1.5,1\n3,,2.5,0\n,z,3.5,1\n5,x,4.5,0\n6,z,5.5,1\n"


def test_missing_values_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in 3 of 6 rows: column 'a' has 2, 'b' has 1.*missing='drop'.*3 stay"):
        table(tmp_path, HOLES, target="y")
    dropped = table(tmp_path, HOLES, target="y", missing="drop")
    assert dropped.features[:, 0].tolist() == [1, 5, 6]
    assert any("3 rows with missing values were dropped: column 'a' has 2" in note for note in dropped.notes)
    with pytest.raises(DataError, match="cannot fill column 'b', which holds no numbers"):
        table(tmp_path, HOLES, target="y", missing="mean")
    filled = table(tmp_path, HOLES, target="y", missing="mean", ignore=["b"])
    assert filled.features[:, 0].tolist() == [1, 3.75, 3, 3.75, 5, 6]
    assert filled.encoding.encode({"a": [None], "c": [1]}).tolist() == [[3.75, 1]]
    with pytest.raises(UsageError, match="missing: expected"):
        table(tmp_path, HOLES, target="y", missing="zero")


def test_means_come_from_the_training_part_alone(tmp_path: Path) -> None:
    filled = table(tmp_path, HOLES, target="y", missing="mean", ignore=["b"]).filled_from([0, 1, 2])
    assert filled.features[:, 0].tolist() == [1, 2, 3, 2, 5, 6]
    assert filled.encoding.columns[0].fill == 2
    with pytest.raises(DataError, match="no number is known in the given rows"):
        filled.filled_from([1, 3])


def test_missing_targets_are_never_made_up(tmp_path: Path) -> None:
    text = "x,y\n1,0.5\n2,\n3,1.5\n"
    with pytest.raises(DataError, match="which is the target"):
        table(tmp_path, text, target="y", missing="mean")
    assert table(tmp_path, text, target="y", missing="drop").target.tolist() == [0.5, 1.5]
    with pytest.raises(DataError, match="dropping leaves none"):
        table(tmp_path, "x,e,y\n1,,2\n3,,4\n", target="y", missing="drop")


def test_truth_values_with_holes(tmp_path: Path) -> None:
    text = "m,y\ntrue,0.5\n,1.5\nfalse,2.5\n"
    assert table(tmp_path, text, target="y", missing="drop").features.tolist() == [[1], [0]]


def test_absent_target_lists_the_columns(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown target column 'incme': did you mean 'income'.*age, city"):
        table(tmp_path, PEOPLE, target="incme")
    with pytest.raises(DataError, match="give separator=';'"):
        table(tmp_path, "a;b\n1;2\n", target="b")
    assert table(tmp_path, "a;b\n1;0.5\n2;1.5\n", target="b", separator=";").features.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "the file is empty"),
        ("x,y\n", DataError, "expected rows"),
        ("y\n1\n2\n", DataError, "at least one feature"),
        ("x,y\n1,2\n3,4,5\n", CorruptFileError, "as many cells in each row"),
        ("x,y\n1,2,9\n3,4,9\n", CorruptFileError, "as many cells in each row"),
        ("x,y\n1,0.5\ninf,1.5\n", DataError, "'x': expected a finite number .*, but row 2 .line 3. holds 'inf'"),
        ("x,y\n1,0.5\n2,1.5\nabc,0.1\n", DataError, r"2 cells are numbers and 1 are not \('abc' in row 3 \(line 4\)\)"),
        ("x,y\n1,a\n2,a\n", DataError, "at least two classes, but every row holds 'a'"),
        ("x,y\n" + "".join(f"name{i},{i}.5\n" for i in range(101)), DataError, r"ignore=\['x'\]"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        table(tmp_path, text, target="y")
    assert "table.csv" in str(raised.value)


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("x,y\n1,ä\n2,b\n".encode("latin-1"))
    with pytest.raises(CorruptFileError, match="give the encoding"):
        read_csv(path, target="y")
    assert read_csv(path, target="y", encoding="latin-1").class_names == ("b", "ä")
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(DataError):
        read_csv(path, target="y")


def test_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(PEOPLE.encode()))
    assert read_csv(path, target="income").features.shape == (30, 5)
    path.write_bytes(gzip.compress(PEOPLE.encode())[:-20])
    with pytest.raises(CorruptFileError, match="gzip"):
        read_csv(path, target="income")


def test_the_whole_way_to_a_split(tmp_path: Path) -> None:
    people = table(tmp_path, PEOPLE, target="city")
    x_train, x_test, y_train, y_test = train_test_split(
        people.features, people.target, test_size=0.3, stratify=people.target
    )
    assert len(x_train) == 21 and np.bincount(y_test).tolist() == [3, 3, 3] and len(x_test) == len(y_test)
    assert np.bincount(y_train).tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2,\n3,4,5\n", "as in the first, 2, but the row in line 3 has 3"),
        ("a,b\n1,2\n\ufeffa,b\n3,4\n", "line 3 begins with a byte order mark"),
    ],
)
def test_what_only_looks_like_a_table(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptFileError, match=said):
        read_csv(tmp_path / "x.csv", target="b")


def test_a_carriage_return_ends_a_line(tmp_path: Path) -> None:
    """pandas took one before a separator for a blank, and moved the cells of the row to the left."""
    (tmp_path / "x.csv").write_bytes(b"a,b,y\r\n1,2,0.5\r\n\r,3,1.5\r\n4,5,2.5\r6,7,3.5\r\n")
    table = read_csv(tmp_path / "x.csv", target="y", missing="drop")
    np.testing.assert_array_equal(table.features, [[1, 2], [4, 5], [6, 7]])
