"""Any PyTorch network under this package's losses, clipping and optimizers.

``TorchModel`` gives an ``nn.Module`` the contract of the package's own models. PyTorch runs the
network and differentiates it; everything else is the code that trains the LSTM.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import attention
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import (
    RandomSource,
    as_generator,
    as_lengths,
    as_real,
    is_tokens,
)
from lstm_baseline.engine.models import Gradients
from lstm_baseline.engine.shapes import FloatArray, FloatDType, IntArray, NDArray, Params


class _Pass(NamedTuple):
    """One run of the network, with PyTorch's graph of the run."""

    x: torch.Tensor
    outputs: torch.Tensor


@final
class TorchCache:
    """Result of ``forward_with_cache`` that ``backward`` needs.

    PyTorch frees a graph while differentiating it, which saves memory. Asking again, as for the
    gradient of x, makes the network run again, from the same random numbers.
    """

    def __init__(self, run: Callable[[], _Pass]) -> None:
        self._run = run
        self._pass: _Pass | None = run()
        self.outputs: FloatArray = self._pass.outputs.detach().numpy().copy()

    def take(self) -> _Pass:
        """Return a run whose graph is still complete."""
        taken, self._pass = self._pass or self._run(), None
        return taken


@final
class TorchModel:
    """An ``nn.Module`` that maps (B, T, I) to (B, O) or (B, T, O), as a model of this package.

    An output for each row is taken as the output of the last step. From outputs for each step, only
    the last is read if no others are asked for. Rows of equal length run together, cut to their
    length, so that the network never sees padding. PyTorch runs on one thread, as linear algebra
    does in training: the bits of a result depend on the number of threads.

    There is no initial state, and therefore no training on windows (``truncate``); nothing is
    recomputed. ``state_size`` is the module's attribute of that name, or None: a network does not
    show what it carries from step to step. Rows of different length run together, too, where the
    module says ``causal = True``: that no output depends on a later step.

    Parameters
    ----------
    module
        Module on the CPU whose parameters are all float32 or all float64. It is not copied:
        training changes it.

    Raises
    ------
    InputError
        If there is no parameter to train, or a parameter has another dtype, is on another device,
        or has no shape yet.

    Notes
    -----
    ``params`` holds the module's own memory under the names of ``named_parameters``: those that
    require a gradient, shared ones once, and a single number as an array (1,). A checkpoint holds
    nothing else. So a module whose buffers change in training, like those of a batch norm, is
    refused when they first change.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"TorchModel got a {type(module).__name__}; give an nn.Module")
        self.module = module
        self._name = type(module).__name__
        self._parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.dtype = _common_dtype(self._parameters, self._name)
        self.params: Params = {
            name: np.atleast_1d(p.detach().numpy()) for name, p in self._parameters.items()
        }
        kept = module.state_dict()
        self.state_size: int | None = getattr(module, "state_size", None)
        self._buffers = {n: b.clone() for n, b in module.named_buffers() if n in kept}

    @property
    def config(self) -> dict[str, Any]:
        """Class, shapes and dtype of the module, in which a checkpoint must agree."""
        return {
            "module": f"{type(self.module).__module__}:{type(self.module).__qualname__}",
            "params": {name: list(value.shape) for name, value in self.params.items()},
            "dtype": self.dtype.name,
        }

    @property
    def num_params(self) -> int:
        """Number of trainable parameters."""
        return sum(value.size for value in self.params.values())

    @property
    def num_fixed(self) -> int:
        """Number of numbers that the module holds and that training leaves as they are.

        These are parameters that require no gradient, buffers, and tensors and arrays among the
        attributes of the module and of its parts.
        """
        trained = {id(parameter) for parameter in self._parameters.values()}
        fixed = (value for value in _held(self.module) if id(value) not in trained)
        return sum(math.prod(value.shape) for value in fixed)

    def __repr__(self) -> str:
        """Show the module's class and the number of parameters."""
        return f"<TorchModel of {self._name}: {self.num_params:,} parameters>"

    def forward(
        self,
        x: npt.ArrayLike,
        return_sequences: bool = True,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Run the module in eval mode.

        Parameters
        ----------
        x
            (B, T, I), real numbers, or tokens (B, T), which the module gets as int64; T at least 1.
        return_sequences
            True for the output at every step, False for the last output of each row.
        lengths
            (B,) valid steps of each row, 1 to T. Later steps are not seen; their outputs are 0.

        Returns
        -------
        (B, T, O) or (B, O).

        Raises
        ------
        InputError
            If x or lengths do not fit, or the module's result has the wrong type or shape.
        """
        array, valid = self._checked(x, lengths)
        with torch.no_grad(), _set_up(self.module, None):
            outputs = self._run(torch.tensor(array), valid, return_sequences)
        copied: FloatArray = outputs.detach().numpy().copy()  # it may be a parameter
        return copied

    def forward_with_cache(
        self,
        x: npt.ArrayLike,
        return_sequences: bool = True,
        *,
        lengths: npt.ArrayLike | None = None,
        rng: RandomSource = None,
        initial_state: None = None,
        recompute: bool = False,
    ) -> tuple[FloatArray, TorchCache]:
        """Run the module and keep what ``backward`` needs.

        Arguments are those of ``forward``, and:

        Parameters
        ----------
        rng
            Generator, or seed of one, that seeds PyTorch's generator for this pass, in train mode;
            afterwards PyTorch's generator has its earlier state. Without ``rng`` the outputs are
            those of ``forward``.
        initial_state, recompute
            Refused unless they have their defaults.
        """
        if initial_state is not None or recompute:
            given = "recompute" if recompute else "initial_state"
            raise InputError(f"{given} is set; {self._name} is a torch module, which has none")
        array, valid = self._checked(x, lengths)
        seed = None if rng is None else int(as_generator(rng).integers(2**63))

        def run() -> _Pass:
            leaf = torch.tensor(array, requires_grad=array.ndim == 3)
            with torch.enable_grad(), _set_up(self.module, seed):
                # A module may change its input in place, which PyTorch forbids for a leaf.
                return _Pass(leaf, self._run(leaf.clone(), valid, return_sequences))

        cache = TorchCache(run)
        self._refuse_changed_buffers()
        return cache.outputs, cache

    def backward(self, d_outputs: FloatArray, cache: TorchCache) -> Gradients:
        """Differentiate ``forward_with_cache``.

        Parameters
        ----------
        d_outputs
            Gradient of the loss with respect to the outputs, in their shape.
        cache
            Cache that ``forward_with_cache`` returned; neither x nor the parameters may have
            changed since.

        Returns
        -------
        Gradients of ``params`` by name, zero where the outputs do not depend on a parameter; and
        the gradient of ``x``, for which the network runs again. There is none of ``initial_state``.
        """
        d_outputs = as_real("d_outputs", d_outputs, self.dtype)
        if d_outputs.shape != cache.outputs.shape:
            raise InputError(
                f"d_outputs has shape {d_outputs.shape}; expected {cache.outputs.shape}"
            )
        tensors = list(self._parameters.values())
        gradients = _differentiate(cache.take().outputs, tensors, d_outputs)

        def gradient_of_x() -> FloatArray | None:
            again = cache.take()
            if not again.x.requires_grad:  # tokens
                return None
            return _differentiate(again.outputs, [again.x], d_outputs)[0]

        return Gradients(dict(zip(self.params, gradients, strict=True)), gradient_of_x, ())

    def count_flops(self, x: npt.ArrayLike) -> int | None:
        """Return the floating-point operations in the matrix products of a forward pass over x.

        The result is None if an operation takes two tensors and its products are not known:
        PyTorch's counter would count it as nothing.
        """
        array, _ = self._checked(x, None)
        seen = _Operations()
        counter = flop_counter.FlopCounterMode(display=False, custom_mapping=_FURTHER_FLOPS)
        with warnings.catch_warnings(), _set_up(self.module, None):
            warnings.simplefilter("ignore")  # warnings of flags that stay unchanged
            # An LSTM or attention in a single operation would not be counted; its parts are.
            parts = attention.sdpa_kernel(attention.SDPBackend.MATH)
            with torch.backends.mkldnn.flags(enabled=False), parts, seen, counter:
                self.module(torch.tensor(array))
        if seen.found - {*flop_counter.flop_registry, *_FURTHER_FLOPS}:
            return None
        total: int = counter.get_total_flops()
        return total

    def _checked(
        self, x: npt.ArrayLike, lengths: npt.ArrayLike | None
    ) -> tuple[NDArray, IntArray | None]:
        array: NDArray
        if is_tokens(x) and np.ndim(x) == 2:
            array = np.asarray(x, np.int64)
        else:
            array = as_real("x", x, self.dtype)
            if array.ndim != 3:
                raise InputError(
                    f"x has shape {array.shape}; give (batch, time, features), or tokens "
                    "(batch, time)"
                )
        if array.shape[1] == 0:
            raise InputError(f"x has shape {array.shape}; give at least one step")
        if lengths is None:
            return array, None
        num_rows, num_steps = array.shape[:2]
        valid = as_lengths(lengths, num_rows, num_steps)
        if (valid == 0).any():
            raise InputError("lengths holds 0; a torch module has no output before a first step")
        return array, None if (valid == num_steps).all() else valid

    def _run(
        self, x: torch.Tensor, lengths: IntArray | None, return_sequences: bool
    ) -> torch.Tensor:
        """Return the outputs for x (B, T, I) or (B, T); rows of one length run together."""
        if lengths is None:
            return self._read(self.module(x), x.shape, return_sequences)
        if getattr(self.module, "causal", False):
            return self._run_padded(x, torch.from_numpy(lengths), return_sequences)
        parts, order = [], []
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            part = x[torch.from_numpy(rows), : int(length)]
            outputs = self._read(self.module(part), part.shape, return_sequences)
            if return_sequences:
                missing = x.shape[1] - int(length)
                outputs = torch.nn.functional.pad(outputs, (0, 0, 0, missing))
            parts.append(outputs)
            order.append(rows)
        return torch.cat(parts)[torch.from_numpy(np.argsort(np.concatenate(order)))]

    def _run_padded(
        self, x: torch.Tensor, lengths: torch.Tensor, return_sequences: bool
    ) -> torch.Tensor:
        """Return the outputs of a causal module, which never sees what stands in the padding."""
        valid = torch.arange(x.shape[1]) < lengths[:, None]
        shown = x.masked_fill(~valid.reshape(*valid.shape, *[1] * (x.ndim - 2)), 0)
        outputs = self._read(self.module(shown), x.shape, True)
        if return_sequences:
            return outputs * valid[..., None]
        return outputs[torch.arange(len(x)), lengths - 1]

    def _read(
        self, outputs: object, shape: tuple[int, ...], return_sequences: bool
    ) -> torch.Tensor:
        """Return the wanted part of the module's outputs for an x of the given shape."""
        expected = f"return a tensor (B, O) or (B, T, O) for x {tuple(shape)}"
        if not isinstance(outputs, torch.Tensor):
            raise InputError(f"{self._name} returned a {type(outputs).__name__}; {expected}")
        if _dtype_name(outputs) != self.dtype.name:
            raise InputError(
                f"{self._name} returned {_dtype_name(outputs)}; its parameters are {self.dtype}"
            )
        of_steps = outputs.ndim == 3 and outputs.shape[:2] == shape[:2]
        if of_steps:
            return outputs if return_sequences else outputs[:, -1]
        if outputs.ndim != 2 or outputs.shape[0] != shape[0]:
            raise InputError(f"{self._name} returned shape {tuple(outputs.shape)}; {expected}")
        if return_sequences:
            raise InputError(
                f"{self._name} returned {tuple(outputs.shape)}, one output a row, where every step "
                "has a target; return (B, T, O)"
            )
        return outputs

    def _refuse_changed_buffers(self) -> None:
        now = dict(self.module.named_buffers())
        for name, before in self._buffers.items():
            if name not in now or not torch.equal(now[name], before):
                raise InputError(
                    f"{self._name}'s buffer {name} changes in training, and a checkpoint holds "
                    "parameters only; use a layer without it, such as a layer norm for a batch norm"
                )


def _flops_of_bags(
    rows: Sequence[int], indices: Sequence[int], *_: object, out_shape: object = None, **__: object
) -> int:
    """Return the operations of weighted sums of rows, a product with a sparse matrix."""
    return 2 * math.prod(indices) * rows[1]


_FURTHER_FLOPS: Mapping[Any, Callable[..., int]] = {
    torch.ops.aten._embedding_bag: _flops_of_bags,
    torch.ops.aten._embedding_bag_forward_only: _flops_of_bags,
}
"""What PyTorch's counter takes for nothing."""


class _Operations(TorchDispatchMode):  # type: ignore[misc]
    """Recorder of the operations that may contain a product of two tensors."""

    harmless: ClassVar[set[str]] = {
        *("cat", "stack", "copy_", "index_put_", "slice_scatter", "select_scatter", "scatter_add"),
        *("native_layer_norm", "native_group_norm", "_fused_rms_norm"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch._ops.OpOverloadPacket] = set()

    def __torch_dispatch__(
        self,
        operation: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        values = torch.utils._pytree.tree_leaves((args, kwargs))
        tensors = [v for v in values if isinstance(v, torch.Tensor) and v.is_floating_point()]
        packet = operation.overloadpacket
        if (
            len(tensors) > 1
            and torch.Tag.pointwise not in operation.tags
            and packet.__name__ not in self.harmless
        ):
            self.found.add(packet)
        return operation(*args, **kwargs)


@contextmanager
def _set_up(module: torch.nn.Module, seed: int | None) -> Iterator[None]:
    """Set a module up to run on one thread: in train mode with a seed, without one in eval mode."""
    module.train(seed is not None)
    with _one_torch_thread():
        if seed is None:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _differentiate(
    outputs: torch.Tensor, inputs: Sequence[torch.Tensor], d_outputs: FloatArray
) -> list[FloatArray]:
    """Return the gradient of each input, zero where the outputs do not depend on it."""
    found: Sequence[torch.Tensor | None] = [None] * len(inputs)
    if outputs.requires_grad:
        with _one_torch_thread():
            found = torch.autograd.grad(outputs, inputs, torch.tensor(d_outputs), allow_unused=True)
    return [
        np.atleast_1d((torch.zeros_like(i) if g is None else g).contiguous().numpy())
        for i, g in zip(inputs, found, strict=True)
    ]


def _held(module: torch.nn.Module) -> Iterator[torch.Tensor | NDArray]:
    """Yield every tensor and array that a module holds, itself, in its parts, lists and so on."""
    seen: set[int] = set()
    waiting: list[Any] = [module]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (torch.Tensor, np.ndarray)):
            yield value
        elif isinstance(value, torch.nn.Module):
            waiting.append(vars(value))
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            waiting.extend(value)


def _common_dtype(parameters: dict[str, torch.nn.Parameter], name: str) -> FloatDType:
    """Return the common dtype of all parameters, float32 or float64."""
    if not parameters:
        raise InputError(
            f"{name} has no parameter that requires a gradient; nothing can be trained"
        )
    for key, value in parameters.items():
        if isinstance(value, torch.nn.parameter.UninitializedParameter):
            raise InputError(f"{name}'s {key} has no shape yet; give the lazy layer its sizes")
        if value.device.type != "cpu":
            raise InputError(f"{name}'s {key} is on {value.device}; call .cpu() on the module")
    dtypes = {_dtype_name(value) for value in parameters.values()}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        raise InputError(
            f"{name}'s parameters are {', '.join(sorted(dtypes))}; "
            "call .float() or .double() on the module"
        )
    return np.dtype(dtypes.pop())


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
