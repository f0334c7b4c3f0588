"""PyTorch: nn.LSTM and nn.LSTMCell, and an eager relational memory.

Sequences are time-first, which is PyTorch's own order and a little faster. Inference runs in
inference mode. Adam is the fused one, the fastest of PyTorch's three on a CPU.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import rnn

from lstm_baseline.benchmarks.cases import (
    HEAD_SIZE,
    LEARNING_RATE,
    MAX_NORM,
    NUM_HEADS,
    NUM_SLOTS,
    Problem,
)
from lstm_baseline.benchmarks.entrants import CHECKED_STEPS, Answer, Entrant
from lstm_baseline.engine.shapes import NDArray, Params

_ORDER = (1, 0, 2, 3)
"""Places of PyTorch's gates i, f, g, o in our order, and of ours in PyTorch's."""

_LSTM_NAMES = {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b"}


def entrants(problem: Problem, threads: int) -> list[Entrant]:
    """Return PyTorch's; its number of threads is one for the whole process."""
    torch.set_num_threads(threads)
    kind = problem.case.kind
    if kind == "step":
        return [_cell_step(problem), _sequence_step(problem)]
    if kind == "forward":
        return [_forward(problem)]
    if kind == "gradient":
        return [_gradient(problem)]
    if kind == "ragged-forward":
        return [_padded_forward(problem), _packed_forward(problem)]
    if kind == "ragged-gradient":
        return [_padded_gradient(problem), _packed_gradient(problem)]
    if problem.case.model == "lstm":
        return [_lstm_training(problem)]
    return [_relational_training(problem)]


def _cell_step(problem: Problem) -> Entrant:
    B, H = problem.case.B, problem.case.H
    cell = torch.nn.LSTMCell(problem.case.I, H)
    _load(cell, problem.model.params, {n.removesuffix("_l0"): w for n, w in _LSTM_NAMES.items()})
    x_t = _tensor(problem.x[:, 0])
    start = torch.zeros(B, H), torch.zeros(B, H)
    state = start

    def call() -> Tensor:
        nonlocal state
        state = cell(x_t, state)
        return state[0]

    return _stream("PyTorch LSTMCell", call)


def _sequence_step(problem: Problem) -> Entrant:
    B, H = problem.case.B, problem.case.H
    lstm = _lstm(problem)
    x_t = _tensor(problem.x[:, 0])[None]
    state = torch.zeros(1, B, H), torch.zeros(1, B, H)

    def call() -> Tensor:
        nonlocal state
        y_t, state = lstm(x_t, state)
        return y_t[0]

    return _stream("PyTorch nn.LSTM", call)


def _stream(name: str, call: Callable[[], Tensor]) -> Entrant:
    """Return a contestant whose calls carry a state on, from its initial one."""

    def answer() -> Answer:
        with torch.inference_mode():
            return {"outputs": np.stack([call().numpy() for _ in range(CHECKED_STEPS)])}

    return Entrant(name, "PyTorch", answer, call, torch.inference_mode)


def _forward(problem: Problem) -> Entrant:
    lstm, x = _lstm(problem), _time_first(problem.x)

    def answer() -> Answer:
        with torch.inference_mode():
            return {"outputs": _batch_first(lstm(x)[0])}

    return Entrant("PyTorch nn.LSTM", "PyTorch", answer, lambda: lstm(x), torch.inference_mode)


def _gradient(problem: Problem) -> Entrant:
    lstm, x, d_outputs = _lstm(problem), _time_first(problem.x), _time_first(problem.d_outputs)
    return _gradient_of("PyTorch nn.LSTM", lstm, lambda: lstm(x)[0], d_outputs, lambda y: y)


def _gradient_of(
    name: str,
    lstm: torch.nn.LSTM,
    run: Callable[[], Tensor],
    d_outputs: Tensor,
    to_show: Callable[[Tensor], Tensor],
) -> Entrant:
    """Return a forward and backward pass; ``to_show`` makes outputs those that are checked."""
    names, parameters = zip(*_trained(lstm), strict=True)

    def call() -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs = run()
        return outputs, torch.autograd.grad(outputs, parameters, d_outputs)

    def answer() -> Answer:
        outputs, gradients = call()
        named = _in_our_layout(dict(zip(names, gradients, strict=True)))
        return {"outputs": _batch_first(to_show(outputs)), **named}

    return Entrant(name, "PyTorch", answer, call)


