"""P1 to P4, P8 and P9 of the mission: each example comes to the seeds' numbers, to the digits that the seeds print."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from support import ROOT

Load = Callable[[str], ModuleType]
Capture = pytest.CaptureFixture[str]


def lines_of(capsys: Capture) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_p1_a_line(example: Load, capsys: Capture) -> None:
    found = example("p1_line").main()
    assert {k: f"{v:.4f}" for k, v in found.items()} == {"w": "3.1348", "b": "0.9415", "loss": "3.3899"}
    printed = lines_of(capsys)
    assert printed[:3] == [
        "Final parameters: w=3.1348, b=0.9415",
        "True parameters: w=3.0000, b=2.0000",
        "Final loss: 3.3899",
    ]


def test_p1_is_the_seed_s_descent_step_by_step(example: Load) -> None:
    """The seed's own program, with its gradients by hand, beside Talweg's."""
    np.random.seed(42)
    x = np.linspace(0, 10, 100)
    y = 3 * x + 2 + np.random.randn(100) * 2
    w = b = 0.0
    for _ in range(100):
        y_pred = w * x + b
        loss = np.mean((y - y_pred) ** 2)
        grad_w = -2 * np.mean((y - y_pred) * x)
        grad_b = -2 * np.mean(y - y_pred)
        w = w - 0.01 * grad_w
        b = b - 0.01 * grad_b
    found = example("p1_line").main()
    assert found == pytest.approx({"w": w, "b": b, "loss": loss}, rel=1e-12)


def test_p2_losses(example: Load, capsys: Capture) -> None:
    found = example("p2_losses").main()
    assert f"{found['mse']:.4f}" == "0.0380"
    assert f"{found['mae']:.4f}" == "0.1800"
    assert f"{found['cross_entropy']:.4f}" == "0.3341"
    assert f"{found['example']:.2f}" == "0.03"
    assert f"{found['question']:.3f}" == "0.025"
    printed = "\n".join(lines_of(capsys))
    for line in ("MSE (Mean Squared Error): 0.0380", "MAE (Mean Absolute Error): 0.1800", "Cross-Entropy Loss: 0.3341"):
        assert line in printed


def test_p3_the_sign_of_a_product(example: Load, capsys: Capture) -> None:
    found = example("p3_sign_of_product").main()
    assert f"{found['loss']:.4f}" == "0.4738"
    assert f"{found['accuracy']:.2%}" == "88.50%"
    assert lines_of(capsys)[:2] == ["Final loss: 0.4738", "Final accuracy: 88.50%"]


def test_p4_learning_rates(example: Load, capsys: Capture) -> None:
    found = example("p4_learning_rates").main()
    assert {rate: f"{found[rate]['w']:.4f}" for rate in (0.01, 0.1, 0.5)} == {
        0.01: "3.1792",
        0.1: "4.9999",
        0.5: "5.0000",
    }
    assert {rate: f"{found[rate]['losses'][-1]:.4f}" for rate in (0.01, 0.1, 0.5)} == {
        0.01: "3.3155",
        0.1: "0.0000",
        0.5: "0.0000",
    }
    assert found[1.1]["steps"] == 17  # the seed counts from 0: it diverged at step 16
    assert [found[rate]["verdict"] for rate in (0.01, 0.1, 0.5, 1.1)] == ["TOO SLOW", "GOOD", "GOOD", "DIVERGING"]
    printed = "\n".join(lines_of(capsys))
    for line in (
        "LR=0.01: Converged to w=3.1792, loss=3.3155",
        "LR=0.10: Converged to w=4.9999, loss=0.0000",
        "LR=0.50: Converged to w=5.0000, loss=0.0000",
        "LR=1.10: DIVERGED at step 16",
    ):
        assert line in printed


# ── P8 ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def p8(example: Load) -> dict[str, Any]:
    """What `p8_xor.main` answers, run once for the tests that look at it."""
    found: dict[str, Any] = example("p8_xor").main(starts=30)
    return found


def test_p8_before_training_it_guesses_and_after_it_knows(p8: dict[str, Any]) -> None:
    target = np.array([0, 1, 1, 0])
    assert not ((p8["before"] > 0.5) == target).all()
    assert ((p8["after"] > 0.5) == target).all()
    assert np.abs(p8["after"] - target).max() < 0.1  # the seed's run: 0.02, 0.97, 0.98, 0.03


def test_p8_which_shapes_learn(p8: dict[str, Any]) -> None:
    learned = {shape: row["learned"] / row["starts"] for shape, row in p8["shapes"].items()}
    assert learned["[2, 1]"] == 0  # no line parts the classes
    assert 0.5 < learned["[2, 2, 1]"] < 1  # the minimum that can, and it does not always
    assert learned["[2, 2, 1]"] < learned["[2, 3, 1]"] <= learned["[2, 4, 1]"]
    assert learned["[2, 4, 1]"] > 0.9 and learned["[2, 5, 1]"] > 0.9
    # seed 003 says that this one "will work but unnecessarily complex"; with sigmoids and 1000 epochs it does not
    assert learned["[2, 100, 50, 1]"] == 0


def test_p8_which_starts_learn(p8: dict[str, Any]) -> None:
    learned = [row["learned"] for row in p8["starts"].values()]
    zeros, tiny, glorot, one, five = learned
    assert zeros == 0  # all hidden neurons alike, for ever
    assert tiny == 0  # near that, 1000 epochs are too few
    assert glorot >= 27 and one >= 27
    assert five < glorot  # the sigmoids are flat where they stand


def test_p8_and_needs_a_bias_which_is_a_weight_on_one(p8: dict[str, Any]) -> None:
    target = np.array([0, 0, 0, 1])
    with_bias, without, as_weight = (p8["and"][k] for k in ("with bias", "without", "bias as a weight on 1"))
    assert ((with_bias > 0.5) == target).all()
    assert not ((without > 0.5) == target).all()
    assert without[0] == 0.5  # f(0) whatever the weights
    np.testing.assert_allclose(as_weight, with_bias, atol=1e-6)


def test_p8_many_networks_at_once_are_what_each_is_alone(example: Load) -> None:
    module = example("p8_xor")
    together = module.train_many([module.network([2, 3, 1], seed) for seed in range(3)], module.INPUTS, module.XOR)
    for seed in range(3):
        _, alone = module.train(module.network([2, 3, 1], seed), module.INPUTS, module.XOR)
        np.testing.assert_allclose(together[seed], alone, atol=1e-4)


# ── P9, and all together ──────────────────────────────────────────────────────────────────────────────────


def test_p9_by_hand(example: Load) -> None:
    module = example("p9_worked_table")
    found = module.main()
    assert found["table"] == [(0, 0, 0, 0.1, 0.1), (0, 1, 0, 0.2, 0.2), (1, 0, 0, 0.6, 0.6), (1, 1, 1, 0.7, 0.3)]
    assert found["update"] == 1.95
    assert found["size"] == (8256, 33024, 8256)
    result = doctest.testmod(module)
    assert result.attempted == 4 and result.failed == 0


FIGURES = {
    "p1_line": ["p1_line.png"],
    "p2_losses": ["p2_loss_over_weight.png", "p2_loss_over_prediction.png", "p2_cross_entropy_over_prediction.png"],
    "p3_sign_of_product": ["p3_training.png", "p3_decision_boundary.png"],
    "p4_learning_rates": ["p4_learning_rates.png"],
}


@pytest.mark.parametrize("name", FIGURES)
def test_an_example_runs_as_a_program_and_saves_its_figures(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'talweg[plot]'")
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--figures", str(tmp_path / "new")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(FIGURES[name])
    for picture in (tmp_path / "new").iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_every_example_says_what_it_is() -> None:
    paths = sorted((ROOT / "examples").glob("*.py"))
    assert len(paths) >= 8
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""'), f"{path.name} has no docstring"
        assert "def main(" in text and f"python examples/{path.name}" in text, path.name
        assert "assert " not in text, f"{path.name}: the tests assert; an example shows"


def test_the_names_that_examples_use_are_public() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(("from talweg", "import talweg")):
                assert "._" not in line and " _" not in line, f"{path.name}: {line}"
