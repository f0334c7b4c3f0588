"""Every entrant that is installed gives the right answer, and a wrong one is noticed."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline.benchmarks import ours
from lstm_baseline.benchmarks.answers import check, right_answer
from lstm_baseline.benchmarks.cases import make_problem
from lstm_baseline.benchmarks.entrants import OURS, PEERS, gather
from lstm_baseline.benchmarks.memory import measure_memory
from lstm_baseline.engine.errors import WorkerError
from lstm_baseline.runs.peak_memory import can_measure
from tests.support.bench_fakes import TINY, fake, right_array
from tests.support.engines import run_python

NAMES = [peer.name for peer in PEERS]
IDS = [case.name for case in TINY]


@pytest.fixture
def peer(request):
    """A peer that is installed; its threads are as before afterwards."""
    chosen = PEERS[NAMES.index(request.param)]
    for package in chosen.packages:
        pytest.importorskip(package, reason=f"times {chosen.name}, which is not installed")
    before = None
    if chosen.name == "PyTorch":
        torch = importlib.import_module("torch")
        before = torch.get_num_threads()
    yield chosen
    if before is not None:
        torch.set_num_threads(before)


def checks(peer, case, threads):
    problem = make_problem(case)
    right = right_answer(problem)
    return [check(entrant, right) for entrant in peer.entrants(problem, threads)]


@pytest.mark.parametrize("case", TINY, ids=IDS)
def test_ours_is_right(case):
    (found,) = checks(OURS, case, 1)
    assert found.right, found


@pytest.mark.parametrize("peer", NAMES, indirect=True)
@pytest.mark.parametrize("case", TINY, ids=IDS)
def test_peers_are_right_and_can_be_called(peer, case):
    problem = make_problem(case)
    right = right_answer(problem)
    for entrant in peer.entrants(problem, 2):
        found = check(entrant, right)
        assert found.right, (entrant.name, found)
        with entrant.during():
            entrant.call()


@pytest.mark.parametrize("kind", ["step", "forward", "gradient", "training"])
@pytest.mark.parametrize("peer", ["PyTorch", "ONNX Runtime"], indirect=True)
def test_swapped_gates_are_noticed(peer, kind, monkeypatch):
    module = importlib.import_module(peer.module)
    f, i, *others = module._ORDER
    monkeypatch.setattr(module, "_ORDER", (i, f, *others))
    case = next(case for case in TINY if case.kind == kind)
    assert not any(found.right for found in checks(peer, case, 1))


@pytest.mark.parametrize(
    ("name", "value"), [("LEARNING_RATE", 2e-3), ("MAX_NORM", 1e9)], ids=["Adam", "clipping"]
)
@pytest.mark.parametrize("peer", ["PyTorch"], indirect=True)
def test_another_training_step_is_noticed(peer, name, value, monkeypatch):
    monkeypatch.setattr(importlib.import_module(peer.module), name, value)
    (found,) = checks(peer, TINY[3], 1)
    assert not found.right


def test_ours_is_held_against_the_reference_in_float64():
    problem = make_problem(TINY[2])
    engine = problem.model.engine

    def coarse(*arguments):
        outputs, *rest = engine.unroll(*arguments)
        return outputs + 1e-3, *rest

    # Whatever is wrong with the engine in use, the answer that it is held against has it not.
    problem.model.engine = engine._replace(unroll=coarse)
    right = right_answer(problem)
    assert {value.dtype for value in right.values()} == {np.dtype(np.float64)}
    (entrant,) = ours.entrants(problem, 1)
    assert check(entrant, right) == (pytest.approx(1e-3, rel=9), "outputs")


class TestCheck:
    def test_tolerates_rounding(self):
        array = right_array()
        assert check(fake(a=array + 5e-5), {"a": array}).right

    @pytest.mark.parametrize(
        "given",
        [
            right_array() + 5e-4,
            np.where(right_array() == 3, np.nan, right_array()),
            np.where(right_array() == 3, np.inf, right_array()),
            right_array()[:1],
            right_array().T,
        ],
        ids=["too far", "NaN", "infinite", "rows missing", "transposed"],
    )
    def test_notices(self, given):
        right = {"fine": right_array(), "a": right_array()}
        found = check(fake(a=given, fine=right_array()), right)
        assert not found.right
        assert found.worst == "a"

    def test_notices_what_is_missing(self):
        assert not check(fake(), {"a": right_array()}).right


def test_without_peers_only_ours_takes_part(monkeypatch):
    gone = [peer._replace(packages=("no_such_package",)) for peer in PEERS]
    assert not any(peer.installed for peer in gone)
    assert [peer.version for peer in gone] == [None] * len(gone)
    found = gather(make_problem(TINY[1]), 1, [peer for peer in gone if peer.installed])
    assert [entrant.name for entrant in found] == ["ours"]


def test_a_peer_that_fails_is_named_in_one_line(monkeypatch):
    broken = PEERS[0]._replace(packages=("numpy",), module="no.such.module")
    with pytest.raises(WorkerError, match=r"PyTorch .* fails in forward-lstm-2x4x3x5: "):
        gather(make_problem(TINY[1]), 1, [broken])


def test_peers_are_not_imported_before_they_are_asked_for():
    code = (
        "import sys, lstm_baseline.benchmarks.run; "
        "heavy = {'torch', 'jax', 'onnx', 'onnxruntime'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_jax_gets_a_client_of_so_many_threads():
    pytest.importorskip("jax", reason="times JAX, which is not installed")
    code = """
