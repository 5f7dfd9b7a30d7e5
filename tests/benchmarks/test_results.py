"""From what was measured to what is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.profiles import profile_table
from benchmarks.rounds import Entry, Outcome, compare
from benchmarks.table import MARKERS, aligned, bars, into_page, number, workload_table
from benchmarks.whole_process import expected_prediction
from benchmarks.workloads import TRAINED


def outcome(**microseconds: list[float]) -> Outcome:
    names = {"talweg": "Talweg", "pytorch": "PyTorch", "scan": "JAX, scan", "c": "hand-written C"}
    entries = [Entry(names[key], microseconds=times, steps=10) for key, times in microseconds.items()]
    return Outcome("W1", "784-20-10", 32, 5.0, "PyTorch", 2e6, "MNIST", 60_000, "torch, float64", entries)


def test_bars_are_judged_by_the_best_turns():
    met = bars(outcome(talweg=[20.0, 25.0], pytorch=[300.0, 290.0], scan=[130.0, 110.0], c=[14.0, 16.0]))
    assert [(b["measured"], b["met"]) for b in met] == [(110 / 20, True), (290 / 20, True), (20 / 14, True)]
    assert "best peer (JAX, scan)" in met[0]["bar"] and "set the bar (PyTorch)" in met[1]["bar"]
    missed = bars(outcome(talweg=[23.0], scan=[110.0], c=[14.0]))
    assert [b["met"] for b in missed] == [False, False]


def test_there_is_no_bar_without_a_peer():
    assert bars(outcome(talweg=[20.0])) == []
    assert outcome(talweg=[20.0], c=[14.0]).best_peer is None  # the hand-written C is no peer


def test_the_table_says_what_was_not_timed():
    result = outcome(talweg=[20.0, 30.0, 22.0], scan=[100.0])
    result.entries.append(Entry("PyTorch", status="does not agree", reason="after 50 steps its loss is 2e-01 off"))
    text = "\n".join(workload_table(result, {"gflops": 400.0}))
    assert "| Talweg" in text and " 20.0 | " in text and " 22.0 | " in text  # least and median
    assert " 25.0% | " in text  # 2 MFLOP in 20 µs are 100 GFLOP/s
    assert "- PyTorch: does not agree: after 50 steps its loss is 2e-01 off" in text
    assert "5.00, met" in text


def test_the_table_says_that_others_were_at_work():
    result = outcome(talweg=[20.0])
    result.entries[0].others = [0.9]
    assert "other processes used 0.9 cores" in "\n".join(workload_table(result, None))


def test_a_profile_is_a_table_of_kernels():
    def kernel(name: str, microseconds: float, waited: float, gflops: float = 0.0) -> dict:
        return {"kernel": name, "what": "dot 8x8", "microseconds": microseconds, "waited": waited, "gflops": gflops}

    def profile(threads: int, scale: float) -> dict:
        laps = [kernel("k_small", 0.004 * scale, 0), kernel("k_sub", 20 * scale, 1), kernel("k_dot", 79 * scale, 2, 50)]
        laps.append(kernel("k_tiny", 0.006 * scale, 0))
        return {"threads": threads, "microseconds": 100 * scale, "waited": 3.0, "uncounted": 98 * scale, "laps": laps}

    peak = {"gflops": 200.0, "gflops_one_thread": 100.0}
    lines = profile_table(TRAINED["W1"], [profile(1, 1.0), profile(2, 0.6)], peak)
    assert "- 1 thread: 100 µs a step; 98.0 in `fit`, without counting" in lines
    assert "- 2 threads: 60.0 µs a step, waiting 3.00 of them; 58.8 in `fit`, without counting" in lines
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0][0] == "kernel" and cells[2:] == [
        ["k_dot", "dot 8x8", "79.0", "79.0%", "50.0", "50%", "47.4", "2.00", "79.0%", "50.0", "25%"],
        ["k_sub", "dot 8x8", "20.0", "20.0%", "", "", "12.0", "1.00", "20.0%", "", ""],
        ["2 others", "", "0.0100", "0.0%", "", "", "0.00600", "0", "0.0%", "", ""],
    ]


def test_distance_from_the_reference(tmp_path):
    first = {"0.kernel": np.zeros((2, 2), np.float32)}
    np.savez(tmp_path / "mine.npz", **{"0.kernel": np.array([[3.0, 4.0], [0.0, 0.0]])})
    np.savez(tmp_path / "reference.npz", **{"0.kernel": np.array([[3.0, 0.0], [0.0, 0.0]])})
    mine = {"mean_loss": 2.0, "last_loss": 1.1, "weights": tmp_path / "mine.npz"}
    reference = {"mean_loss": 2.0, "last_loss": 1.0, "weights": tmp_path / "reference.npz"}
    loss, weights = compare(mine, reference, first)
    assert (loss, weights) == (pytest.approx(0.1), pytest.approx(4 / 3))
    assert math.isnan(compare(mine | {"last_loss": math.nan}, reference, first)[0])


@pytest.mark.parametrize(
    ("value", "text"), [(0.04567, "0.0457"), (14.26, "14.3"), (133.4, "133"), (18996.2, "18,996"), (math.nan, "–")]
)
def test_three_significant_digits(value, text):
    assert number(value) == text


def test_tables_are_aligned():
    assert aligned([["", "µs"], ["Talweg", "9"]]) == ["|        | µs |", "| ------ | -: |", "| Talweg |  9 |"]


def test_what_the_neuron_should_say():
    assert 18.9 < expected_prediction() < 19.0  # of y = 2x - 1 at 10, 500 steps on the way


def test_a_page_keeps_all_but_what_was_measured_before():
    page = f"# Speed\n\n{MARKERS[0]}\nold\n{MARKERS[1]}\n\nNotes\n"
    once = into_page(page, ["new", ""])
    assert once == f"# Speed\n\n{MARKERS[0]}\n\nnew\n\n{MARKERS[1]}\n\nNotes\n"
    assert into_page(once, ["new", ""]) == once
