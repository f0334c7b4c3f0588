"""PyTorch's LSTM: ``torch.nn.LSTM``, ``torch.nn.LSTMCell`` and their state dicts, both ways.

Gates are in the order i, f, g, o. PyTorch adds two biases: ours is their sum, and goes back as the
first of them. Layers, both directions and projections have the same meaning. A readout is an
``nn.Linear`` beside the LSTM, which a state dict has under a name of its own: its head.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.shapes import LSTM_GATES, FloatArray, NDArray
from lstm_baseline.interop.checks import (
    TRAINING_ONLY,
    as_weights,
    check_is_lstm,
    check_shape,
    first_few,
    one_dtype,
    refuse_others,
)
from lstm_baseline.interop.gates import reorder
from lstm_baseline.interop.state_dict_file import StateDictFile

if TYPE_CHECKING:
    import torch

TORCH_GATES = ("i", "f", "c", "o")

_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_NAME = re.compile(rf"(?P<kind>{'|'.join(_KINDS)})(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?")

_GATES_OF = {4: "LSTM", 3: "GRU", 1: "RNN"}
"""Modules that name their weights alike, by the blocks (H, H) of rows in weight_hh."""


def from_state_dict(
    state_dict: "Mapping[str, torch.Tensor | npt.ArrayLike]",
    *,
    prefix: str = "",
    head: str | None = None,
) -> LSTM:
    """Return an LSTM with the weights of a ``state_dict`` of nn.LSTM or nn.LSTMCell.

    Sizes, layers, directions, projection and biases follow from names and shapes.

    Parameters
    ----------
    state_dict
        Tensors or arrays by PyTorch's names, of one dtype, float32 or float64.
    prefix
        Start of the LSTM's names in the state dict of a larger module, such as "encoder.lstm.";
        names that begin otherwise are ignored.
    head
        Name of an nn.Linear on the LSTM's outputs, such as "fc". Its weight (O, ·) and, where it
        has one, its bias (O) become the readout.

    Raises
    ------
    InputError
        If a name is unknown or missing, a shape does not fit, or a number is not finite.
    """
    if not isinstance(state_dict, Mapping):
        kind = type(state_dict).__name__
        raise InputError(f"from_state_dict got a {kind}; give a dict, or a module to from_torch")
    of_head = names_of_head(head)
    own = [
        name.removeprefix(prefix)
        for name in state_dict
        if name.startswith(prefix) and name not in of_head
    ]
    _check_names(state_dict, own, prefix)
    arrays = {name: as_weights(prefix + name, state_dict[prefix + name]) for name in own}
    readout = {
        ours: as_weights(name, state_dict[name])
        for ours, name in zip(("W_out", "b_out"), of_head, strict=False)
        if name in state_dict
    }
    dtype = one_dtype([*arrays.values(), *readout.values()]) if arrays else "float32"
    model = _like(arrays, prefix, dtype)
    expected = {name: value.shape for name, value in _weights_of_lstm(model).items()}
    if _is_cell(arrays):
        expected = {name.removesuffix("_l0"): shape for name, shape in expected.items()}
    for name in sorted(expected.keys() | arrays.keys()):
        if name not in arrays:
            raise InputError(f"{prefix}{name} is missing; the other weights ask for it")
        if name not in expected:
            raise InputError(f"{prefix}{name} does not belong to an LSTM of the other weights")
        check_shape(f"{prefix}{name}", arrays[name], expected[name])
    if head is not None:
        _check_head(state_dict, head, readout, model.width)
        model = _like(arrays, prefix, dtype, output_size=len(readout["W_out"]))
    for suffix in model.suffixes:
        its = "" if _is_cell(arrays) else suffix or "_l0"
        for ours, other in (("W", "weight_ih"), ("U", "weight_hh")):
            model.params[f"{ours}{suffix}"][...] = reorder(
                arrays[f"{other}{its}"], TORCH_GATES, LSTM_GATES
            )
        if model.variant.bias:
            both = arrays[f"bias_ih{its}"] + arrays[f"bias_hh{its}"]
            model.params[f"b{suffix}"][...] = reorder(both, TORCH_GATES, LSTM_GATES)
        if model.variant.projection_size is not None:
            model.params[f"W_proj{suffix}"][...] = arrays[f"weight_hr{its}"]
    for ours, array in readout.items():
        model.params[ours][...] = array
    return model


def to_state_dict(
    model: LSTM, *, prefix: str = "", head: str | None = None
) -> dict[str, FloatArray]:
    """Return copies of a model's weights by the names and in the order of nn.LSTM.

    ``torch.as_tensor`` makes tensors of them. Rates of dropout are not weights and are left out.

    Parameters
    ----------
    model
        The model.
    prefix
        What the names begin with, such as "encoder.lstm.".
    head
        Name of the nn.Linear that the readout becomes, such as "fc" for fc.weight and fc.bias.

    Raises
    ------
    InputError
        If the model has something that nn.LSTM does not, or a readout without ``head``.
    """
    check_is_lstm(model, "to_state_dict")
    _refuse_what_torch_lacks(model)
    if model.output_size is None and head is not None:
        raise InputError(f"head is {head!r}, and the model has no readout")
    if model.output_size is not None and head is None:
        raise InputError(
            "the model has a readout, which nn.LSTM has not; head names the nn.Linear that it "
            "becomes, as in to_state_dict(model, head='fc') or convert --head fc"
        )
    found = {f"{prefix}{name}": value for name, value in _weights_of_lstm(model).items()}
    for name, ours in zip(names_of_head(head), ("W_out", "b_out"), strict=False):
        found[name] = model.params[ours].copy()
    return found


def names_of_head(head: str | None) -> list[str]:
    """Return the names of a head's weight and bias; none without a head."""
    if head == "":
        raise InputError("head is ''; give the name of an nn.Linear, such as 'fc'")
    return [] if head is None else [f"{head}.weight", f"{head}.bias"]


