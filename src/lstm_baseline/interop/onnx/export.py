"""A model as an ONNX file: a node for each layer, and operators that put axes in their places.

Nodes take and give time first, (T, B, ·), because ONNX Runtime supports no other order.
"""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.interop.checks import check_is_lstm
from lstm_baseline.interop.onnx.file import LARGEST_FILE, import_onnx
from lstm_baseline.interop.onnx.lstm import node_attributes, node_weights

if TYPE_CHECKING:
    from onnx import NodeProto

OPSET, IR_VERSION = 14, 8
"""Old enough for the runtimes that are about, new enough for all that is written."""


def to_onnx(
    model: LSTM, path: str | Path, *, return_sequences: bool = True, lengths: bool = False
) -> None:
    """Write a model as an ONNX file, whole or not at all.

    Its graph takes x (B, T, I) and gives y, which is (B, T, O) or each row's last output (B, O),
    with the LSTM's width in place of O if there is no readout. B and T are open; the state before
    the first step is zero.

    Parameters
    ----------
    model
        An LSTM in any of ONNX's variants: peepholes, coupled gates, clip, activations, no bias,
        several layers, both directions. Its rates of dropout are not written.
    path
        Path of the file.
    return_sequences
        True for the output at every step, False for each row's last one.
    lengths
        Whether the graph also takes ``lengths`` (B,) in int32, with the meaning of ``forward``'s.

    Raises
    ------
    InputError
        If the model has something that the operator LSTM lacks, or is too large for one file.
    WriteError
        If the file cannot be written; an old file is then unchanged.

    Notes
    -----
    ONNX keeps clip and the constants of activations in float32. A model in float64 gives a valid
    file that ONNX Runtime cannot run, because its LSTM takes only float32: write
    ``model.astype(np.float32)`` for it. ``onnx_backend.LSTMBackend`` runs both. On a batch of no
    rows ONNX Runtime (1.31) ends the process.
    """
    onnx = import_onnx()
    check_is_lstm(model, "to_onnx")
    _refuse_what_onnx_lacks(model)
    graph = _Writer(onnx, model, takes_lengths=lengths)
    if return_sequences:
        axes, y = ["batch", "time"], graph.sequences()
    else:
        axes, y = ["batch"], graph.last_outputs()
    kind = onnx.helper.np_dtype_to_tensor_dtype(model.dtype)
    value = onnx.helper.make_tensor_value_info
    inputs = [value("x", kind, ["batch", "time", model.input_size])]
    if lengths:
        inputs.append(value("lengths", onnx.TensorProto.INT32, ["batch"]))
    file = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "LSTM",
            inputs,
            [value(y, kind, [*axes, model.output_size or model.width])],
            [onnx.numpy_helper.from_array(array, name) for name, array in graph.arrays.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lstm-baseline",
    )
    onnx.checker.check_model(file, full_check=True)
    write_whole(path, file.SerializeToString())


