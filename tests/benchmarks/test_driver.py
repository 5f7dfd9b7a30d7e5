"""The driver and Talweg's worker together, on little work. No time is judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.conversation import TALWEG, Failure, NotAvailable, Peer, Worker
from benchmarks.rounds import Effort
from benchmarks.workloads import TRAINED

from benchmarks import profiles, rounds
from talweg.engines.native import build


@pytest.mark.skipif(build.compiler() is None, reason="the native engine needs a C compiler")
def test_talweg_learns_what_float64_learns_and_is_timed(tmp_path, monkeypatch):
    monkeypatch.setenv("TALWEG_BENCHMARKS", str(tmp_path))  # no peer is installed there
    small = replace(TRAINED["W5"], batch=60, check_steps=5)
    peers = [TALWEG, Peer("PyTorch", "pytorch", "with_pytorch.py")]
    outcome = rounds.run(small, peers, 1, Effort(rounds=2, longest=0.01), tmp_path, say=lambda text: None)
    talweg, pytorch = outcome.entries
    assert talweg.status == "timed" and len(talweg.microseconds) == 2 and talweg.least > 0
    assert talweg.loss_error < 1e-4 and talweg.weight_error < 1e-3
    assert "talweg" in outcome.reference and "float64" in outcome.reference
    assert pytorch.status == "not available" and "benchmarks.environments pytorch" in pytorch.reason


@pytest.mark.skipif(build.compiler() is None, reason="the native engine needs a C compiler")
def test_a_profile_is_taken_once_where_threads_have_nothing_to_share(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "SECONDS", 0.02)
    monkeypatch.setattr(profiles, "UNCOUNTED", 2e4)
    (found,) = profiles.take(TRAINED["W5"], 2, tmp_path, say=lambda text: None)
    assert found["threads"] == 1 and found["steps"] > 1 and found["uncounted"] > 0
    assert "k_dense_output" in {lap["kernel"] for lap in found["laps"]}
    assert "1 thread: µs" in "\n".join(profiles.profile_table(TRAINED["W5"], [found], None))


def test_a_worker_that_fails_says_why(tmp_path):
    with Worker(Peer("nobody", None, "with_nobody.py"), 1, str(tmp_path)) as worker, pytest.raises(Failure) as failure:
        worker.ask("prepare")
    assert "with_nobody.py" in str(failure.value)


def test_what_a_peer_cannot_do_is_told_apart_from_failure(tmp_path):
    unknown = replace(TRAINED["W5"], layers=({"kind": "recurrent"},)).as_json()
    rounds.save_task(tmp_path, TRAINED["W5"])
    with Worker(TALWEG, 1, str(tmp_path)) as worker:
        with pytest.raises(Failure, match="recurrent") as failure:
            worker.ask("prepare", workload=unknown, folder=str(tmp_path), threads=1)
        assert not isinstance(failure.value, NotAvailable)
        assert worker.ask("prepare", workload=TRAINED["W5"].as_json(), folder=str(tmp_path), threads=1)
