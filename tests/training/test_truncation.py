"""Gradients that reach back so many steps."""

import subprocess
import sys

import numpy as np
import pytest

from lstm_baseline import LSTM, RelationalRNN
from lstm_baseline.engine.errors import InputError
from lstm_baseline.tasks import make_task
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.training import TrainingSettings, train
from lstm_baseline.training.losses import mean_squared_error
from lstm_baseline.training.truncation import truncated_gradients
from tests.support.models import assert_same_arrays, make_model, normal

B, T, I, O = 5, 12, 3, 2
LENGTHS = np.array([12, 0, 7, 1, 8])


def batch(per_step, ragged):
    y = normal(B, T, O, seed=3) if per_step else normal(B, O, seed=3)
    return Batch(normal(B, T, I), y, LENGTHS if ragged else None)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("name", ["lstm", "lstm, more pieces", "gru", "relational"])
def test_one_window_gives_the_whole_gradient(name, per_step, ragged):
    model, data = make_model(name, O), batch(per_step, ragged)
    y, cache = model.forward_with_cache(data.x, per_step, lengths=data.lengths)
    expected, d_y = mean_squared_error(y, data.y, data.lengths if per_step else None)
    loss, gradients = truncated_gradients(model, mean_squared_error, data, T, per_step=per_step)
    assert loss == pytest.approx(expected, rel=1e-13)
    assert_same_arrays(gradients, model.backward(d_y, cache).params, 1e-13)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("window", [1, 5, 8])
def test_windows_are_as_pytorch_cuts_them(window, per_step, ragged):
    """The same loss in PyTorch, whose state is detached at the start of each window."""
    torch = pytest.importorskip("torch")
    model, data = make_model("lstm", O), batch(per_step, ragged)
    weights = {n: torch.tensor(v, requires_grad=True) for n, v in model.params.items()}
    x, y = torch.as_tensor(data.x), torch.as_tensor(data.y)
    lengths = torch.as_tensor(LENGTHS if ragged else np.full(B, T))
    h = c = torch.zeros(B, 5, dtype=torch.float64)
    outputs = []
    for t in range(T):
        if t % window == 0:
            h, c = h.detach(), c.detach()
        z = x[:, t] @ weights["W"].T + h @ weights["U"].T + weights["b"]
        f, i, g, o = z.chunk(4, dim=1)
        new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        new_h = o.sigmoid() * new_c.tanh()
        live = (t < lengths)[:, None]
        if not per_step:
            # A row that has ended keeps the gradient of the window that it ended in.
            outputs.append(new_h)
        h, c = torch.where(live, new_h, h), torch.where(live, new_c, c)
        if per_step:
            outputs.append(h)
    states = torch.stack(outputs, dim=1)
    if per_step:
        error = states @ weights["W_out"].T + weights["b_out"] - y
        live = torch.arange(T)[None] < lengths[:, None]
        expected = (error[live] ** 2).mean()
    else:
        last = states[torch.arange(B), (lengths - 1).clamp(min=0)]
        last = torch.where((lengths > 0)[:, None], last, torch.zeros_like(last))
        expected = ((last @ weights["W_out"].T + weights["b_out"] - y) ** 2).mean()
    expected.backward()
    loss, gradients = truncated_gradients(
        model, mean_squared_error, data, window, per_step=per_step
    )
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    assert_same_arrays(gradients, {n: w.grad.numpy() for n, w in weights.items()}, 1e-13)


def test_a_window_beyond_all_rows_adds_nothing():
    model, data = make_model("lstm", O), batch(True, False)
    short = Batch(data.x, data.y, np.array([5, 0, 3, 1, 5]))
    results = [
        truncated_gradients(model, mean_squared_error, given, 5, per_step=True)
        for given in (short, Batch(data.x[:, :5], data.y[:, :5], short.lengths))
    ]
    assert results[0][0] == results[1][0]
    assert_same_arrays(results[0][1], results[1][1])


@pytest.mark.parametrize("options", [{"truncate": 7}, {"recompute": True}])
def test_a_model_learns_with_it(options):
    task = make_task("adding")
    settings = TrainingSettings(num_steps=40, evaluate_every=40, learning_rate=1e-2, **options)
    _, steps, features = task.validation(0).x.shape
    for model in (
        LSTM(features, 16, 1, recurrent_dropout=0.1, rng=0),
        RelationalRNN(features, 1, num_slots=2, num_heads=1, head_size=4, rng=0),
    ):
        history = train(model, task, settings, seed=0).history
        assert history[-1].metric < history[0].metric
    assert steps > 7


def test_a_bidirectional_model_is_refused():
    task = make_task("adding")
    model = LSTM(task.validation(0).x.shape[2], 4, 1, bidirectional=True, rng=0)
    with pytest.raises(InputError, match="bidirectional: it needs the whole sequence"):
        train(model, task, TrainingSettings(num_steps=1, truncate=5), seed=0)


MEASURE = """
import resource, sys
import numpy as np
from lstm_baseline import LSTM
from lstm_baseline.tasks.metrics import Batch
from lstm_baseline.training.losses import mean_squared_error
from lstm_baseline.training.truncation import truncated_gradients
num_steps = int(sys.argv[1])
model = LSTM(1, 64, 1, rng=0)
data = Batch(np.zeros((8, num_steps, 1), np.float32), np.zeros((8, num_steps, 1), np.float32))
truncated_gradients(model, mean_squared_error, data, 100, per_step=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_does_not_grow_with_the_number_of_steps():
    """All that a process ever held, in kB (on a Mac in bytes)."""

    def peak(num_steps):
        command = [sys.executable, "-c", MEASURE, str(num_steps)]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    # 30 times the steps would store 300 MB more for a whole gradient.
    assert peak(30_000) < 1.1 * peak(1000)
