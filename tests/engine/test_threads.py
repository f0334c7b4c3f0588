"""How many threads work, who says so, and that nobody sees it in the numbers."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from lstm_baseline import LSTM
from lstm_baseline.engine.cores import num_cores
from lstm_baseline.engine.threads import limit_threads, one_thread
from tests.support.engines import (
    INSTRUCTION_SETS,
    assert_same_bits,
    everything,
    require_core,
    run_python,
    running,
)
from tests.support.models import normal

core = require_core()

on_linux = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="counts threads as Linux lists them"
)


@pytest.fixture(autouse=True)
def _as_before():
    before = core.get_num_threads()
    yield
    core.set_num_threads(before)


class TestLimits:
    def test_an_argument_holds_until_the_end_of_its_block(self):
        core.set_num_threads(5)
        with limit_threads(3):
            assert core.get_num_threads() == 3
            with limit_threads(1):
                assert core.get_num_threads() == 1
            assert core.get_num_threads() == 3
        assert core.get_num_threads() == 5

    def test_an_exception_ends_the_block_too(self):
        core.set_num_threads(5)
        with pytest.raises(KeyError), limit_threads(2):
            raise KeyError
        assert core.get_num_threads() == 5

    def test_threadpoolctl_knows_the_core(self):
        core.set_num_threads(5)
        with threadpoolctl.threadpool_limits(2):
            assert core.get_num_threads() == 2
        with threadpoolctl.threadpool_limits({"lstm_baseline": 4}):
            assert core.get_num_threads() == 4
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            assert core.get_num_threads() == 5
        assert core.get_num_threads() == 5
        (info,) = (
            found
            for found in threadpoolctl.threadpool_info()
            if found["user_api"] == "lstm_baseline"
        )
        assert info["num_threads"] == 5

    def test_one_thread_of_linear_algebra_leaves_the_core_s_alone(self):
        core.set_num_threads(5)
        with one_thread():
            assert core.get_num_threads() == 5

    def test_there_is_always_one(self):
        for number in (0, -3):
            core.set_num_threads(number)
            assert core.get_num_threads() == 1

    @pytest.mark.parametrize(
        ("given", "found"), [("3", 3), ("2,1", 2), ("none", None), (None, None)]
    )
    def test_the_environment_sets_the_number_at_the_start(self, given, found):
        script = "from lstm_baseline.engine import backend; print(backend.describe()['threads'])"
        told = int(run_python(script, OMP_NUM_THREADS=given))
        assert told == (found or num_cores())

    def test_importing_the_package_is_enough_for_threadpoolctl(self):
        script = """
import threadpoolctl
from lstm_baseline.engine import backend
from lstm_baseline import LSTM
LSTM(1, 1)
with threadpoolctl.threadpool_limits(1):
    print(backend.describe()["threads"])
"""
        assert run_python(script, OMP_NUM_THREADS="4") == "1"


@on_linux
def test_threads_work_only_where_it_is_worth_it():
    """In forked children, whose threads are counted from none."""
    script = """
import os, sys
import numpy as np
from lstm_baseline import LSTM
from lstm_baseline.engine.core import load_core

core = load_core()
cases = [
    (3, (1, 1, 4, 8)),      # next to no work
    (3, (64, 20, 7, 12)),   # less than two threads are worth
    (3, (64, 20, 7, 19)),   # two
    (2, (64, 20, 7, 30)),   # three, but two are allowed
    (3, (64, 20, 7, 30)),   # three
    (3, (1, 17, 33, 200)),  # three share the hidden units of a row
    (3, (1, 900, 8, 28)),   # much work, but a step is over before threads could meet
    (3, (2, 15, 30, 150)),
    (1, (64, 20, 7, 30)),
]
for number, (B, T, I, H) in cases:
    model, x = LSTM(I, H, rng=0), np.zeros((B, T, I), np.float32)
    core.set_num_threads(number)
    child = os.fork()
    if not child:
        before = len(os.listdir("/proc/self/task"))
        model.forward(x)
        os._exit(1 + len(os.listdir("/proc/self/task")) - before)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    counts = run_python(script, OPENBLAS_NUM_THREADS="1").split()
    assert list(map(int, counts)) == [1, 1, 2, 2, 3, 3, 1, 3, 1]


@on_linux
def test_where_no_thread_can_be_started_the_caller_does_the_work():
    script = """
import resource
import numpy as np
from lstm_baseline import LSTM
from lstm_baseline.engine.core import load_core

model, x = LSTM(9, 100, rng=0), np.ones((7, 12, 9), np.float32)
load_core().set_num_threads(1)
expected = model.forward(x)
load_core().set_num_threads(3)
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
most = pages * resource.getpagesize() + (3 << 20)  # less than a thread's stack
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(np.array_equal(model.forward(x), expected))
"""
    assert run_python(script, OPENBLAS_NUM_THREADS="1") == "True"


SIZES = [(7, 12, 9, 100), (1, 17, 33, 200), (3, 5, 4, 6)]


