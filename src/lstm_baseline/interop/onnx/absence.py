"""Why a graph has no LSTM node that could be read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lstm_baseline.engine.errors import InputError
from lstm_baseline.interop.onnx.file import import_onnx

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_QUANTISED = ("Quant", "QLinear", "Integer")
"""Parts of the names of operators that compute with few bits."""


def refuse_without_lstm(model: "ModelProto") -> None:
    """Refuse a model whose main graph has no LSTM node, and say what it has instead.

    Raises
    ------
    InputError
        If there is none.
    """
    if any(_is_of_onnx(node) and node.op_type == "LSTM" for node in model.graph.node):
        return
    nodes = list(_all_nodes(model))
    for node, place in nodes:
        name = f"{node.op_type} node {node.name or ' '.join(node.output)!r}"
        if node.op_type == "LSTM" and _is_of_onnx(node):
            raise InputError(f"{name} is in {place}; export the model so that it is in the graph")
        if any(part in node.op_type for part in _QUANTISED):
            raise InputError(
                f"the graph has no LSTM node, and {name} is quantised; take the model from "
                "before quantisation"
            )
        if node.op_type in ("GRU", "RNN") and _is_of_onnx(node):
            where = f" in {place}" if place else ""
            raise InputError(
                f"the graph has no LSTM node but a {node.op_type}, {node.name or node.output[0]!r}"
                f"{where}; an LSTM has other equations"
            )
    for node, _ in nodes:
        if not _is_of_onnx(node) and not any(f.name == node.op_type for f in model.functions):
            raise InputError(
                f"the graph has no LSTM node; the operator {node.domain}.{node.op_type}, node "
                f"{node.name or ' '.join(node.output)!r}, is none of ONNX's own"
            )
    raise InputError(
        "the graph has no LSTM node; some exporters write the operations of each step instead, "
        "as Keras's does on PyTorch: take the weights from the original model"
    )


def _is_of_onnx(node: "NodeProto") -> bool:
    return node.domain in ("", "ai.onnx")


def _all_nodes(model: "ModelProto") -> Iterator[tuple["NodeProto", str]]:
    """Yield the nodes of a model, and in which subgraph or function each is."""
    yield from _nodes(model.graph, "")
    for function in model.functions:
        for node in function.node:
            yield from _nested(node, f"the function {function.name!r}")


def _nodes(graph: "GraphProto", place: str) -> Iterator[tuple["NodeProto", str]]:
    for node in graph.node:
        yield from _nested(node, place)


def _nested(node: "NodeProto", place: str) -> Iterator[tuple["NodeProto", str]]:
    yield node, place
    kinds = import_onnx().AttributeProto
    for attribute in node.attribute:
        inner = f"a subgraph, the {attribute.name} of {node.op_type} node "
        inner += repr(node.name or " ".join(node.output))
        if attribute.type == kinds.GRAPH:
            yield from _nodes(attribute.g, inner)
        elif attribute.type == kinds.GRAPHS:
            for graph in attribute.graphs:
                yield from _nodes(graph, inner)
