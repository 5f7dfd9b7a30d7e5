"""The data that a run is made with, and the models with a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talweg import optim
from talweg.data import DATASETS, TOYS
from talweg.errors import DataError, UnknownNameError, UsageError
from talweg.train.prepared import Prepared, Source, prepare
from talweg.train.presets import PRESETS, preset

BUNDLED = [name for name, info in DATASETS.items() if not info.download]


@pytest.mark.parametrize("name", [*BUNDLED, *TOYS])
def test_parts_do_not_overlap_and_equal_seeds_give_equal_parts(name: str) -> None:
    a, b, c = (prepare(Source(name), seed) for seed in (0, 0, 1))
    assert a.fingerprint() == b.fingerprint() != c.fingerprint()
    assert min(a.rows.values()) > 0
    total = 1000 if name in TOYS else sum(DATASETS[name].rows)
    assert sum(a.rows.values()) == total
    if name not in TOYS:
        assert np.array_equal(a.x_test, c.x_test), "the test part of a set does not depend on the seed"


@pytest.mark.parametrize("name", ["iris", "diabetes", "digits"])
def test_scaling_knows_the_training_part_only(name: str) -> None:
    data = prepare(Source(name))
    model = PRESETS["linear"].make(data.input_shape, data.outputs, data.task, seed=0, first=data.first_layers())
    first = type(model)([*data.first_layers()])
    first.build(data.input_shape)
    scaled = first.predict(data.x_train, verbose=0)
    if name == "digits":
        assert scaled.min() == 0 and scaled.max() == 1
    else:
        assert np.allclose(scaled.mean(axis=0), 0, atol=1e-5) and np.allclose(scaled.std(axis=0), 1, atol=1e-4)


def test_a_column_that_is_constant_in_training_does_not_blow_up(tmp_path: Path) -> None:
    def read(other: float | None) -> Prepared:
        """The column is 5, but 6 in the row where x is `other`; one of 5 alone would be left out."""
        rows = "\n".join(f"{i},{6 if other in (None, i) else 5},{'ab'[i % 2]}" for i in range(40))
        (tmp_path / "t.csv").write_text(f"x,constant,y\n{rows}\n")
        return prepare(Source(str(tmp_path / "t.csv"), target="y"))

    data = read(other=read(other=None).x_test[0, 0])
    assert set(data.x_train[:, 1]) == {5.0}
    scaler = PRESETS["linear"].make(data.input_shape, 2, data.task, seed=0, first=data.first_layers())
    assert np.isfinite(scaler.predict(np.array([[1.0, 6.0]]), verbose=0)).all()
    assert 1e-3 < scaler.predict(np.array([[20.0, 6.0]]), verbose=0).max() <= 1


def test_the_means_for_missing_cells_come_from_the_training_part(tmp_path: Path) -> None:
    rows = "\n".join(f"{'' if i == 3 else i * i},{i % 2}" for i in range(50))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}\n")
    data = prepare(Source(str(tmp_path / "t.csv"), target="y", options={"missing": "mean"}))
    (column,) = data.preprocessing["encoding"]["columns"]
    known = [v for v in data.x_train[:, 0] if v != np.float32(column["fill"])]
    assert column["fill"] == pytest.approx(float(np.mean(known)), rel=1e-5)


def test_classes_that_are_too_small_are_told(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{'rare' if i == 7 else 'ab'[i % 2]}" for i in range(40))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}\n")
    data = prepare(Source(str(tmp_path / "t.csv"), target="y"))
    assert any("too small" in note for note in data.notes)
    assert sum(data.rows.values()) == 40


def test_a_folder_with_one_class(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "only").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "only" / "a.png")
    with pytest.raises(DataError, match="at least two classes"):
        prepare(Source(str(tmp_path)))


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_makes_what_it_says(name: str) -> None:
    for task in PRESETS[name].tasks:
        outputs = 3 if task == "classification" else 1
        model = PRESETS[name].make((4, 4), outputs, task, seed=0)
        y = model.predict(np.zeros((2, 4, 4)), verbose=0)
        assert y.shape == (2, outputs)
        assert task == "regression" or np.allclose(y.sum(axis=1), 1)
        assert (
            model.get_weights()[0].tobytes()
            == PRESETS[name].make((4, 4), outputs, task, seed=0).get_weights()[0].tobytes()
        )
    assert PRESETS[name].lesson.endswith(".")


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].pictures])
def test_presets_for_pictures_take_colour_and_no_tables(name: str) -> None:
    model = PRESETS[name].make((5, 7, 3), 2, "classification", seed=0)
    assert model.predict(np.zeros((2, 5, 7, 3)), verbose=0).shape == (2, 2)
    with pytest.raises(UsageError, match=r"looks at pictures, and these examples have the shape \[4\]; try mlp"):
        PRESETS[name].make((4,), 2, "classification")


def test_the_rate_falls_whatever_it_begins_with() -> None:
    decaying, constant = PRESETS["relu-decay"], PRESETS["relu"]
    own, other, chosen = decaying.rule(100), decaying.rule(100, optim.SGD()), decaying.rule(100, learning_rate=0.5)
    assert (own.learning_rate(0), type(own)) == (decaying.learning_rate, optim.Adam)
    assert (other.learning_rate(0), type(other)) == (0.01, optim.SGD)
    for rule, begin in ((own, decaying.learning_rate), (other, 0.01), (chosen, 0.5)):
        assert rule.learning_rate(100) == pytest.approx(decaying.decay * begin)
    assert constant.rule(100).learning_rate == constant.learning_rate
    assert constant.rule(100, optim.SGD(momentum=0.9), 0.5).to_config() == optim.SGD(0.5, momentum=0.9).to_config()


def test_presets_that_are_asked_for_wrongly() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        preset("rellu")
    with pytest.raises(UsageError, match="linear"):
        PRESETS["softmax"].make((4,), 1, "regression")