def _padded_forward(problem: Problem) -> Entrant:
    """Run over the padding as well and leave it in the outputs: what is least work to write."""
    lstm, x, live = _lstm(problem), _time_first(problem.x), _live(problem)

    def answer() -> Answer:
        with torch.inference_mode():
            return {"outputs": _batch_first(lstm(x)[0] * live)}

    return Entrant(
        "PyTorch nn.LSTM, padded", "PyTorch", answer, lambda: lstm(x), torch.inference_mode
    )


def _packed_forward(problem: Problem) -> Entrant:
    call = _packed(problem, _lstm(problem))

    def answer() -> Answer:
        with torch.inference_mode():
            return {"outputs": _batch_first(call())}

    return Entrant("PyTorch nn.LSTM, packed", "PyTorch", answer, call, torch.inference_mode)


def _padded_gradient(problem: Problem) -> Entrant:
    lstm, x, live = _lstm(problem), _time_first(problem.x), _live(problem)
    d_outputs = _time_first(problem.d_outputs) * live
    return _gradient_of(
        "PyTorch nn.LSTM, padded", lstm, lambda: lstm(x)[0], d_outputs, lambda y: y * live
    )


def _packed_gradient(problem: Problem) -> Entrant:
    lstm, d_outputs = _lstm(problem), _time_first(problem.d_outputs)
    run = _packed(problem, lstm)
    return _gradient_of("PyTorch nn.LSTM, packed", lstm, run, d_outputs, lambda y: y)


def _packed(problem: Problem, lstm: torch.nn.LSTM) -> Callable[[], Tensor]:
    """Return a pass over the rows' valid parts, from padded x to padded outputs."""
    x, T, lengths = _time_first(problem.x), problem.case.T, torch.from_numpy(problem.lengths)

    def run() -> Tensor:
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return rnn.pad_packed_sequence(lstm(packed)[0], total_length=T)[0]

    return run


def _live(problem: Problem) -> Tensor:
    """Return 1 within each row's length and 0 past it, (T, B, 1)."""
    steps = torch.arange(problem.case.T)[:, None]
    return (steps < torch.from_numpy(problem.lengths)).float()[:, :, None]


def _lstm_training(problem: Problem) -> Entrant:
    lstm = _lstm(problem)
    readout = torch.nn.Linear(problem.model.width, problem.model.output_size)
    _load(readout, problem.model.params, {"weight": "W_out", "bias": "b_out"})
    x = _time_first(problem.x)

    def our_gradients() -> Answer:
        gradients = _in_our_layout({name: p.grad for name, p in _trained(lstm)})
        return gradients | {
            "W_out": readout.weight.grad.numpy().copy(),
            "b_out": readout.bias.grad.numpy().copy(),
        }

    return _training(
        "PyTorch nn.LSTM",
        problem,
        [*(p for _, p in _trained(lstm)), *readout.parameters()],
        lambda: readout(lstm(x)[0][-1]),
        our_gradients,
    )


def _relational_training(problem: Problem) -> Entrant:
    memory, x = RelationalMemory(problem.model.params), _tensor(problem.x)
    return _training(
        "PyTorch eager module",
        problem,
        list(memory.parameters()),
        lambda: memory(x),
        lambda: {n: p.grad.numpy().copy() for n, p in memory.weights.items()},
    )


def _training(
    name: str,
    problem: Problem,
    parameters: list[torch.nn.Parameter],
    logits: Callable[[], Tensor],
    our_gradients: Callable[[], Answer],
) -> Entrant:
    """Return training steps of a network that gives logits."""
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
    targets = torch.from_numpy(problem.targets)

    def call() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(logits(), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM, foreach=True)
        optimizer.step()
        return loss

    def answer() -> Answer:
        losses = [call().item()]
        gradients = our_gradients()
        losses += [call().item() for _ in range(CHECKED_STEPS - 1)]
        return {"losses": np.array(losses), **gradients}

    return Entrant(name, "PyTorch", answer, call)


