"""The linear readout of hidden states, y = W_out h + b_out, and its derivative."""

import numpy as np

from lstm_baseline.engine.initializers import xavier_initializer
from lstm_baseline.engine.shapes import FloatArray, Params, Shapes


def readout_shapes(width: int, output_size: int | None) -> Shapes:
    """Return the shapes of W_out (O, width) and b_out (O); none without a readout."""
    return {} if output_size is None else {"W_out": (output_size, width), "b_out": (output_size,)}


def initial_readout(shapes: Shapes, rng: np.random.Generator) -> Params:
    """Draw W_out Xavier-uniform, where it is there; b_out starts at 0."""
    values: Params = {}
    if "W_out" in shapes:
        values["W_out"] = xavier_initializer(shapes["W_out"], rng=rng)
    if "b_out" in shapes:
        values["b_out"] = np.zeros(shapes["b_out"])
    return values


def read_out(hidden: FloatArray, W: FloatArray, b: FloatArray) -> FloatArray:
    """Return W h + b of every step, or of the last one."""
    if hidden.ndim == 2:
        last: FloatArray = hidden @ W.T + b
        return last
    # Step by step: in one product of all steps, the bits would depend on the number of steps.
    outputs = np.empty((*hidden.shape[:2], len(W)), hidden.dtype)
    np.matmul(hidden.swapaxes(0, 1), W.T, out=outputs.swapaxes(0, 1))
    outputs += b
    return outputs


def read_out_backward(
    d_outputs: FloatArray, hidden: FloatArray, params: Params, weights: str = "W_out"
) -> tuple[FloatArray, Params]:
    """Return the gradients of the hidden states, and of ``weights`` and b_out."""
    d_rows = d_outputs.reshape(-1, d_outputs.shape[-1])
    rows = hidden.reshape(-1, hidden.shape[-1])
    d_params = {weights: d_rows.T @ rows, "b_out": d_rows.sum(axis=0)}
    return (d_rows @ params[weights]).reshape(hidden.shape), d_params
