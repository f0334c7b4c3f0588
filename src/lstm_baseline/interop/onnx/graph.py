"""A graph of ONNX as plain Python, and its values node by node."""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.interop.onnx.file import first_line, import_onnx
from lstm_baseline.interop.onnx.operators import DTYPES, MOST_NUMBERS, OPERATORS, attribute_names

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSETS = range(7, 29)
"""Versions of ONNX's operators that are understood."""


class Node(NamedTuple):
    """An operator applied to values."""

    operator: str
    name: str
    inputs: list[str]
    """Names of values; empty for one that is left out."""
    outputs: list[str]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        """Say which node it is, for messages."""
        return f"{self.operator} node {self.name or ' '.join(self.outputs)!r}"

    def input(self, k: int) -> str:
        """Return the name of the k-th input; empty where it is left out."""
        return self.inputs[k] if k < len(self.inputs) else ""

    def compute(self, values: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Return the outputs by name.

        Raises
        ------
        InputError
            If the operator cannot be applied to these values.
        """
        given = [values[name] if name else None for name in self.inputs]
        try:
            with np.errstate(all="ignore"):  # numbers that are not finite show in the outputs
                found = OPERATORS[self.operator](*given, **self.attributes)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{self} cannot be computed: {first_line(error)}") from error
        outputs = found if isinstance(found, tuple) else (found,)
        if len(outputs) < len(self.outputs):
            raise InputError(f"{self} has {len(self.outputs)} outputs; it gives {len(outputs)}")
        return {name: y for name, y in zip(self.outputs, outputs, strict=False) if name}


class NumberCount:
    """How many numbers a graph has computed."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, node: Node, outputs: Iterable[object]) -> None:
        """Count the outputs of a node that are arrays.

        Raises
        ------
        InputError
            If they are too many.
        """
        self.total += sum(value.size for value in outputs if isinstance(value, np.ndarray))
        if self.total > MOST_NUMBERS:
            raise InputError(f"{node} is one too many: the graph has over {MOST_NUMBERS:,} numbers")


class Input(NamedTuple):
    """What a graph says of an input."""

    kind: int
    """Type by its number in ONNX."""
    shape: tuple[int | None, ...] | None
    """None for a length that is open, or where nothing is said of the shape."""


class Graph(NamedTuple):
    """Nodes, each after those it needs."""

    inputs: dict[str, Input]
    outputs: list[str]
    constants: dict[str, NDArray]
    nodes: list[Node]

    def run(self, given: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Return every value by name, from those of the inputs.

        Raises
        ------
        InputError
            If an input is missing or a node cannot be computed.
        """
        for name in self.inputs:
            if name not in given:
                raise InputError(f"input {name!r} is missing; the graph takes {list(self.inputs)}")
        values = {**self.constants, **given}
        count = NumberCount()
        for node in self.nodes:
            outputs = node.compute(values)
            count.add(node, outputs.values())
            values |= outputs
        return values

    def folded(self) -> "Graph":
        """Return the graph with all that does not depend on its inputs computed."""
        open_names = set(self.inputs)
        early: list[Node] = []
        late: list[Node] = []
        for node in self.nodes:
            if open_names.intersection(node.inputs):
                open_names.update(filter(None, node.outputs))
                late.append(node)
            else:
                early.append(node)
        constants = self._replace(inputs={}, nodes=early).run({})
        return self._replace(constants=constants, nodes=late)


def as_graph(model: "ModelProto") -> Graph:
    """Return the graph of a checked ``ModelProto``.

    Raises
    ------
    InputError
        If it has an operator, attribute, type or version that is not understood.
    """
    onnx = import_onnx()
    for opset in model.opset_import:
        if opset.domain not in ("", "ai.onnx"):
            continue
        if opset.version not in OPSETS:
            raise InputError(
                f"the model has opset {opset.version}; understood are {OPSETS[0]} to {OPSETS[-1]}"
            )
    if model.functions:
        raise InputError(f"the model has a function of its own, {model.functions[0].name!r}")
    if model.graph.sparse_initializer:
        raise InputError("the model has sparse weights; make them dense")
    constants = {tensor.name: _as_array(onnx, tensor) for tensor in model.graph.initializer}
    return Graph(
        {
            value.name: Input(value.type.tensor_type.elem_type, _as_shape(value))
            for value in model.graph.input
            if value.name not in constants
        },
        [value.name for value in model.graph.output],
        constants,
        [as_node(node) for node in model.graph.node],
    )


def type_name(number: int) -> str:
    """Return the name of a type of ONNX."""
    names = {number: name for name, number in import_onnx().TensorProto.DataType.items()}
    return str(names.get(number, number))


def as_node(node: "NodeProto") -> Node:
    """Return a ``NodeProto`` as plain Python.

    Raises
    ------
    InputError
        If its operator or an attribute is not understood.
    """
    onnx = import_onnx()
    known = node.domain in ("", "ai.onnx") and node.op_type in OPERATORS
    if not known:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise InputError(
            f"the graph has the operator {operator!r}, node {_name(node)!r}; "
            f"understood are {', '.join(OPERATORS)}"
        )
    attributes = {}
    for attribute in node.attribute:
        if attribute.name not in attribute_names(node.op_type):
            raise InputError(
                f"{node.op_type} node {_name(node)!r} has attribute {attribute.name!r}, "
                "which is not understood"
            )
        attributes[attribute.name] = _as_value(onnx, attribute)
    return Node(node.op_type, node.name, list(node.input), list(node.output), attributes)


def _name(node: "NodeProto") -> str:
    return node.name or " ".join(node.output)


def _as_value(onnx: ModuleType, attribute: "AttributeProto") -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return _as_array(onnx, value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [text.decode(errors="replace") for text in value]
    return value


def _as_array(onnx: ModuleType, tensor: "TensorProto") -> NDArray:
    name = repr(tensor.name) if tensor.name else "a constant"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise InputError(f"{name} keeps its data in a file, which only weights may")
    if tensor.data_type not in DTYPES:
        kind = type_name(tensor.data_type)
        if kind in ("INT8", "UINT8"):
            raise InputError(f"{name} has type {kind}; take the model from before quantisation")
        raise InputError(f"{name} has type {kind}; convert the model to float32 or float64")
    try:
        array: NDArray = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name} does not hold what its shape says: {first_line(error)}"
        ) from error
    return np.array(array)  # a copy that does not depend on the file's memory


def _as_shape(value: "ValueInfoProto") -> tuple[int | None, ...] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