import os
from pathlib import Path
from lstm_baseline.benchmarks.cases import Case, make_problem
from lstm_baseline.benchmarks.peers.jax import entrants

problem = make_problem(Case("forward", "lstm", 2, 3, 4, 5))
entrants(problem, 3)
names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
print(sum(name.startswith("tf_XLAEigen") for name in names), "NPROC" in os.environ)
"""
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.stdout.split() == ["3", "False"], ended.stderr


HUNGRY = """
import numpy as np
from lstm_baseline.benchmarks import entrants
from lstm_baseline.benchmarks.cases import Case
from lstm_baseline.benchmarks.entrants import Entrant
from lstm_baseline.benchmarks.memory import measure_here

def take_20_megabytes():
    return [np.ones(SIZE) for _ in range(2_500_000 // SIZE)]

class Hungry:
    @staticmethod
    def entrants(problem, threads):
        # Before the calls, so not theirs; all but the last is free heap when they begin.
        kept = [*take_20_megabytes(), np.ones(SIZE)][-1]
        return [Entrant("ours", "ours", dict, lambda: [kept, take_20_megabytes()])]

entrants.import_module = lambda name: Hungry
print(*measure_here(Case("forward", "lstm", 2, 3, 4, 5), "ours", "ours"))
"""


@pytest.mark.skipif(not can_measure(), reason="memory is measured where there is /proc")
class TestMemory:
    @pytest.mark.parametrize("size", [8_000, 2_500_000], ids=["in the heap", "beside it"])
    def test_sees_what_a_call_takes_and_nothing_else(self, size):
        # A process of its own, as in use: the heap of this one depends on earlier tests.
        call, process = map(int, run_python(HUNGRY.replace("SIZE", str(size))).split())
        assert 18e6 < call < 23e6
        assert process > 40e6

    def test_a_fresh_process_says_it(self):
        memory = measure_memory(TINY[2], "ours", "ours")
        assert 0 <= memory.call < memory.process

    def test_a_process_that_fails_is_one_line(self):
        with pytest.raises(WorkerError, match="nobody") as raised:
            measure_memory(TINY[2], "nobody", "ours")
        assert "\n" not in str(raised.value)


def test_training_leaves_the_problems_weights_alone():
    problem = make_problem(TINY[3])
    before = problem.model.params["W"].copy()
    (entrant,) = ours.entrants(problem, 1)
    entrant.call()
    np.testing.assert_array_equal(problem.model.params["W"], before)