def from_torch(module: "torch.nn.LSTM | torch.nn.LSTMCell") -> LSTM:
    """Return an LSTM that gives the outputs of an nn.LSTM or nn.LSTMCell, and has its dropout.

    Raises
    ------
    InputError
        If it is another module.
    """
    torch = _import_torch()
    if not isinstance(module, torch.nn.LSTM | torch.nn.LSTMCell):
        raise InputError(
            f"from_torch got a {type(module).__name__}; give an nn.LSTM or nn.LSTMCell"
        )
    model = from_state_dict(module.state_dict())
    model.rates = DropoutRates.checked(dropout=getattr(module, "dropout", 0.0))
    return model


def to_torch(model: LSTM) -> "torch.nn.LSTM":
    """Return an ``nn.LSTM`` (batch first) that gives the outputs of a model.

    If the model has ``dropout``, so has the module until its ``eval()`` is called.

    Raises
    ------
    InputError
        If the model has something that nn.LSTM does not.
    """
    arrays = to_state_dict(model)
    refuse_others(model, "nn.LSTM", has=("projection_size", "bias", "dropout"))
    module = module_like(model)
    module.load_state_dict(
        {name: _import_torch().as_tensor(array) for name, array in arrays.items()}
    )
    return module


def module_like(model: LSTM) -> "torch.nn.LSTM":
    """Return an ``nn.LSTM`` of a model's form, its weights still PyTorch's own."""
    torch = _import_torch()
    return torch.nn.LSTM(
        model.input_size,
        model.hidden_size,
        model.num_layers,
        bias=model.variant.bias,
        batch_first=True,
        # PyTorch warns of a rate that has no effect.
        dropout=model.rates.dropout if model.num_layers > 1 else 0.0,
        bidirectional=model.bidirectional,
        proj_size=model.variant.projection_size or 0,
        dtype=getattr(torch, model.dtype.name),
    )


def _import_torch() -> ModuleType:
    try:
        return import_module("torch")
    except ImportError as error:
        raise InputError(
            "PyTorch is not installed; pip install 'lstm-baseline[torch]', "
            "or use from_state_dict and to_state_dict, which do without"
        ) from error


def _is_cell(arrays: Mapping[str, NDArray]) -> bool:
    return "weight_ih" in arrays


def _weights_of_lstm(model: LSTM) -> dict[str, FloatArray]:
    """Return copies of all weights but the readout's by PyTorch's names."""
    found: dict[str, FloatArray] = {}
    for suffix in model.suffixes:
        its = suffix or "_l0"
        for ours, other in (("W", "weight_ih"), ("U", "weight_hh")):
            rows = model.params[f"{ours}{suffix}"]
            found[f"{other}{its}"] = reorder(rows, LSTM_GATES, TORCH_GATES)
        if model.variant.bias:
            b = reorder(model.params[f"b{suffix}"], LSTM_GATES, TORCH_GATES)
            found |= {f"bias_ih{its}": b, f"bias_hh{its}": np.zeros_like(b)}
        if model.variant.projection_size is not None:
            found[f"weight_hr{its}"] = model.params[f"W_proj{suffix}"].copy()
    return found


def _check_names(state_dict: Mapping[str, object], own: Sequence[str], prefix: str) -> None:
    """Refuse a prefix whose names are not those of an LSTM; say which prefixes are."""
    modules = _modules_in(state_dict)
    kind = modules.get(prefix, "LSTM")
    strangers = [name for name in own if not _NAME.fullmatch(name)]
    if kind == "LSTM" and not strangers and (own or not prefix):
        return
    if kind != "LSTM":
        refusal = f"the weights are those of an nn.{kind}, and an nn.LSTM's are read here"
    elif not own:
        refusal = f"no name begins with {prefix!r}"
    else:
        refusal = f"{prefix}{strangers[0]} is no weight of an LSTM of PyTorch"
    if prefix in modules and kind == "LSTM":
        raise InputError(f"{refusal}; head takes a Linear along, take out what else is there")
    lstms = [repr(its) for its, kind in modules.items() if kind == "LSTM"]
    if lstms:
        raise InputError(f"{refusal}; LSTMs are there with prefix {first_few(lstms)}")
    others = [f"nn.{kind} with prefix {its!r}" for its, kind in modules.items() if its != prefix]
    there = f"; there is no LSTM, but {first_few(others)}" if others else ""
    raise InputError(f"{refusal}{there}")


