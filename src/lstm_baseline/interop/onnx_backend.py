"""A backend of ONNX, ``onnx.backend.base.Backend``, whose LSTM is this package's engine.

Importing it needs ``onnx``, so the package imports it only where it is used.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend, BackendRep

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.interop.onnx.file import with_all_shapes
from lstm_baseline.interop.onnx.graph import Graph, as_graph, as_node


class PreparedGraph(BackendRep):  # type: ignore[misc]
    """A graph that can be run; ``LSTMBackend.prepare`` makes it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(
        self, inputs: Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike], **_: object
    ) -> tuple[NDArray, ...]:
        """Return the outputs.

        Parameters
        ----------
        inputs
            Arrays in the order of the graph's inputs, or by their names.

        Raises
        ------
        InputError
            If there are too few or too many inputs, or a node cannot be computed with them.
        """
        names = list(self.graph.inputs)
        if not isinstance(inputs, Mapping):
            if len(inputs) != len(names):
                raise InputError(f"got {len(inputs)} inputs; the graph takes {len(names)}: {names}")
            inputs = dict(zip(names, inputs, strict=True))
        values = self.graph.run({name: np.asarray(value) for name, value in inputs.items()})
        return tuple(values[name] for name in self.graph.outputs)


class LSTMBackend(Backend):  # type: ignore[misc]
    """Runs graphs of LSTM nodes, by this package's engine, and the operators around them."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: object) -> PreparedGraph:
        """Return a checked ``ModelProto`` ready to run.

        Raises
        ------
        InputError
            If it has an operator, attribute, type or version that is not understood.
        onnx.checker.ValidationError
            If it is not valid ONNX.
        """
        if not cls.supports_device(device):
            raise InputError(f"device is {device!r}; give CPU")
        with with_all_shapes(model):
            super().prepare(model, device, **kwargs)
        return PreparedGraph(as_graph(model))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Sequence[npt.ArrayLike],
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[np.generic], tuple[int, ...]]] | None = None,
        **kwargs: object,
    ) -> tuple[NDArray, ...]:
        """Return the outputs of a single ``NodeProto``."""
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        plain = as_node(node)
        given = iter(inputs)
        names = [name for name in plain.inputs if name]
        return tuple(plain.compute({name: np.asarray(next(given)) for name in names}).values())

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: object) -> bool:
        """Return whether a ``ModelProto`` has only what is understood."""
        try:
            cls.prepare(model, device, **kwargs)
        except InputError:
            return False
        return True

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether a device is the CPU."""
        return device.split(":")[0] == "CPU"
