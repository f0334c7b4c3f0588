"""ONNX Runtime: the LSTM node, plain and with inputs and outputs bound beforehand.

Inference only. Sequences are time-first, the one order that its CPU kernel takes. For streaming
the state goes back and forth between two pairs of buffers, so nothing is copied between steps.
"""

from itertools import cycle

import numpy as np
import onnx
import onnxruntime
from onnxruntime import InferenceSession, IOBinding, OrtValue

from lstm_baseline.benchmarks.cases import Problem
from lstm_baseline.benchmarks.entrants import CHECKED_STEPS, Answer, Entrant
from lstm_baseline.engine.shapes import NDArray

_ORDER = (1, 3, 0, 2)
"""Places of ONNX's gates i, o, f, c in our order."""

_STATE = ("h_0", "c_0")
_ERRORS_ONLY = 3


def entrants(problem: Problem, threads: int) -> list[Entrant]:
    """Return ONNX Runtime's; every session has threads of its own."""
    kind = problem.case.kind
    if kind == "step":
        session = _session(problem, threads, _STATE, ("h_n", "c_n"))
        return [_bound_step(problem, session), _plain_step(problem, session)]
    if kind == "forward":
        return [_bound_forward(problem, _session(problem, threads, (), ("y",)))]
    return []


def _bound_step(problem: Problem, session: InferenceSession) -> Entrant:
    case = problem.case
    x_t = np.ascontiguousarray(problem.x[None, :, 0])
    pairs = [[np.zeros((1, case.B, case.H), np.float32) for _ in "hc"] for _ in range(2)]
    bindings = [
        _bind(
            session,
            {"x": x_t, **dict(zip(_STATE, pairs[k], strict=True))},
            dict(zip(("h_n", "c_n"), pairs[1 - k], strict=True)),
        )
        for k in range(2)
    ]
    turns = cycle(bindings)

    def call() -> None:
        session.run_with_iobinding(next(turns))

    def answer() -> Answer:
        outputs = []
        for k in range(CHECKED_STEPS):
            call()
            outputs.append(pairs[(k + 1) % 2][0][0].copy())
        return {"outputs": np.stack(outputs)}

    return Entrant("ONNX Runtime, bound", "ONNX Runtime", answer, call)


def _plain_step(problem: Problem, session: InferenceSession) -> Entrant:
    case = problem.case
    feeds = {"x": np.ascontiguousarray(problem.x[None, :, 0])}
    feeds |= {name: np.zeros((1, case.B, case.H), np.float32) for name in _STATE}

    def call() -> NDArray:
        h, c = session.run(None, feeds)
        feeds["h_0"], feeds["c_0"] = h, c
        return np.asarray(h)

    def answer() -> Answer:
        return {"outputs": np.stack([call()[0] for _ in range(CHECKED_STEPS)])}

    return Entrant("ONNX Runtime, plain", "ONNX Runtime", answer, call)


def _bound_forward(problem: Problem, session: InferenceSession) -> Entrant:
    case = problem.case
    x = np.ascontiguousarray(problem.x.transpose(1, 0, 2))
    y = np.empty((case.T, 1, case.B, case.H), np.float32)
    binding = _bind(session, {"x": x}, {"y": y})

    def call() -> None:
        session.run_with_iobinding(binding)

    def answer() -> Answer:
        call()
        return {"outputs": y[:, 0].transpose(1, 0, 2).copy()}

    return Entrant("ONNX Runtime, bound", "ONNX Runtime", answer, call)


def _bind(
    session: InferenceSession, inputs: dict[str, NDArray], outputs: dict[str, NDArray]
) -> IOBinding:
    """Bind arrays, whose memory is used as it is."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, _value(array))
    for name, array in outputs.items():
        binding.bind_ortvalue_output(name, _value(array))
    return binding


def _value(array: NDArray) -> OrtValue:
    return OrtValue.ortvalue_from_numpy(array)


def _session(
    problem: Problem, threads: int, state: tuple[str, ...], outputs: tuple[str, ...]
) -> InferenceSession:
    """Return a session of one LSTM node with our weights, which takes x and perhaps a state."""
    params, case = problem.model.params, problem.case
    b = np.concatenate([_reorder(params["b"]), np.zeros_like(params["b"])])
    weights = {"W": _reorder(params["W"])[None], "U": _reorder(params["U"])[None], "b": b[None]}
    every_output = {"y": 4, "h_n": 3, "c_n": 3}
    node = onnx.helper.make_node(
        "LSTM",
        ["x", *weights, "", *state],  # "" stands for the lengths
        [name if name in outputs else "" for name in every_output],
        hidden_size=case.H,
    )
    inputs = {"x": (case.T, case.B, case.I), **dict.fromkeys(state, (1, case.B, case.H))}
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [onnx.helper.make_tensor_value_info(n, kind, shape) for n, shape in inputs.items()],
        [onnx.helper.make_tensor_value_info(n, kind, [None] * every_output[n]) for n in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _reorder(value: NDArray) -> NDArray:
    parts = np.split(value, 4)
    return np.concatenate([parts[k] for k in _ORDER])