def _modules_in(state_dict: Mapping[str, object]) -> dict[str, str]:
    """Return the recurrent modules of a state dict, LSTM, GRU or RNN, by the prefix of each."""
    found = {}
    for name in state_dict:
        match = re.fullmatch(r"(?P<prefix>.*?)weight_hh(?P<end>(_l0)?)", name, re.DOTALL)
        if match is None or len(shape := _shape_of(state_dict, name)) != 2:
            continue
        projected = f"{match['prefix']}weight_hr{match['end']}" in state_dict
        blocks, rest = divmod(shape[0], max(shape[1], 1))
        found[match["prefix"]] = "LSTM" if projected or rest else _GATES_OF.get(blocks, "LSTM")
    return found


def _shape_of(state_dict: Mapping[str, object], name: str) -> tuple[int, ...]:
    """Return an array's shape, without reading it from a file; () if it is no array."""
    if isinstance(state_dict, StateDictFile):
        return state_dict.shape(name)
    return tuple(getattr(state_dict[name], "shape", ()))


def heads_in(state_dict: Mapping[str, object], width: int) -> list[str]:
    """Return the names of what could be a Linear on outputs (B, T, width)."""
    return [
        name.removesuffix(".weight")
        for name in state_dict
        if name.endswith(".weight") and _shape_of(state_dict, name)[1:] == (width,)
    ]


def _check_head(
    state_dict: Mapping[str, object], head: str, readout: Mapping[str, NDArray], width: int
) -> None:
    """Refuse a head that is missing or does not fit outputs of a width; say which ones do."""
    W_out, b_out = readout.get("W_out"), readout.get("b_out")
    if W_out is None or W_out.shape[1:] != (width,):
        fitting = [repr(name) for name in heads_in(state_dict, width)]
        came = "is missing" if W_out is None else f"has shape {W_out.shape}"
        there = f"; there are {first_few(fitting)}" if fitting else ""
        raise InputError(f"{head}.weight {came}; a head on this LSTM has (O, {width}){there}")
    if b_out is not None:
        check_shape(f"{head}.bias", b_out, (len(W_out),))


def _like(
    arrays: Mapping[str, NDArray], prefix: str, dtype: str, output_size: int | None = None
) -> LSTM:
    """Return an LSTM of the form that names and first weights tell, its parameters unset."""
    matches = {name: _NAME.fullmatch(name) for name in arrays}
    for name, match in matches.items():
        if match is None or (match["layer"] is None) != _is_cell(arrays):
            raise InputError(f"{prefix}{name} is no weight of an LSTM of PyTorch")
    end = "" if _is_cell(arrays) else "_l0"
    if (projection := arrays.get(f"weight_hr{end}")) is not None and projection.ndim != 2:
        shape = projection.shape
        raise InputError(f"{prefix}weight_hr{end} has shape {shape}; an LSTM's has (P, H)")
    for kind in ("weight_ih", "weight_hh"):
        if f"{kind}{end}" not in arrays:
            raise InputError(f"{prefix}{kind}{end} is missing; is this the state dict of an LSTM?")
        if arrays[f"{kind}{end}"].ndim != 2 or len(arrays[f"{kind}{end}"]) % 4:
            shape = arrays[f"{kind}{end}"].shape
            raise InputError(f"{prefix}{kind}{end} has shape {shape}; an LSTM's has (4H, ·)")
    layers = [int(match["layer"]) for match in matches.values() if match and match["layer"]]
    num_layers = max(layers, default=0) + 1
    if num_layers > len(arrays):
        raise InputError(f"{prefix}weights of layer {num_layers - 1} are there, but not all before")
    return LSTM(
        arrays[f"weight_ih{end}"].shape[1],
        len(arrays[f"weight_hh{end}"]) // 4,
        output_size,
        num_layers=num_layers,
        bidirectional=any(match["reverse"] for match in matches.values() if match),
        projection_size=None if projection is None else len(projection),
        bias=f"bias_ih{end}" in arrays,
        initialization="zeros",
        dtype=dtype,
    )


def _refuse_what_torch_lacks(model: LSTM) -> None:
    if len(set(model.hidden_sizes)) > 1:
        raise InputError(
            f"the model's layers have the hidden sizes {model.hidden_size}, and those of nn.LSTM "
            "have one; convert layer by layer"
        )
    if (model.variant.projection_size or 0) >= model.hidden_size:
        raise InputError(
            f"the model has projection_size {model.variant.projection_size}; "
            f"nn.LSTM takes one below its hidden_size {model.hidden_size}"
        )
    refuse_others(model, "nn.LSTM", has=("projection_size", "bias", *TRAINING_ONLY))
