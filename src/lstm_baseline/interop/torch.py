"""PyTorch's LSTM: ``torch.nn.LSTM``, ``torch.nn.LSTMCell`` and their state dicts, both ways.

Gates are in the order i, f, g, o. PyTorch adds two biases: ours is their sum, and goes back as the
first of them. Layers, both directions and projections have the same meaning.
"""

import re
from collections.abc import Mapping
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
    one_dtype,
    refuse_others,
)
from lstm_baseline.interop.gates import reorder

if TYPE_CHECKING:
    import torch

TORCH_GATES = ("i", "f", "c", "o")

_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_NAME = re.compile(rf"(?P<kind>{'|'.join(_KINDS)})(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?")


def from_state_dict(
    state_dict: "Mapping[str, torch.Tensor | npt.ArrayLike]", *, prefix: str = ""
) -> LSTM:
    """Return an LSTM with the weights of a ``state_dict`` of nn.LSTM or nn.LSTMCell.

    Sizes, layers, directions, projection and biases follow from names and shapes.

    Parameters
    ----------
    state_dict
        Tensors or arrays by PyTorch's names, of one dtype, float32 or float64.
    prefix
        Start of the LSTM's names in the state dict of a larger module, such as "encoder.lstm.";
        other names are ignored.

    Raises
    ------
    InputError
        If a name is unknown or missing, a shape does not fit, or a number is not finite.
    """
    if not isinstance(state_dict, Mapping):
        kind = type(state_dict).__name__
        raise InputError(f"from_state_dict got a {kind}; give a dict, or a module to from_torch")
    arrays = {
        name.removeprefix(prefix): as_weights(name, value)
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
    model = _like(arrays, prefix)
    expected = {name: value.shape for name, value in to_state_dict(model).items()}
    if _is_cell(arrays):
        expected = {name.removesuffix("_l0"): shape for name, shape in expected.items()}
    for name in sorted(expected.keys() | arrays.keys()):
        if name not in arrays:
            raise InputError(f"{prefix}{name} is missing; the other weights ask for it")
        if name not in expected:
            raise InputError(f"{prefix}{name} does not belong to an LSTM of the other weights")
        check_shape(f"{prefix}{name}", arrays[name], expected[name])
    for suffix in model.suffixes:
        its = "" if _is_cell(arrays) else suffix or "_l0"
        for own, other in (("W", "weight_ih"), ("U", "weight_hh")):
            model.params[f"{own}{suffix}"][...] = reorder(
                arrays[f"{other}{its}"], TORCH_GATES, LSTM_GATES
            )
        if model.variant.bias:
            both = arrays[f"bias_ih{its}"] + arrays[f"bias_hh{its}"]
            model.params[f"b{suffix}"][...] = reorder(both, TORCH_GATES, LSTM_GATES)
        if model.variant.projection_size is not None:
            model.params[f"W_proj{suffix}"][...] = arrays[f"weight_hr{its}"]
    return model


def to_state_dict(model: LSTM) -> dict[str, FloatArray]:
    """Return copies of a model's weights by the names and in the order of nn.LSTM.

    ``torch.as_tensor`` makes tensors of them. Rates of dropout are not weights and are left out.

    Raises
    ------
    InputError
        If the model has something that nn.LSTM does not.
    """
    check_is_lstm(model, "to_state_dict")
    _refuse_what_torch_lacks(model)
    found: dict[str, FloatArray] = {}
    for suffix in model.suffixes:
        its = suffix or "_l0"
        for own, other in (("W", "weight_ih"), ("U", "weight_hh")):
            rows = model.params[f"{own}{suffix}"]
            found[f"{other}{its}"] = reorder(rows, LSTM_GATES, TORCH_GATES)
        if model.variant.bias:
            b = reorder(model.params[f"b{suffix}"], LSTM_GATES, TORCH_GATES)
            found |= {f"bias_ih{its}": b, f"bias_hh{its}": np.zeros_like(b)}
        if model.variant.projection_size is not None:
            found[f"weight_hr{its}"] = model.params[f"W_proj{suffix}"].copy()
    return found


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
    torch = _import_torch()
    arrays = to_state_dict(model)
    refuse_others(model, "nn.LSTM", has=("projection_size", "bias", "dropout"))
    module = torch.nn.LSTM(
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
    module.load_state_dict({name: torch.as_tensor(array) for name, array in arrays.items()})
    return module


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


def _like(arrays: Mapping[str, NDArray], prefix: str) -> LSTM:
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
    dtype = one_dtype(arrays.values())
    layers = [int(match["layer"]) for match in matches.values() if match and match["layer"]]
    num_layers = max(layers, default=0) + 1
    if num_layers > len(arrays):
        raise InputError(f"{prefix}weights of layer {num_layers - 1} are there, but not all before")
    return LSTM(
        arrays[f"weight_ih{end}"].shape[1],
        len(arrays[f"weight_hh{end}"]) // 4,
        num_layers=num_layers,
        bidirectional=any(match["reverse"] for match in matches.values() if match),
        projection_size=None if projection is None else len(projection),
        bias=f"bias_ih{end}" in arrays,
        initialization="zeros",
        dtype=dtype,
    )


def _refuse_what_torch_lacks(model: LSTM) -> None:
    if model.output_size is not None:
        raise InputError(
            "the model has a readout, which nn.LSTM has not; "
            "take W_out and b_out to an nn.Linear and convert an LSTM without output_size"
        )
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