class _Writer:
    """Nodes and arrays of a model's graph, as far as they are written."""

    def __init__(self, onnx: ModuleType, model: LSTM, takes_lengths: bool) -> None:
        self.onnx = onnx
        self.model = model
        self.takes_lengths = takes_lengths
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, NDArray] = {}

    def sequences(self) -> str:
        """Write y (B, T, O); return its name."""
        Y, _ = self._layers()
        hidden = self._merged("hidden", Y, self.model.num_layers - 1)
        if self.model.output_size is None:
            return self._add("Transpose", "y", hidden, perm=[1, 0, 2])
        by_row = self._add("Transpose", "hidden_by_row", hidden, perm=[1, 0, 2])
        if not self.takes_lengths:
            return self._readout("y", by_row)
        # Outputs past a row's end must be 0; the readout gives b_out there.
        steps = self._add("Range", "steps", self._int(0), self._num_steps(), self._int(1))
        ends = self._add("Cast", "ends", "lengths", to=self.onnx.TensorProto.INT64)
        ends = self._add("Unsqueeze", "ends_by_row", ends, self._int([1]))
        live = self._add("Less", "live", steps, ends)
        live = self._add("Unsqueeze", "live_outputs", live, self._int([2]))
        zero = self._array("zero", np.zeros((), self.model.dtype))
        return self._add("Where", "y", live, self._readout("outputs", by_row), zero)

    def last_outputs(self) -> str:
        """Write y (B, O); return its name."""
        _, Y_h = self._layers()
        own = self.model.output_size is None
        name = "y" if own else "last"
        if self._adds_directions:
            last = self._added(name, Y_h, axis=0)
        else:
            by_row = self._add("Transpose", "last_by_row", Y_h, perm=[1, 0, 2])
            last = self._add("Reshape", name, by_row, self._int([0, self.model.width]))
        return last if own else self._readout("y", last)

    def _layers(self) -> tuple[str, str]:
        """Write all layers; return the names of the last one's Y (T, D, B, H) and Y_h (D, B, H)."""
        D = 2 if self.model.bidirectional else 1
        X = self._add("Transpose", "x_by_time", "x", perm=[1, 0, 2])
        Y = Y_h = ""
        for layer in range(self.model.num_layers):
            if layer:
                X = self._merged(f"x_l{layer}", Y, layer - 1)
            suffixes = self.model.suffixes[D * layer : D * (layer + 1)]
            weights = {
                name: self._array(f"{name}_l{layer}", value)
                for name, value in node_weights(self.model, suffixes).items()
            }
            Y, Y_h = f"Y_l{layer}", f"Y_h_l{layer}"
            inputs = {
                "X": X,
                "W": weights["W"],
                "R": weights["R"],
                "B": weights.get("B", ""),
                "sequence_lens": "lengths" if self.takes_lengths else "",
                "initial_h": "",
                "initial_c": "",
                "P": weights.get("P", ""),
            }
            attributes = node_attributes(self.model, layer)
            self.nodes.append(
                self.onnx.helper.make_node("LSTM", [*inputs.values()], [Y, Y_h], **attributes)
            )
        return Y, Y_h

    def _merged(self, name: str, Y: str, layer: int) -> str:
        """Make one of the directions of a layer's Y (T, D, B, H): (T, B, width)."""
        if self._adds_directions:
            return self._added(name, Y, axis=1)
        together = self._add("Transpose", f"{name}_by_direction", Y, perm=[0, 2, 1, 3])
        return self._add(
            "Reshape", name, together, self._int([0, 0, self.model.stack.widths[layer]])
        )

    @property
    def _adds_directions(self) -> bool:
        return self.model.bidirectional and self.model.merge != "concatenate"

    def _added(self, name: str, Y: str, axis: int) -> str:
        """Add up or average over the axis of directions."""
        if self.model.merge == "mean":
            return self._add("ReduceMean", name, Y, axes=[axis], keepdims=0)
        return self._add("ReduceSum", name, Y, self._int([axis]), keepdims=0)

    def _readout(self, name: str, hidden: str) -> str:
        W_out = self._array("W_out", self.model.params["W_out"].T)
        b_out = self._array("b_out", self.model.params["b_out"])
        return self._add("Add", name, self._add("MatMul", f"{name}_product", hidden, W_out), b_out)

    def _num_steps(self) -> str:
        shape = self._add("Shape", "shape", "x")
        return self._add("Gather", "num_steps", shape, self._int(1))

    def _add(self, operator: str, output: str, *inputs: str, **attributes: int | list[int]) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _array(self, name: str, value: NDArray) -> str:
        self.arrays[name] = np.ascontiguousarray(value)
        return name

    def _int(self, value: int | list[int]) -> str:
        text = str(value).strip("[]").replace(", ", "_")
        kind = "number" if isinstance(value, int) else "numbers"
        return self._array(f"{kind}_{text}", np.array(value, np.int64))


def _refuse_what_onnx_lacks(model: LSTM) -> None:
    for name, value in (
        ("projection_size", model.variant.projection_size),
        ("layer_norm", model.variant.layer_norm),
        ("zoneout", any(model.rates.zoneout)),
        ("embedding_size", model.tokens.embedding_size),
        ("learned_state", model.stack.layers.learned_state),
    ):
        if value:
            raise InputError(f"the model has {name}, which ONNX's LSTM has not")
    num_bytes = sum(value.nbytes for value in model.params.values())
    # With coupled gates the file still has rows for a fourth gate.
    if num_bytes * 4 // 3 + 2**20 > LARGEST_FILE:
        raise InputError(
            f"the model has {num_bytes:,} bytes of parameters; one ONNX file holds {LARGEST_FILE:,}"
        )