def test_calls_from_many_threads_at_once_give_the_same_bits():
    core.set_num_threads(3)
    jobs = []
    for k, (B, T, I, H) in enumerate(SIZES):
        for dtype in (np.float32, np.float64):
            model = LSTM(I, H, dtype=dtype, rng=k, engine="native")
            x, lengths = normal(B, T, I, seed=k, dtype=dtype), T - np.arange(B)
            jobs.append((model, x, lengths, everything(model, x, lengths=lengths)))
    failures = []

    def work(first):
        try:
            for k in range(5 * len(jobs)):
                model, x, lengths, expected = jobs[(first + k) % len(jobs)]
                assert_same_bits(everything(model, x, lengths=lengths), expected)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


@pytest.fixture(scope="module")
def long_calls():
    # The slowest instruction set makes long calls of little memory.
    with running(INSTRUCTION_SETS[-1]):
        model = LSTM(512, 128, dtype=np.float64, rng=0, engine="native")
        frozen = model.freeze()
        x = np.zeros((64, 20, 512))
        _, cache = model.forward_with_cache(x)
        gradients = model.backward(np.zeros((64, 20, 128)), cache)
        wide = np.zeros((3000, 512))
        yield {
            "forward": lambda: model.forward(x),
            "forward with cache": lambda: model.forward_with_cache(x),
            "backward": lambda: model.backward(np.zeros((64, 20, 128)), cache),
            "gradient of x": lambda: gradients._gradient_of_x(),
            "frozen forward": lambda: frozen.forward(x),
            "frozen step": lambda: frozen.step(wide),
        }


class TestOtherPythonThreads:
    """They run while the core works: it lets go of the interpreter."""

    @pytest.mark.parametrize(
        "call",
        [
            "forward",
            "forward with cache",
            "backward",
            "gradient of x",
            "frozen forward",
            "frozen step",
        ],
    )
    def test_one_counts_while_another_computes(self, long_calls, call):
        core.set_num_threads(1)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        try:
            # Another process may have had the core in the middle: once in five must do.
            assert any(self.counts_in_the_middle(long_calls[call]) for _ in range(5))
        finally:
            sys.setswitchinterval(interval)

    def counts_in_the_middle(self, call):
        span = []

        def work():
            start = time.perf_counter()
            call()
            span.extend([start, time.perf_counter()])

        worker = threading.Thread(target=work)
        ticks = []
        worker.start()
        while worker.is_alive():
            ticks.append(time.perf_counter())
        worker.join()
        start, end = span
        assert end - start > 2e-3, "too short a call to tell"
        quarter = (end - start) / 4
        return sum(start + quarter < tick < end - quarter for tick in ticks) > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestForks:
    """A child has none of its parent's threads, and works all the same."""

    def test_a_child_and_its_child_and_the_parent_go_on(self):
        script = """
import os
import numpy as np
from lstm_baseline import LSTM
from lstm_baseline.engine.core import load_core

load_core().set_num_threads(3)
model, x = LSTM(9, 100, rng=0), np.ones((7, 12, 9), np.float32)
frozen, d = model.freeze(), np.ones((7, 12, 100), np.float32)

def run():
    y, cache = model.forward_with_cache(x)
    gradients = model.backward(d, cache)
    return b"".join(a.tobytes() for a in (y, gradients.x, gradients.params["U"], frozen.forward(x)))

def fork(depth):
    child = os.fork()
    if not child:
        same = run() == expected and (depth == 0 or fork(depth - 1)) and run() == expected
        os._exit(0 if same else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and run() == expected

expected = run()
print(all(fork(2) for _ in range(5)))
"""
        assert run_python(script) == "True"

    def test_processes_of_a_pool(self):
        script = """
import multiprocessing
import numpy as np
from lstm_baseline import LSTM

model, x = LSTM(9, 100, rng=0), np.ones((7, 12, 9), np.float32)
expected = model.forward(x)
with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.map(model.forward, [x] * 8)
print(all(np.array_equal(result, expected) for result in results))
"""
        assert run_python(script, OMP_NUM_THREADS="3") == "True"

    @pytest.mark.slow
    def test_at_any_moment_of_another_thread_s_call(self):
        script = """
import os, threading, time
import numpy as np
from lstm_baseline import LSTM

model, x = LSTM(3, 5, rng=0), np.ones((2, 4, 3), np.float32)
expected, going = model.forward(x), True

def work():
    while going:
        model.forward_with_cache(x)

workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
stuck = wrong = 0
for _ in range(4000):
    child = os.fork()
    if not child:
        os._exit(not np.array_equal(model.forward(x), expected))
    deadline = time.monotonic() + 30
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.0005)
        if time.monotonic() > deadline:
            stuck += 1
            os.kill(child, 9)
            ended = os.waitpid(child, 0)
            break
    else:
        wrong += ended[1] != 0
    if stuck:
        break
going = False
print(stuck, wrong)
"""
        assert run_python(script, seconds=600) == "0 0"