class RelationalMemory(torch.nn.Module):  # type: ignore[misc]
    """The relational memory core, R1 to R9 of ``cells/relational.py``, with a readout.

    Written for speed in eager mode, where the number of operations counts: whatever depends on x
    alone is computed for all steps at once, all heads share one fused attention, which also wins
    over products written out, and both gates share one sigmoid.

    Parameters
    ----------
    params
        By our names; one block, two MLP layers, unit gates, forget bias 1.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterDict(
            {name: torch.nn.Parameter(_tensor(value)) for name, value in params.items()}
        )
        self.width = NUM_HEADS * HEAD_SIZE
        self.register_buffer("start", torch.eye(NUM_SLOTS, self.width))
        self.register_buffer("constant", torch.tensor([0.0, 1.0]).repeat_interleave(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, K) of sequences (B, T, I)."""
        w = dict(self.weights.items())
        # R1, and the input's part of R8 with all that is added inside the gates
        e = functional.linear(x, w["W_in"], w["b_in"])
        gates = functional.linear(e, w["W_g"], w["b_g"] + w["b_u"] + self.constant)
        memory = self.start.expand(x.shape[0], -1, -1)
        for e_t, gates_t in zip(
            e.unsqueeze(2).unbind(1), gates.unsqueeze(2).unbind(1), strict=True
        ):
            memory = self._step(w, memory, e_t, gates_t)
        return functional.linear(memory.flatten(1), w["W_out"], w["b_out"])

    def _step(self, w: dict[str, Tensor], memory: Tensor, e_t: Tensor, gates_t: Tensor) -> Tensor:
        # R2, R3
        rows = torch.cat((memory, e_t), 1)
        qkv = self._norm(w, "qkv_0", functional.linear(rows, w["W_qkv_0"], w["b_qkv_0"]))
        heads = qkv.unflatten(2, (NUM_HEADS, 3 * HEAD_SIZE)).transpose(1, 2)
        # R4
        read = functional.scaled_dot_product_attention(*heads.split(HEAD_SIZE, -1))
        # R5
        rows = self._norm(w, "attention_0", rows + read.transpose(1, 2).flatten(2))
        # R6
        hidden = functional.relu(functional.linear(rows, w["W_mlp_0"], w["b_mlp_0"]))
        change = functional.linear(hidden, w["W_mlp_1"], w["b_mlp_1"])
        rows = self._norm(w, "mlp_0", rows + change)
        # R7, R8
        gates = gates_t + functional.linear(torch.tanh(memory), w["U_g"])
        i, f = torch.sigmoid(gates).chunk(2, -1)
        # R9
        return torch.addcmul(f * memory, i, torch.tanh(rows[:, :NUM_SLOTS]))

    @staticmethod
    def _norm(w: dict[str, Tensor], suffix: str, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], w[f"gain_{suffix}"], w[f"bias_{suffix}"])


def _lstm(problem: Problem) -> torch.nn.LSTM:
    """Return an nn.LSTM with our weights."""
    lstm = torch.nn.LSTM(problem.case.I, problem.case.H)
    _load(lstm, problem.model.params, _LSTM_NAMES)
    return lstm


def _load(module: torch.nn.Module, params: Params, names: dict[str, str]) -> None:
    """Give a module our weights.

    PyTorch adds two biases. The second is fixed at 0: trained beside the first it would count twice
    in the norm that clipping goes by, and every bias would move twice as fast as ours.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in names:
                parameter.zero_().requires_grad_(False)
                continue
            value = params[names[name]]
            parameter.copy_(_tensor(_reorder(value) if names[name] in ("W", "U", "b") else value))


def _trained(module: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in module.named_parameters() if p.requires_grad]


def _in_our_layout(gradients: dict[str, Tensor]) -> Answer:
    return {ours: _reorder(gradients[name].numpy()) for name, ours in _LSTM_NAMES.items()}


def _reorder(value: NDArray) -> NDArray:
    """Change our order of gates into PyTorch's, or back."""
    parts = np.split(value, 4)
    return np.concatenate([parts[k] for k in _ORDER])


def _tensor(value: NDArray) -> Tensor:
    return torch.from_numpy(np.array(value, order="C"))


def _time_first(value: NDArray) -> Tensor:
    return _tensor(value.transpose(1, 0, 2))


def _batch_first(value: Tensor) -> NDArray:
    return np.asarray(value.detach().numpy().transpose(1, 0, 2))
