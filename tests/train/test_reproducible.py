"""One seed, the same bits: again, in another process, and whoever else draws random numbers."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from talweg.errors import UsageError
from talweg.nn.layers import Dense, Dropout
from talweg.nn.seeds import set_random_seed
from talweg.train.sequential import Sequential

X = np.linspace(-1, 1, 90).reshape(30, 3)
Y = np.sin(X.sum(axis=1))


def digest(seed: int | None = 4, noise: int = 0) -> str:
    """A network with chance in all its parts, trained; its weights and history as one hash."""
    model = Sequential([Dense(8, "relu", input_shape=(3,)), Dropout(0.3), Dense(1)], seed=seed)
    model.compile("adam", "mse")
    np.random.default_rng(noise).random()
    losses = model.fit(X, Y, batch_size=7, epochs=3, validation_split=0.2, verbose=0).history
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights()) + repr(losses).encode()).hexdigest()


def test_again() -> None:
    assert digest() == digest(noise=3) != digest(5)


def test_in_another_process() -> None:
    program = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import random, numpy
        random.random(), numpy.random.rand()
        import test_reproducible
        print(test_reproducible.digest())
        """
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == digest()


def test_without_a_seed_the_model_picks_one_and_remembers_it() -> None:
    a, b = Sequential([Dense(3, input_shape=(2,))]), Sequential([Dense(3, input_shape=(2,))])
    assert a.seed != b.seed and (a.get_weights()[0] != b.get_weights()[0]).any()
    again = Sequential([Dense(3, input_shape=(2,))], seed=a.seed)
    assert (again.get_weights()[0] == a.get_weights()[0]).all()


def test_first_weights_do_not_depend_on_when_the_shape_is_known() -> None:
    early = Sequential([Dense(4, input_shape=(3,)), Dense(2)], seed=1)
    late = Sequential([Dense(4), Dense(2)], seed=1)
    late.build((None, 3))
    for a, b in zip(early.get_weights(), late.get_weights(), strict=True):
        assert (a == b).all()


def test_set_random_seed() -> None:
    """As in Keras: what is made afterwards is the same each time, and so is what Python and NumPy draw."""
    drawn = []
    for _ in range(2):
        set_random_seed(7)
        drawn.append((digest(None), digest(None), random.random(), np.random.rand()))
    assert drawn[0] == drawn[1] and drawn[0][0] != drawn[0][1]
    set_random_seed(8)
    assert digest(None) != drawn[0][0]


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True, "1", None])
def test_bad_seeds(seed: object) -> None:
    with pytest.raises(UsageError, match="seed must be a whole number"):
        set_random_seed(seed)  # type: ignore[arg-type]


def test_each_epoch_has_its_own_order() -> None:
    from talweg.train.sources import epoch_order

    orders = [tuple(epoch_order(3, turn, 20)) for turn in range(5)]
    assert len(set(orders)) == 5 and all(sorted(o) == list(range(20)) for o in orders)
    assert tuple(epoch_order(3, 2, 20)) == orders[2] != tuple(epoch_order(4, 2, 20))


@pytest.fixture(autouse=True)
def forget_the_process_seed() -> object:
    from talweg.nn import seeds

    kept = list(seeds._process), random.getstate(), np.random.get_state()
    yield
    seeds._process[:] = kept[0]
    random.setstate(kept[1])
    np.random.set_state(kept[2])
